"""The pose of a CT from the X-ray itself: turn and shift it until its picture has the same edges.

Gradient correlation (Penney 1998, IEEE TMI 17(4), 586-595) does not care how bright or how steep the two pictures'
grey scales are. With edges a and b of mean 0 and length 1 it is 1 - |a - b|² / 2, so that climbing it is a problem of
least squares: Levenberg and Marquardt's method with the projector's own derivatives, from coarse to fine.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from skiagraph.drr.gradient import derivatives
from skiagraph.errors import GeometryError
from skiagraph.geometry import View, rigid, rotation
from skiagraph.physics.phantom import Phantom

Progress = Callable[[int, int, str], None]

TRUSTED = 0.25
"""Gradient correlation below which a registration is called failed. Ours."""
SCALES = (24, 48, 96, 192, 384)
"""Columns of the edges that are compared, coarse to fine; the coarsest reach furthest."""
RAYS = 96
"""Columns of rays at the least: coarser pictures are averaged from these, as the X-ray is."""
STEPS = 30
"""Pictures taken at each scale at the most."""
AGAIN = (6.0, 12.0)
"""Degrees and millimetres by which, about and along each axis, a climb that failed begins elsewhere. Ours."""
GAIN = 1e-6
"""Correlation gained by a step below which a summit is reached."""


@dataclass(frozen=True, eq=False)
class Registration:
    """A rigid motion of the CT that makes its picture look like the X-ray, and how far that can be believed."""

    world_from_body: Float64[Tensor, "4 4"]
    """Takes the body from where its CT has it to where the X-ray saw it, LPS millimetres."""
    correlation: float
    """Gradient correlation at the end, -1...1."""
    start: float
    """The same before the first step."""
    evaluations: int

    @property
    def trusted(self) -> bool:
        """Whether the pictures agree well enough for the pose to be used."""
        return self.correlation >= TRUSTED and self.correlation >= self.start - 1e-6


def gradient_correlation(a: Float[Tensor, "v u"], b: Float[Tensor, "v u"]) -> float:
    """The mean of the correlations of two pictures' horizontal and vertical derivatives."""
    one, other = _edges(torch.stack([a, b]))
    return float((_unit(one) * _unit(other)).sum() / 2)


def register(
    phantom: Phantom,
    view: View,
    attenuation: Float[Tensor, "v u"],
    start: Float64[Tensor, "4 4"] | None = None,
    report: Progress | None = None,
) -> Registration:
    """The pose of a body in a single X-ray of known source and panel, from a pose nearby.

    `attenuation` is the X-ray as -log of the transmission, or anything that grows with what was in the way. `start`
    is a motion of the body to begin with; where it is, if none is given. A climb that ends on no summit to be trusted
    begins again beside the start, up to twelve times; the best is kept.
    """
    if tuple(attenuation.shape) != view.size:
        raise GeometryError(
            f"an X-ray of {tuple(attenuation.shape)} pixels with a view of {view.size}; give its own view"
        )
    first = torch.eye(4, dtype=torch.float64) if start is None else start
    climb = _Climb(phantom, view, attenuation)
    scales = [columns for columns in SCALES if columns <= view.size[1]] or [view.size[1]]
    best = began = climb.at(first, scales[-1])
    for beside in (torch.eye(4, dtype=torch.float64), *_beside(phantom.grid.center)):
        motion = first @ beside
        for level, columns in enumerate(scales):
            if report is not None:
                report(level, len(scales), f"registering at {columns} columns")
            place = climb.up(motion, columns)
            motion = place.motion
        best = max(best, place, key=lambda one: one.correlation)
        found = Registration(best.motion, best.correlation, began.correlation, climb.evaluations)
        if found.trusted:
            break
    return found


