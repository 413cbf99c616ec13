"""SyntheX's controlled experiment: the same bodies, views and seeds in every fidelity, one training for each cell."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from skiagraph.detect.bundle import write_bundle
from skiagraph.detect.detector import Detector
from skiagraph.errors import DataError
from skiagraph.evaluate.cases import Known, in_folder
from skiagraph.experiments.cells import Cell
from skiagraph.experiments.grounds import Ground
from skiagraph.experiments.results import Result, measure, read_result, write_result
from skiagraph.factory.making import Progress
from skiagraph.io.files import read_json, write_json
from skiagraph.train.adapt import Way, adapted, detector, plainly
from skiagraph.train.adda import ADDA_PREPRINT
from skiagraph.train.cyclegan import CYCLEGAN
from skiagraph.train.loop import Training
from skiagraph.train.regimen import Regimen, regimen
from skiagraph.train.unlabelled import Unlabelled, read_unlabelled

RADIOGRAPHS = "radiographs"
"""What annotated real X-rays are called in results."""

RESULT, EFFORT = "result.json", "effort.json"


@dataclass(frozen=True)
class Effort:
    """How much goes into every cell, and the same into each."""

    regimen: str = "skiagraph"
    steps: int = 400
    """Of the detector."""
    batch: int = 12
    translating: int = 400
    """Steps of a translator."""
    adapting: int = 200
    """Steps of ADDA."""
    every: int = 100
    """Steps between checkpoints."""
    seed: int = 0

    def trained_on(self, cell: Cell) -> Regimen:
        """The regimen of a cell: the looks are those that belong to it."""
        kind = self.regimen.removeprefix("synthex") if self.regimen.startswith("synthex") else ""
        wanted = regimen(self.regimen, f"{cell.looks}{kind}")
        return replace(wanted, size=cell.size, steps=self.steps, batch=self.batch)

    def way(self, cell: Cell, real: Unlabelled) -> Way:
        """How a cell's detector is adapted: ADDA as SyntheX's preprint has it."""
        if cell.adapted == "cyclegan":
            return adapted(replace(CYCLEGAN, steps=self.translating, piece=min(CYCLEGAN.piece, cell.size)), real)
        return adapted(replace(ADDA_PREPRINT, steps=self.adapting), real)


@dataclass(frozen=True)
class Sim2Real:
    """The experiment in a folder: sets, one folder a cell, and in it the trainings and the result."""

    ground: Ground
    folder: Path
    effort: Effort
    radiographs: Path | None = None
    """Annotated real X-rays to measure the hip cells on as well. Never adapted to."""
    real: tuple[Path, ...] = ()
    """Real X-rays without labels to adapt to, instead of the ground's own."""
    workers: int = 1

    def begin(self) -> None:
        """Leave in the folder what all its cells have in common. Raises DataError if that is something else there."""
        path = self.folder / EFFORT
        wanted = {"ground": self.ground.fingerprint, "real": [str(one) for one in self.real], **asdict(self.effort),
                  "radiographs": None if self.radiographs is None else str(self.radiographs)}  # fmt: skip
        if not path.exists():
            write_json(path, wanted)
            return
        there = read_json(path)
        other = [key for key in wanted if there.get(key) != wanted[key]]
        if other:
            raise DataError(f"{self.folder} holds another experiment (its {', '.join(other)} differs); give another")

    def finished(self, cells: Sequence[Cell]) -> list[Result]:
        """The results there are of some cells."""
        return [read_result(path) for cell in cells if (path := self._home(cell) / RESULT).is_file()]

    def run(self, cells: Sequence[Cell], report: Progress) -> None:
        """Run those of the cells that have no result yet, one after the other."""
        self.begin()
        for done, cell in enumerate(cells):

            def said(step: int, steps: int, doing: str, done: int = done, cell: Cell = cell) -> None:
                report(done, len(cells), f"{cell.name}: {step} of {steps}, {doing}")

            path = self._home(cell) / RESULT
            if not path.is_file():
                write_result(path, self.result(cell, said))
        report(len(cells), len(cells), "done")

    def result(self, cell: Cell, report: Progress) -> Result:
        """Train what a cell takes and measure it; goes on from checkpoints."""
        began = time.perf_counter()
        made = {fold: self._detector(cell, fold, report) for fold in self.ground.folds(cell)}
        measured = [measure(self.ground.name, self._looked(cell, made, report))]
        if self.radiographs is not None and cell.task == "hip":
            first = next(iter(made.values()))
            measured.append(measure(RADIOGRAPHS, ((first, known) for known in in_folder(self.radiographs))))
        return Result(cell.name, time.perf_counter() - began, tuple(measured))

    def _looked(self, cell: Cell, made: Mapping[str, Detector], report: Progress) -> Iterator[tuple[Detector, Known]]:
        """Each picture with the detector of its fold."""
        for fold, one in made.items():
            for known in self.ground.cases(cell, fold, self.folder / "sets", self.workers, report):
                yield one, known

    def _detector(self, cell: Cell, fold: str, report: Progress) -> Detector:
        sets, folder, effort = self.folder / "sets", self._home(cell) / fold, self.effort
        samples = self.ground.samples(cell, fold, sets, self.workers, report)
        wanted = effort.trained_on(cell)
        training = Training(wanted, (samples,), folder, effort.seed, min(1, self.workers), effort.every)
        way = plainly if cell.adapted == "none" else effort.way(cell, self._real(cell, fold, report))
        made = detector(training, way, report)
        write_bundle(folder, made, wanted.trunk)
        return made

    def _real(self, cell: Cell, fold: str, report: Progress) -> Unlabelled:
        """What is adapted to; what the cells are measured on is kept out of it."""
        if not self.real:
            return self.ground.unlabelled(cell, fold, self.folder / "sets", self.workers, report)
        kept = () if self.radiographs is None else (self.radiographs,)
        return read_unlabelled(self.real, cell.size, kept)

    def _home(self, cell: Cell) -> Path:
        return self.folder / "cells" / cell.name
