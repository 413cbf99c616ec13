"""A person made into a CT with exact labels and landmarks."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray

from skiagraph.anatomy import LANDMARK_NAMES, STRUCTURE_INDEX
from skiagraph.bodies import femur, hip, spine, tissue
from skiagraph.bodies import torso as torso_
from skiagraph.bodies.grain import Grain
from skiagraph.bodies.pelvis import Pelvis, Placed
from skiagraph.bodies.person import RANGES, Person
from skiagraph.bodies.shape import PelvisShape, ShapedPelvis
from skiagraph.bodies.skeleton import Bone, Lattice, Shell
from skiagraph.errors import DataError
from skiagraph.geometry import Grid
from skiagraph.surface import Surface
from skiagraph.volume import Body, Labels, Landmarks, Volume

FINEST, COARSEST = 0.5, 6.0
"""Millimetres a voxel."""
REACH = 7.0
"""Millimetres outside a bone to which its distance field is kept."""
GAP = 2.2
"""Millimetres that bones keep from each other: cartilage, disc and ligament."""
SPONGY = 168.0
"""HU of spongy bone about the hip; measured, see models/bone_texture."""
NOISE = 6.0
"""HU, standard deviation, where there is something to scatter in."""
SIDES = ("left", "right")
NUMBER = {name: number for number, name in STRUCTURE_INDEX.items()}

Reading = Callable[[Float[ndarray, "n 3"]], Float[ndarray, "n"]]
"""A quantity that varies through a bone."""
Thighs = Mapping[str, femur.Thigh]
"""By side."""
Carry = Callable[[tissue.Layers, Thighs, Lattice], tissue.Layers]
"""What becomes of the soft tissues before they are drawn."""


@dataclass(frozen=True, eq=False)
class Made:
    """A bone and what it is made of."""

    bone: Bone
    structure: str
    compact: float
    """HU of its cortex."""
    spongy: float | Reading
    """HU within, of trabecular bone or marrow."""
    cortex: float | Reading
    """Millimetres."""


@dataclass(frozen=True, eq=False)
class Rest:
    """What stands between and on the hip bones."""

    sacrum: Bone
    vertebrae: tuple[Bone, ...]


def build(person: Person, spacing: float = 1.5) -> Body:
    """A person's lower torso as a CT, from L1 to the middle of the thighs, with its anatomy and landmarks.

    The world's zero is midway between the femoral heads. Raises DataError if the voxels are too small or too large.
    """
    pelvis = Pelvis(person)
    hips = {side: hip.hip_bone(pelvis, side) for side in SIDES}
    rest = Rest(spine.sacrum(pelvis), spine.vertebrae(pelvis))
    placed = {**hip.hip_landmarks(pelvis, "left"), **hip.hip_landmarks(pelvis, "right")}
    landmarks = Landmarks.of({name: placed[name].tolist() for name in LANDMARK_NAMES})
    return _assembled(pelvis, hips, rest, landmarks, spacing)


def build_around(shape: PelvisShape, person: Person, spacing: float = 1.5, torso: torso_.Torso | None = None) -> Body:
    """A person's lower torso about a pelvis of real anatomy, as `build` makes it about the parametric one.

    The pelvis sets what the person's size, width, flare and asymmetry would. Landmarks lie on its surfaces; the
    sacrum goes on below S3, femora and vertebrae stand on it as they do on the parametric one. Muscles and skin are
    those of a torso if there is one.
    """
    size = min(max(shape.size, RANGES["size"][0]), RANGES["size"][1])
    pelvis = ShapedPelvis(replace(person, size=size), shape)
    surfaces = {name: Surface(pelvis.put(one.vertices), one.faces) for name, one in shape.surfaces.items()}
    hips = {side: Bone((Shell(surfaces[f"{side}_hemipelvis"]),)) for side in SIDES}
    tail, foramina = spine.lower_sacrum(pelvis)
    foot, slope = shape.endplate
    rest = Rest(
        Bone((Shell(surfaces["upper_sacrum"]), *tail), (foramina,), blend=4.0),
        spine.standing_on(pelvis.person, pelvis.put(foot), slope + person.tilt),
    )
    placed = pelvis.put(shape.landmarks.points.numpy())
    landmarks = Landmarks(LANDMARK_NAMES, torch.from_numpy(placed))
    if torso is None:
        return _assembled(pelvis, hips, rest, landmarks, spacing)
    box = torso_.box_of(torso, pelvis)
    carry = partial(_with_torso, torso, pelvis)
    return _assembled(pelvis, hips, rest, landmarks, spacing, box, carry)


def _with_torso(
    torso: torso_.Torso, pelvis: ShapedPelvis, layers: tissue.Layers, thighs: Thighs, coarse: Lattice
) -> tissue.Layers:
    return torso_.carried(layers, torso, pelvis, thighs, coarse)


def _as_they_are(layers: tissue.Layers, thighs: Thighs, coarse: Lattice) -> tissue.Layers:
    return layers


def _assembled(
    pelvis: Placed,
    hips: Mapping[str, Bone],
    rest: Rest,
    landmarks: Landmarks,
    spacing: float,
    box: Float[ndarray, "2 3"] | None = None,
    carry: Carry = _as_they_are,
) -> Body:
    if not FINEST <= spacing <= COARSEST:
        raise DataError(f"voxels of {spacing:g} mm; give {FINEST:g} to {COARSEST:g}")
    person = pelvis.person
    rng = torch.Generator().manual_seed(person.seed)
    thighs = {side: femur.Thigh(pelvis, side) for side in SIDES}
    lattice = _lattice(person, list(thighs.values()), spacing, box)
    hu = _flesh(person, thighs, lattice, rng, carry)
    index = _set_bones(hu, _skeleton(pelvis, thighs, hips, rest), pelvis, lattice, Grain.drawn(rng))
    hu += np.where(hu > -950, np.float32(NOISE), np.float32(0)) * torch.randn(hu.shape, generator=rng).numpy()
    grid = Grid.of(lattice.shape, (spacing,) * 3, lattice.origin.tolist())
    volume = Volume(torch.from_numpy(np.clip(hu, -1000, 3000, out=hu)), grid)
    return Body(volume, Labels(torch.from_numpy(index), grid, STRUCTURE_INDEX), landmarks)


def _set_bones(
    hu: Float[ndarray, "k j i"], skeleton: list[Made], pelvis: Placed, lattice: Lattice, grain: Grain
) -> UInt8[ndarray, "k j i"]:
    """Put the bones into the flesh, in place, and return the number of the structure in every voxel."""
    person, spacing = pelvis.person, lattice.spacing
    index = np.zeros(lattice.shape, dtype=np.uint8)
    outside = np.full(lattice.shape, REACH, dtype=np.float32)
    for made in skeleton:
        where, field = made.bone.sampled(lattice, REACH)
        field = np.where(outside[where] < REACH, np.maximum(field, GAP * person.size - outside[where]), field)
        outside[where] = np.minimum(outside[where], field)
        k, j, i = np.nonzero(field < spacing)
        z, y, x = lattice.axes(where)
        points = np.stack([x[i], y[j], z[k]], -1)
        distance = field[k, j, i]
        block = hu[where]
        block[k, j, i] = _bone_hu(made, points, distance, block[k, j, i], spacing, person.bone_density, grain)
        inside = distance < 0
        if made.structure == "upper_sacrum":
            inside &= spine.is_upper_sacrum(pelvis, points)
        index[where][k[inside], j[inside], i[inside]] = NUMBER[made.structure]
    return index


def _skeleton(pelvis: Placed, thighs: Mapping[str, femur.Thigh], hips: Mapping[str, Bone], rest: Rest) -> list[Made]:
    """Bones in the order in which they claim their place: later ones keep the gap."""
    bones = []
    for side, thigh in thighs.items():
        marrow, cortex = partial(femur.marrow, thigh), partial(femur.cortex, thigh)
        bones.append(Made(femur.femur(thigh), f"{side}_femur", 1400, marrow, cortex))
    for side, bone in hips.items():
        bones.append(Made(bone, f"{side}_hemipelvis", 1350, SPONGY, partial(hip.cortex, pelvis, side)))
    bones.append(Made(rest.sacrum, "upper_sacrum", 1150, SPONGY, 1.2))
    bones.extend(Made(bone, "vertebrae", 1100, 230, 1.0) for bone in rest.vertebrae)
    return bones


def _bone_hu(
    made: Made,
    points: Float[ndarray, "n 3"],
    distance: Float[ndarray, "n"],
    around: Float[ndarray, "n"],
    spacing: float,
    density: float,
    grain: Grain,
) -> Float[ndarray, "n"]:
    """Voxels as the shares of flesh, cortex and spongy bone along the surface's normal mix them."""
    thickness = made.cortex(points) if callable(made.cortex) else made.cortex
    # A voxel is as wide as its spacing along an axis and 1.7 times that along its diagonal.
    spacing = 1.25 * spacing
    bone = np.clip(0.5 - distance / spacing, 0, 1)
    # Age takes from the cortex too, if less than from what is within: the canal widens.
    thickness = np.maximum(thickness * density**0.6 + 0.25 * grain.at(points + 41.0, (5, 5, 5)), 0.4)
    core = np.clip(0.5 - (distance + thickness) / spacing, 0, 1)
    spongy = made.spongy(points) if callable(made.spongy) else made.spongy
    texture = 0.6 * grain.at(points, (1.7, 4.5, 3.0)) + 0.4 * grain.at(points + 17.0, (8, 12, 12))
    spongy = np.where(spongy > 0, density * spongy * (1 + 0.5 * texture), spongy)
    compact = (0.7 + 0.3 * density) * made.compact
    return around * (1 - bone) + compact * (bone - core) + spongy * core


