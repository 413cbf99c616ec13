"""Solid shapes as distances in millimetres, negative inside, and how they are cast into tools."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from skiagraph.bodies.tools import Tool
from skiagraph.geometry import Grid

Solid = Callable[[Float[ndarray, "p 3"]], Float[ndarray, "p"]]
"""Millimetres from points to a surface, negative inside."""
Vector = Float[ndarray, "3"]
STRIDE = 4
"""Voxels a side of the blocks that are left empty if they are far from a solid."""


def ball(center: Vector, radius: float) -> Solid:
    """A sphere."""
    return lambda points: np.linalg.norm(points - center, axis=1) - radius


def rod(start: Vector, end: Vector, radius: float, end_radius: float | None = None) -> Solid:
    """A round rod with round ends, tapering if its end has a radius of its own."""
    along, taper = end - start, (radius if end_radius is None else end_radius) - radius

    def distance(points: Float[ndarray, "p 3"]) -> Float[ndarray, "p"]:
        share = np.clip((points - start) @ along / (along @ along), 0, 1)
        return np.linalg.norm(points - start - share[:, None] * along, axis=1) - radius - share * taper

    return distance


def cylinder(start: Vector, end: Vector, radius: float) -> Solid:
    """A round rod cut square at both ends."""
    length = np.linalg.norm(end - start)
    way = (end - start) / length

    def distance(points: Float[ndarray, "p 3"]) -> Float[ndarray, "p"]:
        along = (points - start) @ way
        aside = np.linalg.norm(points - start - along[:, None] * way, axis=1)
        return np.maximum(aside - radius, np.abs(along - length / 2) - length / 2)

    return distance


def chain(knots: Sequence[tuple[Vector, float]]) -> Solid:
    """Rods from knot to knot, each a place and a radius."""
    return union(*(rod(a, b, r, s) for (a, r), (b, s) in pairwise(knots)))


def bar(center: Vector, axes: Float[ndarray, "3 3"], half: Sequence[float]) -> Solid:
    """A box with edges along the unit columns of `axes`, half so long as given."""

    def distance(points: Float[ndarray, "p 3"]) -> Float[ndarray, "p"]:
        beyond = np.abs((points - center) @ axes) - np.asarray(half)
        return np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(1), 0)

    return distance


def bowl(center: Vector, normal: Vector, outer: float, inner: float) -> Solid:
    """Half of a hollow sphere, open towards the unit `normal`."""

    def distance(points: Float[ndarray, "p 3"]) -> Float[ndarray, "p"]:
        away = np.linalg.norm(points - center, axis=1)
        return np.maximum(np.maximum(away - outer, inner - away), (points - center) @ normal)

    return distance


def union(*solids: Solid) -> Solid:
    """All of them."""
    return lambda points: np.min([solid(points) for solid in solids], axis=0)


def cast(solid: Solid, box: Float[ndarray, "2 3"], material: str, spacing: float = 1.0, share: float = 1.0) -> Tool:
    """A solid on a grid within a box, full of a material or of so much of it."""
    low = np.floor(box[0] / spacing - 2) * spacing
    i, j, k = (np.ceil((box[1] - low) / spacing) + 3).astype(int).tolist()
    grid = Grid.of((k, j, i), (spacing,) * 3, low.tolist())
    coarse = grid.centers()[::STRIDE, ::STRIDE, ::STRIDE]
    far = solid(coarse.reshape(-1, 3).numpy()).reshape(coarse.shape[:3]) > 2.0 * STRIDE * spacing
    near = ~far
    for axis in range(3):
        near = near.repeat(STRIDE, axis)
    near = near[:k, :j, :i]
    occupancy = np.zeros((k, j, i))
    distance = solid(grid.centers()[torch.from_numpy(near)].numpy())
    occupancy[near] = share * np.clip(0.5 - distance / spacing, 0, 1)
    return Tool(torch.from_numpy(occupancy.astype(np.float32)), grid, material)


def around(points: Sequence[Vector], margin: float) -> Float[ndarray, "2 3"]:
    """The box about points, so much larger on every side."""
    found = np.array(points)
    return np.stack([found.min(0) - margin, found.max(0) + margin])
