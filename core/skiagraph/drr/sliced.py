"""The fast engine on the CPU: slice after slice instead of ray after ray, on 16-bit voxels; see native/sliced.cpp.

What it needs of a field is made once and kept as long as the field lives: a 16-bit copy of the box that is not zero,
for each axis of the grid that is looked along.
"""

import ctypes
import math
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from skiagraph.compiled import LEVELS as LEVELS
from skiagraph.compiled import level as level
from skiagraph.compiled import levels as levels
from skiagraph.drr import native
from skiagraph.drr.kept import Kept
from skiagraph.drr.native import PlacedView, library
from skiagraph.errors import BackendError, DataError, GeometryError
from skiagraph.geometry import Grid, View

FEW = 2e6
"""Samples along all rays of a view (pixels times slices) up to which they are taken one by one: exact, and 10 ms."""

SMALL, FEW_OF_SMALL = 0.2, 1e5
"""Part of the panel up to which a field's shadow is small, and samples up to which its rays are taken one by one: where
rays spread little slices err as little, and there may be many such fields."""

WORTH = 40.0
"""How many samples of the picture between slices and panel cost as much as one ray by itself."""

PARTLY = -2
"""The library's answer where an axis might serve a part of the view."""

SMALLEST = 128
"""Rows or columns up to which a picture that no one axis serves is not parted further."""

SHORT = "not enough memory to slice the field for the fast engine; free some, or use engine 'native'"


