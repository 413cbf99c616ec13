"""Looks that change grey values by their own size alone, or by those around them: curves, windows, polarity, contrast.

Each works within the picture's own range and keeps it, unless it says otherwise.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from skiagraph.domain.effects import Display, Look, Range, between, broadly, extremes, log_between
from skiagraph.drr.display import OPEN_FIELD, THICK, attenuation

Pictures = Float[Tensor, "b 1 v u"]


@dataclass(frozen=True)
class Logarithm(Display):
    """By -log, stretched over the range within the field, and nothing else: DeepDRR's `neglog`."""

    def show(
        self, pictures: Float[Tensor, "b 1 v u"], field: Bool[Tensor, "b 1 v u"], rng: torch.Generator
    ) -> Float[Tensor, "b 1 v u"]:
        """The pictures; lead is as white as the whitest in the field."""
        through = attenuation(pictures)
        low, span = extremes(torch.where(field, through, through.amin((1, 2, 3), keepdim=True)))
        return ((through - low) / span).clamp(0, 1)


@dataclass(frozen=True)
class Film(Display):
    """As some X-ray system or other would.

    (1 - T^p) / p goes from the logarithm (p = 0) to a linear display (p = 1). Broad swells are compressed, a window
    is set by quantiles of the body, and a curve with a toe and a shoulder (Hurter and Driffield 1890) comes last.
    """

    power: Range = (0.0, 0.0)
    compression: Range = (0.0, 0.9)
    """How much of the swells is taken away."""
    width: Range = (0.04, 0.15)
    """Of a swell: sigma, as a part of the picture's side."""
    bottom: Range = (0.0, 0.05)
    """Of the body's pixels, shown as black."""
    top: Range = (0.0, 0.01)
    """Of the body's pixels, shown as white."""
    slack: Range = (0.0, 0.5)
    """What the window is wider at either end, as a part of its width between those."""
    gamma: Range = (0.8, 1.5)
    steepness: Range = (0.5, 3.0)
    """Of the S-curve; 0 would be a straight line."""
    middle: Range = (0.4, 0.6)
    """Of the S-curve."""
    blank: Range = (0.0, 0.0)
    """What is shown in place of lead."""

    def show(
        self, pictures: Float[Tensor, "b 1 v u"], field: Bool[Tensor, "b 1 v u"], rng: torch.Generator
    ) -> Float[Tensor, "b 1 v u"]:
        """The pictures; beyond the field they are blank."""
        through = attenuation(pictures)
        power = between(rng, pictures, self.power).clamp(min=1e-3)
        response = (1 - torch.exp(-power * through)) / power
        broad = float(between(rng, pictures[:1], self.width))
        flat = _compressed(response, through * field, between(rng, pictures, self.compression), broad)
        low, high = _body_quantiles(
            flat, through * field, between(rng, pictures, self.bottom), 1 - between(rng, pictures, self.top)
        )
        width = (high - low).clamp(min=1e-4)
        low, high = low - between(rng, pictures, self.slack) * width, high + between(rng, pictures, self.slack) * width
        shown = ((flat - low) / (high - low)).clamp(0, 1) ** log_between(rng, pictures, self.gamma)
        shown = s_curve(shown, between(rng, pictures, self.steepness), between(rng, pictures, self.middle))
        return torch.where(field, shown, between(rng, pictures, self.blank))


@dataclass(frozen=True)
class Gamma(Look):
    """A power of the picture."""

    gamma: Range = (0.7, 1.3)

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, each to a power."""
        low, span = extremes(pictures)
        return low + span * ((pictures - low) / span) ** between(rng, pictures, self.gamma)


@dataclass(frozen=True)
class Inverted(Look):
    """Black for white: max(x) - x, which lies between 0 and the range."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, inverted."""
        return pictures.amax((1, 2, 3), keepdim=True) - pictures


@dataclass(frozen=True)
class Negative(Look):
    """Black for white in a display picture: 1 - x."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, inverted."""
        return 1 - pictures


@dataclass(frozen=True)
class LinearContrast(Look):
    """Stretched about the middle of the range and cut at its ends, without which a z-score would undo it."""

    strength: Range = (0.5, 2.0)

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, each with more or less contrast."""
        low, span = extremes(pictures)
        return low + span * (0.5 + between(rng, pictures, self.strength) * ((pictures - low) / span - 0.5)).clamp(0, 1)


@dataclass(frozen=True)
class LogContrast(Look):
    """gain log2(1 + x), cut at the range's end."""

    gain: Range = (0.6, 1.4)

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, dark tones apart and bright ones together."""
        low, span = extremes(pictures)
        return low + span * (between(rng, pictures, self.gain) * torch.log2(1 + (pictures - low) / span)).clamp(0, 1)


@dataclass(frozen=True)
class SigmoidContrast(Look):
    """1 / (1 + exp(gain (cutoff - x)))."""

    gain: Range = (3.0, 10.0)
    cutoff: Range = (0.4, 0.6)

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, middle tones apart and the ends together."""
        low, span = extremes(pictures)
        unit = (pictures - low) / span
        return low + span * torch.sigmoid(
            between(rng, pictures, self.gain) * (unit - between(rng, pictures, self.cutoff))
        )


