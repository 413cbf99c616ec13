"""Which X-rays to label first, tried out: a labelled set is given out bit by bit, as each strategy asks for it.

Pool-based active learning in simulation (Settles 2009). A reader is shown what the detector proposes, moves the points
that are too far off to where they belong, and leaves the others; every point touched is a click. After each round the
shipped detector is trained further on all that was read so far, always from the same weights and for as many steps, so
that what differs between strategies is what was read. Repeats draw another pool and another order of training pictures;
all strategies have the same ones.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from skiagraph.active.choosing import looked, ranked, strategy
from skiagraph.active.finetune import Labelled, Plan, finetuned, finished
from skiagraph.active.looking import Look
from skiagraph.detect.bundle import read_bundle, trunk_of, write_bundle
from skiagraph.detect.detector import Detector
from skiagraph.errors import DataError
from skiagraph.evaluate.cases import Known
from skiagraph.evaluate.landmarks import Case, Table
from skiagraph.experiments.results import DRAWS, Estimate
from skiagraph.factory.making import Progress
from skiagraph.factory.reading import SampleSet
from skiagraph.io.files import decoding, read_json, write_json
from skiagraph.volume import Keypoints

RULES, START, TRAINING, WEIGHTS = "rules.json", "start.json", "training", "weights"
LOST = 20.0
"""Millimetres that a landmark counts at most: one found on another bone is lost, however far away that is."""


@dataclass(frozen=True)
class Rules:
    """The same for every strategy."""

    plan: Plan
    """How the detector is trained after a round."""
    rounds: int = 3
    each: int = 5
    """Pictures read in a round."""
    repeats: int = 2
    pool: int = 32
    """Pictures to choose from, drawn anew for every repeat."""
    click: float = 3.0
    """Millimetres a proposal may be off before the reader moves it."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Reading:
    """A picture read: what was kept, and how many points the reader touched."""

    picture: str
    clicks: int
    keypoints: Keypoints


@dataclass(frozen=True, eq=False)
class Leg:
    """One round of one strategy: what was read in it, and how the detector trained on all so far does."""

    readings: tuple[Reading, ...]
    subjects: tuple[str, ...]
    error: Float[ndarray, "c l"]
    """Millimetres on the pictures tested on; NaN where nothing is to be found."""


@dataclass(frozen=True, eq=False)
class Course:
    """How the detector got on with one strategy: r repeats, n rounds and the start before them, s subjects."""

    strategy: str
    labels: tuple[int, ...]
    """Pictures read before each of its points."""
    clicks: Float[ndarray, "r n"]
    total: Float[ndarray, "r n s"]
    """Millimetres, each at most `LOST`, summed over the landmarks of a subject."""
    count: Float[ndarray, "r n s"]
    """Of those."""

    def errors(self, repeats: ndarray, subjects: ndarray) -> Float[ndarray, "n"]:
        """Mean millimetres after every round, of some repeats and subjects."""
        total, count = (part[repeats][:, :, subjects].sum(axis=(0, 2)) for part in (self.total, self.count))
        return np.asarray(total / count)

    @property
    def estimates(self) -> list[Estimate]:
        """Mean millimetres after every round; repeats and subjects drawn anew say how sure."""
        return _estimated(self, lambda repeats, subjects: self.errors(repeats, subjects))

    def against(self, other: "Course") -> list[Estimate]:
        """Millimetres more than another's after every round, and last their mean over all rounds but the start."""

        def differing(repeats: ndarray, subjects: ndarray) -> ndarray:
            apart = self.errors(repeats, subjects) - other.errors(repeats, subjects)
            return np.append(apart, apart[1:].mean())

        return _estimated(self, differing)


