"""The compiled engine on the CPU: the reference's arithmetic, ray by ray, in C++ and on all cores."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from skiagraph.errors import BackendError, GeometryError
from skiagraph.geometry import Grid, View, transform
from skiagraph.shipped import shipped

NAMES = ("skiagraph_native.so", "skiagraph_native.dll", "skiagraph_native.dylib")


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

    Single precision, not differentiable; the same to the bit for any number of threads.
    """
    if tuple(field.shape[1:]) != grid.shape:
        raise GeometryError(f"a field of {tuple(field.shape[1:])} on a grid of {grid.shape}; give one shape")
    if view.source.ndim > 1:
        return torch.stack([integrate(field, grid, view[n]) for n in range(len(view.source))])
    values = field.detach().to("cpu", torch.float32).contiguous()
    out = torch.empty(len(field), *view.size)
    placed = PlacedView.of(grid, view)
    library().skiagraph_joseph(
        values.data_ptr(), len(field), size_ijk(grid), placed, out.data_ptr(), torch.get_num_threads()
    )
    return out.to(field.device)


def thickness(
    index: Shaped[Tensor, "k j i"], numbers: Int[Tensor, "m"], grid: Grid, view: View
) -> tuple[Float[Tensor, "m v u"], Float[Tensor, "m v u"]]:
    """How many millimetres of each label a single view's rays run through, and how far from the source they meet it."""
    stored, wanted = index.to("cpu", torch.int16).contiguous(), numbers.to("cpu", torch.int16).contiguous()
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


def available() -> bool:
    """Whether the compiled library is installed here."""
    return _path() is not None


@cache
def library() -> ctypes.CDLL:
    """The compiled library. Raises BackendError if it was not built."""
    path = _path()
    if path is None:
        raise BackendError(
            "the native engine was not built; reinstall skiagraph with a C++ compiler, or use engine 'reference'"
        )
    loaded = ctypes.CDLL(str(path))
    data, count, flag, view = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.POINTER(PlacedView)
    size = ctypes.POINTER(count)
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "joseph": (None, [data, count, size, view, data, flag]),
        "thickness": (None, [data, data, count, size, view, data, data, flag]),
        "prepare": (data, [data, count, size, flag]),
        "release": (None, [data]),
        "finite": (flag, [data]),
        "axis": (flag, [data, view, ctypes.c_double]),
        "has_slices": (flag, [data, flag]),
        "slice": (flag, [data, data, flag, flag]),
        "has_level": (flag, [flag]),
        "sliced": (flag, [data, view, flag, flag, data, flag]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(loaded, f"skiagraph_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded


def _path() -> Path | None:
    return shipped("drr", *NAMES)


def size_ijk(grid: Grid) -> "ctypes.Array[ctypes.c_int64]":
    """Voxels along (i, j, k), as the library takes them."""
    return (ctypes.c_int64 * 3)(*grid.shape[::-1])
