"""CT and anatomy together as few numbers, and back: what diffusion works on.

A latent voxel stands for 8 x 8 x 8 voxels of intensity and of labels, so what is generated is labelled by the same
numbers it is made of. A variational autoencoder (Kingma 2014) of convolutions, as Rombach 2022 use it, but normalised
voxel by voxel (Karras 2018) instead of over the whole: what a voxel becomes then depends on its neighbours alone, so
networks that learned from blocks serve bodies of any size, and tiles of a body fit together without a seam.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import one_hot, silu

from skiagraph.generate.frame import CLASSES, Framed
from skiagraph.generate.intensity import from_hu, to_hu

CHANNELS = 1 + CLASSES
"""Intensity, and each class."""
CORNERS = 8
"""Voxels that the first layer takes for one: two along each axis."""


@dataclass(frozen=True)
class Coder:
    """How the autoencoder is built."""

    channels: Sequence[int] = (32, 64, 96)
    """Of each level: the first at half the lattice, each of the others at half of the one before."""
    latent: int = 16
    """Numbers a latent voxel."""

    @property
    def shrink(self) -> int:
        """Voxels to a latent voxel along an axis."""
        return int(2 ** len(self.channels))

    def build(self) -> "CoderNetwork":
        """A new network with weights drawn anew."""
        return CoderNetwork(self)


class CoderNetwork(nn.Module):
    """The autoencoder: `encode` to mean and deviation, `decode` to intensity and log-odds of classes."""

    def __init__(self, coder: Coder) -> None:
        super().__init__()
        self.shrink = coder.shrink
        first, last = coder.channels[0], coder.channels[-1]
        down: list[nn.Module] = [nn.Conv3d(CHANNELS * CORNERS, first, 3, padding=1), Residual(first)]
        up: list[nn.Module] = []
        for here, there in zip(coder.channels, coder.channels[1:]):
            down += [nn.Conv3d(here, there, 4, stride=2, padding=1), Residual(there)]
            up = [Residual(there), nn.Upsample(scale_factor=2), nn.Conv3d(there, here, 3, padding=1), *up]
        self.down = nn.Sequential(*down, Residual(last), PixelNorm(), nn.Conv3d(last, 2 * coder.latent, 1))
        self.up = nn.Sequential(
            nn.Conv3d(coder.latent, last, 3, padding=1), Residual(last), *up, Residual(first), PixelNorm(),
            nn.Conv3d(first, CHANNELS * CORNERS, 3, padding=1),
        )  # fmt: skip

    def encode(
        self, bodies: Float[Tensor, "b c k j i"]
    ) -> tuple[Float[Tensor, "b l z y x"], Float[Tensor, "b l z y x"]]:
        """Mean and deviation of the latents."""
        mean, log_variance = self.down(_corners_together(bodies)).chunk(2, dim=1)
        return mean, (log_variance.clamp(-20, 10) / 2).exp()

    def decode(self, latent: Float[Tensor, "b l z y x"]) -> Float[Tensor, "b c k j i"]:
        """Intensity, and log-odds of the classes."""
        return _corners_apart(self.up(latent))


class Residual(nn.Module):
    """Two convolutions, of volumes or of pictures, whose answer is added."""

    def __init__(self, channels: int, convolution: type[nn.Conv2d] | type[nn.Conv3d] = nn.Conv3d) -> None:
        super().__init__()
        self.norm = PixelNorm()
        self.first = convolution(channels, channels, 3, padding=1)
        self.second = convolution(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Float[Tensor, "b c *n"]) -> Float[Tensor, "b c *n"]:
        """Itself and a little more."""
        more: Tensor = self.second(silu(self.first(silu(self.norm(x)))))
        return x + more


class PixelNorm(nn.Module):
    """Every voxel's numbers brought to a mean square of 1, whatever its neighbours have. Karras 2018, section 4.2."""

    def forward(self, x: Float[Tensor, "b c *n"]) -> Float[Tensor, "b c *n"]:
        """Scaled."""
        return x * (x.square().mean(dim=1, keepdim=True) + 1e-6).rsqrt()


