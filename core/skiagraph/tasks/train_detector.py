"""`skiagraph train-detector`: a landmark detector from sets of samples."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import tyro

from skiagraph.detect.bundle import write_bundle
from skiagraph.errors import DataError
from skiagraph.factory.reading import SampleSet
from skiagraph.io.files import write_json
from skiagraph.tasks.detect import the_bundle
from skiagraph.tasks.task import Report, silent
from skiagraph.train.adapt import Way, adaptation, adapted, detector, plainly
from skiagraph.train.loop import Training
from skiagraph.train.regimen import regimen
from skiagraph.train.together import number, together
from skiagraph.train.unlabelled import read_unlabelled


@dataclass(frozen=True)
class TrainDetector:
    """Train a network to find landmarks and structures. Run it again to go on where it was stopped.

    On several GPUs: `torchrun --nproc-per-node N -m skiagraph train-detector ...`; --batch is then each one's.
    """

    command: ClassVar[str] = "train-detector"

    samples: tyro.conf.Positional[tuple[Path, ...]]
    """Sets made by `skiagraph make-samples`: their train split is learned, their val split watched."""
    output: Path
    """Folder of the bundle; the checkpoint and the curves stay in it."""
    regimen: str = "skiagraph"
    """How to train: skiagraph, synthex-preprint or synthex-nmi."""
    steps: int | None = None
    """Steps of the optimiser; the regimen's own number if not given."""
    batch: int | None = None
    """Pictures a step."""
    size: int | None = None
    """Rows and columns of the network's pictures."""
    appearance: str | None = None
    """Randomisation of looks: regular, strong, or one of the papers'; the regimen's own if not given."""
    start: Path | None = None
    """What to begin with: another training's checkpoint.pt, or a detector's bundle, of which the trunk is taken if it
    finds other things, or the name of one that comes with Skiagraph."""
    adapt: str | None = None
    """Adapt to real X-rays that need no labels: cyclegan, which makes the synthetic pictures look like them, adda,
    which makes the network used to them, or selftaught, which learns from those of its own answers that a pelvis bears
    out; cyclegan-zhu, adda-preprint and adda-nmi are as published."""
    real: tuple[Path, ...] = ()
    """Folders of those X-rays. Pictures with landmarks beside them are left out."""
    keep_out: tuple[Path, ...] = ()
    """Folders of X-rays to be measured on: what they show is left out of --real, under whatever name."""
    adapt_steps: int | None = None
    """Steps of the adaptation; its own number if not given."""
    seed: int = 0
    """Draws the first weights, the order of the samples and their looks."""
    workers: int = 1
    """Processes that make batches ready beside the one that trains; 0 for none."""
    every: int = 250
    """Steps between checkpoints."""

    @property
    def record(self) -> Path:
        """In the bundle."""
        return self.output / "run.json"

    def run(self, report: Report = silent) -> list[Path]:
        """Train what is left to train; the bundle's files."""
        if self.workers < 0 or self.every < 1:
            raise DataError(f"{self.workers} workers, checkpoints every {self.every} steps; give 0 and 1 or more")
        wanted = regimen(self.regimen, self.appearance)
        given = {name: getattr(self, name) for name in ("steps", "batch", "size")}
        wanted = replace(wanted, **{name: value for name, value in given.items() if value is not None})
        sets = tuple(SampleSet(folder) for folder in self.samples)
        start = None if self.start is None else the_bundle(self.start)
        training = Training(wanted, sets, self.output, self.seed, self.workers, self.every, start=start)
        with together():
            made = detector(training, self._way(wanted.size), report)
            return write_bundle(self.output, made, wanted.trunk) if number() == 0 else []

    def _way(self, size: int) -> Way:
        """How the network comes about; what it was adapted to is written beside it."""
        if self.adapt is None:
            if self.real or self.keep_out or self.adapt_steps is not None:
                raise DataError("real X-rays, but no way to adapt to them; give --adapt cyclegan, adda or selftaught")
            return plainly
        way = adaptation(self.adapt, self.adapt_steps)
        real = read_unlabelled(self.real, size, self.keep_out)
        write_json(self.output / "adapted_to.json", {"used": list(real.names), "left_out": list(real.left_out)})
        return adapted(way, real)
