"""Looks that lose something: noise, dropped pixels, blur, coarse pixels, compression.

What is measured in the picture's range is a part of it. Only `Compressed` wants a picture 0...1.
"""

import io
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional

from skiagraph.domain.effects import Look, Range, between, dice, extremes, log_between
from skiagraph.physics.blur import blur


@dataclass(frozen=True)
class GaussianNoise(Look):
    """White noise."""

    sigma: Range = (0.005, 0.1)
    """Of the picture's range."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures with noise."""
        _, span = extremes(pictures)
        return pictures + between(rng, pictures, self.sigma) * span * torch.randn(pictures.shape, generator=rng)


@dataclass(frozen=True)
class Impulses(Look):
    """Pixels, or blocks of them, replaced by shades of the arcsine law, most of them near black or white."""

    part: Range = (0.1, 0.1)
    """Of the pixels."""
    grain: Range = (1.0, 1.0)
    """Size of the coarse picture on which they are drawn, as a part of the picture's: 1 for single pixels."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures with some pixels replaced."""
        low, span = extremes(pictures)
        shades = torch.sin(torch.rand(pictures.shape, generator=rng) * (torch.pi / 2)) ** 2
        return torch.where(_hit(pictures, self.part, self.grain, rng), low + span * self.shade(shades), pictures)

    def shade(self, shades: Float[Tensor, "b 1 v u"]) -> Float[Tensor, "b 1 v u"]:
        """Those of the shades 0...1 that are used."""
        return shades


@dataclass(frozen=True)
class Salt(Impulses):
    """Pixels replaced by bright ones."""

    def shade(self, shades: Float[Tensor, "b 1 v u"]) -> Float[Tensor, "b 1 v u"]:
        """The bright half."""
        return torch.maximum(shades, 1 - shades)


@dataclass(frozen=True)
class Pepper(Impulses):
    """Pixels replaced by dark ones."""

    def shade(self, shades: Float[Tensor, "b 1 v u"]) -> Float[Tensor, "b 1 v u"]:
        """The dark half."""
        return torch.minimum(shades, 1 - shades)


@dataclass(frozen=True)
class Dropout(Look):
    """Pixels, or blocks of them, set to 0."""

    part: Range = (0.01, 0.1)
    """Of the pixels."""
    grain: Range = (1.0, 1.0)
    """As that of `Impulses`."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures with some pixels gone."""
        return pictures.masked_fill(_hit(pictures, self.part, self.grain, rng), 0.0)


@dataclass(frozen=True)
class Boxes(Look):
    """Boxes of heavy noise."""

    most: int = 5
    """Boxes; at least one."""
    side: float = 0.15
    """Mean and deviation of a box's sides, as a part of the picture's."""
    sigma: float = 0.2
    """Of the noise, as a part of the range within the box."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, each with some boxes spoilt."""
        pictures, draw, shape = pictures.clone(), dice(rng), np.array(pictures.shape[-2:])
        for one in pictures:
            for _ in range(draw.integers(1, self.most + 1)):
                side = np.zeros(2, dtype=int)
                while not ((side > 0) & (side <= shape)).all():
                    side = (draw.normal(self.side, self.side, 2) * shape).round().astype(int)
                v, u = draw.integers(0, shape - side + 1)
                box = one[0, v : v + side[0], u : u + side[1]]
                box += self.sigma * (box.max() - box.min()) * torch.randn(box.shape, generator=rng)
        return pictures


@dataclass(frozen=True)
class GaussianBlur(Look):
    """A Gaussian of a sigma in pixels."""

    sigma: Range = (0.0, 3.0)

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, each blurred."""
        sigmas = between(rng, pictures, self.sigma).clamp(min=0.05).flatten().tolist()
        return torch.stack([blur(one, sigma, sigma) for one, sigma in zip(pictures, sigmas)])


@dataclass(frozen=True)
class AverageBlur(Look):
    """The mean of a square of pixels."""

    sides: tuple[int, ...] = (2, 3, 4, 5, 6, 7)

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, each blurred."""
        return torch.cat([_mean(one[None], side) for one, side in zip(pictures, _sides(self.sides, pictures, rng))])


