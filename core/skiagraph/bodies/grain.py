"""Smooth noise fixed in the world, so that the same body keeps its texture at every spacing."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.ndimage import map_coordinates

PERIOD = 96
"""Knots after which the noise repeats."""


@dataclass(frozen=True, eq=False)
class Grain:
    """Noise of zero mean and about unit deviation, on knots that repeat for ever."""

    knots: Float[ndarray, "k j i"]

    @classmethod
    def drawn(cls, rng: torch.Generator) -> "Grain":
        """Fresh noise."""
        return cls(torch.randn((PERIOD,) * 3, generator=rng).numpy())

    def at(self, points: Float[ndarray, "*n 3"], pitch: tuple[float, float, float]) -> Float[ndarray, "*n"]:
        """The noise at points of the world, its knots `pitch` millimetres apart along x, y and z."""
        where = (points / np.array(pitch))[..., ::-1].reshape(-1, 3).T.astype(np.float32)
        values = map_coordinates(self.knots, where, order=1, mode="grid-wrap", output=np.float32)
        # Linear interpolation averages neighbours: (2/3)^3 of the variance is left.
        return 1.84 * values.reshape(points.shape[:-1])
