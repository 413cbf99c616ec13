"""Whether a generated body is a body: its bones in one piece, of human size and density, and where bones belong.

What is human is read off the bodies the generator learned from, with some room. The landmarks come from the pelvis
atlas, which has to explain both hip bones; so a body whose anatomy does not hold together has none, and is drawn anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy import ndimage
from torch import Tensor

from skiagraph.anatomy import STRUCTURE_INDEX, opposite
from skiagraph.bodies.annotation import Annotation, annotate
from skiagraph.errors import DataError
from skiagraph.generate.frame import Frame
from skiagraph.planning import HEADS
from skiagraph.volume import Body, Labels, Landmarks, Volume

ROOM = 0.25
"""By how much of its width a range may be left on either side."""
LOPSIDED = 20.0
"""Millimetres by which a landmark may lie elsewhere than its twin on the other side, in a mirror through the heads;
those of the bodies learned from do by up to 15."""


@dataclass(frozen=True)
class Range:
    """What a quantity was in the bodies learned from: its 1st and 99th centile."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value is within, with room."""
        room = ROOM * (self.high - self.low)
        return self.low - room <= value <= self.high + room


@dataclass(frozen=True)
class Norm:
    """Of one structure."""

    millilitres: Range
    hu: Range


@dataclass(frozen=True, eq=False)
class Judged:
    """A generated body and what is wrong with it."""

    body: Body
    annotation: Annotation | None
    wrong: tuple[str, ...]


def norms_of(bodies: Sequence[tuple[Float[Tensor, "k j i"], UInt8[Tensor, "k j i"]]], frame: Frame) -> dict[str, Norm]:
    """Volume and mean HU of each structure over bodies of HU and structures."""
    norms = {}
    tidied = [(hu, tidy(index)) for hu, index in bodies]
    for number, name in STRUCTURE_INDEX.items():
        inside = [hu[index == number] for hu, index in tidied]
        sizes = [len(one) * frame.spacing**3 / 1000 for one in inside]
        means = [float(one.mean()) for one in inside if len(one)]
        if means:
            norms[name] = Norm(_range(sizes), _range(means))
    return norms


def judged(
    hu: Float[Tensor, "k j i"], index: UInt8[Tensor, "k j i"], frame: Frame, norms: Mapping[str, Norm]
) -> Judged:
    """The body that a generator's answer is, cleaned of specks and annotated, and all that speaks against it."""
    index = tidy(index)
    labels = Labels(index, frame.grid, dict(STRUCTURE_INDEX))
    wrong = []
    for number, name in STRUCTURE_INDEX.items():
        if name not in norms:
            continue
        inside = hu[index == number]
        size = len(inside) * frame.spacing**3 / 1000
        if not norms[name].millilitres.holds(size):
            wrong.append(f"{name} of {size:.0f} ml")
        elif len(inside) and not norms[name].hu.holds(float(inside.mean())):
            wrong.append(f"{name} of {float(inside.mean()):.0f} HU")
    annotation, landmarks = None, Landmarks.of({})
    try:
        annotation = annotate(labels)
        landmarks = annotation.supported
    except DataError as error:
        wrong.append(str(error).split(";")[0])
    if annotation is not None:
        wrong += lopsided(annotation.landmarks)
    return Judged(Body(Volume(hu, frame.grid), labels, landmarks), annotation, tuple(wrong))


def tidy(index: UInt8[Tensor, "k j i"]) -> UInt8[Tensor, "k j i"]:
    """Labels without specks: of each structure the largest piece, of the vertebrae those a tenth as large too."""
    kept = torch.zeros_like(index)
    for number, name in STRUCTURE_INDEX.items():
        pieces, count = ndimage.label((index == number).numpy())
        if not count:
            continue
        sizes = np.bincount(pieces.ravel())[1:]
        least = sizes.max() * (0.1 if name == "vertebrae" else 1.0)
        kept[torch.from_numpy(np.isin(pieces, 1 + np.flatnonzero(sizes >= least)))] = number
    return kept


def lopsided(landmarks: Landmarks) -> list[str]:
    """Landmarks far from where their twins say, in the mirror midway between the femoral heads."""
    left, right = (landmarks[head] for head in HEADS)
    middle, across = (left + right) / 2, (left - right) / (left - right).norm()
    found = []
    for name in landmarks.names:
        if name.startswith("left_"):
            gap = landmarks[name] - middle
            reflected = middle + gap - 2 * (gap @ across) * across
            off = float((reflected - landmarks[opposite(name)]).norm())
            if off > LOPSIDED:
                found.append(f"{name.removeprefix('left_')} {off:.0f} mm lopsided")
    return found


def _range(values: Sequence[float]) -> Range:
    low, high = np.quantile(values, [0.01, 0.99])
    return Range(float(low), float(high))
