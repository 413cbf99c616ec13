"""`skiagraph train-detector`: a landmark detector from sets of samples."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import tyro

from skiagraph.detect.bundle import write_bundle
from skiagraph.detect.detector import Detector, Reading
from skiagraph.errors import DataError
from skiagraph.factory.reading import SampleSet
from skiagraph.tasks.task import Report, silent
from skiagraph.train.calibration import calibrated
from skiagraph.train.loop import Training, held_out, train
from skiagraph.train.regimen import regimen

CALIBRATING = 300
"""Held-out samples, with looks drawn as in training, that make confidences true."""


@dataclass(frozen=True)
class TrainDetector:
    """Train a network to find landmarks and structures. Run it again to go on where it was stopped."""

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
    """Another training's checkpoint.pt to begin with."""
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
        self.output.mkdir(parents=True, exist_ok=True)
        training = Training(wanted, sets, self.output, self.seed, self.workers, self.every, start=self.start)
        network = train(training, report)
        reading = Reading(training.landmarks, training.structures, wanted.size)
        looks = held_out(replace(training, validated=CALIBRATING), wanted.appearance)
        detector = calibrated(Detector(network, reading), looks)
        return write_bundle(self.output, detector, wanted.trunk)
