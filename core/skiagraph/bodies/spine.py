"""The sacrum, the coccyx and the lumbar vertebrae."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from skiagraph.bodies.pelvis import Placed
from skiagraph.bodies.person import Person
from skiagraph.bodies.skeleton import Balls, Bone, Drum, curve, ribbon, together
from skiagraph.geometry import rotation

ENDPLATE = (0.0, 22.0, 105.0)
"""Middle of the first sacral endplate in the frame of the anterior pelvic plane."""
ENDPLATE_SLOPE = 38.0
"""Degrees the endplate leans forward."""


@dataclass(frozen=True)
class Level:
    """A sacral body."""

    top: tuple[float, float]
    bottom: tuple[float, float]
    """(y, z) of the middles of its two ends."""
    half_width: float
    half_depth: float


SACRAL = (
    Level((22, 105), (43.5, 91), 25, 13.5),
    Level((44.5, 90.5), (60, 78), 20, 10.5),
    Level((61, 77), (77, 63), 17, 8),
    Level((78, 62), (87, 47), 14, 6.5),
    Level((87.5, 46), (89, 30), 11, 5.5),
    Level((89, 27), (86, 17), 8, 4.5),
    Level((85.5, 16), (80, 8), 6, 4),
    Level((79, 7), (73, 1), 4.5, 3.5),
)
"""S1 to S5 and three coccygeal segments."""

# The left half of what is beside the bodies, (x, y, z, radius).
ALA = (
    (
        ((20, 26, 102, 9), (34, 32, 104, 10), (44, 37, 105, 9), (51, 40, 104, 6)),
        ((20, 40, 92, 8), (34, 40, 92, 10), (46, 40, 92, 9), (53, 38, 91, 6)),
    ),
    (
        (
            *((34, 42, 108, 10), (40, 46, 100, 11), (40, 54, 90, 12), (36, 64, 80, 11)),
            *((30, 75, 68, 8), (23, 83, 58, 6.5), (18, 89, 45, 5), (12, 91, 36, 4), (8, 90, 30, 4)),
        ),
        (
            *((46, 42, 106, 9), (50, 44, 97, 8), (48, 50, 86, 9), (43, 62, 76, 8)),
            *((36, 71, 66, 6.0), (29.5, 80, 56, 5), (26, 87, 44, 4), (21, 91, 36, 3.5), (12, 90, 27, 3)),
        ),
    ),
    (
        ((16, 56, 86, 6), (12, 72, 72, 5), (10, 85, 58, 4), (8, 91, 45, 3)),
        ((36, 58, 88, 8), (32, 72, 73, 7), (26, 80, 61, 5), (17, 88, 46, 4)),
    ),
)
"""Sheets: the wing over S1, the lateral mass from S1 to S5, the bars between the foramina."""
SACRAL_JOINT = ((24, 42, 110, 6.0), (25, 47, 118, 6.0), (25, 49, 124, 4.0))
SACRAL_LAMINA = (
    ((20, 58, 104, 4), (20, 68, 92, 4), (17, 78, 82, 4), (13, 90, 68, 3), (10, 96, 54, 2.5)),
    ((2, 72, 108, 4), (2, 82, 95, 4), (2, 90, 84, 4), (2, 98, 69, 3), (2, 100, 56, 2.5)),
)
SACRAL_CREST = ((0, 80, 104, 3.0), (0, 90, 94, 3.5), (0, 97, 80, 3.0), (0, 101, 68, 2.5))
FORAMINA = (
    ((21, 62, 97, 5.5), (25, 51, 90, 6.5), (29, 40, 84, 8.5)),
    ((18, 77, 83, 5.0), (21, 66, 76, 6.0), (25, 56, 69, 7.5)),
    ((15, 89, 67, 4.3), (17.5, 79, 62, 5.2), (21, 69, 56, 6.5)),
    ((12, 97, 51, 3.7), (14, 88, 48, 4.2), (17, 79, 44, 5.5)),
)
"""Left foramina from the sacral canal to the front, widening."""
SACRAL_CANAL = ((0, 46, 116, 9.0), (0, 62, 98, 7.5), (0, 78, 80, 5.5), (0, 90, 64, 4.0))

LOWER_ALA = (
    ((25, 82, 62, 6.0), (22, 84, 57, 6.0), (18, 89, 45, 5), (12, 91, 36, 4), (8, 90, 30, 4)),
    ((31, 79, 61, 4.0), (29, 80.5, 56, 4.0), (26, 87, 44, 4), (21, 91, 36, 3.5), (12, 90, 27, 3)),
)
"""The sheet of the lateral mass below S3."""
LOWER_SACRUM = (79.0, 62.0)
"""(y, z) where S3 ends; below it the sacrum has no label."""


@dataclass(frozen=True)
class Lumbar:
    """A lumbar vertebra and the disc below it."""

    disc: float
    """Millimetres, in the middle."""
    wedge: float
    """Degrees between the endplates of disc and body."""
    height: float
    half_width: float
    half_depth: float
    reach: float
    """Millimetres from the midline to the tip of a transverse process."""
    stout: float
    """Radius of the transverse process."""


LUMBAR = (
    Lumbar(disc=8, wedge=20, height=27, half_width=28, half_depth=18, reach=43, stout=5.5),
    Lumbar(disc=11, wedge=13, height=27.5, half_width=27, half_depth=18, reach=42, stout=3.3),
    Lumbar(disc=11, wedge=10, height=27.5, half_width=25.5, half_depth=17.5, reach=48, stout=3.2),
    Lumbar(disc=10, wedge=8, height=27, half_width=24.5, half_depth=17, reach=45, stout=3.2),
    Lumbar(disc=8, wedge=6, height=26, half_width=23, half_depth=16.5, reach=40, stout=3.0),
)
"""L5 to L1."""


def sacrum(pelvis: Placed) -> Bone:
    """This person's sacrum and coccyx."""
    size = pelvis.person.size
    bodies = tuple(_sacral_body(pelvis, level) for level in SACRAL)
    left = together(*(ribbon(*sheet) for sheet in ALA), curve(SACRAL_JOINT), ribbon(*SACRAL_LAMINA))
    both = together(left, _flipped(left), curve(SACRAL_CREST)).placed(pelvis.place, size)
    foramina = together(*(curve(one) for one in FORAMINA))
    holes = together(foramina, _flipped(foramina), curve(SACRAL_CANAL)).placed(pelvis.place, size)
    return Bone((*bodies, both), (holes,), blend=4.0)


