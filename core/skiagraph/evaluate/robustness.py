"""How much worse a detector gets as pictures do: one change at a time, at growing levels."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from skiagraph.detect.averaged import Look
from skiagraph.detect.detector import Findings
from skiagraph.errors import DataError
from skiagraph.evaluate.cases import Known
from skiagraph.evaluate.landmarks import Case, Table
from skiagraph.physics.blur import blur
from skiagraph.volume import Keypoints

DEPTH = 4.0
"""Minus the logarithm of the transmission that a picture's brightest grey stands for, when it is exposed anew."""

Change = Callable[[Known, torch.Generator], Known]
"""A picture over 0...1, bone bright, and its truth, changed."""


@dataclass(frozen=True)
class Exposed:
    """Taken anew with so many photons a pixel where nothing is in the way."""

    photons: float

    def __call__(self, known: Known, rng: torch.Generator) -> Known:
        """The picture as minus the logarithm of counts."""
        counts = torch.poisson(self.photons * torch.exp(-DEPTH * known.picture), generator=rng).clamp(min=0.5)
        return replace(known, picture=-(counts / self.photons).log() / DEPTH)


@dataclass(frozen=True)
class Gamma:
    """Greys to a power."""

    power: float

    def __call__(self, known: Known, rng: torch.Generator) -> Known:
        """Darker above 1, brighter below."""
        return replace(known, picture=known.picture**self.power)


@dataclass(frozen=True)
class Window:
    """Contrast about the median, times a factor; what leaves 0...1 is cut off."""

    factor: float

    def __call__(self, known: Known, rng: torch.Generator) -> Known:
        """Steeper above 1."""
        middle = known.picture.median()
        return replace(known, picture=(middle + self.factor * (known.picture - middle)).clamp(0, 1))


@dataclass(frozen=True)
class Blurred:
    """A Gaussian blur."""

    share: float
    """Its standard deviation as a part of the longer side."""

    def __call__(self, known: Known, rng: torch.Generator) -> Known:
        """The picture out of focus."""
        sigma = self.share * max(known.picture.shape)
        return replace(known, picture=blur(known.picture, sigma, sigma))


@dataclass(frozen=True)
class Inverted:
    """Bone dark."""

    def __call__(self, known: Known, rng: torch.Generator) -> Known:
        """The negative."""
        return replace(known, picture=1 - known.picture)


@dataclass(frozen=True)
class Put:
    """Turned, scaled or moved."""

    look: Look

    def __call__(self, known: Known, rng: torch.Generator) -> Known:
        """The picture put so, its truth along; masks are dropped."""
        size = (known.picture.shape[0], known.picture.shape[1])
        uv = self.look.onto(known.truth.uv, size)
        picture = self.look.put(known.picture[None])[0]
        return _moved(replace(known, millimetres=known.millimetres / self.look.scale), picture, uv)


@dataclass(frozen=True)
class Cropped:
    """Less of it, from every side."""

    share: float
    """Of each side, cut off at both its ends."""

    def __call__(self, known: Known, rng: torch.Generator) -> Known:
        """The middle of the picture; masks are dropped."""
        rows, columns = known.picture.shape
        top, left = round(self.share * rows), round(self.share * columns)
        cut = known.picture[top : rows - top, left : columns - left]
        return _moved(known, cut, known.truth.uv - torch.tensor([left, top], dtype=torch.float64))


@dataclass(frozen=True)
class Sweep:
    """One change at growing levels; None leaves the picture as it is."""

    name: str
    unit: str
    steps: tuple[tuple[float, Change | None], ...]


SWEEPS = (
    Sweep("Noise", "photons a pixel",
          ((math.inf, None), *((float(n), Exposed(n)) for n in (10_000, 1_000, 100, 20)))),
    Sweep("Gamma", "power", ((1.0, None), *((g, Gamma(g)) for g in (0.4, 0.6, 1.6, 2.5)))),
    Sweep("Contrast", "factor", ((1.0, None), *((f, Window(f)) for f in (2.0, 4.0, 8.0)))),
    Sweep("Blur", "% of the side", ((0.0, None), *((100 * s, Blurred(s)) for s in (0.0025, 0.005, 0.01, 0.02)))),
    Sweep("Turn", "degrees", ((0.0, None), *((t, Put(Look(turn=t))) for t in (-30.0, -15.0, 15.0, 30.0)))),
    Sweep("Scale", "factor", ((1.0, None), *((s, Put(Look(scale=s))) for s in (0.5, 0.7, 1.3, 1.6)))),
    Sweep("Crop", "% of each side", ((0.0, None), *((100 * s, Cropped(s)) for s in (0.05, 0.1, 0.2, 0.3)))),
    Sweep("Inversion", "bone dark", ((0.0, None), (1.0, Inverted()))),
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A detector's errors at one level of one change."""

    sweep: str
    unit: str
    level: float
    landmarks: int
    """There to be found."""
    mean: float
    """Millimetres."""
    median: float
    within_5: float
    """Share of the landmarks there that were found within 5 mm."""
    recall: float


def swept(
    detector: Callable[[Float[Tensor, "v u"]], Findings],
    pictures: Sequence[Known],
    rng: torch.Generator,
    sweeps: Sequence[Sweep] = SWEEPS,
) -> list[Step]:
    """Every level of every change on the same pictures. Raises DataError if there are none."""
    if not pictures:
        raise DataError("no pictures to change; give some whose landmarks are known")
    unit = [replace(known, picture=_stretched(known.picture)) for known in pictures]
    found = []
    for sweep in sweeps:
        for level, change in sweep.steps:
            changed = unit if change is None else [change(known, rng) for known in unit]
            table = Table.of(
                [Case(one.name, one.subject, one.truth, detector(one.picture), one.millimetres) for one in changed]
            )
            errors = table.all_errors
            mean, median = (float(errors.mean()), float(np.median(errors))) if len(errors) else (math.nan, math.nan)
            found.append(
                Step(sweep.name, sweep.unit, level, len(errors), mean, median, table.within(5.0), table.recall)
            )
    return found


def _moved(known: Known, picture: Float[Tensor, "v u"], uv: Float64[Tensor, "p 2"]) -> Known:
    """Another picture with the truth elsewhere; what is outside now is known to be absent."""
    rows, columns = picture.shape
    inside = ((uv >= -0.5) & (uv <= torch.tensor([columns, rows]) - 0.5)).all(dim=-1)
    nothing = torch.zeros(0, rows, columns, dtype=torch.bool)
    truth = Keypoints(known.truth.names, uv, known.truth.visible & inside)
    return replace(known, picture=picture, truth=truth, masks=nothing, structures=())


def _stretched(picture: Float[Tensor, "v u"]) -> Float[Tensor, "v u"]:
    low, high = picture.min(), picture.max()
    return (picture - low) / (high - low).clamp(min=1e-6)
