"""A picture of any size on the square a network looks at, and points there and back."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn.functional import interpolate, pad

from skiagraph.errors import DataError

SMALLEST = 16
"""Pixels a side of a picture worth looking at."""


@dataclass(frozen=True)
class Framing:
    """A picture made as large as fits, in the middle of a square. Outside it nothing is known: 0, the mean."""

    picture: tuple[int, int]
    """Rows and columns of the picture."""
    square: int
    """Rows and columns of the square."""

    def __post_init__(self) -> None:
        if min(self.picture) < SMALLEST:
            raise DataError(f"a picture of {self.picture} pixels; give at least {SMALLEST} x {SMALLEST}")

    @property
    def inside(self) -> tuple[int, int]:
        """Rows and columns that the picture takes up."""
        largest = max(self.picture)
        rows, columns = (max(1, round(n * self.square / largest)) for n in self.picture)
        return rows, columns

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column of the picture's first pixel."""
        rows, columns = self.inside
        return (self.square - rows) // 2, (self.square - columns) // 2

    def framed(self, picture: Float[Tensor, "v u"]) -> Float[Tensor, "s s"]:
        """The picture on the square, with mean 0 and variance 1 over its own pixels."""
        small = interpolate(picture[None, None], self.inside, mode="bilinear", antialias=True, align_corners=False)
        small = (small - small.mean()) / small.std().clamp(min=1e-6)
        return self._padded(small)[0, 0]

    def framed_masks(self, masks: Float[Tensor, "m v u"]) -> Float[Tensor, "m s s"]:
        """Masks, or the picture's own extent, on the square: shares of each pixel."""
        small = interpolate(masks[None], self.inside, mode="bilinear", antialias=True, align_corners=False)
        return self._padded(small)[0]

    def unframed(self, square: Float[Tensor, "m s s"]) -> Float[Tensor, "m v u"]:
        """What is on the square, on the picture's own pixels."""
        (v, u), (rows, columns) = self.corner, self.inside
        cut = square[None, :, v : v + rows, u : u + columns]
        return interpolate(cut, self.picture, mode="bilinear", align_corners=False)[0]

    def onto(self, uv: Float64[Tensor, "*n 2"]) -> Float64[Tensor, "*n 2"]:
        """Points of the picture, on the square."""
        return (uv + 0.5) * self._scale - 0.5 + self._shift

    def back(self, uv: Float64[Tensor, "*n 2"]) -> Float64[Tensor, "*n 2"]:
        """Points of the square, on the picture."""
        return (uv - self._shift + 0.5) / self._scale - 0.5

    @property
    def scale(self) -> float:
        """Pixels of the square for one of the picture."""
        return self.inside[1] / self.picture[1]

    @property
    def _scale(self) -> Float64[Tensor, "2"]:
        (rows, columns), (v, u) = self.inside, self.picture
        return torch.tensor([columns / u, rows / v], dtype=torch.float64)

    @property
    def _shift(self) -> Float64[Tensor, "2"]:
        return torch.tensor([self.corner[1], self.corner[0]], dtype=torch.float64)

    def _padded(self, small: Float[Tensor, "b c v u"]) -> Float[Tensor, "b c s s"]:
        (v, u), (rows, columns) = self.corner, self.inside
        return pad(small, (u, self.square - u - columns, v, self.square - v - rows))
