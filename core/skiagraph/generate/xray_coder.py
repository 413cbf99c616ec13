"""An X-ray and its masks together as few numbers, and back: the picture's part of what diffusion works on.

A latent pixel stands for 8 x 8 pixels of the picture and of every mask, as in `skiagraph.generate.autoencoder`, whose
two-dimensional twin this is: normalised pixel by pixel, it serves pictures of any size. Masks overlap, so each is a
channel of its own. What is added along the way is normalised, but nothing that only passes: from picture to latent and
back leads a way that is linear, on which brightness is learned first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from skiagraph.anatomy import STRUCTURE_NAMES
from skiagraph.generate.autoencoder import Residual

CHANNELS = 1 + len(STRUCTURE_NAMES)
"""The picture, and each mask."""
CORNERS = 4
"""Pixels that the first layer takes for one: two along each axis."""
SURE = -6.0
"""The logarithm of the latents' variance to begin with: little, or their noise drowns what there is to learn."""


@dataclass(frozen=True)
class XrayCoder:
    """How the autoencoder is built."""

    channels: Sequence[int] = (48, 96, 128)
    """Of each level: the first at half the picture's rows and columns, each of the others at half of the one before."""
    latent: int = 16
    """Numbers a latent pixel."""

    @property
    def shrink(self) -> int:
        """Pixels to a latent pixel along an axis."""
        return int(2 ** len(self.channels))

    def build(self) -> "XrayCoderNetwork":
        """A new network with weights drawn anew."""
        return XrayCoderNetwork(self)


class XrayCoderNetwork(nn.Module):
    """The autoencoder: `encode` to mean and deviation, `decode` to the picture and log-odds of the masks."""

    def __init__(self, coder: XrayCoder) -> None:
        super().__init__()
        first, last = coder.channels[0], coder.channels[-1]
        flat = nn.Conv2d
        down: list[nn.Module] = [flat(CHANNELS * CORNERS, first, 3, padding=1), Residual(first, flat)]
        up: list[nn.Module] = []
        for here, there in zip(coder.channels, coder.channels[1:]):
            down += [flat(here, there, 4, stride=2, padding=1), Residual(there, flat)]
            up = [Residual(there, flat), nn.Upsample(scale_factor=2), flat(there, here, 3, padding=1), *up]
        to_latent = flat(last, 2 * coder.latent, 1)
        nn.init.constant_(to_latent.bias[coder.latent :], SURE)  # type: ignore[index]
        self.down = nn.Sequential(*down, Residual(last, flat), to_latent)
        self.up = nn.Sequential(
            flat(coder.latent, last, 3, padding=1), Residual(last, flat), *up, Residual(first, flat),
            flat(first, CHANNELS * CORNERS, 3, padding=1),
        )  # fmt: skip

    def encode(self, stacked: Float[Tensor, "b c v u"]) -> tuple[Float[Tensor, "b l y x"], Float[Tensor, "b l y x"]]:
        """Mean and deviation of the latents."""
        mean, log_variance = self.down(pixel_unshuffle(stacked, 2)).chunk(2, dim=1)
        return mean, (log_variance.clamp(-20, 10) / 2).exp()

    def decode(self, latent: Float[Tensor, "b l y x"]) -> Float[Tensor, "b c v u"]:
        """The picture, and log-odds of the masks."""
        return pixel_shuffle(self.up(latent), 2)


def stacked(pictures: Float[Tensor, "b v u"], masks: Bool[Tensor, "b m v u"]) -> Float[Tensor, "b c v u"]:
    """Pictures 0...1 as the autoencoder sees them: -1...1, and a channel of -1 or 1 for each mask."""
    return torch.cat([2 * pictures[:, None] - 1, 2 * masks.to(pictures) - 1], dim=1)


def apart(decoded: Float[Tensor, "b c v u"]) -> tuple[Float[Tensor, "b v u"], Bool[Tensor, "b m v u"]]:
    """Pictures 0...1 and masks of what the autoencoder answers."""
    return ((decoded[:, 0] + 1) / 2).clamp(0, 1), decoded[:, 1:] > 0
