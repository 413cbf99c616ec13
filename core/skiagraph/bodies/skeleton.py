"""Bones as implicit surfaces: balls along curves and across plates, drums, and the distance to them.

A bone's medial skeleton is a cloud of balls so dense that their envelope is smooth. Its distance field follows
from the ball whose power |p - c|² - r² is least, which is the nearest neighbour in four dimensions: each centre
is lifted by √(R² - r²), R the largest radius (Aurenhammer 1987).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray
from scipy.interpolate import PchipInterpolator, RBFInterpolator
from scipy.ndimage import binary_dilation, binary_fill_holes
from scipy.spatial import cKDTree

from skiagraph.surface import Cloud, Surface

Place = Callable[[Float[ndarray, "n 3"]], Float[ndarray, "n 3"]]
"""Where points of a bone's own frame are in the world."""

STEP = 1.3
"""Millimetres between the balls of a skeleton."""
PITCH = 1.2
"""Millimetres between the points of a shell."""
ROOM, DEEPEST = 2.0, 40.0
"""Millimetres: the voxels in which a shell's inside is told from its outside, and how deep its inside can be."""
STEEPEST = 2.5
"""Slope of a plate above which it only bridges two parts that lie behind one another."""


@dataclass(frozen=True, eq=False)
class Balls:
    """A part of a bone: the envelope of many balls."""

    centers: Float[ndarray, "n 3"]
    radii: Float[ndarray, "n"]

    def placed(self, place: Place, scale: float = 1.0) -> "Balls":
        """The same balls somewhere else, `scale` times as thick."""
        return Balls(place(self.centers), self.radii * scale)

    @cached_property
    def _tree(self) -> cKDTree:
        lift = np.sqrt(np.maximum(self.radii.max() ** 2 - self.radii**2, 0.0))  # rounding may leave less than nothing
        return cKDTree(np.c_[self.centers, lift], leafsize=32)

    def box(self) -> Float[ndarray, "2 3"]:
        """Lowest and highest corner."""
        reach = self.radii[:, None]
        return np.stack([(self.centers - reach).min(0), (self.centers + reach).max(0)])

    def distance(self, points: Float[ndarray, "p 3"], bound: float) -> Float[ndarray, "p"]:
        """Millimetres to the envelope, negative inside; what is farther than `bound` reads `bound`."""
        query = np.c_[points, np.zeros(len(points))]
        found, nearest = self._tree.query(query, distance_upper_bound=self.radii.max() + bound, workers=-1)
        out = np.full(len(points), bound)
        hit = np.isfinite(found)
        nearest = nearest[hit]
        out[hit] = np.linalg.norm(points[hit] - self.centers[nearest], axis=1) - self.radii[nearest]
        return np.minimum(out, bound)


def together(*parts: Balls) -> Balls:
    """Several clouds as one."""
    return Balls(np.concatenate([part.centers for part in parts]), np.concatenate([part.radii for part in parts]))


def curve(knots: Sequence[Sequence[float]]) -> Balls:
    """A tapering tube through knots (x, y, z, radius)."""
    table = np.asarray(knots, dtype=float)
    if len(table) == 1:
        return Balls(table[:, :3], table[:, 3])
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(table[:, :3], axis=0), axis=1))]
    at = np.linspace(0, length[-1], max(2, int(length[-1] / STEP) + 1))
    fine = PchipInterpolator(length, table)(at)
    return Balls(fine[:, :3], fine[:, 3])


