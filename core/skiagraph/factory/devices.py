"""What samples are taken with: C-arms and collimators drawn within declared limits."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from skiagraph.carm import CArm
from skiagraph.factory.chance import Range, uniform


@dataclass(frozen=True)
class DevicePrior:
    """C-arms and radiography units there might be."""

    source_to_panel: Range = (900.0, 1200.0)
    """Millimetres; Pelphix's range (Killeen 2023)."""
    isocenter: Range = (0.55, 0.85)
    """How far along the beam the target lies, of the way to the panel. Ours: from a panel well off to one close by."""
    width: Range = (300.0, 430.0)
    """Millimetres of panel, square. Pelphix draws 300 to 400; ours goes on to a 17 inch one."""

    def __call__(self, pixels: int, rng: torch.Generator) -> CArm:
        """One of them, with so many pixels a side."""
        distance = uniform(rng, *self.source_to_panel)
        isocenter = distance * uniform(rng, *self.isocenter)
        return CArm("drawn", distance, isocenter, (pixels, pixels), uniform(rng, *self.width) / pixels)


@dataclass(frozen=True)
class Only:
    """Always the same device."""

    carm: CArm

    def __call__(self, pixels: int, rng: torch.Generator) -> CArm:
        """The device with so many columns."""
        return self.carm.with_pixels(pixels)


@dataclass(frozen=True)
class Window:
    """The part of the panel that the collimator leaves open, in pixels (v0, v1, u0, u1), ends not included."""

    v0: int
    v1: int
    u0: int
    u1: int

    def mask(self, size: tuple[int, int]) -> Bool[Tensor, "v u"]:
        """Which pixels it leaves open."""
        open_ = torch.zeros(size, dtype=torch.bool)
        open_[self.v0 : self.v1, self.u0 : self.u1] = True
        return open_

    def holds(self, uv: Tensor) -> Bool[Tensor, "p"]:
        """Which points (u, v) lie in it."""
        u, v = uv.unbind(dim=-1)
        across = (u >= self.u0 - 0.5) & (u < self.u1 - 0.5)
        return across & (v >= self.v0 - 0.5) & (v < self.v1 - 0.5)


@dataclass(frozen=True)
class Collimator:
    """Four leaves, some of them closed a little way."""

    chance: float = 0.25
    """That a picture is collimated at all."""
    most: float = 0.2
    """Of a side, that a leaf covers at most."""

    def __call__(self, size: tuple[int, int], rng: torch.Generator) -> Window:
        """The window that is left."""
        rows, columns = size
        closed = uniform(rng, 0.0, 1.0) < self.chance
        top, bottom, left, right = (uniform(rng, 0.0, self.most) if closed else 0.0 for _ in range(4))
        return Window(round(top * rows), rows - round(bottom * rows), round(left * columns),
                      columns - round(right * columns))  # fmt: skip
