"""What a cell's detectors were measured to do, on disk and in figures with what they are uncertain by."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from skiagraph.detect.detector import Detector
from skiagraph.evaluate.cases import Known
from skiagraph.evaluate.landmarks import Case, Table
from skiagraph.evaluate.masks import dice
from skiagraph.evaluate.regions import Confusion
from skiagraph.io.files import decoding, read_json, write_json

DRAWS = 500
"""Resamples of a bootstrap over subjects."""

FIGURES = ("sensitivity", "specificity", "precision", "F1", "F2", "accuracy")
"""Of a region, in the order of `Confusion`."""


@dataclass(frozen=True)
class Estimate:
    """A figure, and between what it lies with 95 % were the subjects drawn anew."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Measured:
    """A detector on some pictures: c cases, m structures."""

    on: str
    """What the pictures are called."""
    table: Table
    structures: tuple[str, ...]
    dice: Float[ndarray, "c m"]
    """NaN where nothing is outlined by the pictures' makers."""
    regions: Float[ndarray, "c 6"]
    """`FIGURES` of the first structure; NaN likewise."""

    @property
    def mean(self) -> Estimate:
        """Millimetres, over all landmarks that are there."""
        return self.kept(1.0)

    def kept(self, share: float) -> Estimate:
        """Mean millimetres of that share of the landmarks, the surest: SyntheX's activation."""
        rows = [(table.all_errors, table.confidence[table.present]) for table in map(self.table.of_subject, self._who)]
        return self._estimate(lambda drawn: _at([rows[n] for n in drawn], share))

    @property
    def overlap(self) -> Estimate:
        """Dice over pictures and structures."""
        rows = [self.dice[at].ravel() for at in self._cases]
        return self._estimate(lambda drawn: _mean([rows[n] for n in drawn]))

    def region(self, figure: str) -> Estimate:
        """One of `FIGURES` over pictures."""
        column = self.regions[:, FIGURES.index(figure)]
        rows = [column[at] for at in self._cases]
        return self._estimate(lambda drawn: _mean([rows[n] for n in drawn]))

    @property
    def _who(self) -> list[str]:
        return sorted(set(self.table.subjects))

    @property
    def _cases(self) -> list[ndarray]:
        """Of each subject."""
        subjects = np.array(self.table.subjects)
        return [np.flatnonzero(subjects == one) for one in self._who]

    def _estimate(self, of: Callable[[ndarray], float]) -> Estimate:
        count = len(self._who)
        draws = np.random.default_rng(0).integers(count, size=(DRAWS, count))
        drawn = np.array([of(draw) for draw in draws])
        drawn = drawn[np.isfinite(drawn)]
        low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (np.nan, np.nan)
        return Estimate(of(np.arange(count)), float(low), float(high))


@dataclass(frozen=True, eq=False)
class Result:
    """A finished cell."""

    cell: str
    seconds: float
    measured: tuple[Measured, ...]

    def on(self, name: str) -> Measured | None:
        """What was measured on some pictures, if it was."""
        return next((one for one in self.measured if one.on == name), None)


def measure(on: str, looked: Iterable[tuple[Detector, Known]]) -> Measured:
    """Detectors on pictures, one after the other; their masks are compared, not kept. Raises DataError without any."""
    cases, overlaps, regions = list[Case](), list[list[float]](), list[list[float]]()
    structures: tuple[str, ...] = ()
    for detector, known in looked:
        structures, found = detector.reading.structures, detector(known.picture)
        masks = dict(zip(known.structures, known.masks))
        pairs = [(found.masks[n], masks[name]) if name in masks else None for n, name in enumerate(structures)]
        overlaps.append([np.nan if pair is None else dice(*pair) for pair in pairs])
        first = pairs[0] if pairs else None
        regions.append([np.nan] * 6 if first is None else list(asdict(Confusion.of(*first)).values()))
        slim = replace(found, masks=found.masks[:0], structures=())
        cases.append(Case(known.name, known.subject, known.truth, slim, known.millimetres))
    table = Table.of(cases)
    shape = (len(cases), len(structures))
    return Measured(on, table, structures, np.array(overlaps).reshape(shape), np.array(regions).reshape(-1, 6))


def write_result(path: Path, result: Result) -> None:
    """A finished cell as JSON; what is not known is null."""
    write_json(
        path,
        {
            "cell": result.cell,
            "seconds": round(result.seconds, 1),
            "measured": [
                {
                    "on": one.on,
                    "landmarks": list(one.table.names),
                    "subjects": list(one.table.subjects),
                    "structures": list(one.structures),
                    **{name: _plain(array) for name, array in _arrays(one).items()},
                }
                for one in result.measured
            ],
        },
    )


def read_result(path: Path) -> Result:
    """A finished cell. Raises DataError if it is none."""
    content = read_json(path)
    with decoding(path, "a cell's result.json"):
        return Result(content["cell"], float(content["seconds"]), tuple(map(_measured, content["measured"])))


def _arrays(one: Measured) -> Mapping[str, ndarray]:
    table = one.table
    return {
        "error": table.error,
        "absent": table.absent,
        "activated": table.activated,
        "confidence": table.confidence,
        "swapped": table.swapped,
        "dice": one.dice,
        "regions": one.regions,
    }


def _measured(content: Mapping[str, Any]) -> Measured:
    names, subjects, structures = (tuple(content[key]) for key in ("landmarks", "subjects", "structures"))

    def numbers(key: str, columns: int, kind: type = float) -> ndarray:
        rows = [[np.nan if value is None else value for value in row] for row in content[key]]
        return np.array(rows, dtype=kind).reshape(len(subjects), columns)

    count = len(names)
    table = Table(
        names,
        subjects,
        numbers("error", count),
        numbers("absent", count, bool),
        numbers("activated", count, bool),
        numbers("confidence", count, np.float32),
        numbers("swapped", count, bool),
    )
    return Measured(content["on"], table, structures, numbers("dice", len(structures)), numbers("regions", 6))


def _plain(array: ndarray) -> list[list[Any]]:
    if array.dtype == bool:
        return [[bool(value) for value in row] for row in array]
    return [[round(float(value), 5) if np.isfinite(value) else None for value in row] for row in array]


def _at(rows: Sequence[tuple[ndarray, ndarray]], share: float) -> float:
    """As `Curve` has it."""
    errors = np.concatenate([error for error, _ in rows])
    if not len(errors):
        return float("nan")
    order = np.argsort(-np.concatenate([confidence for _, confidence in rows]), kind="stable")
    count = np.arange(1, len(errors) + 1)
    return float(np.interp(share, count / len(errors), np.cumsum(errors[order]) / count))


def _mean(rows: Sequence[ndarray]) -> float:
    values = np.concatenate(rows)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")