def ribbon(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> Balls:
    """A sheet between two curves of equally many knots (x, y, z, radius)."""
    a, b = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    width = np.linalg.norm(a[:, :3] - b[:, :3], axis=1).max()
    shares = np.linspace(0, 1, max(2, int(width / STEP) + 1))
    return together(*(curve((a + share * (b - a)).tolist()) for share in shares))


@dataclass(frozen=True, eq=False)
class Plate:
    """A bent sheet of varying thickness, described as seen square on: (u, v) across, w towards the eye."""

    outline: Float[ndarray, "o 2"]
    """The silhouette's corners."""
    holes: tuple[Float[ndarray, "_ 2"], ...]
    gauge: Float[ndarray, "g 4"]
    """Readings (u, v, middle w, half thickness), scattered; smooth in between."""

    def middle(self, uv: Float[ndarray, "p 2"]) -> Float[ndarray, "p"]:
        """Where the sheet's middle is along the line of sight."""
        return RBFInterpolator(self.gauge[:, :2], self.gauge[:, 2], smoothing=0.5)(uv)

    def balls(self) -> Float[ndarray, "n 4"]:
        """Balls (u, v, w, radius) that fill the sheet up to its silhouette, but for where one looks along it."""
        low, high = self.outline.min(0), self.outline.max(0)
        axes = [np.arange(a, b, STEP) for a, b in zip(low, high)]
        uv = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
        inside = _inside(uv, self.outline)
        for hole in self.holes:
            inside &= ~_inside(uv, hole)
        uv = uv[inside]
        margin = np.min([_to_polygon(uv, loop) for loop in (self.outline, *self.holes)], axis=0)
        gauge = RBFInterpolator(self.gauge[:, :2], self.gauge[:, 2:], smoothing=0.5)
        w, half = gauge(uv).T
        across, along = (gauge(uv + 0.5 * axis)[:, 0] - gauge(uv - 0.5 * axis)[:, 0] for axis in np.eye(2))
        radius = np.minimum(np.maximum(half, 1.0), margin)
        kept = (radius > 0.6) & (np.hypot(across, along) < STEEPEST)
        return np.c_[uv, w, radius][kept]


@dataclass(frozen=True, eq=False)
class Drum:
    """A vertebral body: an elliptic cylinder with a waist, flat at both ends."""

    center: Float[ndarray, "3"]
    axes: Float[ndarray, "3 3"]
    """Unit columns: to the left, to the back, along the drum."""
    half: Float[ndarray, "3"]
    """Half width, half depth, half height."""
    waist: float = 2.5
    """Millimetres by which the middle is narrower than the ends."""

    def box(self) -> Float[ndarray, "2 3"]:
        """Lowest and highest corner."""
        reach = np.abs(self.axes) @ self.half
        return np.stack([self.center - reach, self.center + reach])

    def distance(self, points: Float[ndarray, "p 3"], bound: float) -> Float[ndarray, "p"]:
        """Millimetres to the surface, negative inside; rounded where side and end meet."""
        x, y, z = ((points - self.center) @ self.axes).T
        a, b, h = self.half
        narrow = self.waist * (1 - np.clip(z / h, -1, 1) ** 2)
        # The back of a vertebral body is flatter than its front.
        y = np.where(y > 0, y * 1.15, y)
        r = np.sqrt((x / a) ** 2 + (y / b) ** 2)
        side = (r - 1) * np.sqrt(a * b) + narrow
        end = np.abs(z) - h
        edge = 2.0
        out = np.hypot(np.maximum(side + edge, 0), np.maximum(end + edge, 0)) - edge
        return np.minimum(np.where(out > -edge, out, np.maximum(side, end)), bound)


@dataclass(frozen=True, eq=False)
class Shell:
    """A part of a bone given by its surface."""

    surface: Surface

    @cached_property
    def _cloud(self) -> Cloud:
        return self.surface.cloud(PITCH)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self._cloud.points)

    def box(self) -> Float[ndarray, "2 3"]:
        """Lowest and highest corner."""
        return np.stack([self.surface.vertices.min(0), self.surface.vertices.max(0)])

    @cached_property
    def _rooms(self) -> tuple["Lattice", UInt8[ndarray, "k j i"]]:
        """A coarse lattice about the bone whose voxels are outside, on the surface, or inside: 0, 1, 2."""
        box = self.box()
        shape = np.ceil((box[1] - box[0]) / ROOM).astype(int)[::-1] + 7
        lattice = Lattice(box[0] - 3 * ROOM, ROOM, (int(shape[0]), int(shape[1]), int(shape[2])))
        wall = np.zeros(lattice.shape, dtype=bool)
        wall[lattice.nearest(self._cloud.points)] = True
        # Thick enough to close the holes of a surface that is not quite shut.
        wall = binary_dilation(wall, np.ones((3, 3, 3)))
        return lattice, np.where(wall, 1, 2 * binary_fill_holes(wall)).astype(np.uint8)

    def distance(self, points: Float[ndarray, "p 3"], bound: float) -> Float[ndarray, "p"]:
        """Millimetres to the surface, negative inside.

        From the tangent plane of the nearest of its points; how far off that point is counts from `PITCH` up. Near
        the surface the plane tells inside from outside; elsewhere it is whether the surface shuts the point in, since
        the normal of a sharp edge says nothing about what is far from it.
        """
        lattice, rooms = self._rooms
        room = rooms[lattice.nearest(points)]
        out = np.full(len(points), bound)
        for some, reach in ((np.flatnonzero(room < 2), bound), (np.flatnonzero(room == 2), DEEPEST)):
            found, nearest = self._tree.query(points[some], distance_upper_bound=reach, workers=-1)
            hit = some[np.isfinite(found)]
            nearest, found = nearest[np.isfinite(found)], found[np.isfinite(found)]
            gap = points[hit] - self._cloud.points[nearest]
            height = np.einsum("pi,pi->p", gap, self._cloud.normals[nearest])
            aside = np.maximum(found**2 - height**2 - PITCH**2, 0)
            sign = np.where(room[hit] == 1, height, 1.0 - room[hit])
            out[hit] = np.copysign(np.sqrt(height**2 + aside), sign)
        return np.minimum(out, bound)


