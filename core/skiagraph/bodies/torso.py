"""Muscles and skin of a real torso, carried to another pelvis by a smooth warp.

A torso is a label volume and a body mask, numbered as those of the pelvic annotations of Hiasa et al. (MIT licence,
github.com/yuta-hi/pelvic-annonation): 1 hip bones, 2 femora, 3 sacrum, 4 spine, from 5 on muscles.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import binary_dilation, distance_transform_edt, map_coordinates, maximum_filter, minimum_filter

from skiagraph.bodies.femur import SHAFT, Thigh
from skiagraph.bodies.shape import PelvisShape, ShapedPelvis, atlas
from skiagraph.bodies.skeleton import Lattice
from skiagraph.bodies.tissue import Layers
from skiagraph.errors import DataError
from skiagraph.geometry import Grid
from skiagraph.io.volumes import read_labels
from skiagraph.register.atlas import cloud_of, fit

HIP_BONES, FEMORA, SACRUM, MUSCLES = 1, 2, 3, 5
FINE = 2
"""Voxels across of the label volume that make one of the fields'."""
EVERY = 45
"""Of the model's vertices one in so many holds the warp."""
SHAFT_DEPTHS = (-60.0, -90.0, -120.0, -150.0)
"""Millimetres down the average femur where the warp is held."""
INLET = 60.0
"""Millimetres above the femoral heads from which the belly is what muscles enclose."""
SHEATH = 1.2
"""Half the fat between two muscles, millimetres."""


@dataclass(frozen=True, eq=False)
class Torso:
    """Somebody's muscles and skin, as distances in millimetres, negative inside, and where his bones are."""

    name: str
    grid: Grid
    skin: Float[ndarray, "k j i"]
    lean: Float[ndarray, "k j i"]
    fascia: Float[ndarray, "k j i"]
    belly: Float[ndarray, "k j i"]
    """What the muscles of the trunk enclose."""
    vertices: Float[ndarray, "v 3"]
    """The shape model's, on his bones."""
    femora: Mapping[str, Float[ndarray, "n 3"]]
    """The middle of each slice of each femur, from below."""

    def at(self, field: Float[ndarray, "k j i"], points: Float[ndarray, "*n 3"]) -> Float[ndarray, "*n"]:
        """One of the fields at points of his; beyond the CT it goes on as at its rim."""
        matrix = self.grid.ijk_from_world.numpy()
        ijk = points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
        return map_coordinates(field, ijk.T[::-1], order=1, mode="nearest").reshape(points.shape[:-1])


