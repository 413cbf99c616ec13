"""The compiled engine on the CPU: the reference's arithmetic, ray by ray, in C++ and on all cores."""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from skiagraph import compiled
from skiagraph.compiled import available as available
from skiagraph.errors import GeometryError
from skiagraph.geometry import Grid, View, transform


class PlacedView(ctypes.Structure):
    """A single view in a grid's voxel coordinates: `View` of native/view.hpp."""

    _fields_: ClassVar = [
        ("source", ctypes.c_double * 3),
        ("corner", ctypes.c_double * 3),
        ("u_step", ctypes.c_double * 3),
        ("v_step", ctypes.c_double * 3),
        ("millimetres", ctypes.c_double * 9),
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
    ]

    @classmethod
    def of(cls, grid: Grid, view: View) -> "PlacedView":
        """A single view as it lies in a grid."""
        ijk_from_world = grid.ijk_from_world
        points = transform(ijk_from_world, torch.stack([view.source, view.origin]))
        steps = torch.stack([view.u_step, view.v_step]) @ ijk_from_world[:3, :3].T
        parts = [tuple(row) for row in torch.cat([points, steps]).detach().tolist()]
        return cls(*parts, tuple(grid.world_from_ijk[:3, :3].reshape(-1).tolist()), *view.size)


def integrate(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> Float[Tensor, "*n c v u"]:
    """Line integrals of a field from the source to every pixel: the field's unit times millimetres.

    Single precision, not differentiable, see `ends`; the same to the bit for any number of threads.
    """
    if view.source.ndim > 1:
        return torch.stack([integrate(field, grid, view[n]) for n in range(len(view.source))])
    out = torch.empty(len(field), *view.size)
    _along_rays(library().skiagraph_joseph, field, grid, view, out)
    return out.to(field.device)


def ends(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> Float[Tensor, "c 7 v u"]:
    """A single view's line integrals, and their derivatives by the ends of each ray, as `reference.ends` has them."""
    out = torch.empty(len(field), 7, *view.size)
    _along_rays(library().skiagraph_joseph_ends, field, grid, view, out)
    return out.to(field.device)


def _along_rays(work: Callable[..., None], field: Tensor, grid: Grid, view: View, out: Tensor) -> None:
    if tuple(field.shape[1:]) != grid.shape:
        raise GeometryError(f"a field of {tuple(field.shape[1:])} on a grid of {grid.shape}; give one shape")
    values, placed = field.detach().to("cpu", torch.float32).contiguous(), PlacedView.of(grid, view)
    work(values.data_ptr(), len(field), size_ijk(grid), placed, out.data_ptr(), torch.get_num_threads())


def thickness(
    index: Shaped[Tensor, "k j i"], numbers: Int[Tensor, "m"], grid: Grid, view: View
) -> tuple[Float[Tensor, "m v u"], Float[Tensor, "m v u"]]:
    """How many millimetres of each label a single view's rays run through, and how far from the source they meet it."""
    stored, wanted = _in_int16(index.to("cpu"), numbers.to("cpu"))
    through = torch.empty(len(numbers), *view.size)
    first = torch.empty_like(through)
    library().skiagraph_thickness(
        stored.data_ptr(),
        wanted.data_ptr(),
        len(numbers),
        size_ijk(grid),
        PlacedView.of(grid, view),
        through.data_ptr(),
        first.data_ptr(),
        torch.get_num_threads(),
    )
    return through, first


def _in_int16(index: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Labels and those wanted under numbers that the library holds: their own, or if too large, their places."""
    limits = torch.iinfo(torch.int16)
    narrow = index.dtype in (torch.bool, torch.uint8, torch.int8, torch.int16)
    if narrow and bool(((numbers >= limits.min) & (numbers <= limits.max)).all()):
        return index.to(torch.int16).contiguous(), numbers.to(torch.int16).contiguous()
    known, places = numbers.long().unique(return_inverse=True)
    index, stored = index.long(), torch.zeros(index.shape, dtype=torch.int16)
    for place, number in enumerate(known.tolist(), start=1):
        stored[index == number] = place
    return stored, (places + 1).to(torch.int16)


@cache
def library() -> ctypes.CDLL:
    """The compiled library, its line integrals ready. Raises BackendError if it was not built."""
    data, count, flag, view = compiled.DATA, compiled.COUNT, compiled.FLAG, ctypes.POINTER(PlacedView)
    size = ctypes.POINTER(count)
    signatures: compiled.Signatures = {
        "joseph": (None, [data, count, size, view, data, flag]),
        "joseph_ends": (None, [data, count, size, view, data, flag]),
        "thickness": (None, [data, data, count, size, view, data, data, flag]),
        "prepare": (data, [data, count, size, flag]),
        "release": (None, [data]),
        "finite": (flag, [data]),
        "axis": (flag, [data, view, ctypes.c_double, ctypes.c_double]),
        "has_slices": (flag, [data, flag]),
        "slice": (flag, [data, data, flag, flag]),
        "sliced": (flag, [data, view, flag, flag, data, flag]),
        "sliced_ends": (flag, [data, view, flag, flag, data, flag]),
    }
    return compiled.library(signatures)


def size_ijk(grid: Grid) -> "ctypes.Array[ctypes.c_int64]":
    """Voxels along (i, j, k), as the library takes them."""
    return (ctypes.c_int64 * 3)(*grid.shape[::-1])