def _beside(center: Float64[Tensor, "3"]) -> list[Float64[Tensor, "4 4"]]:
    """Small motions of a body: a turn about each axis either way, then a shift along each either way."""
    degrees, millimetres = AGAIN
    still, axes = torch.eye(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    turns = [rigid(rotation(axis, sign * degrees), center) for axis in "xyz" for sign in (1, -1)]
    return turns + [rigid(still, center, sign * millimetres * axis) for axis in axes for sign in (1, -1)]


@dataclass(frozen=True, eq=False)
class _Place:
    """Where the body may be, and what the correlation does around: by a turn (radians) and a shift (mm) of its CT."""

    motion: Float64[Tensor, "4 4"]
    correlation: float
    slope: Float64[Tensor, "6"]
    bend: Float64[Tensor, "6 6"]
    """Gauss and Newton's: how fast the edges move."""


class _Climb:
    """A body, the X-ray it is looked for in, and how many pictures were taken so far."""

    def __init__(self, phantom: Phantom, view: View, target: Tensor) -> None:
        self.grid, self.view, self.target = phantom.grid, view, target.float()
        self.mass = phantom.density.sum(dim=0, keepdim=True).contiguous()
        self.evaluations = 0

    def at(self, motion: Tensor, columns: int) -> _Place:
        """How alike the pictures are. The view moves the other way, so that the engine's prepared body stays."""
        self.evaluations += 1
        view = self.view.resized(self.shape(min(max(columns, RAYS), self.view.size[1])))
        seen = derivatives(self.mass, self.grid, view.moved(torch.linalg.inv(motion)))
        pictures = torch.cat([seen.picture, seen.by_motion(self.grid.center)[0]])
        mine, (theirs,) = _edges(_shrunk(pictures, self.shape(columns))), _edges(self.scaled(columns))
        here, there = _unit(mine[0]), _unit(theirs)
        moving = mine[1:] / _length(mine[0])
        moving = moving - (moving * here).sum(dim=-1, keepdim=True) * here
        slope, bend = (moving * there).sum(dim=(1, 2)), torch.einsum("aem,bem->ab", moving, moving)
        return _Place(motion, float((here * there).sum() / 2), slope.double(), bend.double())

    def up(self, motion: Tensor, columns: int) -> _Place:
        """From here to the next summit."""
        place, damping = self.at(motion, columns), 1e-2
        for _ in range(STEPS - 1):
            curved = place.bend + damping * place.bend.diagonal().clamp(min=1e-12).diag()
            step = torch.linalg.solve(curved, place.slope)
            turn = torch.linalg.matrix_exp(_cross(step[:3]))
            there = self.at(place.motion @ rigid(turn, self.grid.center, step[3:]), columns)
            if there.correlation > place.correlation:
                gain, place, damping = there.correlation - place.correlation, there, max(damping / 10, 1e-6)
                if gain < GAIN:
                    break
            elif damping > 1e3:
                break
            else:
                damping *= 10
        return place

    def shape(self, columns: int) -> tuple[int, int]:
        """Rows and columns of a picture of so many columns."""
        return max(8, round(self.view.size[0] * columns / self.view.size[1])), columns

    def scaled(self, columns: int) -> Float[Tensor, "1 v u"]:
        """The X-ray with fewer pixels."""
        return _shrunk(self.target[None], self.shape(columns))


def _shrunk(images: Float[Tensor, "n v u"], shape: tuple[int, int]) -> Float[Tensor, "n y x"]:
    return images if images.shape[1:] == shape else interpolate(images[None], shape, mode="area")[0]


def _edges(images: Float[Tensor, "n v u"]) -> Float[Tensor, "n 2 m"]:
    """Horizontal and vertical derivatives, without their means."""
    kernels = torch.stack([_SOBEL, _SOBEL.T])[:, None].to(images)
    edges = conv2d(images[:, None], kernels).flatten(start_dim=2)
    return edges - edges.mean(dim=-1, keepdim=True)


def _length(edges: Float[Tensor, "2 m"]) -> Float[Tensor, "2 1"]:
    return edges.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(edges.dtype).tiny)


def _unit(edges: Float[Tensor, "2 m"]) -> Float[Tensor, "2 m"]:
    return edges / _length(edges)


def _cross(vector: Float64[Tensor, "3"]) -> Float64[Tensor, "3 3"]:
    """The matrix that a cross product from the left is."""
    return torch.linalg.cross(torch.eye(3, dtype=torch.float64), vector.expand(3, 3))


_SOBEL = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
