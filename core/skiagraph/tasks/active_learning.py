"""`skiagraph experiment active-learning`: what each strategy of choosing X-rays saves a reader, in simulation."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

from skiagraph.active.choosing import STRATEGIES, strategy
from skiagraph.active.finetune import Plan
from skiagraph.errors import DataError
from skiagraph.evaluate.cases import in_set
from skiagraph.experiments.cells import Cell
from skiagraph.experiments.grounds import STAND_IN_SHOWN, StandIn
from skiagraph.experiments.presets import preset
from skiagraph.experiments.race import Race, Rules
from skiagraph.factory.reading import SampleSet
from skiagraph.factory.subjects import people
from skiagraph.tasks.detect import the_bundle
from skiagraph.tasks.finish import lines, write_report
from skiagraph.tasks.task import Report, silent


@dataclass(frozen=True)
class ExperimentActiveLearning:
    """Let each strategy choose which X-rays to label, train further on them, and measure. Run it again to go on."""

    command: ClassVar[str] = "experiment active-learning"

    output: tyro.conf.Positional[Path]
    """Folder for the set, a folder for each strategy and repeat, and report.html with report.csv."""
    strategies: tuple[str, ...] = tuple(STRATEGIES)
    """Which to try; the others are compared with random."""
    rounds: int = 2
    """Of labelling and training."""
    each: int = 8
    """X-rays labelled in a round."""
    repeats: int = 2
    """With other pools and other orders in training; more may be added to a finished experiment."""
    pool: int = 40
    """X-rays to choose from, drawn anew for every repeat from those of the set."""
    click: float = 3.0
    """Millimetres a proposal may be off before the reader moves it."""
    steps: int = 60
    """Of each training, which begins with the detector's own weights."""
    batch: int = 4
    """Labelled X-rays a step."""
    rate: float = 1e-3
    """Of learning."""
    bundle: Path | None = None
    """The detector to begin with; the one that comes with Skiagraph if not given."""
    replay: Path | None = None
    """Set of samples that trainings see again, as many a step as labelled X-rays; none if not given."""
    preset: str = "hip"
    """Views of the X-rays: C-arms from many sides, of which the detector that comes along knows AP alone."""
    bodies: tuple[str, ...] = ("shape:12",)
    """shape:COUNT, or CTs and folders of them; a quarter is measured on."""
    pictures: int = 96
    """Of all bodies together."""
    size: int = 192
    """Rows and columns of the X-rays."""
    seed: int = 0
    """Draws bodies, views, pools and orders."""
    workers: int = 2
    """Processes that make the set."""
    only_report: bool = False
    """Write the report from the results that are there and run nothing."""

    @property
    def record(self) -> Path:
        """In the folder."""
        return self.output / "run.json"

    def run(self, report: Report = silent) -> list[Path]:
        """Run what has no result yet; the report of all that has one."""
        for name in self.strategies:
            strategy(name)
        if min(self.rounds, self.each, self.repeats, self.steps, self.batch, self.workers) < 1 or self.click <= 0:
            raise DataError("rounds, X-rays, repeats, steps, workers or millimetres fewer than one; give some of each")
        race = self._race(report)
        if not self.only_report:
            race.run(self.strategies, report)
        files = write_report(self.output, race, self._ground.note)
        print("\n".join(lines(race)), flush=True)
        return files

    @property
    def _ground(self) -> StandIn:
        bodies = tuple(one for word in self.bodies for one in people(word, 2 * self.seed))
        return StandIn(preset(self.preset), bodies, self.pictures, (), 0, self.seed)

    def _race(self, report: Report) -> Race:
        ground, cell = self._ground, Cell("hip", self.size, "real", "strong", "none", "matched")
        samples = ground.samples(cell, "", self.output / "sets", self.workers, report)
        return Race(
            self.output,
            self.bundle or the_bundle(),
            list(in_set(samples, "train", STAND_IN_SHOWN)),
            list(in_set(samples, "test", STAND_IN_SHOWN)),
            Rules(
                Plan(self.steps, self.batch, self.rate, every=self.steps),
                self.rounds, self.each, self.repeats, self.pool, self.click, self.seed,
            ),
            None if self.replay is None else SampleSet(self.replay),
            f"{self.size} pixels, {ground.fingerprint}",
        )  # fmt: skip