@dataclass(frozen=True)
class LocalContrast(Look):
    """An unsharp mask, as digital radiography applies to bring out edges or whole organs; cut at 0 and 1."""

    gain: Range = (0.2, 1.5)
    width: Range = (0.003, 0.05)
    """Of what is brought out: sigma, as a part of the picture's side."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, each with its details raised."""
        widths = log_between(rng, pictures, self.width).flatten().tolist()
        side = max(pictures.shape[-2:])
        smooth = torch.cat([broadly(one[None], width * side) for one, width in zip(pictures, widths)])
        return (pictures + between(rng, pictures, self.gain) * (pictures - smooth)).clamp(0, 1)


@dataclass(frozen=True)
class Equalised(Look):
    """Contrast limited adaptive histogram equalisation of a picture 0...1 (Zuiderveld 1994), mixed with it."""

    tiles: int = 6
    clip: Range = (1.5, 4.0)
    """Most a level may hold, in mean levels' contents."""
    strength: Range = (0.3, 1.0)
    levels: int = 128

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, each more or less equalised."""
        clips, strength = between(rng, pictures, self.clip).flatten().tolist(), between(rng, pictures, self.strength)
        equal = torch.stack([self._equalised(one[0], clip) for one, clip in zip(pictures, clips)])[:, None]
        return pictures + strength * (equal - pictures)

    def _equalised(self, picture: Float[Tensor, "v u"], clip: float) -> Float[Tensor, "v u"]:
        n, levels = self.tiles, self.levels
        level = (picture * (levels - 1)).round().long().clamp(0, levels - 1)
        tile_v, tile_u = (torch.arange(pixels) * n // pixels for pixels in picture.shape)
        flat = (tile_v[:, None] * n + tile_u) * levels + level
        counts = torch.bincount(flat.flatten(), minlength=n * n * levels).reshape(n, n, levels).float()
        counts = counts / counts.mean(-1, keepdim=True)
        cut = counts.clamp(max=clip)
        curve = ((cut + 1 - cut.mean(-1, keepdim=True)).cumsum(-1) / levels).flatten()
        (v0, v1, s), (u0, u1, t) = (_neighbours(pixels, n) for pixels in picture.shape)
        at = [curve[(v[:, None] * n + u) * levels + level] for v in (v0, v1) for u in (u0, u1)]
        s = s[:, None]
        return torch.lerp(torch.lerp(at[0], at[1], t), torch.lerp(at[2], at[3], t), s).clamp(0, 1)


@dataclass(frozen=True)
class Normalised(Look):
    """Mean 0 and deviation 1: what networks see."""

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, each less its mean, over its deviation."""
        centred = pictures - pictures.mean((1, 2, 3), keepdim=True)
        return centred * centred.square().mean((1, 2, 3), keepdim=True).clamp(min=1e-12).rsqrt()


def s_curve(
    pictures: Float[Tensor, "b 1 v u"], steepness: Float[Tensor, "b 1 1 1"], middle: Float[Tensor, "b 1 1 1"]
) -> Float[Tensor, "b 1 v u"]:
    """A logistic curve scaled so that 0 stays 0 and 1 stays 1; nearly straight where the steepness is nearly 0."""
    steepness = steepness.clamp(min=1e-2)
    low, high = torch.sigmoid(-steepness * middle), torch.sigmoid(steepness * (1 - middle))
    return ((torch.sigmoid(steepness * (pictures - middle)) - low) / (high - low)).clamp(0, 1)


def _compressed(response: Pictures, through: Pictures, strength: Float[Tensor, "b 1 1 1"], width: float) -> Pictures:
    """`drr.display.balanced`, of several pictures at once, by a strength each."""
    body = (through / (4 * OPEN_FIELD)).clamp(0, 1)
    sigma = width * max(response.shape[-2:])
    swell = broadly(response * body, sigma) / broadly(body, sigma).clamp(min=1e-3)
    mean = (response * body).sum((1, 2, 3), keepdim=True) / body.sum((1, 2, 3), keepdim=True).clamp(min=1)
    return response - strength * body * (swell - mean)


def _body_quantiles(flat: Pictures, through: Pictures, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Two quantiles of the thick of each body, some thousand pixels of it."""
    ends, step = [], max(1, min(flat.shape[-2:]) // 64)
    few, depths = flat[..., ::step, ::step], through[..., ::step, ::step]
    for one, depth, quantiles in zip(few, depths, torch.cat([low, high], 1)[..., 0, 0]):
        body = depth > max(OPEN_FIELD, THICK * float(torch.quantile(depth, 0.9)))
        ends.append(torch.quantile(one[body] if bool(body.any()) else one.flatten(), quantiles))
    bottom, top = torch.stack(ends)[..., None, None, None].unbind(1)
    return bottom, top


def _neighbours(pixels: int, tiles: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each pixel the tiles whose middles are before and after it, and how far it is from the first."""
    at = ((torch.arange(pixels) + 0.5) * tiles / pixels - 0.5).clamp(0, tiles - 1)
    first = at.long().clamp(max=max(tiles - 2, 0))
    return first, (first + 1).clamp(max=tiles - 1), at - first
