"""Circles that hold a landmark as often as was asked, if pictures are like those the circles were measured on.

Split conformal prediction: Angelopoulos & Bates 2021, section 1. The score is the error in millimetres.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from skiagraph.errors import DataError
from skiagraph.evaluate.landmarks import Table


@dataclass(frozen=True)
class Circles:
    """A radius for each landmark, about where the detector puts it."""

    share: float
    """Of the landmarks that are there, how many should lie inside."""
    radii: Mapping[str, float]
    """Millimetres; infinite where too few were seen to say."""

    @classmethod
    def of(cls, held_out: Table, share: float = 0.9) -> "Circles":
        """From pictures the detector was not trained on. Raises DataError unless the share is between 0 and 1.

        What it promises is for pictures drawn alike. Pictures of one body are more alike than those of two, so with few
        bodies the circles of others hold more or less.
        """
        if not 0 < share < 1:
            raise DataError(f"a share of {share}; give one between 0 and 1, such as 0.9")
        return cls(share, {name: radius(held_out.of_landmark(name).all_errors, share) for name in held_out.names})

    def coverage(self, table: Table) -> dict[str, float]:
        """The share of each landmark's truths inside its circle; NaN where none is there."""
        inside = {}
        for name in table.names:
            errors = table.of_landmark(name).all_errors
            inside[name] = float((errors <= self.radii[name]).mean()) if len(errors) else math.nan
        return inside

    def covered(self, table: Table) -> float:
        """The share of all truths inside their circles; NaN if there are none."""
        limits = np.array([self.radii[name] for name in table.names])
        inside = (table.error <= limits)[table.present]
        return float(inside.mean()) if inside.size else math.nan


def radius(errors: Float[ndarray, "n"], share: float) -> float:
    """The ceil((n + 1) share)-th smallest error, infinite beyond the largest: equation 1 of section 1, as a rank.

    A new error, exchangeable with these, is no larger with a probability of at least `share`.
    """
    rank = math.ceil((len(errors) + 1) * share)
    return float(np.sort(errors)[rank - 1]) if rank <= len(errors) else math.inf
