"""`skiagraph export`: a set of samples in somebody else's format."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from skiagraph.factory.export import FORMATS, refuse_full
from skiagraph.factory.reading import SampleSet
from skiagraph.tasks.task import Report, silent


@dataclass(frozen=True)
class Export:
    """Write a set of samples as COCO keypoints and masks, or as a MONAI Label datastore."""

    command: ClassVar[str] = "export"

    dataset: tyro.conf.Positional[Path]
    """A set made by `skiagraph make-samples`."""
    output: Path
    """A new folder."""
    format: Literal["coco", "monailabel"] = "coco"
    """Whose format."""

    @property
    def record(self) -> Path:
        """In the folder."""
        return self.output / "run.json"

    def run(self, report: Report = silent) -> list[Path]:
        """Write it; the annotations, or the pictures."""
        refuse_full(self.output)
        return FORMATS[self.format](SampleSet(self.dataset), self.output, report)