def integrate(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> Float[Tensor, "*n c v u"]:
    """Line integrals of a field from the source to every pixel: the field's unit times millimetres.

    As accurate as Joseph's against the truth, not the same to the digit: the picture is sampled at 0.6 voxels and
    interpolated. Not differentiable, see `ends`; the same to the bit for any number of threads. A picture too wide for
    the slices of one axis is put together from parts, and parts that none serve (rays that start or end in the field,
    few pixels) are left to `native`. A field changed behind torch's back, as through the memory of a numpy array, is
    not noticed. Raises DataError for NaN or infinity.
    """
    return _Sum("sliced", (), native.integrate, FEW, WORTH).each(_ready(field, grid), field, grid, view)


def ends(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> Float[Tensor, "c 7 v u"]:
    """A single view's line integrals, and their derivatives by the ends of each ray, as `reference.ends` has them.

    The slope of the picture between slices and panel instead of the voxels' own: where the two differ, at the edges
    of voxels, it is the smoother. Few rays go by slices too; views that slices do not serve, by rays.
    """
    return _Sum("sliced_ends", (7,), native.ends, 0.0, math.inf).of(_ready(field, grid), field, grid, view)


def axis_for(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> int | None:
    """The axis (0: i, 1: j, 2: k) whose slices serve all of a single view; None where none does."""
    axis = _PREPARED.of(field).axis_for(PlacedView.of(grid, view), FEW, WORTH)
    return axis if axis >= 0 else None


@dataclass(frozen=True)
class _Sum:
    """What the library can sum up over slices, and who does it by rays."""

    function: str
    planes: tuple[int, ...]
    """How many numbers there are of each pixel, if not one."""
    by_rays: Callable[[Tensor, Grid, View], Tensor]
    few: float
    worth: float

    def each(self, prepared: "_Prepared", field: Tensor, grid: Grid, view: View) -> Tensor:
        """The sums of a view, or of a batch's."""
        if view.source.ndim > 1:
            return torch.stack([self.each(prepared, field, grid, view[n]) for n in range(len(view.source))])
        return self.of(prepared, field, grid, view)

    def of(self, prepared: "_Prepared", field: Tensor, grid: Grid, view: View) -> Tensor:
        """The sums of a single view; if the field casts a small shadow, of that part alone."""
        rows, columns = shadow_of(grid, view)
        share = (rows.stop - rows.start) * (columns.stop - columns.start) / (view.size[0] * view.size[1])
        if share > SMALL:
            return self.of_all(prepared, field, grid, view)
        out = torch.zeros(len(field), *self.planes, *view.size)
        if rows.stop > rows.start and columns.stop > columns.start:
            part = replace(self, few=min(self.few, FEW_OF_SMALL))
            out[..., rows, columns] = part.of_all(prepared, field, grid, view.cropped(rows, columns)).cpu()
        return out.to(field.device)

    def of_all(self, prepared: "_Prepared", field: Tensor, grid: Grid, view: View) -> Tensor:
        """The sums of a single view, every pixel of it."""
        placed = PlacedView.of(grid, view)
        axis = prepared.axis_for(placed, self.few, self.worth)
        if axis == PARTLY and max(view.size) > SMALLEST:
            return self.put_together(prepared, field, grid, view)
        if axis < 0:
            return self.by_rays(field, grid, view)
        prepared.slice(field, axis)
        out = torch.empty(len(field), *self.planes, *view.size)
        work = getattr(library(), f"skiagraph_{self.function}")
        if not work(prepared.handle, placed, axis, LEVELS[level()], out.data_ptr(), torch.get_num_threads()):
            raise BackendError(SHORT)
        return out.to(field.device)

    def put_together(self, prepared: "_Prepared", field: Tensor, grid: Grid, view: View) -> Tensor:
        """The sums of a view from its halves': in each the rays spread less."""
        rows, columns = view.size
        every = slice(None)
        if rows >= columns:
            parts, dim = [view.cropped(half, every) for half in (slice(rows // 2), slice(rows // 2, rows))], -2
        else:
            parts, dim = [view.cropped(every, half) for half in (slice(columns // 2), slice(columns // 2, columns))], -1
        return torch.cat([self.of_all(prepared, field, grid, part) for part in parts], dim=dim)


def shadow_of(grid: Grid, view: View) -> tuple[slice, slice]:
    """The rows and columns of a single view outside of which no ray meets a grid; all where it lies beside the source.

    The slices may be empty.
    """
    corners = grid.corners
    rows, columns = view.size
    if not bool((view.depth(corners) > 0).all()):
        return slice(0, rows), slice(0, columns)
    uv = view.project(corners)
    low, high = uv.amin(dim=0).floor().tolist(), uv.amax(dim=0).ceil().tolist()
    return _within(low[1], high[1], rows), _within(low[0], high[0], columns)


def _within(low: float, high: float, count: int) -> slice:
    """From a pixel to another, with one more on either side, on a panel of so many."""
    start = int(min(max(low - 1, 0), count))
    return slice(start, int(max(min(high + 2, count), start)))


def _ready(field: Tensor, grid: Grid) -> "_Prepared":
    if tuple(field.shape[1:]) != grid.shape:
        raise GeometryError(f"a field of {tuple(field.shape[1:])} on a grid of {grid.shape}; give one shape")
    return _PREPARED.of(field)


class _Prepared:
    """A field made ready in the library."""

    def __init__(self, field: Tensor) -> None:
        self._lock = threading.Lock()
        values = _values(field)
        size = (ctypes.c_int64 * 3)(*field.shape[:0:-1])
        self.handle = library().skiagraph_prepare(values.data_ptr(), len(field), size, torch.get_num_threads())
        if not self.handle:
            raise BackendError(SHORT)
        weakref.finalize(self, library().skiagraph_release, self.handle)
        if not library().skiagraph_finite(self.handle):
            raise DataError("the field holds NaN or infinity; give finite values, such as 0 where nothing is known")

    def axis_for(self, view: PlacedView, few: float, worth: float) -> int:
        """The axis whose slices serve a view; -1 where rays are better, `PARTLY` where none serves all of it."""
        axis: int = library().skiagraph_axis(self.handle, view, few, worth)
        return axis

    def slice(self, field: Tensor, axis: int) -> None:
        """See that the slices across an axis are there."""
        with self._lock:
            if library().skiagraph_has_slices(self.handle, axis):
                return
            values = _values(field)
            if not library().skiagraph_slice(self.handle, values.data_ptr(), axis, torch.get_num_threads()):
                raise BackendError(SHORT)


_PREPARED = Kept(_Prepared)


def _values(field: Tensor) -> Tensor:
    return field.detach().to("cpu", torch.float32).contiguous()
