"""Broken bones: a bone cut along a rough surface, and one of its pieces moved.

A fragment takes its matter, its label and its landmarks along exactly: voxels and landmarks are told apart by the same
function of space. Where fractures run and how far fragments move are ours, after AO/OTA's common types.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import max_pool3d

from skiagraph.anatomy import LANDMARKS
from skiagraph.bodies.implants import Proximal
from skiagraph.bodies.solids import Vector
from skiagraph.drr.scene import Scene, displacing, resampled
from skiagraph.geometry import box_around, float64, rigid, rotation, transform
from skiagraph.physics.materials import material
from skiagraph.physics.phantom import Phantom
from skiagraph.volume import Labels, Landmarks

Side = Callable[[Float[ndarray, "p 3"]], Bool[ndarray, "p"]]
"""Which points belong to the fragment."""
SOFT = "muscle"
RIM_DENSITY = 1.13
"""g/cm³ from which an unlabelled voxel beside a bone is partly that bone."""


def rough_plane(point: Vector, normal: Vector, rng: np.random.Generator, height: float = 2.5) -> Side:
    """What lies beyond a plane with teeth so many millimetres high, on the side its normal points to."""
    waves = rng.standard_normal((6, 3)) / rng.uniform(2.5, 14.0, (6, 1))
    phases, heights = rng.uniform(0, 2 * np.pi, 6), height * rng.dirichlet(np.ones(6))

    def beyond(points: Float[ndarray, "p 3"]) -> Bool[ndarray, "p"]:
        teeth = (np.sin(points @ waves.T + phases) * heights).sum(1)
        return (points - point) @ normal + teeth > 0

    return beyond


def broken(scene: Scene, structure: str, beyond: Side, motion: Float64[Tensor, "4 4"]) -> Scene:
    """A scene in which that part of a structure for which `beyond` is true has moved, and its landmarks with it.

    Soft tissue is left in its place. The same scene if it is less than 5 % of the structure or more than 95 %.
    """
    for n, labels in enumerate(scene.labels):
        if structure in labels.names.values():
            piece = _piece(labels, structure, beyond)
            if 0.05 < piece.sum() / labels.mask(structure).sum().clamp(min=1) < 0.95:
                return _moved(scene, n, structure, piece, beyond, motion)
    return scene


def _moved(
    scene: Scene, n: int, structure: str, piece: Bool[Tensor, "k j i"], beyond: Side, motion: Float64[Tensor, "4 4"]
) -> Scene:
    labels = scene.labels[n]
    box = box_around(piece)
    assert box is not None
    box = tuple(  # type: ignore[assignment]
        slice(max(side.start - 1, 0), min(side.stop + 1, count)) for side, count in zip(box, labels.grid.shape)
    )
    grid = labels.grid.cropped(box)
    materials = tuple(dict.fromkeys(one for phantom in scene.phantoms for one in phantom.materials))
    density = torch.zeros(len(materials), *grid.shape)
    for phantom in scene.phantoms:
        for channel, found in zip(phantom.materials, resampled(phantom, grid)):
            density[materials.index(channel)] += found
    inside = piece[box]
    beside = max_pool3d(inside[None].float(), 3, stride=1, padding=1)[0] > 0
    own = labels.index[box]
    rim = beside & (own == 0) & (density.sum(dim=0) > RIM_DENSITY)
    occupancy = (inside | rim).float()
    soft = material(SOFT)
    filled = displacing(Phantom(soft.density * occupancy[None], (soft,), grid), occupancy, scene.phantoms)
    there = grid.moved(motion)
    left = (*scene.phantoms, filled)
    fragment = displacing(Phantom(density.clamp(min=0) * occupancy, materials, there), occupancy, left)
    index = labels.index.masked_fill(piece, 0)
    stays = Labels(index, labels.grid, labels.names)
    goes = Labels(inside.to(torch.uint8), there, {1: structure})
    kept = (*scene.labels[:n], stays, *scene.labels[n + 1 :], goes)
    return Scene((*left, fragment), kept, _carried(scene.landmarks, structure, beyond, motion))


def _piece(labels: Labels, structure: str, beyond: Side) -> Bool[Tensor, "k j i"]:
    kji = labels.mask(structure).nonzero()
    points = transform(labels.grid.world_from_ijk, kji.flip(-1).double()).numpy()
    chosen = kji[torch.from_numpy(beyond(points))]
    piece = torch.zeros(labels.index.shape, dtype=torch.bool)
    piece[chosen[:, 0], chosen[:, 1], chosen[:, 2]] = True
    return piece


def _carried(known: Landmarks, structure: str, beyond: Side, motion: Float64[Tensor, "4 4"]) -> Landmarks:
    belongs = {term.name for term in LANDMARKS if term.structure == structure}
    mine = torch.tensor([name in belongs for name in known.names], dtype=torch.bool)
    mine &= torch.from_numpy(beyond(known.points.numpy()))
    return Landmarks(known.names, torch.where(mine[:, None], transform(motion, known.points), known.points))


def neck_of_femur(scene: Scene, hip: Proximal, rng: np.random.Generator) -> Scene:
    """A fracture of the femoral neck: the shaft rides up and turns out, the head stays."""
    at = hip.head - rng.uniform(0.38, 0.62) * hip.neck_length * hip.neck
    normal = _tilted(-hip.neck, 15, rng)
    return broken(scene, f"{hip.side}_femur", rough_plane(at, normal, rng), _of_a_shaft(hip, at, rng))


def through_trochanters(scene: Scene, hip: Proximal, rng: np.random.Generator) -> Scene:
    """A fracture from the greater to the lesser trochanter: the shaft rides up and turns out."""
    at = hip.at(rng.uniform(-4, 6), rng.uniform(-6, 10))
    normal = _tilted((-hip.up - 0.9 * hip.medial) / 1.345, 12, rng)
    beyond = rough_plane(at, normal, rng, 3.5)
    return broken(scene, f"{hip.side}_femur", beyond, _of_a_shaft(hip, at, rng))


def below_trochanters(scene: Scene, hip: Proximal, rng: np.random.Generator) -> Scene:
    """A fracture of the upper shaft."""
    at = hip.at(0, -rng.uniform(45, 85))
    beyond = rough_plane(at, _tilted(-hip.up, 35, rng), rng, 3.5)
    return broken(scene, f"{hip.side}_femur", beyond, _of_a_shaft(hip, at, rng, ride=6.0))


def _of_a_shaft(hip: Proximal, at: Vector, rng: np.random.Generator, ride: float = 20.0) -> Float64[Tensor, "4 4"]:
    """How the shaft moves when it has come off the head: a little, or up, out and in varus."""
    outwards = -1.0 if hip.side == "left" else 1.0
    much = rng.choice([0.15, rng.uniform(0.3, 1.0)], p=[0.35, 0.65])
    turn = rotation("z", outwards * -30 * much * rng.random()) @ rotation(
        "y", outwards * 18 * much * rng.uniform(-0.3, 1)
    )
    apart = 1.2 * -hip.neck + much * ride * rng.random() * hip.up + 3 * much * rng.standard_normal(3)
    return rigid(turn, float64(at.tolist()), float64(apart.tolist()))


def pubic_rami(scene: Scene, side: str, rng: np.random.Generator) -> Scene:
    """Both rami of one side broken: the pubis about the symphysis moves a little."""
    names = [f"{side}_{name}" for name in ("femoral_head", "superior_pubic_symphysis", "medial_obturator_foramen")]
    if not all(name in scene.landmarks for name in names):
        return scene
    head, symphysis, medial = (scene.landmarks[name].numpy() for name in names)
    at = medial + rng.uniform(0.05, 0.5) * (head - symphysis)
    normal = _tilted(np.array([np.sign(symphysis[0] - head[0]), 0, 0]), 20, rng)
    lower = rough_plane(at, normal, rng)

    def beyond(points: Float[ndarray, "p 3"]) -> Bool[ndarray, "p"]:
        return lower(points) & (points[:, 2] < symphysis[2] + 30) & (points[:, 1] < symphysis[1] + 55)

    shift = 1.2 * normal + rng.uniform(0.2, 3.5) * rng.standard_normal(3)
    motion = rigid(_any_turn(4, rng), float64(symphysis.tolist()), float64(shift.tolist()))
    return broken(scene, f"{side}_hemipelvis", beyond, motion)


def wing_of_ilium(scene: Scene, side: str, rng: np.random.Generator) -> Scene:
    """A piece of the iliac wing with the anterior superior spine broken off."""
    names = [f"{side}_{name}" for name in ("anterior_superior_iliac_spine", "femoral_head", "greater_sciatic_notch")]
    if not all(name in scene.landmarks for name in names):
        return scene
    spine, head, notch = (scene.landmarks[name].numpy() for name in names)
    inner = 0.5 * (head + notch)
    at = spine + rng.uniform(0.25, 0.55) * (inner - spine)
    normal = _tilted((spine - inner) / np.linalg.norm(spine - inner), 25, rng)
    shift = 1.5 * normal + rng.uniform(0.2, 4.0) * rng.standard_normal(3)
    motion = rigid(_any_turn(6, rng), float64(at.tolist()), float64(shift.tolist()))
    outer = rough_plane(at, normal, rng, 4.0)

    def beyond(points: Float[ndarray, "p 3"]) -> Bool[ndarray, "p"]:
        # The plane may meet the pubis too, which is no part of the wing.
        return outer(points) & (points[:, 2] > head[2] + 20)

    return broken(scene, f"{side}_hemipelvis", beyond, motion)


def _tilted(axis: Vector, degrees: float, rng: np.random.Generator) -> Vector:
    aside = axis + np.tan(np.radians(degrees)) * rng.standard_normal(3).clip(-1.5, 1.5) / 1.5
    return aside / np.linalg.norm(aside)


def _any_turn(degrees: float, rng: np.random.Generator) -> Float64[Tensor, "3 3"]:
    x, y, z = rng.normal(0, degrees / 2, 3).clip(-degrees, degrees).tolist()
    return rotation("x", x) @ rotation("y", y) @ rotation("z", z)


OF_A_FEMUR = (neck_of_femur, through_trochanters, below_trochanters)
OF_A_PELVIS = (pubic_rami, wing_of_ilium)


@dataclass(frozen=True)
class Fractured:
    """One fracture, or two of the pelvis."""

    femur: float = 0.6
    """How often it is a femur."""

    def __call__(self, scene: Scene, rng: np.random.Generator) -> Scene:
        """The scene with a fracture, as far as its bones are known."""
        side = str(rng.choice(["left", "right"]))
        if rng.random() < self.femur:
            hip = Proximal.found(scene, side)
            return scene if hip is None else OF_A_FEMUR[int(rng.choice(3, p=(0.45, 0.4, 0.15)))](scene, hip, rng)
        for _ in range(int(rng.integers(1, 3))):
            scene = OF_A_PELVIS[int(rng.choice(2, p=(0.7, 0.3)))](scene, side, rng)
            side = str(rng.choice(["left", "right"]))
        return scene