@dataclass(frozen=True, eq=False)
class Bone:
    """A bone: parts blended into one, with holes."""

    parts: tuple[Balls | Drum | Shell, ...]
    holes: tuple[Balls, ...] = ()
    blend: float = 3.0
    """Millimetres over which parts flow into each other."""

    def box(self) -> Float[ndarray, "2 3"]:
        """Lowest and highest corner."""
        boxes = np.stack([part.box() for part in self.parts])
        return np.stack([boxes[:, 0].min(0), boxes[:, 1].max(0)])

    def sampled(self, lattice: "Lattice", reach: float) -> tuple[tuple[slice, slice, slice], Float[ndarray, "k j i"]]:
        """The voxels about the bone, and in them the millimetres to its surface, at most `reach`."""
        where = lattice.slices(self.box(), reach)
        field = np.full([s.stop - s.start for s in where], reach, dtype=np.float32)
        for part in self.parts:
            inner = lattice.slices(part.box(), reach, within=where)
            local = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, where))
            field[local] = smooth_min(field[local], _sample(part, lattice, inner, reach), self.blend)
        for hole in self.holes:
            inner = lattice.slices(hole.box(), reach, within=where)
            if any(s.stop <= s.start for s in inner):
                continue
            local = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, where))
            field[local] = np.maximum(field[local], -_sample(hole, lattice, inner, reach))
        return where, field


