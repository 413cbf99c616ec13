"""What is around and on a display picture 0...1: the shutter's edge, bars that make it square, letters and arrows."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from skiagraph.domain.effects import Cover, Look, Range, between, dice

WORDS = ("L", "R", "L", "R", "AP", "PORTABLE", "SUPINE", "ERECT", "STANDING", "PELVIS", "HIP", "WARD", "CITY HOSPITAL")
"""What markers say; dates, times and numbers are made up."""


@dataclass(frozen=True)
class Shutter(Cover):
    """A collimator's opening: a turned rectangle, an octagon or a circle; dark beyond it, or bright."""

    reach: Range = (0.34, 0.6)
    """From the middle to an edge, as a part of the picture's side."""
    bright: float = 0.25
    """How often what is beyond is bright."""
    soft: Range = (0.2, 4.0)
    """Pixels: sigma of the edge."""

    def hide(
        self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator
    ) -> tuple[Float[Tensor, "b 1 v u"], Float[Tensor, "b 1 v u"]]:
        """The pictures, and how open each pixel still is."""
        draw = dice(rng)
        opening = torch.stack([self._opening(pictures.shape[-2], pictures.shape[-1], draw) for _ in pictures])[:, None]
        bright = torch.rand(len(pictures), 1, 1, 1, generator=rng) < self.bright
        shade = 0.15 * torch.rand(len(pictures), 1, 1, 1, generator=rng) ** 2
        leak = 0.1 * torch.rand(len(pictures), 1, 1, 1, generator=rng) ** 2
        beyond = torch.lerp(torch.where(bright, 1 - shade, shade), pictures, leak)
        return torch.lerp(beyond, pictures, opening), opening

    def _opening(self, rows: int, columns: int, draw: np.random.Generator) -> Float[Tensor, "v u"]:
        side = max(rows, columns)
        middle = np.array([columns, rows]) / 2 + draw.normal(0, 0.03 * side, 2)
        v = torch.arange(float(rows))[:, None] - float(middle[1])
        u = torch.arange(float(columns))[None, :] - float(middle[0])
        low, high = self.reach
        # What is as wide as it is high cuts corners that a rectangle leaves, and so opens wider.
        round_reach = float(draw.uniform(low + 0.08, high))
        shape = draw.random()
        if shape < 0.6:
            turn = draw.normal(0, 4) if draw.random() < 0.9 else draw.uniform(0, 90)
            beyond = _beyond(v, u, turn, side * draw.uniform(low, high, 4))
        elif shape < 0.75:
            beyond = _beyond(v, u, draw.normal(0, 4), np.full(8, side * round_reach))
        else:
            beyond = (u**2 + v**2).sqrt() - side * round_reach
        return torch.sigmoid(-1.7 * beyond / float(draw.uniform(*self.soft)))


@dataclass(frozen=True)
class Letterboxed(Cover):
    """Bars at two opposite borders, or at one, such as make an oblong picture square."""

    width: Range = (0.02, 0.16)
    """Of a bar, as a part of the picture's side."""
    bright: float = 0.1
    """How often they are white."""

    def hide(
        self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator
    ) -> tuple[Float[Tensor, "b 1 v u"], Float[Tensor, "b 1 v u"]]:
        """The pictures, and how open each pixel still is."""
        rows, columns = pictures.shape[-2:]
        upright = torch.rand(len(pictures), 1, 1, 1, generator=rng) < 0.5
        at = torch.where(upright, torch.linspace(0, 1, columns)[None, :], torch.linspace(0, 1, rows)[:, None])
        place = torch.rand(len(pictures), 1, 1, 1, generator=rng)
        first, last = (place < 0.75).float(), (place > 0.25).float()
        width = between(rng, pictures, self.width)
        opening = ((at >= first * width) & (at <= 1 - last * width)).float()
        bright = torch.rand(len(pictures), 1, 1, 1, generator=rng) < self.bright
        return torch.where(opening > 0.5, pictures, bright.float()), opening


