"""What can be asked of a generated body, and what a body that is there answers.

Answers are measured, so that any labelled CT can be learned from; sex alone is known of who says it.
"""

import math
from dataclasses import dataclass, fields
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from skiagraph.errors import DataError
from skiagraph.generate.frame import Frame, Framed
from skiagraph.io.patient import SKIN_HU
from skiagraph.planning import HEADS, PelvicFrame

RANGES: dict[str, tuple[float, float]] = {
    "tilt": (-15.0, 25.0),
    "head_distance": (140.0, 210.0),
    "bone": (200.0, 700.0),
    "girth": (600.0, 1300.0),
}
"""The least and the most that may be asked for."""


@dataclass(frozen=True)
class Traits:
    """Of one body; None is whatever comes."""

    sex: Literal["female", "male"] | None = None
    tilt: float | None = None
    """Degrees by which the iliac spines lie in front of the symphysis."""
    head_distance: float | None = None
    """Millimetres between the centres of the femoral heads: the body's size."""
    bone: float | None = None
    """Mean HU of both hip bones, marrow and all: bone density."""
    girth: float | None = None
    """Millimetres around the body at the height of the femoral heads."""

    def __post_init__(self) -> None:
        if self.sex not in (None, "female", "male"):
            raise DataError(f"sex is {self.sex!r}; give 'female' or 'male'")
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise DataError(f"{name} is {value:g}; give {low:g} to {high:g}")

    @property
    def numbers(self) -> Float[Tensor, "t"]:
        """As a network takes them: -1...1 each, 0 where unknown, then for each whether it is known."""
        values, known = [], []
        for field in fields(self):
            value = getattr(self, field.name)
            known.append(float(value is not None))
            values.append(0.0 if value is None else _scaled(field.name, value))
        return torch.tensor(values + known)


COUNT = 2 * len(fields(Traits))
"""Numbers of `Traits.numbers`."""


def measured(body: Framed, frame: Frame, sex: Literal["female", "male"] | None = None) -> Traits:
    """The traits of a body; a number beyond its range is given as the range's end."""
    left, right = (body.landmarks[head] for head in HEADS)
    plane = PelvicFrame.if_known(body.landmarks)
    hips = (body.index == 1) | (body.index == 2)
    found = {
        "tilt": None if plane is None else plane.tilt,
        "head_distance": float((left - right).norm()),
        "bone": float(body.hu[hips].mean()) if bool(hips.any()) else None,
        "girth": _girth(body, frame),
    }
    return Traits(sex, **{name: None if value is None else _cut(name, value) for name, value in found.items()})


def _girth(body: Framed, frame: Frame) -> float:
    """Around an ellipse of the body's area and proportions at the height of the heads; Ramanujan 1914."""
    slice_ = round(float(-frame.grid.origin[2]) / frame.spacing)
    inside = body.hu[slice_] > SKIN_HU
    wide, deep = (float(inside.any(dim=axis).sum()) * frame.spacing / 2 for axis in (0, 1))
    if wide == 0 or deep == 0:
        return 0.0
    stretch = math.sqrt(float(inside.sum()) * frame.spacing**2 / (math.pi * wide * deep))
    a, b = wide * stretch, deep * stretch
    return math.pi * (3 * (a + b) - math.sqrt((3 * a + b) * (a + 3 * b)))


def _scaled(name: str, value: float | str) -> float:
    if isinstance(value, str):
        return 1.0 if value == "male" else -1.0
    low, high = RANGES[name]
    return 2 * (value - low) / (high - low) - 1


def _cut(name: str, value: float) -> float:
    low, high = RANGES[name]
    return min(max(value, low), high)
