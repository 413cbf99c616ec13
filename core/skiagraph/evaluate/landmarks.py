"""How far found landmarks are from true ones, how many are missed, and how many are found that are not there.

SyntheX's error counts a landmark only if it is in the picture and was found; missed and invented ones then cost
nothing. So recall and false activations stand beside every error here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from skiagraph.anatomy import opposites
from skiagraph.detect.detector import Findings
from skiagraph.errors import DataError
from skiagraph.volume import Keypoints

RADII = (2.0, 2.5, 3.0, 4.0, 5.0, 10.0)
"""Millimetres within which a landmark counts as found: 2 to 4 as in cephalometry, 5 and 10 as in fluoroscopy."""
DRAWS = 2000
"""Resamples of a bootstrap."""


@dataclass(frozen=True, eq=False)
class Case:
    """One picture: what is true, and what was found."""

    name: str
    subject: str
    truth: Keypoints
    """Points that are NaN are not known; others that are not visible are known to be outside the picture."""
    found: Findings
    millimetres: float
    """Of one pixel, where the errors are to count."""


@dataclass(frozen=True, eq=False)
class Table:
    """All cases side by side: c cases, l landmarks."""

    names: tuple[str, ...]
    subjects: tuple[str, ...]
    error: Float[ndarray, "c l"]
    """Millimetres; NaN where nothing is there to be found."""
    absent: Bool[ndarray, "c l"]
    """Where it is known that nothing is there to be found."""
    activated: Bool[ndarray, "c l"]
    """Where the detector says that something is there."""
    confidence: Float[ndarray, "c l"]
    swapped: Bool[ndarray, "c l"]
    """Where the point of the other side was found instead: nearer to its twin's truth, by more than 20 mm."""

    @classmethod
    def of(cls, cases: Sequence[Case]) -> "Table":
        """The table of some cases. Raises DataError if there are none, or their landmarks differ."""
        names = {case.found.keypoints.names for case in cases}
        if len(names) != 1:
            raise DataError(f"findings of {len(names)} kinds; give pictures, all looked at by one detector")
        (wanted,) = names
        rows = [_row(case, wanted) for case in cases]
        error, absent, activated, confidence, swapped = (np.stack(column) for column in zip(*rows))
        return cls(wanted, tuple(case.subject for case in cases), error, absent, activated, confidence, swapped)

    @property
    def present(self) -> Bool[ndarray, "c l"]:
        """Where something is there to be found."""
        return np.isfinite(self.error)

    @property
    def counted(self) -> Float[ndarray, "n"]:
        """Errors of landmarks that are there and were found, as SyntheX counts them."""
        return self.error[self.present & self.activated]

    @property
    def all_errors(self) -> Float[ndarray, "n"]:
        """Errors of all landmarks that are there, found or not: where the detector would put them."""
        return self.error[self.present]

    @property
    def recall(self) -> float:
        """Of the landmarks that are there, the share found."""
        return _share(self.activated[self.present])

    @property
    def false_activation(self) -> float:
        """Of the landmarks known not to be there, the share found; NaN if there are none."""
        return _share(self.activated[self.absent])

    @property
    def swap_rate(self) -> float:
        """Of the landmarks that are there and have a twin, the share found on the other side."""
        twins = np.array(opposites(self.names), dtype=int) != np.arange(len(self.names))
        return _share(self.swapped[self.present & twins])

    def within(self, radius: float) -> float:
        """Successful detection rate: of the landmarks that are there, the share found within so many millimetres."""
        return _share((self.error <= radius)[self.present] & self.activated[self.present])

    def of_landmark(self, name: str) -> "Table":
        """One column of it."""
        return self._part(np.array([n == name for n in self.names]), axis=1, names=(name,))

    def of_subject(self, subject: str) -> "Table":
        """The rows of one subject."""
        return self._part(np.array([s == subject for s in self.subjects]), axis=0)

    def _part(self, chosen: ndarray, axis: int, names: tuple[str, ...] | None = None) -> "Table":
        at = np.flatnonzero(chosen)
        parts = [np.take(x, at, axis) for x in (self.error, self.absent, self.activated, self.confidence, self.swapped)]
        subjects = self.subjects if axis == 1 else tuple(self.subjects[i] for i in at)
        return Table(names or self.names, subjects, *parts)


@dataclass(frozen=True, eq=False)
class Curve:
    """Error against how many are kept, the surest first: SyntheX's activation curve."""

    share: Float[ndarray, "n"]
    """Landmarks kept, over all that are there; 0 to 1."""
    error: Float[ndarray, "n"]
    """Mean millimetres of those kept."""

    @classmethod
    def of(cls, table: Table) -> "Curve":
        """By confidence."""
        order = np.argsort(-table.confidence[table.present], kind="stable")
        errors = table.all_errors[order]
        count = np.arange(1, len(errors) + 1)
        return cls(count / max(1, len(errors)), np.cumsum(errors) / count)

    def at(self, share: float) -> float:
        """Mean millimetres when so many are kept."""
        return float(np.interp(share, self.share, self.error)) if len(self.share) else float("nan")

    @property
    def area(self) -> float:
        """Mean millimetres over all shares."""
        return float(np.trapezoid(self.error, self.share)) if len(self.share) > 1 else float("nan")


def interval(table: Table, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Where the mean error of the landmarks that are there lies: a bootstrap over subjects, not over landmarks."""
    subjects = sorted(set(table.subjects))
    sums = np.array([np.nansum(table.of_subject(one).error) for one in subjects])
    counts = np.array([table.of_subject(one).present.sum() for one in subjects])
    drawn = np.random.default_rng(seed).integers(len(subjects), size=(DRAWS, len(subjects)))
    means = sums[drawn].sum(axis=1) / np.maximum(counts[drawn].sum(axis=1), 1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def reliability(table: Table, radius: float, bins: int = 5) -> tuple[Float[ndarray, "b 3"], float]:
    """Confidence against truth: rows of (mean confidence, share within `radius` mm, count), and the expected gap.

    Expected calibration error over bins of equal count: Naeini 2015, Nguyen & O'Connor 2015.
    """
    confidence, right = table.confidence[table.present], table.error[table.present] <= radius
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    rows = np.array([[confidence[part].mean(), right[part].mean(), len(part)] for part in parts]).reshape(-1, 3)
    gap = float((np.abs(rows[:, 0] - rows[:, 1]) * rows[:, 2]).sum() / max(1.0, rows[:, 2].sum()))
    return rows, gap


def _row(case: Case, names: tuple[str, ...]) -> tuple[ndarray, ndarray, ndarray, ndarray, ndarray]:
    truth, found = case.truth, case.found.keypoints
    at = np.full((len(names), 2), np.nan)
    absent = np.zeros(len(names), dtype=bool)
    for number, name in enumerate(names):
        if name in truth.names:
            place = truth.names.index(name)
            if bool(truth.visible[place]):
                at[number] = truth.uv[place].numpy()
            else:
                absent[number] = bool(truth.uv[place].isfinite().all())
    error = case.millimetres * np.linalg.norm(found.uv.numpy() - at, axis=1)
    twin = np.array(opposites(names), dtype=int)
    other = case.millimetres * np.linalg.norm(found.uv.numpy() - at[twin], axis=1)
    with np.errstate(invalid="ignore"):
        swapped = (other + 20.0 < error) & (twin != np.arange(len(names)))
    return error, absent, found.visible.numpy(), case.found.confidence.numpy(), swapped


def _share(of: ndarray) -> float:
    return float(of.mean()) if of.size else float("nan")
