"""Whether one detector is better than another on the same subjects: a paired permutation test."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from skiagraph.errors import DataError
from skiagraph.evaluate.landmarks import Table

EXACT = 14
"""Subjects up to which all 2^n signs are gone through; beyond, `DRAWS` are drawn."""
DRAWS = 20_000


@dataclass(frozen=True)
class Comparison:
    """The first detector's error less the second's."""

    difference: float
    """Millimetres: the mean over subjects of the difference of their mean errors. Negative: the first is better."""
    p: float
    """Of a difference at least as large either way, were the two exchangeable in each subject."""
    subjects: int


def compared(first: Table, second: Table, seed: int = 0) -> Comparison:
    """Two detectors on the same pictures. A subject counts once, however many landmarks it has.

    With n subjects p is never less than 2 / 2^n: six cadavers give 1/32 at best. Raises DataError if the subjects
    differ.
    """
    if sorted(set(first.subjects)) != sorted(set(second.subjects)):
        raise DataError("detectors measured on other subjects cannot be compared; measure both on the same")
    differences = _of_subjects(first) - _of_subjects(second)
    differences = differences[np.isfinite(differences)]
    return Comparison(float(differences.mean()), paired(differences, seed), len(differences))


def paired(differences: Float[ndarray, "n"], seed: int = 0) -> float:
    """The two-sided p of a mean difference, by changing the signs of pairs: Fisher 1935.

    Exact for few pairs; for more, by random signs, those observed counted among them (Phipson & Smyth 2010).
    """
    if not len(differences):
        raise DataError("no pair to compare; give at least one subject that both have landmarks of")
    count = len(differences)
    observed = abs(differences.sum()) - 1e-9 * np.abs(differences).sum()
    if count <= EXACT:
        signs = 1 - 2 * (np.arange(2**count)[:, None] >> np.arange(count) & 1)
        return float((np.abs(signs @ differences) >= observed).mean())
    signs = 1 - 2 * np.random.default_rng(seed).integers(2, size=(DRAWS, count))
    return float((1 + (np.abs(signs @ differences) >= observed).sum()) / (1 + DRAWS))


def _of_subjects(table: Table) -> Float[ndarray, "n"]:
    """Mean error of each subject, in the order of their names; NaN for those without a landmark."""
    parts = [table.of_subject(one).all_errors for one in sorted(set(table.subjects))]
    return np.array([part.mean() if len(part) else np.nan for part in parts])
