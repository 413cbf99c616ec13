"""CUDA C++ compiled on the machine it runs on: NVRTC, which torch brings, to compile, and the driver to launch.

Nothing beside torch is installed for it: no toolkit, no compiler. torch's own door to the two asks for a toolkit.
"""

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from skiagraph.errors import BackendError


def compiler() -> ctypes.CDLL:
    """The NVRTC of the CUDA torch was built for. Raises BackendError if it is not there."""
    major = str(torch.version.cuda).split(".")[0]
    found = find_compiler(major)
    if found is None:
        raise BackendError(f"no NVRTC for CUDA {major} is found; install torch anew, or nvidia-cuda-nvrtc beside it")
    return found


@cache
def find_compiler(major: str) -> ctypes.CDLL | None:
    """The NVRTC of a CUDA version, `12` or `13`: one the system knows, or one that lies among Python's packages."""
    name = f"nvrtc64_{major}0_0.dll" if sys.platform == "win32" else f"libnvrtc.so.{major}"
    spec = find_spec("nvidia")
    homes = [Path(torch.__file__).parent, *map(Path, (spec and spec.submodule_search_locations) or ())]
    for path in [name, *(str(path) for home in homes for path in home.rglob(name))]:
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    return None


@cache
def driver() -> ctypes.CDLL:
    """The driver of the GPU. Raises BackendError if there is none."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise BackendError(f"no NVIDIA driver ({name}) is found; install one, or use engine 'fastest'") from error


def compiled(source: str, architecture: str, library: ctypes.CDLL) -> bytes:
    """CUDA C++ as machine code (`sm_90`) or as PTX (`compute_90`). Raises BackendError with the compiler's words."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    options = (ctypes.c_char_p * 2)(f"--gpu-architecture={architecture}".encode(), b"--std=c++17")

    def call(name: str, *arguments: object) -> None:
        status = getattr(library, name)(*arguments)
        if status:
            library.nvrtcGetErrorString.restype = ctypes.c_char_p
            words = library.nvrtcGetErrorString(status).decode() + _log(library, program)
            raise BackendError(f"NVRTC did not compile the kernels for {architecture}: {words}; use engine 'reference'")

    call("nvrtcCreateProgram", ctypes.byref(program), source.encode(), b"skiagraph.cu", 0, None, None)
    try:
        call("nvrtcCompileProgram", program, len(options), options)
        form = "CUBIN" if architecture.startswith("sm_") else "PTX"
        call(f"nvrtcGet{form}Size", program, ctypes.byref(size))
        code = ctypes.create_string_buffer(size.value)
        call(f"nvrtcGet{form}", program, code)
        return code.raw
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


@dataclass(frozen=True, eq=False)
class Kernels:
    """What was compiled, loaded on one device and ready to launch there."""

    driver: ctypes.CDLL
    module: ctypes.c_void_p
    stream: Callable[[], int]
    """Where launches queue up, as the driver calls it."""

    @classmethod
    def load(cls, library: ctypes.CDLL, code: bytes, stream: Callable[[], int]) -> "Kernels":
        """Load what `compiled` gave on the current device. Raises BackendError with the driver's words."""
        module = ctypes.c_void_p()
        _call(library, "cuModuleLoadData", ctypes.byref(module), code)
        return cls(library, module, stream)

    def launch(self, name: str, blocks: int, threads: int, *arguments: Tensor | ctypes.Structure) -> None:
        """Run a kernel on a row of blocks; tensors go in as the address of their first number.

        Raises BackendError with the driver's words; what goes wrong later, torch says at its next call.
        """
        function = ctypes.c_void_p()
        _call(self.driver, "cuModuleGetFunction", ctypes.byref(function), self.module, name.encode())
        values = [ctypes.c_void_p(x.data_ptr()) if isinstance(x, Tensor) else x for x in arguments]
        addresses = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        queue = ctypes.c_void_p(self.stream())
        _call(self.driver, "cuLaunchKernel", function, blocks, 1, 1, threads, 1, 1, 0, queue, addresses, None)


def _call(library: ctypes.CDLL, name: str, *arguments: object) -> None:
    status = getattr(library, name)(*arguments)
    if status:
        words = ctypes.c_char_p()
        library.cuGetErrorString(status, ctypes.byref(words))
        raise BackendError(f"the GPU's driver refused {name}: {(words.value or b'no reason given').decode()}")


def _log(library: ctypes.CDLL, program: ctypes.c_void_p) -> str:
    size = ctypes.c_size_t()
    if library.nvrtcGetProgramLogSize(program, ctypes.byref(size)):
        return ""
    log = ctypes.create_string_buffer(size.value + 1)
    library.nvrtcGetProgramLog(program, log)
    return "\n" + log.value.decode(errors="replace").strip()