@dataclass(frozen=True, eq=False)
class Race:
    """The experiment in a folder: one folder a strategy and repeat, and in it a file for every round."""

    folder: Path
    bundle: Path
    """The detector that all begin with."""
    pool: Sequence[Known]
    """What may be read."""
    tested: Sequence[Known]
    """What detectors are measured on; nobody in it is in the pool."""
    rules: Rules
    replay: SampleSet | None = None
    """Synthetic samples seen again in training; none if not given."""
    of: str = ""
    """What the pictures are: another text, another experiment."""

    def begin(self) -> None:
        """Leave the rules in the folder. Raises DataError if others are there, or the pool is too small."""
        if self.rules.rounds * self.rules.each > min(self.rules.pool, len(self.pool)):
            raise DataError(
                f"{self.rules.rounds} rounds of {self.rules.each} pictures, but {min(self.rules.pool, len(self.pool))} "
                "to choose from; give more pictures or fewer rounds"
            )
        if {one.subject for one in self.pool} & {one.subject for one in self.tested}:
            raise DataError("some of those to be measured on may be read as well; give others")
        replay = None if self.replay is None else str(self.replay.folder)
        wanted = {"of": self.of, "bundle": str(self.bundle), "replay": replay, **asdict(self.rules)}
        path = self.folder / RULES
        if not path.exists():
            write_json(path, wanted)
            return
        there = read_json(path)
        # More repeats are the same experiment gone on with.
        other = [key for key in wanted if key != "repeats" and there.get(key) != wanted[key]]
        if other:
            raise DataError(f"{self.folder} holds another experiment (its {', '.join(other)} differs); give another")

    def run(self, strategies: Sequence[str], report: Progress) -> None:
        """What has no result yet, a repeat after the other. What was stopped goes on with the round it was in."""
        ways = [strategy(name).name for name in strategies]
        self.begin()
        if not (self.folder / START).is_file():
            write_leg(self.folder / START, Leg((), *self._measured(self._first)))
        total = self.rules.repeats * len(ways) * self.rules.rounds
        done = 0
        for repeat in range(self.rules.repeats):
            for way in ways:
                for number in range(1, self.rules.rounds + 1):
                    if not self._leg(way, repeat, number).is_file():
                        report(done, total, f"{way}, repeat {repeat + 1}, round {number}")
                        self._round(way, repeat, number)
                    done += 1
        report(total, total, "done")

    def course(self, way: str) -> Course | None:
        """What there is of a strategy: the repeats that are finished, up to the first that is not; None without one."""
        if not (self.folder / START).is_file():
            return None
        start, finished_ = read_leg(self.folder / START), []
        for repeat in range(self.rules.repeats):
            paths = [self._leg(way, repeat, number) for number in range(1, self.rules.rounds + 1)]
            if not all(path.is_file() for path in paths):
                break
            finished_.append([start, *map(read_leg, paths)])
        if not finished_:
            return None
        who = sorted(set(start.subjects))
        clicks = [np.cumsum([sum(one.clicks for one in leg.readings) for leg in legs]) for legs in finished_]
        sums = np.array([[[_of(leg, one) for one in who] for leg in legs] for legs in finished_])
        labels = tuple(self.rules.each * number for number in range(self.rules.rounds + 1))
        return Course(way, labels, np.array(clicks, dtype=float), sums[..., 0], sums[..., 1])

    def _round(self, way: str, repeat: int, number: int) -> None:
        home = self._leg(way, repeat, number).parent
        read = [reading for k in range(1, number) for reading in read_leg(self._leg(way, repeat, k)).readings]
        before = self._first if number == 1 else read_bundle(home / f"{WEIGHTS}-{number - 1}")
        new = tuple(self._readings(way, repeat, number, before, [one.picture for one in read]))
        seed = self.rules.seed + repeat
        outcome = finetuned(
            self.bundle, [self._labelled(one) for one in (*read, *new)], self.replay, home / TRAINING,
            replace(self.rules.plan, seed=seed), lambda done, total, doing: None,
        )  # fmt: skip
        if number < self.rules.rounds:
            write_bundle(home / f"{WEIGHTS}-{number}", outcome.detector, trunk_of(self.bundle))
        write_leg(self._leg(way, repeat, number), Leg(new, *self._measured(outcome.detector)))
        finished(home / TRAINING)
        shutil.rmtree(home / f"{WEIGHTS}-{number - 1}", ignore_errors=True)

    def _readings(
        self, way: str, repeat: int, number: int, detector: Detector, read: Sequence[str]
    ) -> Iterator[Reading]:
        """Pictures one after the other, each chosen knowing those before it."""
        rng = torch.Generator().manual_seed(10_007 * (self.rules.seed + repeat) + number)
        chosen, looks = list(read), dict[str, Look]()
        drawn = self._drawn(repeat)
        if strategy(way).looks:
            looks = {name: self._look(name, detector) for name in drawn}
        for _ in range(self.rules.each):
            open_ = [(name, looks.get(name)) for name in drawn if name not in chosen]
            known = [looks[name] for name in chosen if name in looks]
            picture = ranked(strategy(way), open_, known, rng)[0].picture
            chosen.append(picture)
            yield reading(self._by_name[picture], detector, self.rules.click)

    def _drawn(self, repeat: int) -> list[str]:
        """The pictures of a repeat's pool."""
        rng = torch.Generator().manual_seed(self.rules.seed + repeat)
        order = torch.randperm(len(self.pool), generator=rng)[: self.rules.pool]
        return [self.pool[n].name for n in order.tolist()]

    def _look(self, name: str, detector: Detector) -> Look:
        if detector is not self._first:
            return looked(self._by_name[name].picture, detector)
        if name not in self._looks:
            self._looks[name] = looked(self._by_name[name].picture, detector)
        return self._looks[name]

    def _labelled(self, one: Reading) -> Labelled:
        return Labelled(one.picture, lambda: self._by_name[one.picture].picture, one.keypoints, 1)

    def _measured(self, detector: Detector) -> tuple[tuple[str, ...], Float[ndarray, "c l"]]:
        table = Table.of(
            [Case(one.name, one.subject, one.truth, detector(one.picture), one.millimetres) for one in self.tested]
        )
        return table.subjects, table.error

    def _leg(self, way: str, repeat: int, number: int) -> Path:
        return self.folder / "runs" / f"{way}-{repeat + 1}" / f"round-{number}.json"

    @cached_property
    def _first(self) -> Detector:
        return read_bundle(self.bundle)

    @cached_property
    def _looks(self) -> dict[str, Look]:
        return {}

    @cached_property
    def _by_name(self) -> Mapping[str, Known]:
        return {one.name: one for one in self.pool}


