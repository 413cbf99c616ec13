"""Surfaces of bones: triangles, their normals, and points laid evenly over them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from skiagraph.errors import GeometryError

ROUNDING = 0.75
"""How far points between the vertices are lifted towards their tangent planes; the paper's 3/4."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points of a surface and which way is out."""

    points: Float[ndarray, "n 3"]
    normals: Float[ndarray, "n 3"]


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles around a bone, LPS millimetres, wound so that their normals point out. Small holes do no harm."""

    vertices: Float[ndarray, "v 3"]
    faces: Int[ndarray, "f 3"]

    def __post_init__(self) -> None:
        if len(self.faces) == 0 or not 0 <= self.faces.min() <= self.faces.max() < len(self.vertices):
            raise GeometryError(f"{len(self.faces)} triangles of {len(self.vertices)} vertices; number them from zero")
        if not np.isfinite(self.vertices).all():
            raise GeometryError("the surface holds NaN or infinity; give finite millimetres")

    @cached_property
    def normals(self) -> Float[ndarray, "v 3"]:
        """Unit normals at the vertices, the mean of the triangles about each, larger ones counting for more."""
        a, b, c = (self.vertices[corner] for corner in self.faces.T)
        across = np.cross(b - a, c - a)
        total = np.stack(
            [np.bincount(self.faces.ravel(), across[:, n].repeat(3), len(self.vertices)) for n in range(3)], -1
        )
        return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)

    @property
    def volume(self) -> float:
        """Cubic millimetres within; negative if the surface is inside out."""
        a, b, c = (self.vertices[corner] - self.vertices.mean(0) for corner in self.faces.T)
        return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6)

    def mirrored(self) -> "Surface":
        """The same bone of the other side."""
        return Surface(self.vertices * np.array([-1.0, 1.0, 1.0]), self.faces[:, ::-1])

    def cloud(self, step: float) -> Cloud:
        """Points no farther apart than about `step` millimetres, rounded between the vertices.

        Phong tessellation (Boubekeur & Alexa 2008): a point of a triangle goes towards the mean of its projections
        on the tangent planes of the three vertices, so that what is coarse looks as smooth as its normals say.
        """
        corners, normals = self.vertices[self.faces], self.normals[self.faces]
        edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
        parts = np.maximum(np.ceil(edges / step).astype(int), 1)
        points, out = [], []
        for count in np.unique(parts):
            share = _shares(int(count))
            of, n = corners[parts == count], normals[parts == count]
            flat = np.einsum("sc,fcx->fsx", share, of)
            above = np.einsum("fscx,fcx->fsc", flat[:, :, None] - of[:, None], n)
            lifted = flat - ROUNDING * np.einsum("sc,fsc,fcx->fsx", share, above, n)
            points.append(lifted.reshape(-1, 3))
            out.append(np.einsum("sc,fcx->fsx", share, n).reshape(-1, 3))
        normal = np.concatenate(out)
        return Cloud(np.concatenate(points), normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12))


def _shares(count: int) -> Float[ndarray, "s 3"]:
    """Barycentric middles of the count² like triangles a triangle is cut into."""
    i, j = np.meshgrid(np.arange(count), np.arange(count), indexing="ij")
    upright = np.stack([i, j], -1)[i + j < count] + 1 / 3
    turned = np.stack([i, j], -1)[i + j < count - 1] + 2 / 3
    ij = np.concatenate([upright, turned]) / count
    return np.c_[ij, 1 - ij.sum(1)]