@dataclass(frozen=True)
class Sharpened(Look):
    """Mixed with its sum with a Laplacian of eight neighbours."""

    alpha: Range = (0.0, 1.0)
    lightness: Range = (0.75, 1.5)
    """Of the middle pixel: 1 keeps the picture's level."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, edges raised."""
        alpha, lightness = between(rng, pictures, self.alpha), between(rng, pictures, self.lightness)
        laplacian = torch.full((3, 3), -1.0)
        laplacian[1, 1] = 8.0
        return _mixed(pictures, alpha, laplacian + lightness * _MIDDLE)


@dataclass(frozen=True)
class Embossed(Look):
    """Mixed with itself as a relief lit from the upper left."""

    alpha: Range = (0.0, 1.0)
    strength: Range = (0.0, 2.0)

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, more or less a relief."""
        alpha, strength = between(rng, pictures, self.alpha), between(rng, pictures, self.strength)
        relief = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        light = torch.tensor([[-1.0, -1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
        return _mixed(pictures, alpha, relief + strength * light)


@dataclass(frozen=True)
class Pooled(Look):
    """Squares of pixels, each replaced by one value."""

    sides: tuple[int, ...] = (2, 3, 4)

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures in blocks."""
        return torch.cat(
            [self._blocks(one[None], side) for one, side in zip(pictures, _sides(self.sides, pictures, rng))]
        )

    @abstractmethod
    def value(self, squares: Float[Tensor, "1 n w"]) -> Float[Tensor, "1 w"]:
        """What stands for each square of n pixels."""

    def _blocks(self, picture: Float[Tensor, "1 1 v u"], side: int) -> Float[Tensor, "1 1 v u"]:
        rows, columns = picture.shape[-2:]
        whole = functional.pad(picture, (0, -columns % side, 0, -rows % side), mode="replicate")
        v, u = whole.shape[-2] // side, whole.shape[-1] // side
        squares = whole.reshape(v, side, u, side).permute(1, 3, 0, 2).reshape(1, side * side, v * u)
        coarse = self.value(squares).reshape(1, 1, v, u)
        return coarse.repeat_interleave(side, 2).repeat_interleave(side, 3)[..., :rows, :columns]


@dataclass(frozen=True)
class AveragePooled(Pooled):
    """Squares by their mean."""

    def value(self, squares: Float[Tensor, "1 n w"]) -> Float[Tensor, "1 w"]:
        """The mean."""
        return squares.mean(1)


@dataclass(frozen=True)
class MaxPooled(Pooled):
    """Squares by their brightest pixel."""

    def value(self, squares: Float[Tensor, "1 n w"]) -> Float[Tensor, "1 w"]:
        """The brightest."""
        return squares.amax(1)


@dataclass(frozen=True)
class MinPooled(Pooled):
    """Squares by their darkest pixel."""

    def value(self, squares: Float[Tensor, "1 n w"]) -> Float[Tensor, "1 w"]:
        """The darkest."""
        return squares.amin(1)


@dataclass(frozen=True)
class MedianPooled(Pooled):
    """Squares by their median."""

    def value(self, squares: Float[Tensor, "1 n w"]) -> Float[Tensor, "1 w"]:
        """The median; of the two in the middle the lower one."""
        return squares.median(1).values


@dataclass(frozen=True)
class Multiplied(Look):
    """Brighter or darker."""

    factor: Range = (0.5, 1.5)

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, each times a number."""
        return pictures * between(rng, pictures, self.factor)


@dataclass(frozen=True)
class Speckled(Look):
    """Every pixel times a number of its own."""

    factor: Range = (0.5, 1.5)

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures with noise in proportion."""
        low, high = self.factor
        return pictures * (low + (high - low) * torch.rand(pictures.shape, generator=rng))


