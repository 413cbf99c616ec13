"""`skiagraph generate-ct`: an annotated CT of nobody."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch
import tyro

from skiagraph.errors import DataError
from skiagraph.factory.subjects import LABELS_ENDING, the_generator
from skiagraph.generate.bundle import read_generator
from skiagraph.generate.ct import TRIES
from skiagraph.generate.frame import Framed
from skiagraph.generate.traits import Traits, measured
from skiagraph.io.files import stem_of, suffix_of, write_json
from skiagraph.io.markups import write_landmarks
from skiagraph.io.patient import Patient
from skiagraph.io.volumes import write_labels, write_volume
from skiagraph.tasks.find_landmarks import panels
from skiagraph.tasks.sheet import write_sheet
from skiagraph.tasks.shot import beside
from skiagraph.tasks.task import Report, silent

log = logging.getLogger("skiagraph")

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")


@dataclass(frozen=True)
class GenerateCt:
    """Generate a CT of a pelvis from noise, with its structures and landmarks. Nobody's, and not for clinical use."""

    command: ClassVar[str] = "generate-ct"

    output: tyro.conf.Positional[Path]
    """Where the CT goes: .nii.gz, .nii, .nrrd or .mha. Beside it: NAME_labels, NAME.mrk.json, NAME.png, NAME.json."""
    seed: int = 0
    """Another seed is another body."""
    sex: Literal["female", "male", "f", "m"] | None = None
    """As the bodies were learned; whoever comes if not given, as with all that follows."""
    tilt: float | None = None
    """Degrees by which the iliac spines lie in front of the symphysis."""
    head_distance: float | None = None
    """Millimetres between the centres of the femoral heads: the body's size."""
    bone: float | None = None
    """Mean HU of the hip bones: bone density."""
    girth: float | None = None
    """Millimetres around the body at the height of the femoral heads."""
    steps: int | None = None
    """Of the way from noise, 10 to 30; the generator's own if not given."""
    guidance: float | None = None
    """How much of what is asked for; 1 as it was learned, more exaggerates."""
    tries: int = TRIES
    """How often to draw a body that does not hold together."""
    bundle: Path | None = None
    """A generator trained by `skiagraph train-ct-diffusion`; the one that comes with Skiagraph if not given."""

    @property
    def record(self) -> Path:
        """Beside the CT."""
        return beside(self.output, ".run.json")

    @property
    def traits(self) -> Traits:
        """What is asked for."""
        sex: Literal["female", "male"] | None = None
        if self.sex is not None:
            sex = "female" if self.sex.startswith("f") else "male"
        return Traits(sex, self.tilt, self.head_distance, self.bone, self.girth)

    def run(self, report: Report = silent) -> list[Path]:
        """Generate, judge, draw anew if need be; the files written."""
        suffix = suffix_of(self.output)
        if suffix not in SUFFIXES:
            raise DataError(f"cannot write a CT as {self.output.name}; end it in one of {' '.join(SUFFIXES)}")
        traits = self.traits
        report(0, 1, "reading the generator")
        generator = read_generator(self.bundle or the_generator()).at(self.steps, self.guidance)
        total = generator.steps + 2
        rng = torch.Generator().manual_seed(self.seed)
        made, rejected = generator.body(traits, rng, lambda done, _: report(done, total, "generating"), self.tries)
        if rejected:
            log.warning("%d bodies were drawn and rejected before this one: %s", len(rejected), "; ".join(rejected))
        assert made.annotation is not None
        report(total - 1, total, "writing")
        body, stem = made.body, stem_of(self.output)
        here = self.output.parent
        files = [
            self.output, here / f"{stem}{LABELS_ENDING}{suffix}", here / f"{stem}.mrk.json", here / f"{stem}.png",
            here / f"{stem}.json",
        ]  # fmt: skip
        write_volume(files[0], body.volume)
        write_labels(files[1], body.labels)
        write_landmarks(files[2], made.annotation.supported, made.annotation.words)
        write_sheet(files[3], panels(Patient.of(body), made.annotation), self.output.name, columns=3, across=5.6)
        answer = measured(Framed(body.volume.hu, body.labels.index, body.landmarks), generator.frame)
        write_json(
            files[4],
            {
                "statement": "generated from noise; nobody's, a phantom's kin, and not for clinical use",
                "asked": asdict(traits), "measured": asdict(answer), "rejected": rejected, "seed": self.seed,
            },
        )  # fmt: skip
        report(total, total, "done")
        return files
