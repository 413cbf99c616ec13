"""`skiagraph train-ct-diffusion`: a generator of annotated CTs from annotated CTs."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from skiagraph.errors import DataError
from skiagraph.factory.subjects import people
from skiagraph.generate.autoencoder import Coder, CoderNetwork
from skiagraph.generate.bundle import drift_of, read_generator, write_generator
from skiagraph.generate.ct import CtGenerator, Drift
from skiagraph.generate.frame import Frame
from skiagraph.generate.quality import norms_of
from skiagraph.io.files import write_json
from skiagraph.tasks.task import Report, silent
from skiagraph.train.course import follow
from skiagraph.train.ct_coder import CoderCourse, CoderRegimen
from skiagraph.train.ct_drift import DriftCourse, DriftRegimen, encode_all, spread_of
from skiagraph.train.shelf import Shelf


@dataclass(frozen=True)
class Size:
    """A generator's size: what a machine has time and memory for."""

    frame: Frame
    coder: CoderRegimen
    drift: DriftRegimen


SIZES = {
    "cpu": Size(
        Frame(2.5),
        CoderRegimen(Coder((48, 96, 128), latent=16), block=64, batch=1, steps=4000),
        DriftRegimen(Drift((80, 160), (False, True)), batch=8, steps=3000),
    ),
    "gpu": Size(
        Frame(1.25),
        CoderRegimen(Coder((48, 96, 128), latent=16), block=128, batch=2, steps=8000),
        DriftRegimen(Drift((64, 96, 160), (False, False, True)), batch=16, steps=12000),
    ),
}
HELD = 0.1
SPLIT = "configs/split.json"
"""Whom it learned from and whom not, with what each body's file hashes to."""


@dataclass(frozen=True)
class TrainCtDiffusion:
    """Train a generator of annotated CTs. Run it again to go on where it was stopped."""

    command: ClassVar[str] = "train-ct-diffusion"

    output: tyro.conf.Positional[Path]
    """Folder of the bundle; the bodies, the checkpoints and the curves stay in it."""
    bodies: tuple[str, ...] = ("shape:300", "parametric:100")
    """Whom to learn from: shape:COUNT, parametric:COUNT, CTs with labels and landmarks, folders of them, or a public
    data set as it is published."""
    size: Literal["cpu", "gpu"] = "cpu"
    """How large: cpu, 2.5 mm, is an hour or two on two cores; gpu, 1.25 mm, needs one."""
    start: Path | None = None
    """Another generator's bundle to begin with: its autoencoder is kept as it is, its diffusion network goes on."""
    coder_steps: int | None = None
    """Steps of the autoencoder; the size's own if not given."""
    drift_steps: int | None = None
    """Steps of the diffusion network."""
    seed: int = 0
    """Draws bodies, first weights and the order of learning."""
    workers: int | None = None
    """Processes that make bodies; as many as there are cores if not given."""
    every: int = 250
    """Steps between checkpoints."""

    @property
    def record(self) -> Path:
        """In the bundle."""
        return self.output / "run.json"

    def run(self, report: Report = silent) -> list[Path]:
        """Do what is left to do; the bundle's files."""
        begun = None if self.start is None else read_generator(self.start)
        size = self._size(begun)
        subjects = [one for text in self.bodies for one in people(text, self.seed, size.frame.spacing)]
        shelf = Shelf(self.output / "bodies", size.frame)
        shelf.fill(subjects, self.workers or os.cpu_count() or 1, report)
        held = [one.name for n, one in enumerate(subjects) if n % round(1 / HELD) == 0]
        learned = [one.name for one in subjects if one.name not in held]
        if not learned:
            raise DataError(f"{len(subjects)} bodies; give at least two, one of them is held out")
        write_json(self.output / SPLIT, {"learned": shelf.hashes(learned), "held": shelf.hashes(held)})
        coder = self._coder(size, shelf, learned, held, report) if begun is None else begun.coder
        shrink = size.coder.coder.shrink
        known = encode_all(coder, shelf, learned, shrink, report)
        unseen = encode_all(coder, shelf, held, shrink, report)
        latents = spread_of(known) if begun is None else begun.latents
        second = DriftCourse(size.drift, known, unseen, latents, self.seed)
        if begun is not None:
            second.begin_with(begun.drift.state_dict())
        follow(second, size.drift.steps, self.every, self.output / "drift", report)
        some = [shelf.read(name).body for name in learned[:200]]
        norms = norms_of([(one.hu, one.index) for one in some], size.frame)
        generator = CtGenerator(coder, second.kept, latents, size.frame, size.coder.coder, norms)
        return write_generator(self.output, generator, size.drift.drift)

    def _coder(self, size: Size, shelf: Shelf, learned: list[str], held: list[str], report: Report) -> CoderNetwork:
        first = CoderCourse(size.coder, shelf, learned, held, self.seed)
        follow(first, size.coder.steps, self.every, self.output / "coder", report)
        return first.coder.cpu().eval()

    def _size(self, begun: CtGenerator | None) -> Size:
        size = SIZES[self.size]
        coder = replace(size.coder, steps=self.coder_steps or size.coder.steps)
        drift = replace(size.drift, steps=self.drift_steps or size.drift.steps)
        if begun is not None and self.start is not None:
            coder, drift = replace(coder, coder=begun.built), replace(drift, drift=drift_of(self.start))
            size = replace(size, frame=begun.frame)
        return replace(size, coder=coder, drift=drift)