def reading(known: Known, detector: Detector, click: float) -> Reading:
    """What a reader makes of a detector's proposal: points more than `click` mm off are put where they belong.

    So are those that are said to be in the picture and are not, or the other way round; the others stay.
    """
    proposed = detector(known.picture).keypoints
    at = [known.truth.names.index(name) for name in proposed.names]
    uv, seen = known.truth.uv[at], known.truth.visible[at]
    off = (proposed.uv - uv).norm(dim=-1) * known.millimetres
    touched = (proposed.visible != seen) | (seen & (off > click))
    kept = torch.where(touched[:, None], uv, proposed.uv)
    return Reading(known.name, int(touched.sum()), Keypoints(proposed.names, kept, seen))


def write_leg(path: Path, leg: Leg) -> None:
    """A round as JSON; what is not known is null."""
    write_json(
        path,
        {
            "readings": [
                {"picture": one.picture, "clicks": one.clicks, "points": _said(one.keypoints)} for one in leg.readings
            ],
            "subjects": list(leg.subjects),
            "error": [[round(x, 5) if np.isfinite(x) else None for x in row] for row in leg.error.tolist()],
        },
    )


def read_leg(path: Path) -> Leg:
    """A round. Raises DataError if it is none."""
    content = read_json(path)
    with decoding(path, "a round of an experiment"):
        error = np.array([[np.nan if x is None else x for x in row] for row in content["error"]], dtype=float)
        return Leg(tuple(map(_reading, content["readings"])), tuple(content["subjects"]), error)


def _reading(content: Mapping[str, Any]) -> Reading:
    points = content["points"]
    uv = torch.tensor([[np.nan] * 2 if at is None else at for at in points.values()], dtype=torch.float64)
    seen = torch.tensor([at is not None for at in points.values()], dtype=torch.bool)
    return Reading(str(content["picture"]), int(content["clicks"]), Keypoints(tuple(points), uv, seen))


def _said(points: Keypoints) -> dict[str, list[float] | None]:
    rows = zip(points.names, points.uv.tolist(), points.visible.tolist())
    return {name: uv if seen else None for name, uv, seen in rows}


def _of(leg: Leg, subject: str) -> tuple[float, float]:
    rows = leg.error[[one == subject for one in leg.subjects]]
    return float(np.nansum(np.minimum(rows, LOST))), float(np.isfinite(rows).sum())


def _estimated(course: Course, of: Any) -> list[Estimate]:
    """A bootstrap over repeats and over subjects, each with 95 %."""
    repeats, _, subjects = course.total.shape
    rng = np.random.default_rng(0)
    draws = [of(rng.integers(repeats, size=repeats), rng.integers(subjects, size=subjects)) for _ in range(DRAWS)]
    low, high = np.quantile(np.array(draws), [0.025, 0.975], axis=0)
    values = of(np.arange(repeats), np.arange(subjects))
    return [Estimate(*map(float, each)) for each in zip(values, low, high)]
