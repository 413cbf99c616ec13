"""The hip bone: an iliac plate, a pubic plate, an acetabulum between them, and five of its landmarks."""

from collections.abc import Mapping
from functools import cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from skiagraph.bodies.pelvis import HIP_CENTER, Pelvis, Placed, mirrored, ramp
from skiagraph.bodies.readings import FORAMEN, FRONT_GAUGE, FRONT_OUTLINE, SIDE_GAUGE, SIDE_OUTLINE
from skiagraph.bodies.skeleton import Balls, Bone, Plate, curve

SIDE = Plate(SIDE_OUTLINE, (), SIDE_GAUGE)
"""Ilium, acetabulum and ischium: u = y, v = z, w = x."""
FRONT = Plate(FRONT_OUTLINE, (FORAMEN,), FRONT_GAUGE)
"""Pubis and ischial ramus: u = x, v = z, w = y."""

SUPERIOR_RAMUS = ((8, -43, -16, 4.5), (22, -38, -11, 4.5), (38, -29, -5, 5.0), (52, -20, 3, 7.0), (62, -8, 12, 9.0))
ARCUATE_LINE = ((50, -22, 2, 2.5), (56, -12, 12, 3.0), (60, 4, 24, 3.0), (61, 20, 36, 3.0), (60, 34, 52, 3.0))
ISCHIAL_SPINE = ((64, 43, 8, 6.5), (59, 49, 5, 4.5), (52, 55, 2, 2.8), (45, 60, 0, 1.5))
ANTERIOR_INFERIOR_SPINE = ((94, -18, 36, 6.0), (94, -27, 40, 5.0), (93, -31, 38, 3.5))
RIDGES = (SUPERIOR_RAMUS, ARCUATE_LINE, ISCHIAL_SPINE, ANTERIOR_INFERIOR_SPINE)
"""Thickenings of the left hip bone that two plates do not show: (x, y, z, radius)."""

INLET = (
    (8, -47, -13, 1),
    (22, -41, -7, 1),
    (38, -31, 0, 1),
    (50, -22, 6, 1),
    (55, -10, 14, 1),
    (58, 6, 26, 1),
    (58, 22, 40, 1),
    (54, 36, 54, 1),
)
"""The iliopectineal and arcuate lines."""

FOSSA = ((80.0, 4.0, -8.0, 20.0), (86.0, 0.0, -16.0, 19.0))
"""The acetabular fossa and notch, deeper than the cup: (x, y, z, radius)."""
OBTURATOR_GROOVE = ((46, -26, -19, 4.0), (54, -14, -19, 6.0), (62, -2, -21, 7.0))
"""Under the superior ramus, where the obturator vessels leave."""


@cache
def skeleton() -> Balls:
    """The average left hip bone."""
    y, z, x, side_radius = SIDE.balls().T
    iliac = Balls(np.stack([x, y, z], -1), side_radius)
    x, z, y, front_radius = FRONT.balls().T
    pubic = Balls(np.stack([x, y, z], -1), front_radius)
    ridges = [curve(ridge) for ridge in RIDGES]
    return Balls(
        np.concatenate([part.centers for part in (iliac, pubic, *ridges)]),
        np.concatenate([part.radii for part in (iliac, pubic, *ridges)]),
    )


@cache
def average_landmarks() -> Mapping[str, Float[ndarray, "3"]]:
    """The landmarks of the average left hip bone, from the corners of its plates."""

    def on_side(u: float, v: float) -> Float[ndarray, "3"]:
        return np.array([SIDE.middle(np.array([[u, v]]))[0], u, v])

    def on_front(u: float, v: float) -> Float[ndarray, "3"]:
        return np.array([u, FRONT.middle(np.array([[u, v]]))[0], v])

    notch = SIDE_OUTLINE[(SIDE_OUTLINE[:, 1] > 20) & (SIDE_OUTLINE[:, 1] < 60) & (SIDE_OUTLINE[:, 0] > 0)]
    level = abs(np.diff(notch[:, 1])).argmin()
    face = FRONT_OUTLINE[FRONT_OUTLINE[:, 0] < 5]
    return {
        "greater_sciatic_notch": on_side(*notch[level : level + 2].mean(0)),
        "anterior_superior_iliac_spine": on_side(*SIDE_OUTLINE[SIDE_OUTLINE[:, 0].argmin()]),
        "inferior_obturator_foramen": on_front(*FORAMEN[FORAMEN[:, 1].argmin()]),
        "medial_obturator_foramen": on_front(*FORAMEN[FORAMEN[:, 0].argmin()]),
        "superior_pubic_symphysis": on_front(*face[face[:, 1].argmax()]),
        "inferior_pubic_symphysis": on_front(*face[face[:, 1].argmin()]),
    }


def cortex(pelvis: Placed, side: str, points: Float[ndarray, "n 3"]) -> Float[ndarray, "n"]:
    """Millimetres of compact bone: thin on the wing, thick along the pelvic inlet and over the head."""
    size = pelvis.person.size
    center = pelvis.place(mirrored(np.array([HIP_CENTER]), side))[0]
    above = (points - center) @ pelvis.turn / size
    radius = np.linalg.norm(above, axis=-1)
    thickness = 0.9 + 0.6 * ramp(60 - above[:, 2], 0, 30)
    roof = ramp(above[:, 2] / radius, 0.55, 0.85) * (1 - ramp(radius, 30, 34))
    inlet = Balls(pelvis.place(mirrored(curve(INLET).centers, side)), curve(INLET).radii)
    rim = 1 - ramp(inlet.distance(points, 12.0), 2, 9)
    return size * (thickness + 1.0 * roof + 1.0 * rim)


def hip_bone(pelvis: Pelvis, side: str) -> Bone:
    """This person's hip bone of a side, with the cup cut out."""
    size = pelvis.person.size
    average = skeleton()
    body = Balls(pelvis.place(mirrored(average.centers, side)), average.radii * size)
    center = pelvis.place(mirrored(np.array([HIP_CENTER]), side))
    cup = Balls(center, np.array([pelvis.cup_radius(side)]))
    groove, fossa = curve(OBTURATOR_GROOVE), np.array(FOSSA)
    hollow = Balls(
        pelvis.place(mirrored(np.r_[fossa[:, :3], groove.centers], side)), np.r_[fossa[:, 3], groove.radii] * size
    )
    return Bone((body,), (cup, hollow))


def hip_landmarks(pelvis: Pelvis, side: str) -> dict[str, Float[ndarray, "3"]]:
    """This person's landmarks of a side, head centre included."""
    points = {"femoral_head": np.array(HIP_CENTER), **average_landmarks()}
    placed = pelvis.place(mirrored(np.stack(list(points.values())), side))
    return {f"{side}_{name}": point for name, point in zip(points, placed)}
