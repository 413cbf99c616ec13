"""Where things are: the lattice a volume lies on, and the source and panel an X-ray is taken with.

The world is the patient's LPS frame in millimetres (DICOM PS3.3 C.7.6.2.1.1): x to the left, y to the back,
z to the head. Integers are the centres of voxels and pixels. Matrices are named `b_from_a`, hold float64 and
act on column vectors.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from skiagraph.errors import GeometryError

Point = Float64[Tensor, "3"]


def float64(values: Tensor | Sequence[Any] | float) -> Float64[Tensor, "..."]:
    """The same numbers in double precision."""
    return torch.as_tensor(values, dtype=torch.float64)


def homogeneous(points: Float64[Tensor, "*n d"]) -> Float64[Tensor, "*n d+1"]:
    """Points with a one after their last coordinate."""
    return torch.cat([points, torch.ones_like(points[..., :1])], dim=-1)


def transform(b_from_a: Float64[Tensor, "4 4"], points: Float64[Tensor, "*n 3"]) -> Float64[Tensor, "*n 3"]:
    """Points of frame a, in frame b."""
    return points @ b_from_a[:3, :3].T + b_from_a[:3, 3]


def rotation(axis: str, degrees: float) -> Float64[Tensor, "3 3"]:
    """A right-handed turn about the world's `x`, `y` or `z`."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows = {
        "x": [[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]],
        "y": [[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]],
        "z": [[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]],
    }
    return float64(rows[axis])


def rigid(turn: Float64[Tensor, "3 3"], about: Point, shift: Point | None = None) -> Float64[Tensor, "4 4"]:
    """The 4x4 motion that turns about a point, then shifts by `shift` millimetres."""
    moved = torch.eye(4, dtype=torch.float64)
    moved[:3, :3] = turn
    moved[:3, 3] = about - turn @ about + (0.0 if shift is None else shift)
    return moved


