"""Smooth noise fixed in the world, so that the same body keeps its texture at every spacing."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.ndimage import gaussian_filter, map_coordinates

PERIOD = 80
"""Knots after which the noise repeats."""
KNOTS = 1.6
"""Knots to a grain: neighbours are alike, so that straight lines between them show no lattice."""


@dataclass(frozen=True, eq=False)
class Grain:
    """Noise of zero mean and about unit deviation, on knots that repeat for ever."""

    knots: Float[ndarray, "k j i"]

    @classmethod
    def drawn(cls, rng: torch.Generator) -> "Grain":
        """Fresh noise."""
        white = torch.randn((PERIOD,) * 3, generator=rng).numpy()
        smooth = gaussian_filter(white, KNOTS / 2, mode="wrap", truncate=3.0)
        return cls(smooth / smooth.std())

    def at(self, points: Float[ndarray, "*n 3"], pitch: tuple[float, float, float]) -> Float[ndarray, "*n"]:
        """The noise at points of the world, its grains `pitch` millimetres apart along x, y and z."""
        where = (points * KNOTS / np.array(pitch))[..., ::-1].reshape(-1, 3).T.astype(np.float32)
        values = map_coordinates(self.knots, where, order=1, mode="grid-wrap", output=np.float32)
        return values.reshape(points.shape[:-1])
