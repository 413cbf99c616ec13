"""A statistical shape brought onto the bones of somebody: pose, modes of variation, then a smooth rest.

Iterative closest points whose transformation is rigid and whose shape is the mean plus a few modes (active shape
models: Cootes et al. 1995), each mode held back by how rare it is; what the modes cannot follow is made up by a
displacement that is smooth over the surface (coherent point drift's motion coherence: Myronenko & Song 2010).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array, csr_array
from scipy.spatial import cKDTree
from torch import Tensor

from skiagraph.errors import DataError
from skiagraph.geometry import Grid
from skiagraph.surface import Cloud, Surface

FACING = 0.5
"""Cosine between two normals below which points are not each other's."""
BESIDE = 4.0
"""Millimetres up to which a closest point may lie to the side: they are no farther apart than that."""
TRIM = (40.0, 4.0)
"""Millimetres beyond which a closest point counts for nothing, at first and at last."""
CALLING = 8000
"""Points of a bone, about, that look for the vertex closest to them."""
WIDTHS = (24.0, 16.0, 10.0, 7.0, 5.0, 5.0)
"""Millimetres over which the smooth rest is alike, round after round."""
CUT = 2.0
"""Voxels from the rim of a CT within which a bone that ends there is cut off."""
ALIKE, UNEXPLAINED = 450, 3.0
"""Vertices that lie alike beside what modes can do, and by how many millimetres: as a subject left out does."""
SPIKE, SMOOTHINGS = 3.0, 12
"""Millimetres off the middle of its neighbours beyond which a vertex is a spike, and how often spikes are drawn in."""


