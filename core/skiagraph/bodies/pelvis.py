"""How a person's pelvis differs from the average one, and where it lies: the same map for bones and landmarks."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from skiagraph.bodies.person import Person
from skiagraph.geometry import rotation


@dataclass(frozen=True)
class Sex:
    """What differs between the sexes, about the average of both."""

    width: float
    """Millimetres each half is wider."""
    flare: float
    """Degrees the wings lean further out."""
    arch: float
    """Degrees each side of the subpubic arch is wider."""
    height: float
    """Share by which the ilium is taller."""
    cup: float
    """Radius of the acetabulum in millimetres."""


SEXES = {
    "female": Sex(width=2.0, flare=1.5, arch=5.0, height=-0.02, cup=24.8),
    "male": Sex(width=-2.0, flare=-1.5, arch=-5.0, height=0.02, cup=26.2),
}

HIP_CENTER = (87.8, 0.0, 0.0)
"""The left femoral head in the frame of the anterior pelvic plane."""


LANDMARK_TILT = 5.57
"""Degrees by which the plane of the spines and the upper symphysis leans forward of that of spines and tubercles.

Readings are in the latter's frame; a person's tilt, like everybody's, is measured on the former's landmarks."""


@runtime_checkable
class Placed(Protocol):
    """A pelvis on the table, of whatever make: where the like of every point of the average one is."""

    @property
    def person(self) -> Person:
        """Whose it is."""
        ...

    @property
    def turn(self) -> Float[ndarray, "3 3"]:
        """How the frame of the average pelvis is turned."""
        ...

    def cup_radius(self, side: str) -> float:
        """Millimetres from the centre of an acetabulum to its surface."""
        ...

    def place(self, points: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """Points of the average pelvis, left or right, in the world."""
        ...


@dataclass(frozen=True)
class Pelvis:
    """The map from the average pelvis (anterior pelvic plane) to this person's, lying on the table."""

    person: Person

    @property
    def turn(self) -> Float[ndarray, "3 3"]:
        """How the pelvis is turned on the table."""
        return (rotation("y", -self.person.obliquity) @ rotation("x", self.person.tilt - LANDMARK_TILT)).numpy()

    def cup_radius(self, side: str) -> float:
        """Millimetres."""
        return SEXES[self.person.sex].cup * self.person.size * (1 + self._larger(side))

    def _larger(self, side: str) -> float:
        return 0.02 * self.person.asymmetry * (1 if side == "left" else -1)

    def place(self, points: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """Points of the average pelvis, left or right, in the world."""
        return self.shape(points) @ self.turn.T

    def shape(self, points: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """Points of the average pelvis in this person's, still in the anterior pelvic plane's frame."""
        person, sex = self.person, SEXES[self.person.sex]
        x, y, z = points.T
        side = np.where(x < 0, -1.0, 1.0)
        x = np.abs(x)
        off_midline = ramp(x, 2, 15)
        lateral = ramp(x, 60, 100)
        one_sided = person.asymmetry * side * ramp(x, 25, 60)
        wider = (sex.width + person.width + 1.5 * one_sided) * ramp(x, 5, 60)
        arch = np.tan(np.radians(sex.arch)) * np.maximum(-20 - z, 0) * off_midline
        lean = np.tan(np.radians(sex.flare + person.flare + 2 * one_sided)) * np.maximum(z - 30, 0) * lateral
        taller = 1 + (sex.height + 0.025 * one_sided) * ramp(z, 0, 40)
        shaped = np.stack([side * (x + wider + arch + lean), y, z * taller], -1)
        return person.size * shaped


def ramp(x: Float[ndarray, "*n"], low: float, high: float) -> Float[ndarray, "*n"]:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mirrored(points: Float[ndarray, "n 3"], side: str) -> Float[ndarray, "n 3"]:
    """Points of a left bone as those of the bone of a side."""
    return points if side == "left" else points * np.array([-1.0, 1.0, 1.0])