def _corners_together(x: Float[Tensor, "b c k j i"]) -> Float[Tensor, "b c8 z y x"]:
    b, c, k, j, i = x.shape
    parts = x.reshape(b, c, k // 2, 2, j // 2, 2, i // 2, 2)
    return parts.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * CORNERS, k // 2, j // 2, i // 2)


def _corners_apart(x: Float[Tensor, "b c8 z y x"]) -> Float[Tensor, "b c k j i"]:
    b, c, z, y, w = x.shape
    parts = x.reshape(b, c // CORNERS, 2, 2, 2, z, y, w)
    return parts.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // CORNERS, 2 * z, 2 * y, 2 * w)


def stacked(hu: Float[Tensor, "b k j i"], index: UInt8[Tensor, "b k j i"]) -> Float[Tensor, "b c k j i"]:
    """Bodies as the autoencoder sees them: intensity, and a channel of -1 or 1 for each class."""
    classes = one_hot(index.long(), CLASSES).movedim(-1, 1).float()
    return torch.cat([from_hu(hu)[:, None], 2 * classes - 1], dim=1)


def apart(decoded: Float[Tensor, "b c k j i"]) -> tuple[Float[Tensor, "b k j i"], UInt8[Tensor, "b k j i"]]:
    """HU and structures of what the autoencoder answers: intensity, and log-odds of the classes."""
    return to_hu(decoded[:, 0]), decoded[:, 1:].argmax(dim=1).to(torch.uint8)


TILE, OVERLAP = 24, 8
"""Latent voxels along an axis that are coded at once, and how many more on either side, which are thrown away: the
networks reach no further."""


def encoded(coder: CoderNetwork, body: Framed, tile: int = TILE) -> Float[Tensor, "c z y x"]:
    """The mean latent of a body, a tile at a time so that memory does not grow with the body."""

    def some(hu: Tensor, index: Tensor) -> tuple[Tensor]:
        return (coder.encode(stacked(hu[None], index[None]))[0][0],)

    (latent,) = _by_tiles(some, (body.hu, body.index), tile * coder.shrink, OVERLAP * coder.shrink)
    return latent


def decoded(
    coder: CoderNetwork, latent: Float[Tensor, "l z y x"], tile: int = TILE
) -> tuple[Float[Tensor, "k j i"], UInt8[Tensor, "k j i"]]:
    """HU and structures of a latent, a tile at a time."""

    def some(part: Tensor) -> tuple[Tensor, Tensor]:
        hu, index = apart(coder.decode(part[None]))
        return hu[0], index[0]

    hu, index = _by_tiles(some, (latent,), tile, OVERLAP)
    return hu, index


def _by_tiles(
    some: Callable[..., tuple[Tensor, ...]], whole: tuple[Tensor, ...], tile: int, overlap: int
) -> tuple[Tensor, ...]:
    """What `some` says of a whole, asked tile by tile; the last three axes are space."""
    sizes = whole[0].shape[-3:]
    answers: tuple[Tensor, ...] = ()
    for starts in product(*(range(0, n, tile) for n in sizes)):
        ends = [min(start + tile, n) for start, n in zip(starts, sizes)]
        first = [max(start - overlap, 0) for start in starts]
        last = [min(end + overlap, n) for end, n in zip(ends, sizes)]
        z, y, x = (slice(f, e) for f, e in zip(first, last))
        with torch.inference_mode():
            parts = some(*(one[..., z, y, x] for one in whole))
        ratio = parts[0].shape[-1] / (last[2] - first[2])
        if not answers:
            shape = [round(n * ratio) for n in sizes]
            answers = tuple(part.new_empty((*part.shape[:-3], *shape)) for part in parts)
        k, j, i = (slice(round(start * ratio), round(end * ratio)) for start, end in zip(starts, ends))
        z, y, x = (slice(round((s - f) * ratio), round((e - f) * ratio)) for s, e, f in zip(starts, ends, first))
        for answer, part in zip(answers, parts):
            answer[..., k, j, i] = part[..., z, y, x]
    return answers
