"""Everything about the bones: skin, fat, muscle, bladder, bowel and gas, in Hounsfield units."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.interpolate import PchipInterpolator

from skiagraph.bodies.bowel import Contents
from skiagraph.bodies.femur import Thigh
from skiagraph.bodies.grain import Grain
from skiagraph.bodies.person import Person
from skiagraph.bodies.skeleton import Balls, Bone, Lattice, curve, smooth_min, together

AIR, GAS, FAT, SKIN, MUSCLE, BOWEL, URINE, STOOL = -1000.0, -930.0, -100.0, 10.0, 52.0, 28.0, 8.0, 30.0
"""Hounsfield units."""
SKIN_DEPTH = 2.0
"""Millimetres."""
WALL = 3.0
"""Millimetres of wall between what is in the bowel and what encloses it."""

# The lean trunk by height: (z, half width, front y, back y), millimetres.
TRUNK = (
    (-115, 20, -5, 40),
    (-95, 70, -30, 62),
    (-75, 125, -52, 78),
    (-45, 148, -66, 92),
    (0, 156, -76, 98),
    (50, 154, -82, 102),
    (110, 146, -86, 96),
    (160, 138, -86, 88),
    (300, 130, -86, 84),
)
THIGH = ((2, 8, -10, 62), (-2, 8, -60, 76), (-3, 6, -110, 78), (-3, 4, -170, 72), (-4, 6, -260, 65), (-4, 6, -330, 60))
"""The lean left thigh about its femur: (x, y, z, radius)."""

BUTTOCKS = ((62, 62, 20, 40), (70, 60, -20, 46), (72, 56, -48, 42))
"""The left one: (x, y, z, radius); its lower edge is a fold."""
GENITALS = (
    ((0, -68, -50, 15), (5, -74, -90, 14), (10, -70, -122, 12)),
    ((-13, -44, -92, 17), (-16, -40, -108, 19)),
    ((14, -44, -94, 17), (15, -40, -112, 19)),
)
"""Of a man."""

CAVITY = (((0, -22, 290, 70), (0, -22, 190, 70), (0, -18, 130, 70), (0, 0, 70, 52), (0, 18, 20, 38), (0, 28, -18, 22)),)
"""The abdomen and lesser pelvis inside their walls."""
PSOAS = (
    (34, 36, 290, 12),
    (38, 34, 230, 17),
    (50, 24, 160, 22),
    (66, -5, 90, 21),
    (78, -32, 30, 17),
    (72, -20, -20, 13),
    (56, 8, -50, 9),
)
BLADDER = ((-14, -22, 10, 24), (14, -22, 10, 24))


@dataclass(frozen=True, eq=False)
class Layers:
    """Where the soft tissues are, on a coarse lattice: distances in millimetres, negative inside, and textures."""

    skin: Float[ndarray, "k j i"]
    lean: Float[ndarray, "k j i"]
    """What lies under the fat."""
    fascia: Float[ndarray, "k j i"]
    """The fat between muscles."""
    cavity: Float[ndarray, "k j i"]
    gut: Float[ndarray, "k j i"]
    """Where bowel may lie."""
    bladder: Float[ndarray, "k j i"]
    mottle: Float[ndarray, "k j i"]
    """A texture of unit deviation, fine."""
    loops: Float[ndarray, "k j i"]
    """A texture of unit deviation, coarse."""
    bowel: Contents


def soft_tissue(layers: Layers, lattice: Lattice, first: int, last: int) -> Float[ndarray, "k j i"]:
    """Hounsfield units in the slices from `first` up to `last` of a lattice, as if there were no bones."""
    h = lattice.spacing

    def fine(layer: Float[ndarray, "k j i"]) -> Float[ndarray, "_k _j _i"]:
        return _stretched(layer, lattice.shape, first, last)

    def share(layer: Float[ndarray, "k j i"]) -> Float[ndarray, "_k _j _i"]:
        return np.clip(0.5 - fine(layer) / h, 0, 1)

    mottle = fine(layers.mottle)
    fat = FAT + 6 * mottle
    muscle = _mix(MUSCLE + 5 * mottle, fat, 0.8 * share(layers.fascia))
    hu = _mix(fat, muscle, share(layers.lean))
    hu = _mix(hu, np.clip(-30 + 60 * fine(layers.loops), FAT, BOWEL), share(layers.cavity))
    hu = _mix(hu, np.full_like(hu, URINE), share(layers.bladder))
    slab = Lattice(lattice.origin + np.array([0, 0, first * h]), h, (last - first, *lattice.shape[1:]))
    wall = fine(layers.gut) + WALL
    for balls, inside in (
        (layers.bowel.stool, STOOL + 25 * mottle),
        (layers.bowel.bubbles, np.full_like(hu, GAS)),
        (layers.bowel.gas, np.full_like(hu, GAS)),
    ):
        hu = _mix(hu, inside, np.clip(0.5 - np.maximum(_ball_distance(balls, slab), wall) / h, 0, 1))
    skin = fine(layers.skin)
    hu = _mix(hu, np.full_like(hu, SKIN), np.clip(0.5 + (skin + SKIN_DEPTH) / h, 0, 1))
    return _mix(hu, np.full_like(hu, AIR), np.clip(0.5 + skin / h, 0, 1))


def layers_of(person: Person, thighs: Sequence[Thigh], coarse: Lattice, rng: torch.Generator) -> Layers:
    """This person's soft tissues."""
    size = person.size
    points = coarse.points(coarse.all).astype(np.float32)
    noise = Grain.drawn(rng)
    mottle, loops = noise.at(points, (4.5, 4.5, 4.5)), noise.at(points + 31.0, (17, 17, 17))
    wobble = noise.at(points + 57.0, (26, 26, 26))
    swell = np.clip(noise.at(points + 71.0, (90, 90, 90)), -1.5, 1.5)

    def part(*curves: Sequence[Sequence[float]]) -> Float[ndarray, "k j i"]:
        return _distance(together(*(curve(one) for one in curves)), coarse, size)

    lean = _trunk(points / size) * size
    for thigh in thighs:
        muscles = thigh_muscles(thigh).distance(points.reshape(-1, 3), FAR).reshape(lean.shape)
        lean = smooth_min(lean, muscles, 30 * size)
        seat = curve(BUTTOCKS if thigh.side == "left" else [(-x, y, z, r) for x, y, z, r in BUTTOCKS])
        lean = smooth_min(lean, _distance(seat, coarse, size, FAR), 5.0)
    lean += 2.0 * swell
    skin = lean - person.fat * (1 + 0.15 * swell)
    if person.sex == "male":
        skin = smooth_min(skin, part(*GENITALS), 4.0)
    psoas = np.minimum(part(PSOAS), part([(-x, y, z, r) for x, y, z, r in PSOAS]))
    cavity = np.maximum(np.maximum(part(*CAVITY) + 3 * wobble, 4 - psoas), lean + 12)
    fascia = np.maximum(np.abs(noise.at(points + 83.0, (24, 24, 70))) * 12 - 1.6, lean + 4)
    bladder = part(BLADDER)
    bowel = Contents.drawn(np.random.default_rng(int(torch.randint(2**31, (), generator=rng))), size)
    return Layers(skin, lean, fascia, cavity, lean + 8, bladder, mottle, loops, bowel)


