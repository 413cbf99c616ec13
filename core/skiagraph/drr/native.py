"""The compiled engine on the CPU: the reference's arithmetic, ray by ray, in C++ and on all cores."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from skiagraph.errors import BackendError, GeometryError
from skiagraph.geometry import Grid, View, transform
from skiagraph.shipped import shipped

NAMES = ("skiagraph_native.so", "skiagraph_native.dll", "skiagraph_native.dylib")


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
    library().skiagraph_joseph(
        _pointer(values, ctypes.c_float),
        len(field),
        *_placed(grid, view),
        _pointer(out, ctypes.c_float),
        torch.get_num_threads(),
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
        _pointer(stored, ctypes.c_int16),
        _pointer(wanted, ctypes.c_int16),
        len(numbers),
        *_placed(grid, view),
        _pointer(through, ctypes.c_float),
        _pointer(first, ctypes.c_float),
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
    reals, count, image = ctypes.POINTER(ctypes.c_double), ctypes.c_int64, ctypes.POINTER(ctypes.c_float)
    labels = ctypes.POINTER(ctypes.c_int16)
    placed: list[Any] = [ctypes.POINTER(count), reals, reals, reals, reals, reals, count, count]
    loaded.skiagraph_joseph.restype = loaded.skiagraph_thickness.restype = None
    loaded.skiagraph_joseph.argtypes = [image, count, *placed, image, ctypes.c_int32]
    loaded.skiagraph_thickness.argtypes = [labels, labels, count, *placed, image, image, ctypes.c_int32]
    return loaded


def _path() -> Path | None:
    return shipped("drr", *NAMES)


def _placed(grid: Grid, view: View) -> tuple[Any, ...]:
    """Size, source, corner, steps, metric, rows and columns, as the library takes them: in voxel coordinates."""
    ijk_from_world = grid.ijk_from_world
    turn = ijk_from_world[:3, :3]
    k, j, i = grid.shape
    return (
        (ctypes.c_int64 * 3)(i, j, k),
        _doubles(transform(ijk_from_world, view.source)),
        _doubles(transform(ijk_from_world, view.origin)),
        _doubles(turn @ view.u_step),
        _doubles(turn @ view.v_step),
        _doubles(grid.world_from_ijk[:3, :3].reshape(-1)),
        *view.size,
    )


def _pointer(values: Tensor, kind: Any) -> Any:
    return ctypes.cast(values.data_ptr(), ctypes.POINTER(kind))


def _doubles(values: Tensor) -> "ctypes.Array[ctypes.c_double]":
    return (ctypes.c_double * len(values))(*values.tolist())