def _lattice(
    person: Person, thighs: list[femur.Thigh], spacing: float, box: Float[ndarray, "2 3"] | None = None
) -> Lattice:
    """Voxels about the body, so many that a coarser lattice shares the corners; across, about a box if one is given."""
    size, fat, coarse = person.size, person.fat, _coarsening(spacing)
    low = np.array([-176 * size - 1.3 * fat, -102 * size - 1.3 * fat, -230 * size])
    high = np.array([176 * size + 1.3 * fat, 112 * size + 1.3 * fat, 275 * size])
    for thigh in thighs:
        flesh = tissue.thigh_muscles(thigh)
        seen = flesh.centers[:, 2] > low[2]
        reach = flesh.radii[seen, None] + 1.3 * fat
        low[:2] = np.minimum(low[:2], (flesh.centers[seen] - reach).min(0)[:2])
        high[:2] = np.maximum(high[:2], (flesh.centers[seen] + reach).max(0)[:2])
    if box is not None:
        low[:2], high[:2] = box[0, :2] - 8, box[1, :2] + 8
    # On whole steps, so that all bodies of one spacing share a lattice and zero is a voxel's centre.
    step = coarse * spacing
    low = step * np.floor(low / step)
    i, j, k = (coarse * math.ceil(extent / step) + 1 for extent in high - low)
    return Lattice(low, spacing, (k, j, i))


def _coarsening(spacing: float) -> int:
    """How many voxels make one of the soft tissue's, 4 to 6 mm."""
    return math.ceil(4.0 / spacing)


def _flesh(
    person: Person, thighs: Thighs, lattice: Lattice, rng: torch.Generator, carry: Carry
) -> Float[ndarray, "k j i"]:
    """Soft tissue, laid out on a coarse lattice and drawn slab by slab on the fine one."""
    coarsening = _coarsening(lattice.spacing)
    k, j, i = ((n - 1) // coarsening + 1 for n in lattice.shape)
    coarse = Lattice(lattice.origin, coarsening * lattice.spacing, (k, j, i))
    layers = carry(tissue.layers_of(person, list(thighs.values()), coarse, rng), thighs, coarse)
    hu = np.empty(lattice.shape, dtype=np.float32)
    slab = max(1, int(16 / lattice.spacing))
    for first in range(0, lattice.shape[0], slab):
        last = min(first + slab, lattice.shape[0])
        hu[first:last] = tissue.soft_tissue(layers, lattice, first, last)
    return hu