@dataclass(frozen=True)
class Scattered(Look):
    """Every pixel taken from a little beside it, independently: imgaug's elastic transformation at a small sigma.

    At a sigma of a quarter of a pixel neighbours move each its own way and nothing moves on average, so labels stay.
    """

    reach: Range = (0.5, 3.5)
    """Pixels, along u and along v."""
    sigma: float = 0.25
    """Pixels: the blur of the shifts."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, frayed."""
        rows, columns = pictures.shape[-2:]
        shift = 2 * torch.rand(len(pictures), 2, rows, columns, generator=rng) - 1
        shift = between(rng, pictures, self.reach) * blur(shift, self.sigma, self.sigma)
        v, u = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
        where = torch.stack([u + shift[:, 0] * 2 / (columns - 1), v + shift[:, 1] * 2 / (rows - 1)], -1)
        return functional.grid_sample(pictures, where, "bilinear", "border", align_corners=True)


@dataclass(frozen=True)
class Coarse(Look):
    """Made smaller and enlarged again, as pictures are that went through a slide or a screen."""

    factor: Range = (1.2, 3.0)

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, each with fewer details."""
        size = (pictures.shape[-2], pictures.shape[-1])
        made = []
        for one, factor in zip(pictures, log_between(rng, pictures, self.factor).flatten().tolist()):
            less = [max(8, round(side / factor)) for side in size]
            small = functional.interpolate(one[None], less, mode="bilinear", antialias=True, align_corners=False)
            made.append(functional.interpolate(small, size, mode="bilinear", align_corners=False))
        return torch.cat(made)


@dataclass(frozen=True)
class Compressed(Look):
    """Through 8 bits and JPEG, as many collections keep their pictures; cut at 0 and 1."""

    quality: Range = (25.0, 95.0)

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures as decoded."""
        levels = (pictures.clamp(0, 1) * 255).round().byte().numpy()
        qualities = between(rng, pictures, self.quality).round().flatten().tolist()
        decoded = np.stack([_through_jpeg(one[0], int(quality)) for one, quality in zip(levels, qualities)])
        return torch.from_numpy(decoded)[:, None].float() / 255


_MIDDLE = torch.zeros(3, 3).index_put((torch.tensor(1), torch.tensor(1)), torch.tensor(1.0))


def _through_jpeg(levels: np.ndarray, quality: int) -> np.ndarray:
    packed = io.BytesIO()
    Image.fromarray(levels).save(packed, "JPEG", quality=quality)
    return np.array(Image.open(packed))


def _hit(pictures: Float[Tensor, "b 1 v u"], part: Range, grain: Range, rng: torch.Generator) -> Tensor:
    """Which pixels are meant: a part of them, drawn on a coarse picture a grain of this one's size."""
    parts, grains = between(rng, pictures, part), between(rng, pictures, grain)
    if grain == (1.0, 1.0):
        return torch.rand(pictures.shape, generator=rng) < parts
    rows, columns = pictures.shape[-2:]
    hits = []
    for share, size in zip(parts.flatten().tolist(), grains.flatten().tolist()):
        coarse = torch.rand(max(3, round(rows * size)), max(3, round(columns * size)), generator=rng) < share
        v = torch.arange(rows) * len(coarse) // rows
        u = torch.arange(columns) * coarse.shape[1] // columns
        hits.append(coarse[v[:, None], u])
    return torch.stack(hits)[:, None]


def _sides(sides: tuple[int, ...], pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> list[int]:
    return [sides[k] for k in torch.randint(len(sides), (len(pictures),), generator=rng).tolist()]


def _mean(picture: Float[Tensor, "1 1 v u"], side: int) -> Float[Tensor, "1 1 v u"]:
    before, after = side // 2, side - 1 - side // 2
    return functional.avg_pool2d(
        functional.pad(picture, (before, after, before, after), mode="reflect"), side, stride=1
    )


def _mixed(pictures: Float[Tensor, "b 1 v u"], alpha: Tensor, kernels: Float[Tensor, "b 1 3 3"]) -> Tensor:
    """Each picture mixed with what its own kernel makes of it."""
    kernels = torch.lerp(_MIDDLE.expand_as(kernels), kernels, alpha)
    bordered = functional.pad(pictures, (1, 1, 1, 1), mode="reflect").transpose(0, 1)
    return functional.conv2d(bordered, kernels, groups=len(pictures)).transpose(0, 1)
