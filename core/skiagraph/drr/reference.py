"""The engine to read: every other one must agree with it.

A ray crosses the grid's slices along the axis it runs most steeply through. It takes one bilinear sample where it
pierces each slice, and one slice's worth of path for it: Joseph 1982, IEEE TMI 1(3), 192-196. Rays end at the
source and at the panel; beyond the outermost voxel centres the field falls to zero within one voxel.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int, Shaped
from torch import Tensor
from torch.nn.functional import grid_sample

from skiagraph.errors import GeometryError
from skiagraph.geometry import Grid, View, transform

PLANE = {0: (1, 2), 1: (0, 2), 2: (0, 1)}
"""The two axes (of i, j, k) that span a slice across the third."""


@dataclass(frozen=True, eq=False)
class Rays:
    """Those rays of a view that run most steeply through one axis of a grid, in voxel coordinates (i, j, k)."""

    pick: Bool[Tensor, "v u"]
    """Which pixels they end at."""
    axis: int
    source: Float64[Tensor, "r 3"]
    step: Float64[Tensor, "r 3"]
    """From the source to the pixel."""
    length: Float64[Tensor, "r"]
    """The same in millimetres."""


@dataclass(frozen=True, eq=False)
class Crossing:
    """Where rays pierce one slice."""

    slice: int
    at: Float[Tensor, "r"]
    """Fraction of the way from source to pixel."""
    share: Float[Tensor, "r"]
    """Fraction of the ray that is this slice's."""
    where: Float[Tensor, "1 1 r 2"]
    """The point within the slice, as `grid_sample` wants it."""


def integrate(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> Float[Tensor, "*n c v u"]:
    """Line integrals of a field from the source to every pixel: the field's unit times millimetres.

    Differentiable in the field and in the view. Computes in the field's precision, if that is single at least.
    """
    if tuple(field.shape[1:]) != grid.shape:
        raise GeometryError(f"a field of {tuple(field.shape[1:])} on a grid of {grid.shape}; give one shape")
    if view.source.ndim > 1:
        return torch.stack([integrate(field, grid, view[n]) for n in range(len(view.source))])
    return _along(field.to(torch.promote_types(field.dtype, torch.float32)), grid, view.source, view.pixels())


def ends(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> Float[Tensor, "c 7 v u"]:
    """A single view's line integrals, and their derivatives by the ends of each ray.

    For every pixel its line integral, then the derivatives by the x, y, z (LPS mm) of the ray's source and by those
    of the pixel's place, in the field's unit. All a view's numbers move those two.
    """
    values = field.detach().to(torch.promote_types(field.dtype, torch.float32))
    rows = []
    for pixels in view.pixels().detach().split(16):  # so many at a time that the graph stays small
        start, end = (point.clone().requires_grad_() for point in (view.source.detach().expand_as(pixels), pixels))
        with torch.enable_grad():
            picture = _along(values, grid, start, end)
            slopes = [torch.autograd.grad(channel.sum(), (start, end), retain_graph=True) for channel in picture]
        moved = torch.stack([torch.cat(pair, dim=-1).movedim(-1, 0) for pair in slopes])
        rows.append(torch.cat([picture.detach()[:, None], moved.to(picture)], dim=1))
    return torch.cat(rows, dim=-2)


def _along(field: Tensor, grid: Grid, source: Tensor, pixels: Tensor) -> Tensor:
    """Line integrals along the rays from a source, or one for each, to pixels."""
    parts = torch.zeros(len(field), *pixels.shape[:2], dtype=field.dtype, device=field.device)
    for rays in bundles(grid, source, pixels, field.device):
        slices = field.movedim(3 - rays.axis, 1)
        total = torch.zeros(len(field), len(rays.step), dtype=field.dtype, device=field.device)
        for crossing in crossings(grid, rays, field.dtype):
            picture = slices[None, :, crossing.slice]
            if picture.requires_grad or picture.any():
                met = grid_sample(picture, crossing.where, mode="bilinear", padding_mode="zeros", align_corners=False)
                total = total + crossing.share * met[0, :, 0]
        parts = parts.masked_scatter(rays.pick, total * rays.length.to(total))
    return parts


def thickness(
    index: Shaped[Tensor, "k j i"], numbers: Int[Tensor, "m"], grid: Grid, view: View
) -> tuple[Float[Tensor, "m v u"], Float[Tensor, "m v u"]]:
    """How many millimetres of each label a single view's rays run through, and how far from the source they meet it.

    Voxels are taken whole (nearest neighbour), so that no ray is said to touch what it does not cross. The depth is
    measured along the ray and infinite where a ray misses.
    """
    through = torch.zeros(len(numbers), *view.size)
    first = torch.full((len(numbers), *view.size), torch.inf)
    for rays in bundles(grid, view.source, view.pixels(), through.device):
        slices = index.movedim(2 - rays.axis, 0)
        total = torch.zeros(len(numbers), len(rays.step))
        depth = torch.full_like(total, torch.inf)
        for crossing in crossings(grid, rays, torch.float32):
            picture = slices[crossing.slice].long()
            for m, number in enumerate(numbers.tolist()):
                mask = picture == number
                if not mask.any():
                    continue
                met = grid_sample(mask[None, None].float(), crossing.where, mode="nearest", align_corners=False)
                share = crossing.share * met[0, 0, 0]
                total[m] += share
                depth[m] = torch.where(share > 0, torch.minimum(depth[m], crossing.at), depth[m])
        through.masked_scatter_(rays.pick, total * rays.length.float())
        first.masked_scatter_(rays.pick, depth * rays.length.float())
    return through, first


def bundles(
    grid: Grid, source: Float64[Tensor, "*v 3"], pixels: Float64[Tensor, "v u 3"], device: torch.device
) -> Iterator[Rays]:
    """Rays from a source, or one for each, to pixels, sorted by the axis of the grid they run most steeply through."""
    start = transform(grid.ijk_from_world, source)
    step = transform(grid.ijk_from_world, pixels) - start
    length = (pixels - source).norm(dim=-1)
    steepest = step.detach().abs().argmax(dim=-1)
    for axis in range(3):
        pick = steepest == axis
        if pick.any():
            chosen = (part[pick].to(device) for part in (start.expand_as(step), step, length))
            yield Rays(pick.to(device), axis, *chosen)


def crossings(grid: Grid, rays: Rays, dtype: torch.dtype) -> Iterator[Crossing]:
    """Where the rays pierce the slices across their axis, one slice after the other.

    Worked out in double precision, since a slice's share of a ray is a small difference of two fractions.
    """
    sizes = grid.shape[::-1]
    start, along = rays.source[:, rays.axis], rays.step[:, rays.axis]
    plane = list(PLANE[rays.axis])
    scale = torch.tensor([2.0 / sizes[axis] for axis in plane]).to(along)
    shift = scale * (rays.source[:, plane] + 0.5) - 1.0
    slope = scale * rays.step[:, plane]
    for n in range(sizes[rays.axis]):
        at = (n - start) / along
        half = 0.5 / along.abs()
        share = ((at + half).clamp(0, 1) - (at - half).clamp(0, 1)).clamp(min=0)
        if share.any():
            where = (shift + at[:, None] * slope)[None, None]
            yield Crossing(n, at.to(dtype), share.to(dtype), where.to(dtype))
