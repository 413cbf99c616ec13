"""Looks of the transmission, before it becomes a picture: what else is in the beam, and what the panel makes of it.

Pictures are transmission 0...1 before and after.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from skiagraph.domain.effects import Look, Range, between, broadly, dice, log_between
from skiagraph.physics.blur import blur

Point = tuple[float, float]


@dataclass(frozen=True)
class Quanta(Look):
    """Poisson noise, by its normal limit: the fewer photons are left, the stronger."""

    photons: Range = (5e3, 1e6)
    """A pixel, where nothing is in the way."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The transmission as counted; at least half a photon."""
        photons = log_between(rng, pictures, self.photons)
        noise = torch.randn(pictures.shape, generator=rng)
        return (pictures + (pictures / photons).sqrt() * noise).maximum(0.5 / photons).clamp(max=1)


@dataclass(frozen=True)
class Veil(Look):
    """Scatter that no grid holds back: a blurred picture on top of the picture."""

    ratio: Range = (0.0, 1.0)
    """Scattered to unscattered."""
    width: Range = (0.05, 0.2)
    """Sigma, as a part of the picture's side."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The transmission under a veil."""
        sigma = float(between(rng, pictures[:1], self.width)) * max(pictures.shape[-2:])
        ratio = between(rng, pictures, self.ratio)
        return (pictures + ratio * broadly(pictures, sigma)) / (1 + ratio)


@dataclass(frozen=True)
class Shading(Look):
    """A beam weaker towards one side, as by the heel of the anode, and towards its rim."""

    heel: Range = (0.0, 0.5)
    """-log of the beam at one border over that at the other."""
    vignette: Range = (0.0, 0.4)
    """-log of the beam in the corners over that in the middle."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The transmission times the beam."""
        heading = 2 * math.pi * torch.rand(len(pictures), 1, 1, 1, generator=rng)
        v, u = _places(pictures)
        ramp = (heading.cos() * u + heading.sin() * v + math.sqrt(2)) / 2
        return pictures * torch.exp(
            -between(rng, pictures, self.heel) * ramp - between(rng, pictures, self.vignette) * (u**2 + v**2) / 2
        )


