"""The engine on a GPU: the reference's arithmetic with a thread for every ray of a whole batch; see joseph.cu.

What it needs of a field is made once and kept as long as the field lives: single precision on the device, the box of
each channel that is not zero and, for beams along i, a copy whose slices across i lie together.
"""

import ctypes
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Float32, Float64, Int32
from torch import Tensor
from torch.autograd.function import once_differentiable

from skiagraph.drr import nvrtc, reference
from skiagraph.drr.kept import Kept
from skiagraph.errors import BackendError, DataError, GeometryError
from skiagraph.geometry import Grid, View, box_around, transform
from skiagraph.physics.transmit import Exposure

SOURCE = Path(__file__).with_name("joseph.cu")

TILE, THREADS = 16, 256
"""Pixels along a side that a block of so many threads sees to: kTile of joseph.cu."""

MOST_MATERIALS = 32
"""kMaterials of joseph.cu."""

MOST_VOXELS = 2**31 - 1
"""In one channel: what a 32-bit integer can tell apart."""


def integrate(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> Float[Tensor, "*n c v u"]:
    """Line integrals of a field from the source to every pixel: the field's unit times millimetres.

    Single precision, on the field's own GPU or, for a field elsewhere, on the current one. Differentiable in the
    view; a field that wants a gradient itself is left to the reference. Raises BackendError without a GPU.
    """
    _refuse_misfit(field, grid)
    if field.requires_grad:
        return reference.integrate(field, grid, view)
    out: Tensor = _Integral.apply(field, grid, view, view.source, view.origin, view.u_step, view.v_step)
    return out.to(field.device)


def sensitivity(
    field: Float[Tensor, "c k j i"], grid: Grid, view: View, weight: Float[Tensor, "*n c v u"]
) -> Float[Tensor, "*n 2 3 v u"]:
    """How each pixel's integrals, weighted and added up, change a millimetre as its ray's two ends move.

    First the source, then the pixel itself. As the pixel (u, v) lies at `origin + u u_step + v v_step`, the second is
    also how it changes with the origin and, times u or v, with the steps: twelve numbers of a view from six.
    """
    _refuse_misfit(field, grid)
    prepared = _PREPARED.of(field)
    weights = weight.detach().to(prepared.values).contiguous()
    *batch, _, v, u = weight.shape
    change = torch.empty(max(1, view.source.numel() // 3), 2, 3, v, u, device=weights.device)
    prepared.launch("differentiate", grid, view, weights, change)
    world = torch.einsum("nexvu,xw->newvu", change, grid.ijk_from_world[:3, :3].to(change))
    return world.reshape(*batch, 2, 3, v, u).to(field.device)


def expose(
    field: Float[Tensor, "c k j i"],
    grid: Grid,
    view: View,
    weight: Float[Tensor, "e"],
    spread: Float[Tensor, "e"],
    attenuation: Float[Tensor, "c e"],
) -> Exposure:
    """Line integrals and `physics.transmit` in one go: what reaches the panel through partial densities in g/cm³.

    With A the masses of the materials, g/cm², and μ/ρ their `attenuation` in cm²/g at each energy:
    signal = Σ weight exp(-Σ μ/ρ A), variance = Σ spread exp(-Σ μ/ρ A). Not differentiable.
    """
    _refuse_misfit(field, grid)
    if len(field) > MOST_MATERIALS or len(attenuation) != len(field):
        found = f"{len(field)} materials and attenuation of {len(attenuation)}"
        raise DataError(f"a field of {found}; give as many, {MOST_MATERIALS} materials at most")
    prepared = _PREPARED.of(field)
    weights, spreads, depths = (x.detach().to(prepared.values).contiguous() for x in (weight, spread, attenuation))
    spectrum = _Spectrum(weights.data_ptr(), spreads.data_ptr(), depths.data_ptr(), len(weights))
    out = torch.empty(*view.source.shape[:-1], 2, *view.size, device=weights.device)
    prepared.launch("transmit", grid, view, spectrum, out)
    signal, variance = out.to(field.device).unbind(dim=-3)
    return Exposure(signal, variance)


def runs_on() -> str:
    """The GPU the engine would run on. Raises BackendError saying what this machine lacks, and what to do about it."""
    if torch.version.cuda is None:
        raise BackendError("this torch was built without CUDA; install one with it (pytorch.org), or use 'fastest'")
    if not torch.cuda.is_available():
        raise BackendError("torch sees no NVIDIA GPU; look at what nvidia-smi says, or use engine 'fastest'")
    nvrtc.compiler()
    nvrtc.driver()
    return torch.cuda.get_device_name()


def available() -> bool:
    """Whether the engine can run on this machine."""
    with suppress(BackendError):
        return bool(runs_on())
    return False


class _Integral(torch.autograd.Function):
    """Line integrals with their derivatives in the four vectors of a view, which come after the view itself."""

    @staticmethod
    def forward(ctx: Any, field: Tensor, grid: Grid, view: View, *vectors: Tensor) -> Tensor:
        ctx.save_for_backward(field)
        ctx.of = grid, view
        prepared = _PREPARED.of(field)
        out = torch.empty(*view.source.shape[:-1], len(field), *view.size, device=prepared.values.device)
        prepared.launch("integrate", grid, view, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weight: Tensor) -> tuple[Tensor | None, ...]:
        (field,), (grid, view) = ctx.saved_tensors, ctx.of
        source, pixel = sensitivity(field, grid, view, weight).double().unbind(dim=-4)
        v, u = (torch.arange(n).to(pixel) for n in view.size)
        turns = (source, pixel, pixel * u, pixel * v[:, None])
        return None, None, None, *(turn.sum(dim=(-2, -1)).to(view.source) for turn in turns)


class _Field(ctypes.Structure):
    """`Field` of joseph.cu."""

    _fields_: ClassVar = [
        ("values", ctypes.c_void_p),
        ("turned", ctypes.c_void_p),
        ("boxes", ctypes.c_void_p),
        ("channels", ctypes.c_int),
        ("size", ctypes.c_int * 3),
    ]


class _Pictures(ctypes.Structure):
    """`Pictures` of joseph.cu."""

    _fields_: ClassVar = [
        ("views", ctypes.c_void_p),
        ("count", ctypes.c_int),
        ("rows", ctypes.c_int),
        ("columns", ctypes.c_int),
    ]


class _Spectrum(ctypes.Structure):
    """`Spectrum` of joseph.cu."""

    _fields_: ClassVar = [
        ("weight", ctypes.c_void_p),
        ("spread", ctypes.c_void_p),
        ("attenuation", ctypes.c_void_p),
        ("energies", ctypes.c_int),
    ]


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A field made ready on a device."""

    values: Float32[Tensor, "c k j i"]
    boxes: Int32[Tensor, "c 2 3"]
    """First and last voxel (i, j, k) of each channel that are not zero; the last before the first if all are."""

    @classmethod
    def of(cls, field: Tensor) -> "_Prepared":
        if field[0].numel() > MOST_VOXELS:
            raise DataError(f"{field[0].numel()} voxels a channel; crop the field to {MOST_VOXELS}, or resample it")
        values = field.detach().to(_home(field), torch.float32).contiguous()
        boxes = [box_around(channel != 0) for channel in values]
        ends = [
            [[axis.start for axis in box[::-1]], [axis.stop - 1 for axis in box[::-1]]] if box else [[0] * 3, [-1] * 3]
            for box in boxes
        ]
        return cls(values, torch.tensor(ends, dtype=torch.int32, device=values.device))

    @cached_property
    def turned(self) -> Float32[Tensor, "c i k j"]:
        """The same with i outermost."""
        return self.values.permute(0, 3, 1, 2).contiguous()

    def launch(self, name: str, grid: Grid, view: View, *arguments: Tensor | ctypes.Structure) -> None:
        """Run a kernel with a thread for each pixel of each view."""
        (rows, columns), placed = view.size, _placed(grid, view)
        views = placed.to(self.values.device)
        turned = self.turned.data_ptr() if _runs_along_i(placed, view.size) else None
        size = (ctypes.c_int * 3)(*self.values.shape[:0:-1])
        field = _Field(self.values.data_ptr(), turned, self.boxes.data_ptr(), len(self.values), size)
        blocks = len(views) * -(-rows // TILE) * -(-columns // TILE)
        with torch.cuda.device_of(self.values):
            pictures = _Pictures(views.data_ptr(), len(views), rows, columns)
            _kernels(self.values.device).launch(name, blocks, THREADS, field, pictures, *arguments)


_PREPARED: Kept[_Prepared] = Kept(_Prepared.of)


@cache
def _kernels(device: torch.device) -> nvrtc.Kernels:
    """joseph.cu on a device: compiled for it once, in about a second."""
    major, minor = torch.cuda.get_device_capability(device)
    code = nvrtc.compiled(SOURCE.read_text(encoding="utf-8"), f"sm_{major}{minor}", nvrtc.compiler())
    return nvrtc.Kernels.load(nvrtc.driver(), code, lambda: torch.cuda.current_stream(device).cuda_stream)


def _home(field: Tensor) -> torch.device:
    """The GPU a field is looked through on."""
    runs_on()
    return field.device if field.is_cuda else torch.device("cuda", torch.cuda.current_device())


def _placed(grid: Grid, view: View) -> Float64[Tensor, "n 21"]:
    """The views of a batch in voxel coordinates: `View` of joseph.cu."""
    ijk_from_world = grid.ijk_from_world
    points = transform(ijk_from_world, torch.stack([view.source, view.origin], dim=-2))
    steps = torch.stack([view.u_step, view.v_step], dim=-2) @ ijk_from_world[:3, :3].T
    rows = torch.cat([points, steps], dim=-2).detach().reshape(-1, 12)
    return torch.cat([rows, grid.world_from_ijk[:3, :3].reshape(1, 9).expand(len(rows), 9)], dim=1)


def _runs_along_i(placed: Float64[Tensor, "n 21"], size: tuple[int, int]) -> bool:
    """Whether the middle ray of any view runs most steeply along i."""
    source, corner, u_step, v_step = placed[:, :12].reshape(-1, 4, 3).unbind(dim=1)
    middle = corner + u_step * (size[1] / 2) + v_step * (size[0] / 2) - source
    return bool((middle.abs().argmax(dim=1) == 0).any())


def _refuse_misfit(field: Tensor, grid: Grid) -> None:
    if tuple(field.shape[1:]) != grid.shape:
        raise GeometryError(f"a field of {tuple(field.shape[1:])} on a grid of {grid.shape}; give one shape")
