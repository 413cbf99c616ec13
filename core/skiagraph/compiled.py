"""The compiled library: loaded once, and told by its users what its functions take."""

import ctypes
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from skiagraph.errors import BackendError
from skiagraph.shipped import shipped

NAMES = ("skiagraph_native.so", "skiagraph_native.dll", "skiagraph_native.dylib")

LEVELS: Mapping[str, int] = {"avx512": 2, "avx2": 1, "portable": 0}
"""Instruction sets the fast loops are compiled for, best first, and the library's numbers for them."""

DATA, COUNT, FLAG, KEY = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_uint64
"""An address, a number of things, a small number or an answer, and what random numbers begin with."""

Signatures = Mapping[str, tuple[Any, Sequence[Any]]]
"""What functions of the library return and take, by their names without `skiagraph_`."""


def available() -> bool:
    """Whether the compiled library is installed here."""
    return _path() is not None


def library(signatures: Signatures) -> ctypes.CDLL:
    """The compiled library, these functions of it ready to be called. Raises BackendError if it was not built."""
    loaded = _loaded()
    for name, (result, arguments) in signatures.items():
        function = getattr(loaded, f"skiagraph_{name}")
        function.restype, function.argtypes = result, list(arguments)
    return loaded


@cache
def levels() -> tuple[str, ...]:
    """The instruction sets this processor has, best first."""
    has = library({"has_level": (FLAG, [FLAG])}).skiagraph_has_level
    return tuple(name for name, number in LEVELS.items() if has(number))


def level() -> str:
    """The instruction set in use: the best, or what the environment's SKIAGRAPH_LEVEL says."""
    wanted = os.environ.get("SKIAGRAPH_LEVEL", levels()[0])
    if wanted not in levels():
        raise BackendError(f"SKIAGRAPH_LEVEL is {wanted!r}; this processor has {', '.join(levels())}")
    return wanted


def _path() -> Path | None:
    return shipped("drr", *NAMES)


@cache
def _loaded() -> ctypes.CDLL:
    path = _path()
    if path is None:
        raise BackendError(
            "the native engine was not built; reinstall skiagraph with a C++ compiler, or use engine 'reference'"
        )
    return ctypes.CDLL(str(path))
