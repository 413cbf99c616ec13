"""Scatter: what the body throws onto the panel beside the primary, from the primary alone."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from skiagraph.errors import DataError
from skiagraph.physics.transmit import Exposure

BLOCK = 4.0
"""Millimetres: scatter is computed on blocks of pixels about as large as this."""


@dataclass(frozen=True)
class Scatter:
    """Photons the body scatters onto the panel: S = A exp(-γ L) · G * (P^α · l), l = -ln P.

    As many photons scatter as were lost, l, times those the body lets through: Swindell & Evans 1996 and Ohnesorge,
    Flohr & Klingenbeck-Regn 1999 (Eur. Radiol. 9:563). A body lets more of the scattered through than of the primary,
    so α + γ is less than 1; and part of it, γ, is shade where they arrive: behind L, a blurred l, as kernels that
    know both ends have it (Sun & Star-Lack 2010, Phys. Med. Biol. 55:6695). G is a Gaussian on a panel beyond whose
    edges no beam goes. It is added to the primary: where nothing is in the beam there is none.

    The figures are a fit to our Monte Carlo (`core/benchmarks/scatter.py`): water of 5 to 30 cm and a pelvis, 90 kV,
    the generic C-arm, and by default a grid of ratio 10. `core/docs/scatter.md` says how well it fits, and where not.
    """

    amplitude: float = 0.0561
    """A: photons on the panel for each that is lost and let through. 0 is off."""
    power: float = 0.708
    """α: what the thickness of the source takes away."""
    shade: float = 0.121
    """γ: what the thickness of the destination takes away."""
    spread: float = 0.289
    """The Gaussian's sigma over `gap`."""
    gap: float = 200.0
    """Millimetres from the middle of the body to the panel: the generic C-arm's. A renderer puts in each view's own."""

    def __post_init__(self) -> None:
        for name in ("amplitude", "power", "shade"):
            if not 0 <= getattr(self, name) < math.inf:
                raise DataError(f"scatter with {name} {getattr(self, name):g}; give zero or more")
        for name in ("spread", "gap"):
            if not 0 < getattr(self, name) < math.inf:
                raise DataError(f"scatter with {name} {getattr(self, name):g}; give more than nothing")

    @classmethod
    def without_grid(cls) -> "Scatter":
        """For a panel without an anti-scatter grid."""
        return cls(amplitude=0.366, power=0.575, shade=0.222, spread=0.566)

    def __call__(self, exposure: Exposure, spacing: tuple[float, float]) -> Exposure:
        """The exposure with scatter added, its quanta as energetic as the primary where they come from."""
        rows, columns = exposure.signal.shape[-2:]
        both = torch.stack([exposure.signal, exposure.variance], dim=-3).reshape(-1, 2, rows, columns)
        down, across = (min(n, max(1, int(BLOCK / step))) for n, step in zip((rows, columns), spacing, strict=True))
        coarse = functional.avg_pool2d(both, (down, across), ceil_mode=True)
        scattered = self._scattered(coarse, (down * spacing[0], across * spacing[1]))
        fine = functional.interpolate(scattered, scale_factor=(down, across), mode="bilinear", align_corners=False)
        signal, variance = fine[..., :rows, :columns].reshape(*exposure.signal.shape[:-2], 2, rows, columns).unbind(-3)
        return Exposure(exposure.signal + signal, exposure.variance + variance)

    def _scattered(self, primary: Tensor, spacing: tuple[float, float]) -> Tensor:
        """Signal and variance of the scatter, [n 2 v u], from those of the primary."""
        signal = primary[:, :1].clamp(torch.finfo(primary.dtype).tiny, 1.0)
        thickness = -signal.log()
        sigma = self.spread * self.gap
        shade = _gaussian(thickness, sigma / 4, spacing) / _gaussian(torch.ones_like(thickness[:1]), sigma / 4, spacing)
        source = self.amplitude * signal ** (self.power - 1) * thickness * primary
        return (-self.shade * shade).exp() * _gaussian(source, sigma, spacing)


def _gaussian(image: Tensor, sigma: float, spacing: tuple[float, float]) -> Tensor:
    """A Gaussian, sigma in millimetres, of an image with nothing around it."""
    down, across = (_shares(n, sigma / step).to(image) for n, step in zip(image.shape[-2:], spacing, strict=True))
    return down @ image @ across


@lru_cache(maxsize=16)
def _shares(size: int, sigma: float) -> Tensor:
    """[size size]: which share of each pixel falls on each, for a Gaussian of sigma pixels."""
    apart = torch.arange(size, dtype=torch.float64)
    apart = apart[:, None] - apart
    return torch.special.ndtr((apart + 0.5) / sigma) - torch.special.ndtr((apart - 0.5) / sigma)