@dataclass(frozen=True, eq=False)
class ShapeModel:
    """Shapes of corresponding vertices: the mean plus coefficients of unit variance times modes, in millimetres."""

    mean: Float[ndarray, "v 3"]
    modes: Float[ndarray, "m v 3"]
    """What one standard deviation of each mode does."""
    faces: Mapping[str, Int[ndarray, "_ 3"]]
    """The triangles of each part, by its name; they number the vertices of the whole."""

    def at(self, coefficients: Float[ndarray, "c"]) -> Float[ndarray, "v 3"]:
        """The vertices of a shape; modes beyond the coefficients given stay at their mean."""
        if len(coefficients) > len(self.modes):
            raise DataError(f"{len(coefficients)} coefficients; the model has {len(self.modes)} modes")
        return self.mean + np.tensordot(coefficients, self.modes[: len(coefficients)], axes=1)

    def of_part(self, name: str) -> Int[ndarray, "_"]:
        """The vertices of a part."""
        return np.unique(self.faces[name])

    def without_spikes(self, vertices: Float[ndarray, "v 3"]) -> Float[ndarray, "v 3"]:
        """Vertices far off the middle of their neighbours put there: where correspondence crosses over."""
        for _ in range(SMOOTHINGS):
            middle = self._middling @ vertices
            off = np.linalg.norm(vertices - middle, axis=1, keepdims=True)
            vertices = np.where(off > SPIKE, middle, vertices)
        return vertices

    @cached_property
    def _middling(self) -> csr_array:
        """[v v]: takes vertices to the middles of their neighbours, and those of no triangle to themselves."""
        faces = np.concatenate(list(self.faces.values()))
        one, other = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
        count = len(self.mean)
        joined = coo_array((np.ones(len(one)), (one, other)), shape=(count, count)).tocsr()
        joined = ((joined + joined.T) > 0).astype(float)
        alone = np.flatnonzero(joined.sum(axis=1) == 0)
        joined = joined + coo_array((np.ones(len(alone)), (alone, alone)), shape=(count, count)).tocsr()
        return csr_array(joined.multiply(1.0 / joined.sum(axis=1)[:, None]))


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model's vertices on somebody's bones."""

    vertices: Float[ndarray, "v 3"]
    """LPS millimetres, where the bones are; where there is no bone to be seen, where the model expects it."""
    coefficients: Float[ndarray, "m"]
    turn: Float[ndarray, "3 3"]
    shift: Float[ndarray, "3"]
    residual: Float[ndarray, "v"]
    """Millimetres from the bones; NaN where a vertex found none."""


def fit(
    model: ShapeModel,
    bones: Mapping[str, Cloud],
    turn: Float[ndarray, "3 3"] | None = None,
    rounds: int = 40,
    within: Grid | None = None,
) -> Fitted:
    """The model on the bones of somebody, each part on the bone of its name; bones may be missing or cut off.

    `turn` says how the body lies; not at all (head first, on the back) if not given. `within` is the CT the bones were
    seen in: what lies beyond it is drawn to nothing. Raises DataError if the model has no part of a name or a bone has
    no points.
    """
    for name, bone in bones.items():
        if name not in model.faces or len(bone.points) == 0:
            raise DataError(f"{len(bone.points)} points of {name!r}; give points of {', '.join(model.faces)}")
    trees = {name: cKDTree(bone.points) for name, bone in bones.items()}
    turn = np.eye(3) if turn is None else turn
    seen = np.concatenate([model.of_part(name) for name in bones])
    shift, coefficients = _start(model, bones, turn, within), np.zeros(len(model.modes))
    for number in range(rounds):
        share = number / max(1, rounds - 1)
        trim = TRIM[0] ** (1 - share) * (2 * TRIM[1]) ** share
        vertices = model.at(coefficients) @ turn.T + shift
        target, found, _ = _closest(model, vertices, bones, trees, trim, within)
        if found[seen].mean() < 0.05:
            raise DataError(
                "the model does not find the bones; check that they are in LPS millimetres and how they lie"
            )
        turn, shift = rigid_onto(model.at(coefficients)[found], target[found])
        coefficients = _modes_onto(model, (target[found] - shift) @ turn, found, prior=4.0 * (1 - share) + 0.25)
    vertices = model.at(coefficients) @ turn.T + shift
    for width in WIDTHS:
        # A spike faces nothing, so no bone would ever draw it in.
        vertices = model.without_spikes(vertices)
        target, found, _ = _closest(model, vertices, bones, trees, max(1.5 * width, 2 * TRIM[1]), within)
        vertices = vertices + smooth_shift(vertices[found], (target - vertices)[found], vertices, width)
    vertices = model.without_spikes(vertices)
    target, found, normals = _closest(model, vertices, bones, trees, TRIM[1], within)
    residual = np.full(len(vertices), np.nan)
    residual[found] = np.abs(np.einsum("vi,vi->v", target - vertices, normals))[found]
    return Fitted(vertices, coefficients, turn, shift, residual)


def _start(
    model: ShapeModel, bones: Mapping[str, Cloud], turn: Float[ndarray, "3 3"], within: Grid | None
) -> Float[ndarray, "3"]:
    """Where the mean begins: middle on middle, or an end on an end where the bones are cut off at the other."""
    points = np.concatenate([bone.points for bone in bones.values()])
    own = model.mean[np.concatenate([model.of_part(name) for name in bones])] @ turn.T
    shift = np.mean([bone.points.mean(0) for bone in bones.values()], axis=0) - np.mean(
        [(model.mean[model.of_part(name)] @ turn.T).mean(0) for name in bones], axis=0
    )
    if within is None:
        return shift
    corners = within.corners.numpy()
    cut_low = points.min(0) - corners.min(0) < CUT * max(within.spacing)
    cut_high = corners.max(0) - points.max(0) < CUT * max(within.spacing)
    shift = np.where(cut_low & ~cut_high, points.max(0) - own.max(0), shift)
    shift = np.where(cut_high & ~cut_low, points.min(0) - own.min(0), shift)
    # What of the mean would be in the CT has its middle where the bones have theirs, but along a cut.
    inside = within.contains(torch.from_numpy(own + shift)).numpy()
    return np.where(cut_low | cut_high, shift, points.mean(0) - own[inside].mean(0)) if inside.any() else shift


def leeways(model: ShapeModel, fitted: Fitted) -> Float[ndarray, "d v 3"]:
    """What else the body may be where no bone was seen: independent displacements of the vertices.

    Each is what one standard deviation does, millimetres, of a principal axis of the coefficients and the pose given
    the vertices that found bone; their squares add up to the posterior variance of every vertex, to first order
    (posterior shape models: Albrecht et al. 2013). Raises DataError if no vertex found any.
    """
    seen = np.flatnonzero(np.isfinite(fitted.residual))
    if len(seen) == 0:
        raise DataError("no vertex of the model found bone; give more of the pelvis")
    some = seen[:: max(1, len(seen) // 3000)]
    shape = model.at(fitted.coefficients)
    about = shape - shape[some].mean(0)
    turns = np.stack([np.cross(axis, about) for axis in np.eye(3)])
    shifts = np.broadcast_to(np.eye(3)[:, None], turns.shape)
    ways = np.concatenate([model.modes, turns, shifts])
    basis = ways[:, some].reshape(len(ways), -1)
    weight = len(seen) / len(some) / ALIKE / UNEXPLAINED**2
    prior = np.diag([1.0] * len(model.modes) + [0.0] * 6)
    variance, axes = np.linalg.eigh(np.linalg.inv(weight * basis @ basis.T + prior))
    scaled = (axes * np.sqrt(np.maximum(variance, 0.0))).T
    return np.tensordot(scaled, ways, axes=1) @ fitted.turn.T


def cloud_of(mask: Bool[Tensor, "k j i"], grid: Grid) -> Cloud:
    """The surface of a mask, LPS millimetres: where the mask, blurred by a voxel, is one half.

    Raises DataError if the mask is empty.
    """
    inside = mask.numpy()
    if not inside.any():
        raise DataError("the mask is empty; give one with a bone in it")
    box = tuple(slice(max(int(at.min()) - 4, 0), int(at.max()) + 5) for at in np.nonzero(inside))
    soft = gaussian_filter(inside[box].astype(np.float32), 1.0)
    slope = np.stack(np.gradient(soft)[::-1], -1)
    rim = (np.abs(soft - 0.5) < 0.35) & ((slope**2).sum(-1) > 0.01)
    kji = np.argwhere(rim)
    gradient = slope[rim]
    ijk = kji[:, ::-1] + np.array([one.start for one in box[::-1]])
    ijk = ijk - ((soft[rim] - 0.5) / (gradient**2).sum(1))[:, None] * gradient
    matrix = grid.world_from_ijk.numpy()
    normal = -gradient @ np.linalg.inv(matrix[:3, :3])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return Cloud(ijk @ matrix[:3, :3].T + matrix[:3, 3], normal)


def rigid_onto(
    points: Float[ndarray, "n 3"], target: Float[ndarray, "n 3"]
) -> tuple[Float[ndarray, "3 3"], Float[ndarray, "3"]]:
    """The turn and the shift that bring points nearest to their partners in least squares. Kabsch 1976."""
    a, b = points.mean(0), target.mean(0)
    u, _, v = np.linalg.svd((points - a).T @ (target - b))
    turn = (u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v))]) @ v).T
    return turn, b - turn @ a


def smooth_shift(
    at: Float[ndarray, "n 3"], shift: Float[ndarray, "n 3"], points: Float[ndarray, "p 3"], width: float
) -> Float[ndarray, "p 3"]:
    """Shifts known at some points, averaged about others with a Gaussian of standard deviation `width`.

    Far from all that is known the shift fades away over three widths.
    """
    count = min(64, len(at))
    distance, nearest = cKDTree(at).query(points, k=count, workers=-1)
    weight = np.exp(-0.5 * (distance / width) ** 2)
    total = weight.sum(1, keepdims=True)
    return np.einsum("pn,pnx->px", weight, shift[nearest]) / np.maximum(total, 1e-2)


def _closest(
    model: ShapeModel,
    vertices: Float[ndarray, "v 3"],
    bones: Mapping[str, Cloud],
    trees: Mapping[str, cKDTree],
    trim: float,
    within: Grid | None,
) -> tuple[Float[ndarray, "v 3"], Bool[ndarray, "v"], Float[ndarray, "v 3"]]:
    """Where each vertex is pulled, whether by anything, and the bone's normal there.

    By what of its bone is closest to it, and by what of its bone it is closest to: without the latter a crest or a
    spine that the model has too short would never be drawn out, since the bone's flank is always nearer than its tip.
    """
    target, out = vertices.copy(), np.zeros_like(vertices)
    counts = np.zeros(len(vertices), dtype=bool)
    for name, bone in bones.items():
        mine = model.of_part(name)
        normals = Surface(vertices, model.faces[name]).normals[mine]
        # The nearest few, of which the first that faces the same way: thin bones have another side.
        distance, nearest = trees[name].query(vertices[mine], k=12, distance_upper_bound=trim, workers=-1)
        found = np.isfinite(distance)
        nearest = np.where(found, nearest, 0)
        facing = found & (np.einsum("vni,vi->vn", bone.normals[nearest], normals) > FACING)
        chosen = nearest[np.arange(len(mine)), facing.argmax(1)]
        n = bone.normals[chosen]
        # To the tangent plane there, so that the pitch of the points does not pull sideways.
        gap = bone.points[chosen] - vertices[mine]
        along, off = np.einsum("vi,vi->v", gap, n), np.linalg.norm(gap, axis=1)
        gap = np.where(off[:, None] < BESIDE, along[:, None] * n, gap)
        # What is closest to a vertex beyond a cut lies at its rim, sideways.
        any_facing = facing.any(1) & ((off < BESIDE) | (np.abs(along) > FACING * off))
        pull, calls = _called(bone, vertices[mine], normals, trim)
        share = any_facing.astype(float) + (calls > 0)
        target[mine] += (gap * any_facing[:, None] + pull) / np.maximum(share, 1)[:, None]
        counts[mine], out[mine] = share > 0, n
    if within is not None:
        counts &= within.contains(torch.from_numpy(vertices)).numpy()
    return target, counts, out


def _called(
    bone: Cloud, vertices: Float[ndarray, "v 3"], normals: Float[ndarray, "v 3"], trim: float
) -> tuple[Float[ndarray, "v 3"], Int[ndarray, "v"]]:
    """The mean way from each vertex to the points of a bone it is the closest to, and how many they are."""
    step = max(1, len(bone.points) // CALLING)
    points, facing = bone.points[::step], bone.normals[::step]
    distance, nearest = cKDTree(vertices).query(points, distance_upper_bound=trim, workers=-1)
    hit = np.flatnonzero(np.isfinite(distance))
    hit = hit[np.einsum("pi,pi->p", facing[hit], normals[nearest[hit]]) > FACING]
    at, gap = nearest[hit], points[hit] - vertices[nearest[hit]]
    calls = np.bincount(at, minlength=len(vertices))
    pull = np.stack([np.bincount(at, gap[:, axis], len(vertices)) for axis in range(3)], -1)
    return pull / np.maximum(calls, 1)[:, None], calls


def _modes_onto(
    model: ShapeModel, target: Float[ndarray, "n 3"], found: Bool[ndarray, "v"], prior: float
) -> Float[ndarray, "m"]:
    """The most probable coefficients: each costs its square, each vertex its squared distance over `prior`² mm²."""
    some = np.flatnonzero(found)[:: max(1, int(found.sum()) // 3000)]
    rank = np.searchsorted(np.flatnonzero(found), some)
    basis = model.modes[:, some].reshape(len(model.modes), -1)
    gap = (target[rank] - model.mean[some]).ravel()
    # Neighbouring vertices err alike: some 300 of them are independent.
    weight = 300 / len(some) / max(prior, 1.0) ** 2
    system = weight * basis @ basis.T + np.eye(len(basis))
    return np.clip(np.linalg.solve(system, weight * basis @ gap), -4, 4)
