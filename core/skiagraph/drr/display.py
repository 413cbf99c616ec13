"""From transmission to a picture for people: log, window, polarity."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from skiagraph.io.xray import Bone
from skiagraph.physics.blur import broad_blur

OPEN_FIELD = 0.1
"""-log of the transmission below which nothing is in the way."""

THICK = 0.5
"""The window is set among rays at least this part as attenuated as the thick of the body, not by its rim."""

METAL = 1.25
"""Times what 95 % of the body attenuates at most: more is metal, and as bright as that."""

PLATEAU = 0.01
"""Part of the picture that attenuates exactly as much as anything in it: that is a collimator's lead."""

TOE = 1.3
"""The display's gamma: soft tissue goes darker than in proportion, as on film."""


def attenuation(transmission: Float[Tensor, "*n v u"]) -> Float[Tensor, "*n v u"]:
    """-log of the transmission: what was in the way, in units of the water-like path times its coefficient."""
    return -torch.log(transmission.clamp(min=1e-6))


def window(
    image: Float[Tensor, "v u"], among: Bool[Tensor, "v u"], low: float = 1.0, high: float = 99.7
) -> Float[Tensor, "v u"]:
    """Stretch the values between two percentiles of the pixels `among` those of interest to 0...1; clip the rest."""
    chosen = image[among] if among.any() else image.reshape(-1)
    sample = chosen[:: max(1, chosen.numel() // 200_000)]
    bottom, top = quantiles(sample, (low / 100, high / 100))
    return ((image - bottom) / max(top - bottom, 1e-6)).clamp(0, 1)


def balanced(image: Float[Tensor, "v u"], width: float = 0.06, strength: float = 0.85) -> Float[Tensor, "v u"]:
    """Dynamic range compression, as every radiography system does before display: broad swells count for less.

    What is broader than `width` (a fraction of the image's larger side, the sigma of a Gaussian) is weakened by
    `strength`, so that bone shows both through the flank and through the belly. For the eye only.
    """
    body = (image / (4 * OPEN_FIELD)).clamp(0, 1)
    sigma, pixel = width * max(image.shape), (1.0, 1.0)
    swell = broad_blur(image * body, sigma, pixel) / broad_blur(body, sigma, pixel).clamp(min=1e-3)
    return image - strength * body * (swell - (image * body).sum() / body.sum().clamp(min=1))


def picture(transmission: Float[Tensor, "v u"], bone: Bone = "bright") -> Float[Tensor, "v u"]:
    """An X-ray 0...1 as people are used to: logarithmic, balanced, windowed, bone bright (or dark)."""
    through = attenuation(transmission)
    lead = through == through.max()
    lead &= bool(lead.float().mean() > PLATEAU)
    most, middle = _of_body(through[~lead])
    through = torch.where(lead, middle, through.clamp(max=most))
    inside = ~lead & (through < most)
    thick = quantiles(_some(through[inside]), (0.9,))[0] if inside.any() else 0.0
    body = inside & (through > max(OPEN_FIELD, THICK * thick))
    shown = window(balanced(through), among=body) ** TOE
    return polarised(torch.where(lead, 0.0, shown), bone)


def polarised(shown: Float[Tensor, "v u"], bone: Bone) -> Float[Tensor, "v u"]:
    """A picture 0...1 in which bone is bright, with bone as asked."""
    return shown if bone == "bright" else 1.0 - shown


def _of_body(through: Float[Tensor, "p"]) -> tuple[float, float]:
    """The most that is not metal, and the median, of what is no open field; of everything if there is nothing else."""
    body = through[through > OPEN_FIELD]
    body = _some(body if body.numel() else through)
    if not body.numel():
        return 0.0, 0.0
    return METAL * quantiles(body, (0.95,))[0], float(body.median())


def quantiles(values: Float[Tensor, "p"], shares: Sequence[float]) -> list[float]:
    """As `torch.quantile`, which sorts them all: numpy's selects, in a sixth of the time."""
    found: list[float] = np.quantile(values.cpu().numpy(), shares).tolist()
    return found


def _some(values: Float[Tensor, "p"]) -> Float[Tensor, "q"]:
    """Few enough of them for a quantile."""
    return values[:: max(1, values.numel() // 200_000)]