@dataclass(frozen=True, eq=False)
class Lattice:
    """Voxel centres along the world's axes."""

    origin: Float[ndarray, "3"]
    spacing: float
    shape: tuple[int, int, int]
    """Voxels along (k, j, i)."""

    @property
    def all(self) -> tuple[slice, slice, slice]:
        """Every voxel."""
        k, j, i = self.shape
        return slice(0, k), slice(0, j), slice(0, i)

    def slices(
        self,
        box: Float[ndarray, "2 3"],
        margin: float,
        within: tuple[slice, slice, slice] | None = None,
    ) -> tuple[slice, slice, slice]:
        """The (k, j, i) voxels of a box widened by `margin`, clipped to the lattice or to `within`."""
        low = np.floor((box[0] - margin - self.origin) / self.spacing).astype(int)[::-1]
        high = np.ceil((box[1] + margin - self.origin) / self.spacing).astype(int)[::-1] + 1
        limits = within or self.all
        k, j, i = (
            slice(min(max(a, s.start), s.stop), min(max(b, s.start), s.stop))
            for a, b, s in zip(low.tolist(), high.tolist(), limits)
        )
        return k, j, i

    def nearest(self, points: Float[ndarray, "p 3"]) -> tuple[Int[ndarray, "p"], Int[ndarray, "p"], Int[ndarray, "p"]]:
        """The (k, j, i) of the voxels points are in; those beside the lattice are at its rim."""
        last = np.array(self.shape[::-1]) - 1
        i, j, k = np.clip(np.round((points - self.origin) / self.spacing).astype(int), 0, last).T
        return k, j, i

    def axes(self, where: tuple[slice, slice, slice]) -> tuple[Float[ndarray, "_"], ...]:
        """World z, y and x of some voxels."""
        return tuple(self.origin[2 - axis] + self.spacing * np.arange(s.start, s.stop) for axis, s in enumerate(where))

    def points(self, where: tuple[slice, slice, slice]) -> Float[ndarray, "k j i 3"]:
        """The centres of some voxels."""
        z, y, x = np.meshgrid(*self.axes(where), indexing="ij")
        return np.stack([x, y, z], -1)


def smooth_min(a: Float[ndarray, "*n"], b: Float[ndarray, "*n"], k: float) -> Float[ndarray, "*n"]:
    """The smaller of two distances, rounded over `k` millimetres where they meet (Quilez's quadratic)."""
    h = np.maximum(k - np.abs(a - b), 0) / k
    return (np.minimum(a, b) - h * h * k / 4).astype(np.float32)


def _sample(
    part: Balls | Drum | Shell, lattice: Lattice, where: tuple[slice, slice, slice], reach: float
) -> Float[ndarray, "k j i"]:
    """The distance in some voxels, computed only in those blocks of voxels that come near the part."""
    shape = tuple(s.stop - s.start for s in where)
    out = np.full(shape, reach, dtype=np.float32)
    if min(shape) == 0:
        return out
    if isinstance(part, Drum):
        points = lattice.points(where).reshape(-1, 3)
        return part.distance(points, reach).reshape(shape).astype(np.float32)
    near = _near_blocks(part, lattice, where, reach)
    z, y, x = lattice.axes(where)
    k, j, i = np.nonzero(near)
    out[k, j, i] = part.distance(np.stack([x[i], y[j], z[k]], -1), reach)
    return out


def _near_blocks(
    part: Balls | Shell, lattice: Lattice, where: tuple[slice, slice, slice], reach: float
) -> Bool[ndarray, "k j i"]:
    block = 3
    shape = [s.stop - s.start for s in where]
    counts = [-(-n // block) for n in shape]
    start = lattice.origin + lattice.spacing * (np.array([s.start for s in where[::-1]]) + (block - 1) / 2)
    coarse = Lattice(start, lattice.spacing * block, (counts[0], counts[1], counts[2]))
    points = coarse.points(coarse.all).reshape(-1, 3)
    slack = reach + lattice.spacing * (block - 1) / 2 * np.sqrt(3) + 0.1
    near = (part.distance(points, slack) < slack).reshape(counts)
    for axis in range(3):
        near = near.repeat(block, axis)
    return near[: shape[0], : shape[1], : shape[2]]


def _to_polygon(points: Float[ndarray, "p 2"], loop: Float[ndarray, "o 2"]) -> Float[ndarray, "p"]:
    nearest = np.full(len(points), np.inf)
    for a, b in zip(loop, np.roll(loop, -1, 0)):
        along = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(points - a - along[:, None] * (b - a), axis=1))
    return nearest


def _inside(points: Float[ndarray, "p 2"], loop: Float[ndarray, "o 2"]) -> Bool[ndarray, "p"]:
    """Even-odd rule: a ray to the right crosses the loop an odd number of times."""
    u, v = points.T
    odd = np.zeros(len(points), dtype=bool)
    for (au, av), (bu, bv) in zip(loop, np.roll(loop, -1, 0)):
        if av != bv:
            odd ^= ((av > v) != (bv > v)) & (u < au + (v - av) * (bu - au) / (bv - av))
    return odd