@dataclass(frozen=True, eq=False)
class Grid:
    """The lattice a volume lies on."""

    shape: tuple[int, int, int]
    """Voxels along (k, j, i): slices, rows, columns."""
    world_from_ijk: Float64[Tensor, "4 4"]
    """Column vectors (i, j, k, 1) to LPS millimetres."""

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise GeometryError(f"a grid of {self.shape} voxels is empty; give at least one voxel an axis")
        if not torch.isfinite(self.world_from_ijk).all():
            raise GeometryError("the grid's matrix holds NaN or infinity; give finite millimetres")
        if min(self.spacing) < 1e-6 or abs(torch.linalg.det(self.direction).item()) < 1e-3:
            raise GeometryError(
                f"the grid's axes are flat or zero (spacing {self.spacing}); give three that span space"
            )

    @classmethod
    def of(
        cls,
        shape: tuple[int, int, int],
        spacing: Sequence[float],
        origin: Sequence[float] = (0.0, 0.0, 0.0),
        direction: Tensor | None = None,
    ) -> "Grid":
        """A grid from spacing (i, j, k), the first voxel's centre, and direction columns (i, j, k)."""
        matrix = torch.eye(4, dtype=torch.float64)
        axes = torch.eye(3, dtype=torch.float64) if direction is None else float64(direction)
        matrix[:3, :3] = axes * float64(spacing)
        matrix[:3, 3] = float64(origin)
        return cls(shape, matrix)

    @classmethod
    def centred(
        cls, shape: tuple[int, int, int], spacing: Sequence[float], center: Sequence[float] = (0.0, 0.0, 0.0)
    ) -> "Grid":
        """A grid along the world's axes whose middle lies at `center`."""
        k, j, i = shape
        half = float64(spacing) * (float64([i, j, k]) - 1) / 2
        return cls.of(shape, spacing, (float64(center) - half).tolist())

    @property
    def ijk_from_world(self) -> Float64[Tensor, "4 4"]:
        """LPS millimetres to (i, j, k, 1)."""
        return torch.linalg.inv(self.world_from_ijk)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres between voxels along (i, j, k)."""
        i, j, k = self.world_from_ijk[:3, :3].norm(dim=0).tolist()
        return i, j, k

    @property
    def origin(self) -> Point:
        """The centre of voxel (0, 0, 0)."""
        return self.world_from_ijk[:3, 3]

    @property
    def direction(self) -> Float64[Tensor, "3 3"]:
        """Unit columns along i, j and k."""
        return self.world_from_ijk[:3, :3] / self.world_from_ijk[:3, :3].norm(dim=0)

    @property
    def center(self) -> Point:
        """The middle of the volume."""
        k, j, i = self.shape
        return transform(self.world_from_ijk, float64([(i - 1) / 2, (j - 1) / 2, (k - 1) / 2]))

    @property
    def corners(self) -> Float64[Tensor, "8 3"]:
        """The outer corners of the outermost voxels."""
        k, j, i = self.shape
        ends = [torch.tensor([-0.5, n - 0.5], dtype=torch.float64) for n in (i, j, k)]
        return transform(self.world_from_ijk, torch.cartesian_prod(*ends))

    def centers(self) -> Float64[Tensor, "k j i 3"]:
        """Every voxel's centre in the world; 24 bytes a voxel, so mind the size."""
        k, j, i = (torch.arange(n, dtype=torch.float64) for n in self.shape)
        kk, jj, ii = torch.meshgrid(k, j, i, indexing="ij")
        return transform(self.world_from_ijk, torch.stack([ii, jj, kk], dim=-1))

    def contains(self, points: Float64[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
        """Which points lie inside the outermost voxels."""
        k, j, i = self.shape
        ijk = transform(self.ijk_from_world, points)
        return ((ijk >= -0.5) & (ijk <= float64([i, j, k]) - 0.5)).all(dim=-1)

    def cropped(self, box: tuple[slice, slice, slice]) -> "Grid":
        """The lattice of `array[box]`, a box of whole voxels along (k, j, i)."""
        k, j, i = box
        matrix = self.world_from_ijk.clone()
        matrix[:3, 3] = transform(matrix, float64([i.start, j.start, k.start]))
        return Grid((k.stop - k.start, j.stop - j.start, i.stop - i.start), matrix)

    def moved(self, world_from_world: Float64[Tensor, "4 4"]) -> "Grid":
        """The same lattice after a motion of the world."""
        return Grid(self.shape, world_from_world @ self.world_from_ijk)

    def is_part_of(self, other: "Grid", tolerance: float = 0.01) -> bool:
        """Whether every voxel lies on one of another, larger grid's, to `tolerance` of a voxel."""
        there_from_here = other.ijk_from_world @ self.world_from_ijk
        k, j, i = self.shape
        ends = transform(there_from_here, float64([[0, 0, 0], [i - 1, j - 1, k - 1]]))
        turned = (there_from_here[:3, :3] - torch.eye(3, dtype=torch.float64)).abs().max() * max(self.shape)
        whole = (ends - ends.round()).abs().max()
        limits = float64(other.shape[::-1]) - 1
        inside = ((ends > -tolerance) & (ends < limits + tolerance)).all()
        return bool(inside and turned <= tolerance and whole <= tolerance)

    def same_as(self, other: "Grid", tolerance: float = 1e-3) -> bool:
        """Whether two grids hold the same voxels, to `tolerance` millimetres at every corner."""
        return self.shape == other.shape and bool((self.corners - other.corners).abs().max() <= tolerance)


@dataclass(frozen=True, eq=False)
class View:
    """One exposure: a source and a parallelogram of pixels. Leading axes `*n` make it a batch.

    The pixel (u, v) lies at `origin + u * u_step + v * v_step`. In the display convention the patient's left is
    on the image's right as in looking at the patient, so u, v and the beam form a left-handed triple and the
    focal length of `krt` is negative, as in DeepFluoro's files.
    """

    source: Float64[Tensor, "*n 3"]
    """The X-ray tube's focal spot."""
    origin: Float64[Tensor, "*n 3"]
    """Centre of pixel (0, 0), the image's upper left one."""
    u_step: Float64[Tensor, "*n 3"]
    """From one column to the next."""
    v_step: Float64[Tensor, "*n 3"]
    """From one row to the next."""
    size: tuple[int, int]
    """Rows and columns: (v, u), as an image's shape."""

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise GeometryError(f"an image of {self.size} pixels is empty; give at least one row and one column")
        if not all(torch.isfinite(x).all() for x in (self.source, self.origin, self.u_step, self.v_step)):
            raise GeometryError("the view holds NaN or infinity; give finite millimetres")
        if not self.source.numel():
            raise GeometryError("a batch of no views; give at least one")
        across = torch.linalg.cross(self.u_step, self.v_step).norm(dim=-1)
        if not bool((across > 1e-9 * self.u_step.norm(dim=-1) * self.v_step.norm(dim=-1)).all()):
            raise GeometryError("the panel's rows and columns run along one line; give two steps that span a plane")
        if bool((self.source_to_panel < 1e-6).any()):
            raise GeometryError("the source lies in the plane of the panel; move it away from the panel")

    @classmethod
    def from_matrix(cls, pixel_from_world: Tensor, size: tuple[int, int], pixel_spacing: float) -> "View":
        """A view from a 3x4 matrix that takes LPS points to (u, v, 1) times a positive depth.

        A projective matrix does not say how large the panel is: `pixel_spacing`, the millimetres between two
        columns, does. Points with positive third coordinate are taken to lie in front of the source.
        """
        matrix = float64(pixel_from_world)
        if matrix.shape[-2:] != (3, 4):
            raise GeometryError(f"a projection matrix of shape {tuple(matrix.shape)}; give 3x4, world to pixels")
        if bool((torch.linalg.det(matrix[..., :3]).abs() < 1e-12).any()):
            raise GeometryError("the projection matrix is singular; a pinhole's left 3x3 block can be inverted")
        world_from_pixel = torch.linalg.inv(matrix[..., :3])
        scale = pixel_spacing / world_from_pixel[..., 0].norm(dim=-1, keepdim=True)
        source = -(world_from_pixel @ matrix[..., 3:])[..., 0]
        u_step, v_step, corner = (scale * world_from_pixel[..., axis] for axis in range(3))
        return cls(source, source + corner, u_step, v_step, size)

    @classmethod
    def from_krt(cls, k: Tensor, r: Tensor, t: Tensor, size: tuple[int, int], pixel_spacing: float) -> "View":
        """A view from intrinsics K (3x3, pixels), R (3x3) and t (3, mm): a point X lands on K (R X + t).

        Two negative focal lengths mean that the camera's z points from the panel to the source, as in DeepFluoro.
        """
        k, r, t = float64(k), float64(r), float64(t)
        t = t.reshape(*r.shape[:-2], 3)
        error = (r @ r.mT - torch.eye(3, dtype=torch.float64)).abs().max().item()
        if error > 1e-3:
            raise GeometryError(f"R is not a rotation (R Rᵀ is off by {error:.2g}); give an orthonormal 3x3 matrix")
        forward = -1.0 if bool((k[..., 0, 0] < 0).all() and (k[..., 1, 1] < 0).all()) else 1.0
        matrix = forward * (k @ torch.cat([r, t[..., None]], dim=-1))
        return cls.from_matrix(matrix, size, pixel_spacing)

    @property
    def _world_from_pixel(self) -> Float64[Tensor, "*n 3 3"]:
        return torch.stack([self.u_step, self.v_step, self.origin - self.source], dim=-1)

    @property
    def normal(self) -> Float64[Tensor, "*n 3"]:
        """Unit vector of the principal ray: square to the panel, from the source towards it."""
        across = torch.linalg.cross(self.u_step, self.v_step)
        across = across / across.norm(dim=-1, keepdim=True)
        return across * ((self.origin - self.source) * across).sum(-1, keepdim=True).sign()

    @property
    def source_to_panel(self) -> Float64[Tensor, "*n"]:
        """Millimetres from the source square to the panel; DICOM (0018,1110)."""
        across = torch.linalg.cross(self.u_step, self.v_step)
        return ((self.origin - self.source) * across).sum(-1).abs() / across.norm(dim=-1)

    @property
    def pixel_spacing(self) -> tuple[float, float]:
        """Millimetres between (rows, columns) on the panel, of the first view of a batch."""
        return self.v_step.reshape(-1, 3)[0].norm().item(), self.u_step.reshape(-1, 3)[0].norm().item()

    @property
    def principal_point(self) -> Float64[Tensor, "*n 2"]:
        """The pixel (u, v), not always a whole one, where the ray square to the panel lands."""
        return self.project((self.source + self.normal)[..., None, :])[..., 0, :]

    def matrix(self) -> Float64[Tensor, "*n 3 4"]:
        """`pixel_from_world`: LPS points to (u, v, 1) times their depth in millimetres along the principal ray."""
        left = torch.linalg.inv(self._world_from_pixel)
        left = left / left[..., 2:, :].norm(dim=-1, keepdim=True)
        return torch.cat([left, -left @ self.source[..., None]], dim=-1)

    def krt(self) -> tuple[Float64[Tensor, "*n 3 3"], Float64[Tensor, "*n 3 3"], Float64[Tensor, "*n 3"]]:
        """Intrinsics K, a proper rotation R and t with pixel ~ K (R X + t); see the class for the sign of K."""
        matrix = self.matrix()
        hand = torch.linalg.det(matrix[..., :3]).sign()[..., None, None]
        left = hand * matrix[..., :3]
        # RQ decomposition by Gram-Schmidt from the last row up; R's rows follow from K's triangle.
        r3 = left[..., 2, :]
        k23 = (left[..., 1, :] * r3).sum(-1, keepdim=True)
        rest = left[..., 1, :] - k23 * r3
        k22 = hand[..., 0] * rest.norm(dim=-1, keepdim=True)
        r2 = rest / k22
        k13 = (left[..., 0, :] * r3).sum(-1, keepdim=True)
        k12 = (left[..., 0, :] * r2).sum(-1, keepdim=True)
        rest = left[..., 0, :] - k13 * r3 - k12 * r2
        k11 = hand[..., 0] * rest.norm(dim=-1, keepdim=True)
        r1 = rest / k11
        zero, one = torch.zeros_like(k11), torch.ones_like(k11)
        k = torch.cat([k11, k12, k13, zero, k22, k23, zero, zero, one], dim=-1).reshape(*left.shape)
        r = torch.stack([r1, r2, r3], dim=-2)
        return k, r, -(r @ self.source[..., None])[..., 0]

    def project(self, points: Float64[Tensor, "*m p 3"]) -> Float64[Tensor, "*k p 2"]:
        """The pixels (u, v) on which points land; see `sees` for those behind the source or beside the panel."""
        pixel = homogeneous(points) @ self.matrix().mT
        return pixel[..., :2] / pixel[..., 2:]

    def depth(self, points: Float64[Tensor, "*m p 3"]) -> Float64[Tensor, "*k p"]:
        """Millimetres from the source along the principal ray; negative behind the source."""
        return (homogeneous(points) @ self.matrix().mT)[..., 2]

    def sees(self, points: Float64[Tensor, "*m p 3"]) -> Bool[Tensor, "*k p"]:
        """Which points lie between source and panel and land on a pixel."""
        v, u = self.size
        uv, depth = self.project(points), self.depth(points)
        inside = ((uv >= -0.5) & (uv <= float64([u, v]) - 0.5)).all(dim=-1)
        return inside & (depth > 0) & (depth <= self.source_to_panel[..., None])

    def pixels(self) -> Float64[Tensor, "*n v u 3"]:
        """Every pixel's centre in the world."""
        v, u = (torch.arange(n, dtype=torch.float64) for n in self.size)
        return (
            self.origin[..., None, None, :]
            + u[:, None] * self.u_step[..., None, None, :]
            + v[:, None, None] * self.v_step[..., None, None, :]
        )

    def on_panel(self, uv: Float64[Tensor, "p 2"]) -> Float64[Tensor, "*n p 3"]:
        """Pixels (u, v), not always whole ones, as points of the panel in the world."""
        steps = torch.stack([self.u_step, self.v_step], dim=-2)
        return self.origin[..., None, :] + uv @ steps

    def moved(self, world_from_world: Float64[Tensor, "4 4"]) -> "View":
        """The same source and panel after a motion of the world."""
        turn = world_from_world[:3, :3]
        return View(
            transform(world_from_world, self.source),
            transform(world_from_world, self.origin),
            self.u_step @ turn.T,
            self.v_step @ turn.T,
            self.size,
        )

    def resized(self, size: tuple[int, int]) -> "View":
        """The same panel with another number of pixels: its outer edges stay where they are."""
        (rows, columns), (old_rows, old_columns) = size, self.size
        u_step, v_step = self.u_step * (old_columns / columns), self.v_step * (old_rows / rows)
        origin = self.origin - (self.u_step + self.v_step) / 2 + (u_step + v_step) / 2
        return View(self.source, origin, u_step, v_step, size)

    def cropped(self, rows: slice, columns: slice) -> "View":
        """The part of the panel that `image[rows, columns]` shows."""
        v0, v1, _ = rows.indices(self.size[0])
        u0, u1, _ = columns.indices(self.size[1])
        return View(
            self.source, self.origin + u0 * self.u_step + v0 * self.v_step, self.u_step, self.v_step, (v1 - v0, u1 - u0)
        )

    def changed_over(self, point: Point) -> "View":
        """Source and panel on each other's side of a point, the picture's rows and columns running as before.

        So a radiograph is taken: the tube before the patient, the panel behind, and his left on the picture's right.
        """
        down = self.v_step / self.v_step.norm()
        half_a_turn = 2 * torch.outer(down, down) - torch.eye(3, dtype=torch.float64)
        there = self.moved(rigid(half_a_turn, point))
        last = there.origin + (self.size[1] - 1) * there.u_step
        return View(there.source, last, -there.u_step, there.v_step, self.size)

    def mirrored(self) -> "View":
        """A mirror image's view: of a body mirrored in the plane x = 0, pixel (u, v) becomes (columns - 1 - u, v)."""
        there = self.moved(torch.diag(float64([-1.0, 1.0, 1.0, 1.0])))
        return View(there.source, there.origin + (self.size[1] - 1) * there.u_step, -there.u_step, there.v_step,
                    self.size)  # fmt: skip

    def half_turned(self) -> "View":
        """The same exposure with its picture turned by half: pixel (u, v) becomes (columns - 1 - u, rows - 1 - v)."""
        rows, columns = self.size
        last = self.origin + (columns - 1) * self.u_step + (rows - 1) * self.v_step
        return View(self.source, last, -self.u_step, -self.v_step, self.size)

    def __getitem__(self, index: int) -> "View":
        """One view of a batch."""
        return View(self.source[index], self.origin[index], self.u_step[index], self.v_step[index], self.size)

    @classmethod
    def stack(cls, views: Sequence["View"]) -> "View":
        """Several views of one size as a batch."""
        if len({view.size for view in views}) != 1:
            raise GeometryError(
                f"cannot batch {len(views)} views of sizes {sorted({v.size for v in views})}; give one size"
            )
        source, origin, u_step, v_step = (
            torch.stack([getattr(view, part) for view in views]) for part in ("source", "origin", "u_step", "v_step")
        )
        return cls(source, origin, u_step, v_step, views[0].size)


def meeting(views: Sequence[View], uv: Float64[Tensor, "n p 2"]) -> Float64[Tensor, "p 3"]:
    """The points nearest to their rays in several single views, given the pixels they were seen on.

    Raises GeometryError if all rays of a point run along one line.
    """
    normal, moment = torch.zeros(uv.shape[1], 3, 3, dtype=torch.float64), torch.zeros(uv.shape[1], 3, 1).double()
    for view, seen in zip(views, uv):
        along = view.on_panel(seen) - view.source
        along = along / along.norm(dim=-1, keepdim=True)
        across = torch.eye(3, dtype=torch.float64) - along[:, :, None] * along[:, None]
        normal, moment = normal + across, moment + across @ view.source[:, None]
    if bool((torch.linalg.eigvalsh(normal)[:, 0] < 1e-9 * len(views)).any()):
        raise GeometryError(f"{len(views)} views whose rays meet nowhere; give two or more from different places")
    return torch.linalg.solve(normal, moment)[..., 0]


def box_around(mask: Bool[Tensor, "k j i"]) -> tuple[slice, slice, slice] | None:
    """The smallest box of voxels that holds all that is true; None if nothing is."""
    box = []
    for others in ((1, 2), (0, 2), (0, 1)):
        at = mask.any(dim=others[1]).any(dim=others[0]).nonzero()[:, 0]
        if not len(at):
            return None
        box.append(slice(int(at[0]), int(at[-1]) + 1))
    return box[0], box[1], box[2]
