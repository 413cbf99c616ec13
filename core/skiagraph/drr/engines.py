"""The one expensive step, line integrals, and who can do it: this is the door faster engines come in by."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from skiagraph.drr import cuda, deepdrr, gradient, native, reference, sliced
from skiagraph.errors import BackendError
from skiagraph.geometry import Grid, View

Engine = Callable[[Float[Tensor, "c k j i"], Grid, View], Float[Tensor, "*n c v u"]]
"""A field on a grid and a view to line integrals in the field's unit times millimetres."""


def fastest(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> Float[Tensor, "*n c v u"]:
    """Line integrals by the quickest engine: a field's own GPU, and the reference for a field that wants gradients."""
    plain = field.dtype == torch.float32 and not (field.requires_grad or grid.world_from_ijk.requires_grad)
    moving = any(part.requires_grad for part in (view.source, view.origin, view.u_step, view.v_step))
    if plain and field.is_cuda and cuda.available():
        return cuda.integrate(field, grid, view)
    if plain and field.device.type == "cpu" and native.available():
        return (gradient if moving and torch.is_grad_enabled() else sliced).integrate(field, grid, view)
    return reference.integrate(field, grid, view)


def thickness(
    index: Shaped[Tensor, "k j i"], numbers: Int[Tensor, "m"], grid: Grid, view: View
) -> tuple[Float[Tensor, "m v u"], Float[Tensor, "m v u"]]:
    """Millimetres of each label along each ray and the way to it, by the native engine where it was built."""
    return (native if native.available() else reference).thickness(index, numbers, grid, view)


def _threads() -> str:
    return f"{torch.get_num_threads()} threads"


def _built() -> str:
    native.library()
    return _threads()


def _vectors() -> str:
    return f"{_built()}, {sliced.level()} of {', '.join(sliced.levels())}"


def _quickest() -> str:
    return f"{'sliced' if native.available() else 'reference'}; reference for gradients in the field"


@dataclass(frozen=True)
class Candidate:
    """Someone who can integrate, if the machine lets him."""

    name: str
    what: str
    integrate: Engine
    runs_on: Callable[[], str]
    """Of this machine, what it makes use of. Raises BackendError saying why it cannot run here, and what to do."""


ENGINES: dict[str, Candidate] = {
    one.name: one
    for one in (
        Candidate("fastest", "the quickest for the case", fastest, _quickest),
        Candidate("reference", "torch, to read and to differentiate", reference.integrate, _threads),
        Candidate("native", "C++, ray by ray: the reference's plain twin", native.integrate, _built),
        Candidate("sliced", "C++, slice by slice on 16-bit voxels: the fast one", sliced.integrate, _vectors),
        Candidate("cuda", "CUDA C++, all views of a batch at once", cuda.integrate, cuda.runs_on),
        Candidate("deepdrr", "DeepDRR's projector, in a process of its own", deepdrr.integrate, deepdrr.runs_on),
    )
}
"""All there are, by name."""


def runnable() -> dict[str, Engine]:
    """Those this machine can run, by name."""
    found = {}
    for name, one in ENGINES.items():
        with suppress(BackendError):
            one.runs_on()
            found[name] = one.integrate
    return found


def engine(name: str) -> Engine:
    """An engine by its name. Raises BackendError if there is none of it, or this machine cannot run it."""
    if name not in ENGINES:
        raise BackendError(f"no engine called {name!r}; give one of {', '.join(runnable())}")
    ENGINES[name].runs_on()
    return ENGINES[name].integrate