def thigh_muscles(thigh: Thigh) -> Balls:
    """The lean part of a thigh."""
    return curve(THIGH).placed(thigh.place, thigh.size)


FAR = 90.0
"""Millimetres from muscle beyond which there is air."""


def _trunk(points: Float[ndarray, "*n 3"]) -> Float[ndarray, "*n"]:
    """The lean trunk of an average person: superellipses whose size follows the height."""
    x, y, z = np.moveaxis(points, -1, 0)
    table = np.array(TRUNK)
    width, front, back = PchipInterpolator(table[:, 0], table[:, 1:])(np.clip(z[:, 0, 0], *table[[0, -1], 0])).T
    across = (x / width[:, None, None]) ** 2
    y = y - ((front + back) / 2)[:, None, None]
    deep = np.abs(y / ((back - front) / 2)[:, None, None])
    r = (across**1.25 + deep**2.5) ** 0.4
    gap = (r - 1) * np.minimum(width, (back - front) / 2)[:, None, None]
    return np.maximum(gap, table[0, 0] - z).astype(np.float32)


def _distance(balls: Balls, coarse: Lattice, size: float, margin: float = 20.0) -> Float[ndarray, "k j i"]:
    out = np.full(coarse.shape, FAR, dtype=np.float32)
    placed = Balls(balls.centers * size, balls.radii * size)
    where = coarse.slices(placed.box(), margin)
    points = coarse.points(where)
    out[where] = placed.distance(points.reshape(-1, 3), FAR).reshape(points.shape[:-1])
    return out


def _ball_distance(balls: Balls, slab: Lattice) -> Float[ndarray, "k j i"]:
    """Millimetres to the envelope of balls as far as a voxel or two, negative inside."""
    reach = 3 * slab.spacing
    out = np.full(slab.shape, reach, dtype=np.float32)
    if len(balls.radii):
        where, field = Bone((balls,)).sampled(slab, reach)
        out[where] = field
    return out


def _mix(a: Float[ndarray, "*n"], b: Float[ndarray, "*n"], share: Float[ndarray, "*n"]) -> Float[ndarray, "*n"]:
    return a + (b - a) * share


def _stretched(
    layer: Float[ndarray, "k j i"], shape: tuple[int, int, int], first: int, last: int
) -> Float[ndarray, "_k _j _i"]:
    """Slices of a coarse layer, interpolated to the fine lattice that shares its corners."""
    for axis, (coarse, fine) in enumerate(zip(layer.shape, shape)):
        if coarse == fine and axis:
            continue
        position = np.linspace(0, coarse - 1, fine)[slice(first, last) if axis == 0 else slice(None)]
        low = np.minimum(position.astype(int), coarse - 2)
        share = (position - low).astype(np.float32).reshape([-1 if other == axis else 1 for other in range(3)])
        below = np.take(layer, low, axis)
        layer = below + (np.take(layer, low + 1, axis) - below) * share
    return layer