@dataclass(frozen=True)
class Oblong(Cover):
    """A picture that is not square, on a square as detectors frame it: mean 0 and deviation 1 within, 0 beyond."""

    longest: float = 1.5
    """Its longer side over its shorter."""
    broad: float = 0.85
    """How often it is broad rather than tall."""

    def hide(
        self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator
    ) -> tuple[Float[Tensor, "b 1 v u"], Float[Tensor, "b 1 v u"]]:
        """The pictures, and how open each pixel still is."""
        rows, columns = pictures.shape[-2:]
        broad = torch.rand(len(pictures), 1, 1, 1, generator=rng) < self.broad
        at = torch.where(broad, torch.linspace(-1, 1, rows)[:, None], torch.linspace(-1, 1, columns)[None, :])
        opening = (at.abs() <= 1 / between(rng, pictures, (1.0, self.longest))).float()
        count = opening.sum((1, 2, 3), keepdim=True)
        centred = (pictures - (pictures * opening).sum((1, 2, 3), keepdim=True) / count) * opening
        return centred * (centred.square().sum((1, 2, 3), keepdim=True) / count).clamp(min=1e-12).rsqrt(), opening


@dataclass(frozen=True)
class Marks(Look):
    """Lead letters and what a workstation burns in: sides, dates, names, arrows; mostly near the border."""

    most: int = 4
    """Marks; at least one."""
    height: Range = (0.022, 0.08)
    """Of the letters, as a part of the picture's side."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures with marks on them."""
        draw, marked = dice(rng), []
        for one in pictures:
            canvas = Image.new("LA", (one.shape[2], one.shape[1]))
            pen = ImageDraw.Draw(canvas)
            for _ in range(draw.integers(1, self.most + 1)):
                self._mark(pen, canvas.size, draw)
            ink = torch.from_numpy(np.asarray(canvas, dtype=np.float32)) / 255
            marked.append(torch.lerp(one[0], ink[..., 0], ink[..., 1]))
        return torch.stack(marked)[:, None]

    def _mark(self, pen: ImageDraw.ImageDraw, size: tuple[int, int], draw: np.random.Generator) -> None:
        shade = int(255 * (draw.uniform(0.75, 1.0) if draw.random() < 0.85 else draw.uniform(0, 0.1)))
        ink, side = (shade, int(draw.integers(150, 256))), max(size)
        height = round(side * draw.uniform(*self.height))
        along, across = draw.uniform(0.02, 0.9), draw.beta(0.3, 0.3) * 0.9 + 0.02
        at = (along * size[0], across * size[1]) if draw.random() < 0.5 else (across * size[0], along * size[1])
        if draw.random() < 0.15:
            _arrow(pen, at, height, ink, draw)
            return
        text = _words(draw)
        # One or two letters are lead and large, lines of text are burnt in and small.
        font = _font(max(7, height if len(text) < 3 else height // 2))
        box = pen.textbbox(at, text, font)
        if draw.random() < 0.15:
            pen.rectangle((box[0] - 3, box[1] - 3, box[2] + 3, box[3] + 3), fill=(0, 255))
        elif len(text) < 3 and draw.random() < 0.25:
            pen.ellipse((box[0] - 5, box[1] - 5, box[2] + 5, box[3] + 5), outline=ink, width=2)
        pen.text(at, text, ink, font)


def _beyond(v: Float[Tensor, "v 1"], u: Float[Tensor, "1 u"], turn: float, reach: np.ndarray) -> Float[Tensor, "v u"]:
    """How far out of a polygon each pixel is, less than 0 within: an edge for each reach, turned in degrees."""
    angles = math.radians(turn) + 2 * math.pi * np.arange(len(reach)) / len(reach)
    edges = [u * math.cos(angle) + v * math.sin(angle) - float(far) for angle, far in zip(angles, reach)]
    return torch.stack(edges).amax(0)


def _words(draw: np.random.Generator) -> str:
    kind = draw.random()
    if kind < 0.6:
        return str(draw.choice(WORDS))
    if kind < 0.75:
        return f"{draw.integers(1, 29):02d}/{draw.integers(1, 13):02d}/{draw.integers(1998, 2031)}"
    if kind < 0.85:
        return f"{draw.integers(24):02d}:{draw.integers(60):02d}"
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789- ."
    return "".join(letters[k] for k in draw.integers(len(letters), size=draw.integers(2, 14)))


def _arrow(
    pen: ImageDraw.ImageDraw, tip: tuple[float, float], size: int, ink: tuple[int, int], draw: np.random.Generator
) -> None:
    angle = draw.uniform(0, 2 * math.pi)
    along, aside = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    head = [tuple(tip + size * (0.5 * along + side * aside)) for side in (0.25, -0.25)]
    pen.line([tuple(tip + 0.4 * size * along), tuple(tip + 1.5 * size * along)], fill=ink, width=2)
    pen.polygon([tip, *head], fill=ink)


@lru_cache(maxsize=64)
def _font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height)
