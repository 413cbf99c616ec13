"""`skiagraph body`: write a synthetic annotated CT."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from skiagraph.bodies import Person, build
from skiagraph.errors import DataError
from skiagraph.io.patient import generator, write_body
from skiagraph.tasks.task import Report, silent


@dataclass(frozen=True)
class MakeBody:
    """Write a synthetic annotated CT: a lower torso with labels and landmarks."""

    command: ClassVar[str] = "body"

    output: tyro.conf.Positional[Path]
    """Folder for the CT, its labels and its landmarks."""
    seed: int | None = None
    """Draw another person from this seed; the average adult if not given."""
    sex: Literal["female", "male"] | None = None
    """Keep to one sex."""
    tilt: float | None = None
    """Degrees of pelvic tilt; the person's own if not given."""
    spacing: float = 1.5
    """Millimetres between voxels."""

    @property
    def record(self) -> Path:
        """In the folder."""
        return self.output / "run.json"

    def person(self) -> Person:
        """The person asked for."""
        person = Person() if self.seed is None else Person.draw(generator(self.seed))
        if self.sex is not None:
            person = replace(person, sex=self.sex)
        return person if self.tilt is None else replace(person, tilt=self.tilt)

    def run(self, report: Report = silent) -> list[Path]:
        """Make the body; the files written."""
        if not 0.5 <= self.spacing <= 6:
            raise DataError(f"a spacing of {self.spacing:g} mm; give 0.5 to 6")
        report(0, 2, "building the body")
        body = build(self.person(), self.spacing)
        report(1, 2, "writing")
        files = write_body(self.output, body)
        report(2, 2, "done")
        return files