def lower_sacrum(pelvis: Placed) -> tuple[tuple[Balls | Drum, ...], Balls]:
    """What continues a sacrum below S3: the parts of S4, S5 and the coccyx, and the last foramina."""
    size = pelvis.person.size
    left = ribbon(*LOWER_ALA)
    beside = together(left, _flipped(left)).placed(pelvis.place, size)
    foramina = curve(FORAMINA[3])
    holes = together(foramina, _flipped(foramina)).placed(pelvis.place, size)
    return (*(_sacral_body(pelvis, level) for level in SACRAL[3:]), beside), holes


def is_upper_sacrum(pelvis: Placed, points: Float[ndarray, "*n 3"]) -> ndarray:
    """Which points of the sacrum belong to S1 to S3."""
    level = pelvis.place(np.array([[0.0, *LOWER_SACRUM], [0.0, *SACRAL[2].top]]))
    return (points - level[0]) @ (level[1] - level[0]) > 0


def vertebrae(pelvis: Placed) -> tuple[Bone, ...]:
    """L5 and those above, standing on the sacrum."""
    return standing_on(pelvis.person, pelvis.place(np.array([ENDPLATE]))[0], ENDPLATE_SLOPE + pelvis.person.tilt)


def standing_on(person: Person, foot: Float[ndarray, "3"], slope: float) -> tuple[Bone, ...]:
    """L5 and those above on an endplate whose middle is at `foot` and which leans forward by `slope` degrees."""
    size = person.size
    lean = -person.obliquity
    bones = []
    for lumbar in LUMBAR:
        bend = lumbar.wedge + person.lordosis / len(LUMBAR)
        lean += person.scoliosis / len(LUMBAR)
        slope -= 0.6 * bend
        up = _spinal_axes(slope + 0.3 * bend, lean)[:, 2]
        foot = foot + up * lumbar.disc * size
        axes = _spinal_axes(slope, lean)
        middle = foot + axes[:, 2] * lumbar.height * size / 2
        bones.append(_vertebra(lumbar, middle, axes, size))
        foot = foot + axes[:, 2] * lumbar.height * size
        slope -= 0.4 * bend
    return tuple(bones)


