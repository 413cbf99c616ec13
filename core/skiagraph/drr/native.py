"""The compiled engine on the CPU: the reference's arithmetic, ray by ray, in C++ and on all cores."""

import ctypes
import sysconfig
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from skiagraph.errors import BackendError, GeometryError
from skiagraph.geometry import Grid, View, transform

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
    ijk_from_world = grid.ijk_from_world
    turn = ijk_from_world[:3, :3]
    k, j, i = grid.shape
    library().skiagraph_joseph(
        _floats(values),
        len(field),
        (ctypes.c_int64 * 3)(i, j, k),
        _doubles(transform(ijk_from_world, view.source)),
        _doubles(transform(ijk_from_world, view.origin)),
        _doubles(turn @ view.u_step),
        _doubles(turn @ view.v_step),
        _doubles(grid.world_from_ijk[:3, :3].reshape(-1)),
        *view.size,
        _floats(out),
        torch.get_num_threads(),
    )
    return out.to(field.device)


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
    numbers, count = ctypes.POINTER(ctypes.c_double), ctypes.c_int64
    loaded.skiagraph_joseph.restype = None
    loaded.skiagraph_joseph.argtypes = [
        ctypes.POINTER(ctypes.c_float), count, ctypes.POINTER(count), numbers, numbers, numbers, numbers, numbers,
        count, count, ctypes.POINTER(ctypes.c_float), ctypes.c_int32,
    ]  # fmt: skip
    return loaded


@cache
def _path() -> Path | None:
    """Beside this file in an installed package, among the installed packages in an editable one."""
    homes = (Path(__file__).parent, Path(sysconfig.get_path("platlib")) / "skiagraph" / "drr")
    return next((home / name for home in homes for name in NAMES if (home / name).exists()), None)


def _floats(values: Tensor) -> "ctypes._Pointer[ctypes.c_float]":
    return ctypes.cast(values.data_ptr(), ctypes.POINTER(ctypes.c_float))


def _doubles(values: Tensor) -> "ctypes.Array[ctypes.c_double]":
    return (ctypes.c_double * len(values))(*values.tolist())
