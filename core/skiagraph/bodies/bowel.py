"""What is in the bowel: gas and stool, haustrum by haustrum along the colon, and some gas in the small bowel.

Everything is balls, so that it is as sharp as the lattice it is drawn on. The courses and shares are ours, drawn by
eye from radiographs. Millimetres about an average person, zero midway between the femoral heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skiagraph.bodies.skeleton import Balls, curve, together

RECTUM = ((8, 20, 62, 14), (2, 44, 52, 15), (0, 58, 30, 18), (0, 56, 6, 16), (0, 44, -22, 9))
COLON = (
    ((-92, -18, 92, 19), (-100, -14, 140, 23), (-104, -10, 200, 22), (-100, -6, 300, 21)),
    (
        *((104, 0, 300, 16), (106, -8, 210, 17), (108, -4, 140, 16), (88, -12, 92, 15)),
        *((58, -6, 76, 15), (24, 10, 84, 15), (8, 20, 62, 15)),
    ),
    ((-60, -50, 190, 16), (-30, -54, 165, 15), (0, -56, 150, 15), (30, -54, 160, 15), (62, -50, 196, 16)),
)
"""Caecum, descending colon with sigmoid, and the transverse colon: (x, y, z, radius)."""
JITTER = 9.0
"""Millimetres, standard deviation: how far the knots of a course stray."""
HAUSTRUM = (16.0, 30.0)
"""Millimetres of bowel between two folds."""
SMALL = (0, 7)
"""Loops of small bowel with gas in them, at least and fewer than."""


@dataclass(frozen=True, eq=False)
class Contents:
    """What is in a bowel: each a cloud of balls, empty where nothing is."""

    gas: Balls
    stool: Balls
    bubbles: Balls
    """Gas in the stool."""

    @classmethod
    def drawn(cls, rng: np.random.Generator, size: float) -> "Contents":
        """The contents of a bowel of somebody so many times as large as the average."""
        gassy, full = rng.uniform(0.1, 0.55), rng.uniform(0.1, 0.7)
        gas, stool, bubbles = [NOTHING], [NOTHING], [NOTHING]
        for course in (RECTUM, *COLON):
            for haustrum in _haustra(_strayed(course, rng), rng):
                drawn = rng.random()
                if drawn < gassy:
                    gas.append(_gas(haustrum, rng))
                elif drawn < gassy + (1 - gassy) * full:
                    stool.append(haustrum)
                    bubbles.append(_bubbles(haustrum, rng))
        gas += [_loop(rng) for _ in range(rng.integers(*SMALL))]
        return cls(*(_scaled(together(*balls), size) for balls in (gas, stool, bubbles)))


NOTHING = Balls(np.zeros((0, 3)), np.zeros(0))


def _strayed(course: Sequence[Sequence[float]], rng: np.random.Generator) -> Balls:
    knots = np.array(course, dtype=float)
    knots[:-1, :3] += JITTER * rng.standard_normal((len(knots) - 1, 3)) * (1.0, 0.6, 1.0)
    knots[:, 3] *= rng.uniform(0.75, 1.3) * rng.uniform(0.85, 1.15, len(knots))
    return curve(knots.tolist())


def _haustra(course: Balls, rng: np.random.Generator) -> list[Balls]:
    """A course cut at its folds, each piece the balls between two of them and narrower at both ends."""
    step = np.linalg.norm(np.diff(course.centers, axis=0), axis=1).mean()
    pieces, first = [], 0
    while first < len(course.radii) - 4:
        last = min(first + int(rng.uniform(*HAUSTRUM) / step), len(course.radii))
        along = np.linspace(-1, 1, last - first)
        pieces.append(Balls(course.centers[first:last], course.radii[first:last] * (1 - 0.45 * along**4)))
        first = last
    return pieces


def _gas(haustrum: Balls, rng: np.random.Generator) -> Balls:
    """Gas that fills most of a haustrum, risen to its front, and its sacculations."""
    lumen = haustrum.radii[:, None]
    share = rng.uniform(0.55, 0.95)
    risen = haustrum.centers - np.array([0.0, 1.0, 0.0]) * lumen * (1 - share)
    middle = len(haustrum.radii) // 2
    pouches = rng.integers(1, 4)
    aside = rng.standard_normal((pouches, 3)) * (1, 0.5, 0.7)
    aside = aside / np.linalg.norm(aside, axis=1, keepdims=True)
    out = risen[middle] + aside * lumen[middle] * rng.uniform(0.3, 0.6, (pouches, 1))
    return together(
        Balls(risen, haustrum.radii * share), Balls(out, lumen[middle] * share * rng.uniform(0.5, 0.85, pouches))
    )


def _bubbles(haustrum: Balls, rng: np.random.Generator) -> Balls:
    """The gas that mottles stool."""
    count = int(rng.integers(10, 60))
    within = rng.integers(0, len(haustrum.radii), count)
    aside = rng.standard_normal((count, 3))
    aside *= (rng.random(count) ** 0.5 / np.linalg.norm(aside, axis=1) * haustrum.radii[within])[:, None]
    return Balls(haustrum.centers[within] + 0.9 * aside, np.exp(rng.normal(0.45, 0.4, count)).clip(0.8, 4.0))


def _loop(rng: np.random.Generator) -> Balls:
    """A short bent stretch of small bowel full of gas."""
    start = rng.uniform((-70, -58, 60), (70, -15, 230))
    heading, turn = rng.standard_normal((2, 3)) * (1, 0.3, 0.8)
    steps = np.linspace(0, 1, int(rng.integers(2, 5)))[:, None]
    path = start + rng.uniform(14, 45) * (heading * steps + 0.6 * turn * steps**2)
    radii = rng.uniform(5, 11) * rng.uniform(0.8, 1.1, (len(path), 1))
    return curve(np.c_[path, radii].tolist())


def _scaled(balls: Balls, size: float) -> Balls:
    return Balls(balls.centers * size, balls.radii * size)