def _vertebra(lumbar: Lumbar, middle: Float[ndarray, "3"], axes: Float[ndarray, "3 3"], size: float) -> Bone:
    a, b, h = lumbar.half_width, lumbar.half_depth, lumbar.height / 2
    body = Drum(middle, axes, size * np.array([a, b, h]), 3.0 * size)
    pedicle = ribbon(
        ((13, b - 6, 7, 4.8), (15, b + 4, 7, 4.2), (16, b + 11, 6, 4.5)),
        ((14, b - 6, 3, 4.8), (15, b + 4, 3.5, 4.0), (16, b + 11, 2, 4.5)),
    )
    tip, stout = lumbar.reach, lumbar.stout
    transverse = curve(((17, b + 8, 5, stout + 1), (0.6 * tip, b + 10, 6, stout), (tip, b + 13, 11, 0.7 * stout)))
    superior = curve(((17, b + 10, 6, 5.0), (19, b + 12, 14, 4.8), (20, b + 12, 20, 3.8)))
    inferior = curve(((16, b + 12, 2, 5.0), (14, b + 17, -8, 5.0), (14, b + 19, -18, 4.8), (14, b + 19, -23, 3.5)))
    lamina = ribbon(((15, b + 14, 3, 3.5), (2, b + 26, 0, 3.5)), ((14, b + 17, -10, 3.5), (2, b + 28, -12, 3.5)))
    half = together(pedicle, transverse, superior, inferior, lamina)
    spinous = ribbon(
        ((0, b + 26, -2, 2.5), (1, b + 38, -5, 3.0), (-0.5, b + 50, -9, 4.0)),
        ((0, b + 28, -12, 2.5), (-1, b + 38, -16, 3.0), (0.5, b + 50, -20, 5.0)),
    )

    def place(points: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        return middle + size * points @ axes.T

    return Bone((body, together(half, _flipped(half), spinous).placed(place, size)), blend=3.0)


def _sacral_body(pelvis: Placed, level: Level) -> Drum:
    size = pelvis.person.size
    top, bottom = pelvis.place(np.array([[0.0, *level.top], [0.0, *level.bottom]]))
    up = (top - bottom) / np.linalg.norm(top - bottom)
    left = pelvis.turn[:, 0]
    axes = np.stack([left, np.cross(up, left), up], -1)
    half = np.array([level.half_width * size, level.half_depth * size, np.linalg.norm(top - bottom) / 2 + 0.3])
    return Drum((top + bottom) / 2, axes, half, waist=1.5 * size)


def _spinal_axes(slope: float, lean: float) -> Float[ndarray, "3 3"]:
    """Left, back and up of a vertebra whose top leans forward and to the left."""
    return (rotation("y", lean) @ rotation("x", slope)).numpy()


def _flipped(balls: Balls) -> Balls:
    return Balls(balls.centers * np.array([-1.0, 1.0, 1.0]), balls.radii)
