"""Metal in the picture: wires, screws and any closed mesh, each on a fine grid of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from skiagraph.errors import GeometryError
from skiagraph.geometry import Grid

STEEL, TITANIUM = "steel_316l", "titanium"
SUBSAMPLES = 3
"""Rays across a voxel, along x and along y, that measure how much of it a mesh fills."""


@dataclass(frozen=True, eq=False)
class Tool:
    """An implement and the share of every voxel that it fills, 0...1."""

    occupancy: Float[Tensor, "k j i"]
    grid: Grid
    material_name: str


def k_wire(
    tip: Sequence[float], tail: Sequence[float], diameter: float = 2.0, spacing: float = 0.5, material: str = STEEL
) -> Tool:
    """A Kirschner wire with a trocar point; LPS millimetres."""
    points, along, axis_distance, length = _about(tip, tail, diameter / 2, spacing)
    radius = diameter / 2
    taper = np.clip(along / (2 * diameter), 0, 1)
    return _tool(points, np.maximum(axis_distance - radius * taper, along - length), spacing, material)


def screw(
    tip: Sequence[float],
    head: Sequence[float],
    diameter: float = 6.5,
    head_diameter: float = 9.5,
    pitch: float = 2.75,
    thread: float = 16.0,
    spacing: float = 0.5,
    material: str = TITANIUM,
) -> Tool:
    """A partly threaded bone screw; `thread` millimetres from the tip carry a thread of `pitch` millimetres."""
    if not 0 < diameter <= head_diameter or pitch <= 0:
        raise GeometryError(
            f"a screw of {diameter:g} mm with a head of {head_diameter:g} mm and a pitch of {pitch:g} mm; "
            "give positive ones, the head not thinner than the thread"
        )
    points, along, axis_distance, length = _about(tip, head, head_diameter / 2, spacing)
    core, crest = 0.33 * diameter, 0.5 * diameter
    tooth = np.abs((along / pitch) % 1 - 0.5) * 2
    threaded = core + (crest - core) * np.clip(tooth * 1.6 - 0.3, 0, 1)
    radius = np.where(along < thread, threaded, 0.36 * diameter)
    radius = np.minimum(radius, 0.2 + along * 0.8)
    radius = np.where(along > length - 0.55 * head_diameter, head_diameter / 2, radius)
    return _tool(points, np.maximum(axis_distance - radius, along - length), spacing, material)


def implant(
    vertices: Float[ndarray, "v 3"], faces: Int[ndarray, "f 3"], spacing: float = 0.5, material: str = TITANIUM
) -> Tool:
    """A closed triangle mesh made of a material; LPS millimetres."""
    occupancy, grid = voxelize(vertices, faces, spacing)
    return Tool(occupancy, grid, material)


def voxelize(
    vertices: Float[ndarray, "v 3"], faces: Int[ndarray, "f 3"], spacing: float
) -> tuple[Float[Tensor, "k j i"], Grid]:
    """The share of each voxel that a closed mesh fills, on a grid just around it.

    Rays along z, several to a voxel, enter and leave at the triangles they cross; the lengths between are exact.
    Raises GeometryError if the mesh is empty or not closed.
    """
    points, triangles = np.asarray(vertices, dtype=float), np.asarray(faces)
    _refuse_open(points, triangles)
    if not spacing > 0:
        raise GeometryError(f"voxels of {spacing:g} mm; give a positive spacing")
    low = np.floor(points.min(0) / spacing - 1) * spacing
    i, j, k = (np.ceil((points.max(0) - low) / spacing) + 2).astype(int).tolist()
    columns, z, entering = _crossings(points[triangles], low, spacing, (j * SUBSAMPLES, i * SUBSAMPLES))
    # The length of a ray above height 0 below voxel edge e is the signed sum of max(e - z, 0) over its crossings.
    edges = np.zeros((j * i, k + 1))
    height = (z - low[2]) / spacing + 0.5
    fine_j, fine_i = np.divmod(columns, i * SUBSAMPLES)
    voxel = fine_j // SUBSAMPLES * i + fine_i // SUBSAMPLES
    cell = np.clip(np.floor(height).astype(int), 0, k - 1)
    share = np.clip(height - cell, 0, 1)
    # A ray that enters in a cell fills 1 - share of it and all cells above; one that leaves takes as much away.
    np.add.at(edges, (voxel, cell), entering * (1 - share))
    np.add.at(edges, (voxel, cell + 1), entering * share)
    filled = np.cumsum(edges, axis=1)[:, :k] / SUBSAMPLES**2
    occupancy = np.clip(filled, 0, 1).reshape(j, i, k).transpose(2, 0, 1)
    grid = Grid.of((k, j, i), (spacing,) * 3, low.tolist())
    return torch.from_numpy(np.ascontiguousarray(occupancy, dtype=np.float32)), grid


def _crossings(
    corners: Float[ndarray, "f 3 3"], low: Float[ndarray, "3"], spacing: float, shape: tuple[int, int]
) -> tuple[Int[ndarray, "c"], Float[ndarray, "c"], Float[ndarray, "c"]]:
    """Ray number, height and direction (1 into the mesh, -1 out of it) wherever a ray along z meets a triangle."""
    step = spacing / SUBSAMPLES
    first = low[:2] - spacing / 2 + step / 2
    # Rays a hair off the lattice, so that none runs along an edge of a mesh drawn on round numbers.
    first = first + step * np.array([1.37e-4, 2.71e-4])
    found: list[tuple[ndarray, ndarray, ndarray]] = []
    lowest = np.maximum(np.ceil((corners[..., :2].min(1) - first) / step).astype(int), 0)
    highest = np.minimum(np.floor((corners[..., :2].max(1) - first) / step).astype(int), np.array(shape[::-1]) - 1)
    size = np.maximum(highest - lowest + 1, 0)
    # Triangles in groups of like size, so that each group is one array of candidate rays.
    group = np.ceil(np.log2(np.maximum(size.max(1), 1))).astype(int)
    for power in np.unique(group):
        chosen = np.nonzero((group == power) & (size.min(1) > 0))[0]
        reach = 1 << int(power)
        for part in np.array_split(chosen, max(1, len(chosen) * reach * reach // 2_000_000)):
            if len(part):
                found.append(_meet(corners[part], lowest[part], highest[part], reach, first, step, shape[1]))
    if not found:
        return np.zeros(0, dtype=int), np.zeros(0), np.zeros(0)
    ray, z, sign = (np.concatenate(values) for values in zip(*found))
    return ray, z, sign


def _meet(
    corners: Float[ndarray, "f 3 3"],
    lowest: Int[ndarray, "f 2"],
    highest: Int[ndarray, "f 2"],
    reach: int,
    first: Float[ndarray, "2"],
    step: float,
    columns: int,
) -> tuple[Int[ndarray, "c"], Float[ndarray, "c"], Float[ndarray, "c"]]:
    offset = np.stack(np.meshgrid(np.arange(reach), np.arange(reach), indexing="ij"), -1).reshape(-1, 2)
    ij = lowest[:, None] + offset
    xy = first + step * ij
    a, b, c = (corners[:, None, n] for n in range(3))
    area = _cross(b - a, c - a)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = _cross(c - b, xy - b[..., :2]) / area
        v = _cross(a - c, xy - c[..., :2]) / area
        w = 1 - u - v
    hit = (u >= 0) & (v >= 0) & (w >= 0) & (ij <= highest[:, None]).all(-1) & (area != 0)
    triangle, ray = np.nonzero(hit)
    z = sum(part[triangle, ray] * corner[triangle, 0, 2] for part, corner in ((u, a), (v, b), (w, c)))
    # Seen from below, a triangle that winds outwards is met going in where its normal points down.
    sign = -np.sign(np.broadcast_to(area, hit.shape)[triangle, ray])
    i, j = ij[triangle, ray].T
    return j * columns + i, z, sign


def _cross(a: Float[ndarray, "*n d"], b: Float[ndarray, "*m e"]) -> Float[ndarray, "*k"]:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _refuse_open(points: Float[ndarray, "v 3"], triangles: Int[ndarray, "f 3"]) -> None:
    if len(triangles) == 0:
        raise GeometryError("the mesh has no triangles; give a closed surface")
    if triangles.min() < 0 or triangles.max() >= len(points):
        raise GeometryError(
            f"the mesh's triangles name vertices {triangles.min()} to {triangles.max()} of {len(points)}; "
            "number them from zero"
        )
    if not np.isfinite(points).all():
        raise GeometryError("the mesh holds NaN or infinity; give finite millimetres")
    _, same = np.unique(points.round(6), axis=0, return_inverse=True)
    corners = same.reshape(-1)[triangles]
    corners = corners[(corners != np.roll(corners, 1, axis=1)).all(1)]
    edges = np.concatenate([corners[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    forward, back = edges[:, 0] * len(points) + edges[:, 1], edges[:, 1] * len(points) + edges[:, 0]
    open_edges = np.setxor1d(forward, back)
    counts = np.unique(forward, return_counts=True)[1]
    if len(open_edges) or (counts > 1).any():
        raise GeometryError(
            f"the mesh is not closed: {len(open_edges) // 2 or int((counts > 1).sum())} edges lack a neighbour or wind "
            "the wrong way; repair it so that every edge joins two triangles of one orientation"
        )
    a, b, c = (points[triangles[:, n]] for n in range(3))
    if np.einsum("fi,fi->", a, np.cross(b, c)) < 0:
        raise GeometryError("the mesh is inside out; flip its triangles so that they wind outwards")


def _about(
    tip: Sequence[float], tail: Sequence[float], radius: float, spacing: float
) -> tuple[Float[ndarray, "k j i 3"], Float[ndarray, "k j i"], Float[ndarray, "k j i"], float]:
    """Voxel centres around a straight tool, their distance along it from the tip and across it, and its length."""
    start, end = np.asarray(tip, dtype=float), np.asarray(tail, dtype=float)
    length = float(np.linalg.norm(end - start))
    if not (radius > 0 and spacing > 0 and length > 0):
        raise GeometryError(
            f"a tool {length:g} mm long and {2 * radius:g} mm thick on voxels of {spacing:g} mm; give positive lengths"
        )
    margin = radius + 2 * spacing
    low = np.floor((np.minimum(start, end) - margin) / spacing) * spacing
    high = np.maximum(start, end) + margin
    axes = [low[n] + spacing * np.arange(int((high[n] - low[n]) / spacing) + 2) for n in range(3)]
    z, y, x = np.meshgrid(*axes[::-1], indexing="ij")
    points = np.stack([x, y, z], -1)
    axis = (end - start) / length
    along = (points - start) @ axis
    across = np.linalg.norm(points - start - along[..., None] * axis, axis=-1)
    return points, along, across, length


def _tool(points: Float[ndarray, "k j i 3"], distance: Float[ndarray, "k j i"], spacing: float, material: str) -> Tool:
    occupancy = np.clip(0.5 - distance / spacing, 0, 1).astype(np.float32)
    k, j, i = occupancy.shape
    grid = Grid.of((k, j, i), (spacing,) * 3, points[0, 0, 0].tolist())
    return Tool(torch.from_numpy(occupancy), grid, material)
