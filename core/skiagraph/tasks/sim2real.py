"""`skiagraph experiment sim2real`: SyntheX's controlled experiment, beside what SyntheX published."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

from skiagraph.errors import DataError
from skiagraph.experiments.cells import USUAL, chosen
from skiagraph.experiments.grounds import DeepFluoro, Ground, StandIn
from skiagraph.experiments.presets import preset
from skiagraph.experiments.sim2real import Effort, Sim2Real
from skiagraph.factory.subjects import people
from skiagraph.io.datasets.registry import recognised
from skiagraph.io.patient import Subject
from skiagraph.tasks.matrix import lines, write_report
from skiagraph.tasks.task import Report, silent


@dataclass(frozen=True)
class ExperimentSim2Real:
    """Train a detector on each kind of picture and measure all alike. Run it again to go on, or with more cells."""

    command: ClassVar[str] = "experiment sim2real"

    output: tyro.conf.Positional[Path]
    """Folder for the sets, the trainings, a result for each cell, and report.html with report.csv."""
    cells: tuple[str, ...] = USUAL
    """Which to run, by name TASK-SIZE-DOMAIN-LOOKS-ADAPTATION-SCALE or by patterns such as hip-192-*-matched."""
    deepfluoro: Path | None = None
    """ipcai_2020_full_res_data.h5, to be measured on real X-rays; on a synthetic stand-in if not given."""
    radiographs: Path | None = None
    """Annotated real X-rays, NAME.png with NAME.json, to measure the hip cells on as well; never adapted to."""
    real: tuple[Path, ...] = ()
    """Real X-rays without labels to adapt to; those that stand for reality if not given."""
    preset: str = "hip-ap"
    """Views of the hip task on the stand-in."""
    bodies: tuple[str, ...] = ("shape:40",)
    """Of the stand-in: shape:COUNT, or CTs and folders of them; a quarter is measured on."""
    pictures: int = 1200
    """Matched pictures of those."""
    scaled_bodies: tuple[str, ...] = ("shape:200",)
    """Of the scaled sets."""
    scaled_pictures: int = 10_000
    """Of those."""
    regimen: str = "skiagraph"
    """How to train: skiagraph, synthex-preprint or synthex-nmi."""
    steps: int = 400
    """Of each detector: with 192 pixels some eight minutes of two cores."""
    batch: int = 12
    """Pictures a step."""
    translating: int = 400
    """Steps of CycleGAN, before those of the detector."""
    adapting: int = 200
    """Steps of ADDA, after those of the detector."""
    every: int = 100
    """Steps between checkpoints."""
    seed: int = 0
    """Draws bodies, views, first weights and looks: the same in every cell."""
    workers: int = 2
    """Processes that make sets; trainings take one to make batches ready."""
    only_report: bool = False
    """Write the report from the results that are there and run nothing."""

    @property
    def record(self) -> Path:
        """In the folder."""
        return self.output / "run.json"

    def run(self, report: Report = silent) -> list[Path]:
        """Run what has no result yet; the report of all that has one."""
        cells = chosen(self.cells)
        if self.workers < 1 or min(self.steps, self.batch, self.translating, self.adapting, self.every) < 1:
            raise DataError("steps, pictures or workers fewer than one; give at least one of each")
        effort = Effort(self.regimen, self.steps, self.batch, self.translating, self.adapting, self.every, self.seed)
        ground = self._ground
        study = Sim2Real(ground, self.output, effort, self.radiographs, self.real, self.workers)
        if not self.only_report:
            study.run(cells, report)
        files = write_report(self.output, study)
        print("\n".join(lines(study, cells)), flush=True)
        return files

    @property
    def _ground(self) -> Ground:
        if self.deepfluoro is not None:
            dataset = recognised(self.deepfluoro) if self.deepfluoro.exists() else None
            if dataset is None or dataset.name != "deepfluoro":
                raise DataError(f"{self.deepfluoro} is not DeepFluoro's full-resolution file; give "
                                "ipcai_2020_full_res_data.h5")  # fmt: skip
            return DeepFluoro(self.deepfluoro, self._subjects(self.scaled_bodies, 1), self.scaled_pictures, self.seed)
        return StandIn(
            preset(self.preset),
            self._subjects(self.bodies, 0),
            self.pictures,
            self._subjects(self.scaled_bodies, 1),
            self.scaled_pictures,
            self.seed,
        )

    def _subjects(self, words: tuple[str, ...], turn: int) -> tuple[Subject, ...]:
        """Bodies; made ones are others at every turn."""
        return tuple(one for word in words for one in people(word, 2 * self.seed + turn))
