"""Hounsfield units as numbers a network can learn, and back, over the whole range of a CT.

x = asinh((HU - 40) / 150), scaled to -1...1. About soft tissue it is nearly linear; towards metal and towards air it
goes as a logarithm, so that compact bone and implants keep their steps of density where a window of +-1000 HU would cut
them off. Lupton, Gunn & Szalay 1999 use the same for the brightness of stars.
"""

import math

from jaxtyping import Float
from torch import Tensor

LOWEST, HIGHEST = -1024.0, 3071.0
"""Hounsfield units of 12 bits."""
MIDDLE, LINEAR = 40.0, 150.0
"""Soft tissue, and how far about it the scale is nearly linear; HU."""
_BOTTOM, _TOP = (math.asinh((hu - MIDDLE) / LINEAR) for hu in (LOWEST, HIGHEST))


def from_hu(hu: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """-1 at -1024 HU and below, 1 at 3071 HU and above."""
    bent = ((hu.clamp(LOWEST, HIGHEST) - MIDDLE) / LINEAR).asinh()
    return 2 * (bent - _BOTTOM) / (_TOP - _BOTTOM) - 1


def to_hu(intensity: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """The inverse of `from_hu`; what lies beyond -1...1 is cut."""
    bent = (intensity.clamp(-1, 1) + 1) / 2 * (_TOP - _BOTTOM) + _BOTTOM
    return bent.sinh() * LINEAR + MIDDLE