@dataclass(frozen=True)
class Saturated(Look):
    """A panel that some of the pixels were too bright for."""

    part: Range = (0.0, 0.25)
    """Of the pixels."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The transmission, cut from above."""
        step = max(1, min(pictures.shape[-2:]) // 64)
        few, parts = pictures[..., ::step, ::step].flatten(1), between(rng, pictures, self.part).flatten()
        levels = torch.stack([torch.quantile(one, 1 - part) for one, part in zip(few, parts)])
        return pictures.minimum(levels[:, None, None, None])


@dataclass(frozen=True)
class GridLines(Look):
    """Shadows of an anti-scatter grid that stood still, or their beat with the pixels."""

    depth: Range = (0.005, 0.04)
    frequency: Range = (0.02, 0.45)
    """Lines a pixel."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The transmission behind a grid."""
        upright = torch.rand(len(pictures), 1, 1, 1, generator=rng) < 0.7
        v, u = _places(pictures)
        lean = 0.05 * torch.randn(len(pictures), 1, 1, 1, generator=rng)
        across = torch.where(upright, u + lean * v, v + lean * u) * max(pictures.shape[-2:]) / 2
        wave = torch.sin(2 * math.pi * log_between(rng, pictures, self.frequency) * across)
        return pictures * (1 + between(rng, pictures, self.depth) * (wave - 1))


@dataclass(frozen=True)
class Belongings(Look):
    """What patients wear and what hangs on them: wires, tubes, electrodes, buttons, clasps, rods, folds of cloth."""

    most: int = 5
    """Things; at least one."""
    depth: Range = (0.1, 1.5)
    """-log of the transmission of a thing."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The transmission with things in the beam."""
        draw = dice(rng)
        shadows = np.stack([self._shadow(pictures.shape[-2], pictures.shape[-1], draw) for _ in pictures])
        return pictures * torch.exp(-torch.from_numpy(shadows)[:, None])

    def _shadow(self, rows: int, columns: int, draw: np.random.Generator) -> np.ndarray:
        """-log of the transmission of all the things."""
        total, side = np.zeros((rows, columns), dtype=np.float32), max(rows, columns)
        for _ in range(draw.integers(1, self.most + 1)):
            canvas = Image.new("L", (columns, rows))
            thing = THINGS[draw.integers(len(THINGS))]
            thing(ImageDraw.Draw(canvas), _anywhere(rows, columns, draw), side, draw)
            depth = np.exp(draw.uniform(*np.log(self.depth)))
            total += np.asarray(canvas, dtype=np.float32) * np.float32(depth / 255)
        soft = float(draw.uniform(0.4, 0.9))
        return np.asarray(blur(torch.from_numpy(total), soft, soft))


def curve(start: Point, end: Point, bow: float, draw: np.random.Generator) -> list[Point]:
    """Points along a cubic Bezier curve from one place to another, its handles astray by `bow` pixels or so."""
    ends = np.array([start, end])
    handles = ends + draw.normal(0, bow, (2, 2))
    t = np.linspace(0, 1, 24)[:, None]
    along = ((1 - t) ** 3 * ends[0] + 3 * (1 - t) ** 2 * t * handles[0] + 3 * (1 - t) * t**2 * handles[1]
             + t**3 * ends[1])  # fmt: skip
    return [(float(u), float(v)) for u, v in along]


def _wire(pen: ImageDraw.ImageDraw, at: Point, side: int, draw: np.random.Generator) -> None:
    end = (at[0] + draw.normal(0, 0.5 * side), at[1] + draw.normal(0, 0.5 * side))
    pen.line(curve(at, end, 0.3 * side, draw), fill=255, width=int(draw.integers(1, 4)), joint="curve")


def _tube(pen: ImageDraw.ImageDraw, at: Point, side: int, draw: np.random.Generator) -> None:
    end, width = (at[0] + draw.normal(0, 0.5 * side), at[1] + draw.normal(0, 0.5 * side)), int(draw.integers(4, 9))
    path = curve(at, end, 0.25 * side, draw)
    pen.line(path, fill=255, width=width, joint="curve")
    pen.line(path, fill=int(draw.integers(40, 150)), width=width - 2, joint="curve")


def _electrode(pen: ImageDraw.ImageDraw, at: Point, side: int, draw: np.random.Generator) -> None:
    _disc(pen, at, draw.uniform(0.02, 0.035) * side, int(draw.integers(40, 120)))
    _disc(pen, at, draw.uniform(0.006, 0.012) * side, 255)
    _wire(pen, at, side, draw)


def _button(pen: ImageDraw.ImageDraw, at: Point, side: int, draw: np.random.Generator) -> None:
    radius = draw.uniform(0.008, 0.025) * side
    _disc(pen, at, radius, int(draw.integers(120, 256)))
    _disc(pen, at, radius * draw.uniform(0.3, 0.8), int(draw.integers(0, 200)))


def _clasp(pen: ImageDraw.ImageDraw, at: Point, side: int, draw: np.random.Generator) -> None:
    angle, length = draw.uniform(0, math.pi), draw.uniform(0.03, 0.12) * side
    end = (at[0] + length * math.cos(angle), at[1] + length * math.sin(angle))
    pen.line([at, end], fill=255, width=int(draw.integers(2, 8)))


def _fold(pen: ImageDraw.ImageDraw, at: Point, side: int, draw: np.random.Generator) -> None:
    end = (at[0] + draw.normal(0, 0.6 * side), at[1] + draw.normal(0, 0.6 * side))
    pen.line(curve(at, end, 0.15 * side, draw), fill=38, width=int(draw.integers(4, max(6, side // 12))), joint="curve")


THINGS = (_wire, _tube, _electrode, _button, _clasp, _fold)


def _disc(pen: ImageDraw.ImageDraw, at: Point, radius: float, shade: int) -> None:
    pen.ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), fill=shade)


def _anywhere(rows: int, columns: int, draw: np.random.Generator) -> Point:
    return float(draw.uniform(0, columns)), float(draw.uniform(0, rows))


def _places(pictures: Float[Tensor, "b 1 v u"]) -> tuple[Float[Tensor, "v 1"], Float[Tensor, "1 u"]]:
    """Rows and columns from -1 to 1."""
    rows, columns = pictures.shape[-2:]
    return torch.linspace(-1, 1, rows)[:, None], torch.linspace(-1, 1, columns)[None, :]