@lru_cache(maxsize=8)
def read_torso(path: Path) -> Torso:
    """The torso of a label volume `*_label.nii.gz` beside its `*_mask.nii.gz`. Raises DataError if it is none."""
    mask_path = path.with_name(path.name.replace("_label", "_mask"))
    if mask_path == path or not mask_path.is_file():
        raise DataError(f"no body mask beside {path}; give a *_label.nii.gz with its *_mask.nii.gz")
    labels = read_labels(path)
    index, grid = labels.index.numpy().astype(np.uint8), labels.grid
    skin = read_labels(mask_path).index.numpy() > 0
    if skin.shape != index.shape or not (index == SACRUM).any() or not (index >= MUSCLES).any():
        raise DataError(f"{path} has no sacrum or no muscles, or its mask another shape; give numbers as bodies.torso")
    bones = {"upper_sacrum": index == SACRUM}
    middle = np.nonzero(bones["upper_sacrum"])[2].mean()
    left = np.arange(index.shape[2]) > middle
    bones |= {"left_hemipelvis": (index == HIP_BONES) & left, "right_hemipelvis": (index == HIP_BONES) & ~left}
    fitted = fit(atlas().model, {name: cloud_of(torch.from_numpy(mask), grid) for name, mask in bones.items()})
    femora = {
        side: _middles((index == FEMORA) & half, grid) for side, half in (("left", left), ("right", ~left))
    }  # fmt: skip
    slices, rows, columns = grid.shape
    coarse = Grid.of(
        (slices, -(-rows // FINE), -(-columns // FINE)),
        (grid.spacing[0] * FINE, grid.spacing[1] * FINE, grid.spacing[2]),
        grid.origin.tolist(),
    )
    index, skin = index[:, ::FINE, ::FINE], skin[:, ::FINE, ::FINE]
    spacing = coarse.spacing[::-1]
    muscle = index >= MUSCLES
    # Bones and what clings to them leave no fat between.
    lean = _signed(muscle | binary_dilation((index > 0) & ~muscle, iterations=1), spacing)
    fascia = distance_transform_edt(~_seams(index), sampling=spacing) - SHEATH
    return Torso(
        path.name, coarse, _signed(skin, spacing), lean, fascia.astype(np.float32),
        _signed(_enclosed(index > 0), spacing), fitted.vertices, femora,
    )  # fmt: skip


def carried(layers: Layers, torso: Torso, pelvis: ShapedPelvis, thighs: Mapping[str, Thigh], coarse: Lattice) -> Layers:
    """A person's soft tissues with the muscles and the skin of a torso, warped onto his bones.

    Fat is the torso's and half of what the person has more or less than it. Bowel and bladder stay the person's own.
    """
    where = _warp(torso, pelvis, thighs, coarse)
    skin, lean = torso.at(torso.skin, where), torso.at(torso.lean, where)
    own = float(np.median(lean[np.abs(skin) < 3]))
    skin = skin - 0.5 * (pelvis.person.fat - own)
    fascia = np.minimum(np.maximum(layers.fascia, lean + 3), torso.at(torso.fascia, where))
    # The parametric bowel below the pelvic inlet, what the trunk's muscles enclose above it.
    height = coarse.points(coarse.all)[..., 2]
    belly = torso.at(torso.belly, where) + 6 + np.maximum(INLET - height, 0)
    cavity = np.maximum(np.minimum(layers.cavity, belly), np.maximum(4 - lean, skin + 15))
    return replace(
        layers, skin=skin.astype(np.float32), lean=lean.astype(np.float32), fascia=fascia.astype(np.float32),
        cavity=cavity.astype(np.float32), gut=cavity.astype(np.float32),
    )  # fmt: skip


def box_of(torso: Torso, pelvis: ShapedPelvis) -> Float[ndarray, "2 3"]:
    """About where the torso's skin comes to lie: its lowest and highest corner."""
    k, j, i = np.nonzero(torso.skin[::2] < 0)
    matrix = torso.grid.world_from_ijk.numpy()
    points = np.stack([i, j, 2 * k], -1) @ matrix[:3, :3].T + matrix[:3, 3]
    shift = pelvis.put(pelvis.shape.vertices).mean(0) - torso.vertices.mean(0)
    return np.stack([points.min(0), points.max(0)]) + shift


def _warp(
    torso: Torso, pelvis: ShapedPelvis, thighs: Mapping[str, Thigh], coarse: Lattice
) -> Float[ndarray, "k j i 3"]:
    """Where the points of a lattice about a person lie in a torso: the biharmonic spline of space through the bones."""
    here = [pelvis.put(pelvis.shape.vertices[::EVERY])]
    there = [torso.vertices[::EVERY]]
    heads = PelvisShape.heads_of(torso.vertices)
    x, y, z, _ = np.array(SHAFT[::-1]).T
    for side, thigh in thighs.items():
        depth = np.array(SHAFT_DEPTHS)
        shaft = thigh.place(np.stack([np.interp(depth, z, x), np.interp(depth, z, y), depth], -1))
        slices = torso.femora[side]
        height = heads[side][2] + shaft[:, 2] - thigh.center[2]
        inside = height > slices[0, 2]
        at = np.stack([np.interp(height, slices[:, 2], slices[:, axis]) for axis in range(2)] + [height], -1)
        here += [shaft[inside], thigh.center[None]]
        there += [at[inside], heads[side][None]]
    spline = RBFInterpolator(np.concatenate(here), np.concatenate(there), kernel="linear", smoothing=2.0, degree=1)
    k, j, i = (-(-(n - 1) // 4) + 1 for n in coarse.shape)
    knots = Lattice(coarse.origin, 4 * coarse.spacing, (k, j, i))
    found = spline(knots.points(knots.all).reshape(-1, 3)).reshape(*knots.shape, 3)
    at = np.indices(coarse.shape, dtype=np.float32) / 4
    return np.stack([map_coordinates(found[..., axis], at, order=1) for axis in range(3)], -1)


def _middles(femur: Bool[ndarray, "k j i"], grid: Grid) -> Float[ndarray, "n 3"]:
    slices = [k for k in range(femur.shape[0]) if femur[k].sum() > 20]
    if not slices:
        raise DataError("a torso without a femur on either side; give labels with femora as number 2")
    ijk = np.array([[*np.argwhere(femur[k]).mean(0)[::-1], k] for k in slices])
    matrix = grid.world_from_ijk.numpy()
    return ijk @ matrix[:3, :3].T + matrix[:3, 3]


def _seams(index: UInt8[ndarray, "k j i"]) -> Bool[ndarray, "k j i"]:
    """Where one muscle meets another."""
    muscle = np.where(index >= MUSCLES, index, 0)
    highest = maximum_filter(muscle, (1, 2, 2))
    lowest = minimum_filter(np.where(muscle > 0, muscle, 255), (1, 2, 2))
    return (muscle > 0) & (highest != lowest) & (lowest < 255)


def _enclosed(wall: Bool[ndarray, "k j i"]) -> Bool[ndarray, "k j i"]:
    """What has wall before, behind and on both sides of it in its slice."""
    within = ~wall
    for axis in (1, 2):
        within &= np.logical_or.accumulate(wall, axis)
        within &= np.flip(np.logical_or.accumulate(np.flip(wall, axis), axis), axis)
    return within


def _signed(mask: Bool[ndarray, "k j i"], spacing: tuple[float, ...]) -> Float[ndarray, "k j i"]:
    """Millimetres to the edge of a mask, negative inside."""
    out, inside = (distance_transform_edt(one, sampling=spacing) for one in (~mask, mask))
    return (out - inside).astype(np.float32)
