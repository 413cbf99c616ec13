"""The pose of a CT from the X-ray itself: turn and shift it until its picture has the same edges.

Gradient correlation (Penney 1998, IEEE TMI 17(4), 586-595) does not care how bright or how steep the two pictures'
grey scales are. It is climbed from coarse to fine with Powell's method, one picture an evaluation.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy import ndarray
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from skiagraph.drr.engines import Engine, fastest
from skiagraph.errors import GeometryError
from skiagraph.geometry import View
from skiagraph.physics.phantom import Phantom

Progress = Callable[[int, int, str], None]

TRUSTED = 0.25
"""Gradient correlation below which a registration is called failed. Ours."""
SCALES = (96, 192, 384)
"""Columns of the pictures, coarse to fine."""
STEPS = ((6.0, 10.0, 40.0), (2.0, 4.0, 15.0), (0.5, 1.0, 4.0))
"""How far a first step goes at each scale: degrees, millimetres across the beam, millimetres along it."""


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
    total = 0.0
    for kernel in (_SOBEL, _SOBEL.T):
        one, other = (conv2d(image[None, None], kernel[None, None].to(image))[0, 0] for image in (a, b))
        one, other = one - one.mean(), other - other.mean()
        scale = one.norm() * other.norm()
        total += 0.5 * float((one * other).sum() / scale) if scale > 0 else 0.0
    return total


def register(
    phantom: Phantom,
    view: View,
    attenuation: Float[Tensor, "v u"],
    start: Float64[Tensor, "4 4"] | None = None,
    engine: Engine = fastest,
    report: Progress | None = None,
) -> Registration:
    """The pose of a body in a single X-ray of known source and panel, from a pose nearby.

    `attenuation` is the X-ray as -log of the transmission, or anything that grows with what was in the way. `start`
    is a motion of the body to begin with; where it is, if none is given.
    """
    if tuple(attenuation.shape) != view.size:
        found = tuple(attenuation.shape)
        raise GeometryError(f"an X-ray of {found} pixels with a view of {view.size}; give its own view")
    first = torch.eye(4, dtype=torch.float64) if start is None else start
    climb = _Climb(phantom, view, attenuation, first, engine)
    x = np.zeros(6)
    began = climb.correlation(x, min(SCALES[-1], view.size[1]))
    for level, (columns, steps) in enumerate(zip(SCALES, STEPS)):
        if level and columns > view.size[1]:
            break
        if report is not None:
            report(level, len(SCALES), f"registering at {columns} columns")
        x = climb.up(x, min(columns, view.size[1]), np.repeat(steps, (3, 2, 1)))
    return Registration(climb.motion(x), climb.correlation(x, min(SCALES[-1], view.size[1])), began, climb.evaluations)


class _Climb:
    """Six unknowns in the view's own axes (across, down, along the beam): degrees about them, then millimetres."""

    def __init__(self, phantom: Phantom, view: View, target: Tensor, start: Tensor, engine: Engine) -> None:
        self.phantom, self.view, self.start, self.engine = phantom, view, start.numpy(), engine
        self.target = target.float()
        axes = (view.u_step, view.v_step, view.normal)
        self.axes = np.stack([axis.numpy() / axis.norm().item() for axis in axes], axis=1)
        self.middle = self.start[:3, :3] @ phantom.grid.center.numpy() + self.start[:3, 3]
        self.mass = phantom.density.sum(dim=0, keepdim=True).contiguous()
        self.evaluations = 0
        self._scaled: dict[int, tuple[View, Tensor]] = {}

    def motion(self, x: Float[ndarray, "6"]) -> Float64[Tensor, "4 4"]:
        """The unknowns as a motion of the body."""
        turn = Rotation.from_rotvec(self.axes @ np.radians(x[:3])).as_matrix()
        moved = np.eye(4)
        moved[:3, :3] = turn
        moved[:3, 3] = self.middle - turn @ self.middle + self.axes @ x[3:]
        return torch.from_numpy(moved @ self.start)

    def at_scale(self, columns: int) -> tuple[View, Tensor]:
        """The view and the X-ray with fewer pixels."""
        if columns not in self._scaled:
            rows = max(8, round(self.view.size[0] * columns / self.view.size[1]))
            small = interpolate(self.target[None, None], (rows, columns), mode="area")[0, 0]
            self._scaled[columns] = self.view.resized((rows, columns)), small
        return self._scaled[columns]

    def correlation(self, x: Float[ndarray, "6"], columns: int) -> float:
        """How alike the pictures are. The view moves the other way, so that the engine's prepared body stays."""
        self.evaluations += 1
        view, target = self.at_scale(columns)
        picture = self.engine(self.mass, self.phantom.grid, view.moved(torch.linalg.inv(self.motion(x))))[0]
        return gradient_correlation(picture, target)

    def up(self, x: Float[ndarray, "6"], columns: int, steps: Float[ndarray, "6"]) -> Float[ndarray, "6"]:
        """From here to the next summit."""
        found = minimize(
            lambda y: -self.correlation(x + y * steps, columns),
            np.zeros(6),
            method="Powell",
            bounds=[(-3.0, 3.0)] * 6,
            options={"xtol": 1e-3, "ftol": 1e-7, "maxfev": 1500},
        )
        return np.asarray(x + found.x * steps)


_SOBEL = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
