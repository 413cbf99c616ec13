"""From transmission to a picture for people: log, window, polarity."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Bone = Literal["bright", "dark"]


def attenuation(transmission: Float[Tensor, "*n v u"]) -> Float[Tensor, "*n v u"]:
    """-log of the transmission: what was in the way, in units of the water-like path times its coefficient."""
    return -torch.log(transmission.clamp(min=1e-6))


def window(image: Float[Tensor, "v u"], low: float = 0.5, high: float = 99.8) -> Float[Tensor, "v u"]:
    """Stretch the values between two percentiles to 0...1 and clip the rest."""
    sample = image.reshape(-1)[:: max(1, image.numel() // 200_000)]
    bottom, top = (torch.quantile(sample, q / 100) for q in (low, high))
    return ((image - bottom) / (top - bottom).clamp(min=1e-6)).clamp(0, 1)


def picture(transmission: Float[Tensor, "v u"], bone: Bone = "bright") -> Float[Tensor, "v u"]:
    """An X-ray 0...1 as people are used to: logarithmic, windowed, bone bright (or dark, as on old fluoroscopes)."""
    shown = window(attenuation(transmission))
    return shown if bone == "bright" else 1.0 - shown
