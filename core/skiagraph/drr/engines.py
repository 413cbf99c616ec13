"""The one expensive step, line integrals, and who can do it: this is the door faster engines come in by."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from skiagraph.drr import cuda, native, reference, sliced
from skiagraph.errors import BackendError
from skiagraph.geometry import Grid, View

Engine = Callable[[Float[Tensor, "c k j i"], Grid, View], Float[Tensor, "*n c v u"]]
"""A field on a grid and a view to line integrals in the field's unit times millimetres."""


def fastest(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> Float[Tensor, "*n c v u"]:
    """Line integrals by the quickest engine for the case: a field's own GPU, and the reference for most gradients."""
    plain = field.dtype == torch.float32 and not field.requires_grad
    wants_gradient = any(x.requires_grad for x in (view.source, view.origin, view.u_step, view.v_step))
    if plain and field.is_cuda and cuda.available():
        return cuda.integrate(field, grid, view)
    if plain and field.device.type == "cpu" and native.available() and not wants_gradient:
        return sliced.integrate(field, grid, view)
    return reference.integrate(field, grid, view)


def thickness(
    index: Shaped[Tensor, "k j i"], numbers: Int[Tensor, "m"], grid: Grid, view: View
) -> tuple[Float[Tensor, "m v u"], Float[Tensor, "m v u"]]:
    """Millimetres of each label along each ray and the way to it, by the native engine where it was built."""
    return (native if native.available() else reference).thickness(index, numbers, grid, view)


ENGINES: dict[str, Engine] = {
    "fastest": fastest,
    "reference": reference.integrate,
    "native": native.integrate,
    "sliced": sliced.integrate,
    "cuda": cuda.integrate,
}


def engine(name: str) -> Engine:
    """An engine by its name. Raises BackendError if there is none, or if it is for a GPU and there is none."""
    if name not in ENGINES:
        raise BackendError(f"no engine called {name!r} on this machine; give one of {', '.join(ENGINES)}")
    if name == "cuda":
        cuda.runs_on()
    return ENGINES[name]
