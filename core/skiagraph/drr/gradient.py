"""How a picture changes with its view: for registration by least squares, and for training through the projector.

A line integral depends on where its ray starts and ends, and on nothing else of a view. So every pixel has six
derivatives, by its ray's source S and by its own place P = origin + u u_step + v v_step, and everything that moves a
view or a body is a linear combination of them.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.autograd.function import once_differentiable

from skiagraph.drr import native, reference, sliced
from skiagraph.geometry import Grid, View


@dataclass(frozen=True, eq=False)
class Derivatives:
    """A single view's picture, and how each of its pixels changes when an end of its ray moves."""

    view: View
    picture: Float[Tensor, "c v u"]
    """Line integrals: the field's unit times millimetres."""
    by_source: Float[Tensor, "c 3 v u"]
    """The field's unit, by x, y, z (LPS mm) of the ray's source."""
    by_pixel: Float[Tensor, "c 3 v u"]
    """The same by x, y, z of the pixel's own place."""

    def by_motion(self, center: Float64[Tensor, "3"]) -> Float[Tensor, "c 6 v u"]:
        """By a rigid motion of the body: a rotation vector about `center` (radians), then a shift (mm), in the world.

        The body's motion is the view's the other way: dS = -(ω x (S - center) + τ), and the same for P.
        """
        start = (self.view.source - center)[:, None, None].to(self.by_source).expand_as(self.by_source)
        end = (self.view.pixels() - center).movedim(-1, 0).to(self.by_pixel).expand_as(self.by_pixel)
        turn = torch.linalg.cross(start, self.by_source, dim=1) + torch.linalg.cross(end, self.by_pixel, dim=1)
        return -torch.cat([turn, self.by_source + self.by_pixel], dim=1)


def derivatives(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> Derivatives:
    """Line integrals of a field in a single view, and how they change; by slices where the native engine was built."""
    sums = _ends(field, grid, view)
    return Derivatives(view, sums[:, 0], sums[:, 1:4], sums[:, 4:])


def integrate(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> Float[Tensor, "*n c v u"]:
    """Line integrals of a field from the source to every pixel: the field's unit times millimetres.

    The fast engine's, differentiable once and in the view alone; for gradients in the field there is the reference.
    Single precision where the native engine was built.
    """
    if view.source.ndim > 1:
        return torch.stack([integrate(field, grid, view[n]) for n in range(len(view.source))])
    picture: Tensor = _Integral.apply(view.source, view.origin, view.u_step, view.v_step, field, grid, view.size)
    return picture


def _ends(field: Tensor, grid: Grid, view: View) -> Tensor:
    return (sliced if native.available() else reference).ends(field, grid, view)


class _Integral(torch.autograd.Function):
    """What autograd needs to know: the picture, and the view's gradient from the picture's."""

    @staticmethod
    def forward(
        ctx: Any, source: Tensor, origin: Tensor, u_step: Tensor, v_step: Tensor, field: Tensor, grid: Grid, size: Any
    ) -> Tensor:
        sums = _ends(field, grid, View(source, origin, u_step, v_step, size))
        ctx.save_for_backward(sums)
        return sums[:, 0].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (sums,) = ctx.saved_tensors
        v, u = (torch.arange(n, dtype=torch.float64) for n in gradient.shape[1:])
        pulled = torch.einsum("cvu,cnvu->nvu", gradient, sums[:, 1:]).double().cpu()
        rows = pulled.sum(dim=-1)
        source, pixel = rows.sum(dim=-1).split(3)
        return source, pixel, (pulled[3:] @ u).sum(dim=-1), rows[3:] @ v, None, None, None
