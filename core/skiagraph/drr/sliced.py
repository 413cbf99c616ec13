"""The fast engine on the CPU: slice after slice instead of ray after ray, on 16-bit voxels; see native/sliced.cpp.

What it needs of a field is made once and kept as long as the field lives: a 16-bit copy of the box that is not zero,
for each axis of the grid that is looked along.
"""

import ctypes
import threading
import weakref

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

PARTLY = -2
"""The library's answer where an axis might serve a part of the view."""

SMALLEST = 128
"""Rows or columns up to which a picture that no one axis serves is not parted further."""

SHORT = "not enough memory to slice the field for the fast engine; free some, or use engine 'native'"


def integrate(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> Float[Tensor, "*n c v u"]:
    """Line integrals of a field from the source to every pixel: the field's unit times millimetres.

    As accurate as Joseph's against the truth, not the same to the digit: the picture is sampled at 0.6 voxels and
    interpolated. Not differentiable; the same to the bit for any number of threads. A picture too wide for the slices
    of one axis is put together from parts, and parts that none serve (rays that start or end in the field, few
    pixels) are left to `native`. A field changed behind torch's back, as through the memory of a numpy array, is not
    noticed. Raises DataError for NaN or infinity.
    """
    if tuple(field.shape[1:]) != grid.shape:
        raise GeometryError(f"a field of {tuple(field.shape[1:])} on a grid of {grid.shape}; give one shape")
    return _each(_PREPARED.of(field), field, grid, view)


def axis_for(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> int | None:
    """The axis (0: i, 1: j, 2: k) whose slices serve all of a single view; None where none does."""
    axis = _PREPARED.of(field).axis_for(PlacedView.of(grid, view))
    return axis if axis >= 0 else None


def _each(prepared: "_Prepared", field: Tensor, grid: Grid, view: View) -> Tensor:
    if view.source.ndim > 1:
        return torch.stack([_each(prepared, field, grid, view[n]) for n in range(len(view.source))])
    return _single(prepared, field, grid, view)


def _single(prepared: "_Prepared", field: Tensor, grid: Grid, view: View) -> Tensor:
    placed = PlacedView.of(grid, view)
    axis = prepared.axis_for(placed)
    if axis == PARTLY and max(view.size) > SMALLEST:
        return _halves(prepared, field, grid, view)
    if axis < 0:
        return native.integrate(field, grid, view)
    prepared.slice(field, axis)
    out, threads = torch.empty(len(field), *view.size), torch.get_num_threads()
    if not library().skiagraph_sliced(prepared.handle, placed, axis, LEVELS[level()], out.data_ptr(), threads):
        raise BackendError(SHORT)
    return out.to(field.device)


def _halves(prepared: "_Prepared", field: Tensor, grid: Grid, view: View) -> Tensor:
    """The picture put together from its halves: in each the rays spread less."""
    rows, columns = view.size
    every = slice(None)
    if rows >= columns:
        parts, dim = [view.cropped(half, every) for half in (slice(rows // 2), slice(rows // 2, rows))], -2
    else:
        parts, dim = [view.cropped(every, half) for half in (slice(columns // 2), slice(columns // 2, columns))], -1
    return torch.cat([_single(prepared, field, grid, part) for part in parts], dim=dim)


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

    def axis_for(self, view: PlacedView) -> int:
        """The axis whose slices serve a view; -1 where rays are better, `PARTLY` where none serves all of it."""
        axis: int = library().skiagraph_axis(self.handle, view, FEW)
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
