"""Where samples are taken from: every published way to draw a pose, as values."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float64
from torch import Tensor

from skiagraph.carm import CArm, angles_of, beam
from skiagraph.errors import GeometryError
from skiagraph.factory.chance import choice, either_side, turn_about_axes, uniform, weighted
from skiagraph.geometry import Point, View, float64, rigid, rotation
from skiagraph.planning import PelvicFrame, StandardView, plan, standard_view
from skiagraph.volume import Landmarks


@dataclass(frozen=True, eq=False)
class Target:
    """What of a body views are aimed at."""

    center: Point
    """LPS millimetres."""
    landmarks: Landmarks
    """Those that are known."""
    views: tuple[View, ...] = ()
    """Those that are given, such as of real X-rays of it."""


ViewSampler = Callable[[Target, CArm, int, torch.Generator], View]
"""A view of a target by a device, for the body's n-th sample."""


@dataclass(frozen=True)
class Box:
    """A patient turned and shifted before a C-arm that stands for AP, each axis for itself.

    The defaults are SyntheX's for the hip (Gao 2022: 45 degrees; 50 mm left-right, 100 mm front-back, 20 mm
    head-feet). The preprint does not name the axes of rotation; we take all three.
    """

    rotation: tuple[float, float, float] = (45.0, 45.0, 45.0)
    """Degrees either way about x, y and z."""
    translation: tuple[float, float, float] = (50.0, 100.0, 20.0)
    """Millimetres either way along x, y and z."""

    def __call__(self, target: Target, carm: CArm, n: int, rng: torch.Generator) -> View:
        """The view the C-arm has of the moved patient, from where he lies."""
        turn = turn_about_axes(rng, *self.rotation)
        shift = float64([either_side(rng, most) for most in self.translation])
        return carm.aimed_at(target.center).moved(torch.linalg.inv(rigid(turn, target.center, shift)))


@dataclass(frozen=True)
class Aim:
    """How far an aimed view strays."""

    shift: float = 20.0
    """Millimetres either way, along the patient's three axes."""
    roll: float = 5.0
    """Degrees the image is turned in its plane, either way."""

    def __call__(self, direction: Float64[Tensor, "3"], point: Point, carm: CArm, rng: torch.Generator) -> View:
        """A view along a direction through a point, or nearly."""
        stray = float64([either_side(rng, self.shift) for _ in range(3)])
        free = CArm(carm.name, carm.source_to_panel, carm.source_to_isocenter, carm.panel_pixels, carm.pixel_spacing)
        return free.aimed_at(point + stray, *angles_of(direction), roll=either_side(rng, self.roll))


@dataclass(frozen=True)
class Cone:
    """Standard views, each with a cone of directions around it, as Pelphix draws them (Killeen 2023)."""

    names: tuple[str, ...] = ("ap",)
    half_angle: float = 15.0
    """Degrees."""
    aim: Aim = field(default_factory=Aim)

    def __call__(self, target: Target, carm: CArm, n: int, rng: torch.Generator) -> View:
        """A direction from the cone about one of the views, all directions in it as likely."""
        standard: StandardView = standard_view(self.names[choice(rng, len(self.names))])
        planned = plan(standard, carm, target.landmarks, target.center)
        axis = planned.view.normal
        cosine = uniform(rng, math.cos(math.radians(self.half_angle)), 1.0)
        around = uniform(rng, 0.0, 2 * math.pi)
        across = torch.linalg.cross(axis, float64([0.0, 0.0, 1.0]) if abs(axis[2]) < 0.9 else float64([1.0, 0.0, 0.0]))
        across = across / across.norm()
        sideways = math.cos(around) * across + math.sin(around) * torch.linalg.cross(axis, across)
        direction = cosine * axis + math.sqrt(1.0 - cosine**2) * sideways
        return self.aim(direction, planned.target, carm, rng)


@dataclass(frozen=True)
class SolidAngle:
    """Directions spread evenly over a part of the sphere, in the pelvis's frame where it is known."""

    primary: tuple[float, float] = (-60.0, 60.0)
    """Degrees, LAO positive."""
    secondary: tuple[float, float] = (-45.0, 45.0)
    """Degrees, cranial positive."""
    aim: Aim = field(default_factory=Aim)

    def __call__(self, target: Target, carm: CArm, n: int, rng: torch.Generator) -> View:
        """Any direction of the part, as likely as any other."""
        low, high = (math.sin(math.radians(angle)) for angle in self.secondary)
        primary, secondary = uniform(rng, *self.primary), math.degrees(math.asin(uniform(rng, low, high)))
        pelvis = PelvicFrame.if_known(target.landmarks)
        turn = rotation("z", 0.0) if pelvis is None else pelvis.world_from_pelvis
        return self.aim(turn @ beam(primary, secondary), target.center, carm, rng)


@dataclass(frozen=True)
class Around:
    """The views that are given of a body, one after the other, each moved a little or not at all."""

    rotation: float = 0.0
    """Degrees either way about each axis."""
    translation: float = 0.0
    """Millimetres either way along each axis."""

    def __call__(self, target: Target, carm: CArm, n: int, rng: torch.Generator) -> View:
        """The n-th view, from the first again after the last; the panel keeps its size and gets the device's pixels.

        Raises GeometryError if no view is given.
        """
        if not target.views:
            raise GeometryError("no view to stand around; give poses of the body")
        view = target.views[n % len(target.views)].resized(carm.panel_pixels)
        shift = float64([either_side(rng, self.translation) for _ in range(3)])
        return view.moved(rigid(turn_about_axes(rng, *(self.rotation,) * 3), target.center, shift))


@dataclass(frozen=True)
class TubeInFront:
    """Another sampler's views with tube and panel on each other's side of the patient, as radiographs are taken.

    What lies in front is then magnified most: iliac spines lie further out, the sciatic notches further in.
    """

    sampler: "ViewSampler"

    def __call__(self, target: Target, carm: CArm, n: int, rng: torch.Generator) -> View:
        """A view from the other side, its picture the same way round."""
        view = self.sampler(target, carm, n, rng)
        return view.changed_over(view.source + carm.source_to_isocenter * view.normal)


@dataclass(frozen=True, eq=False)
class Mixture:
    """Several ways, each so often as it weighs."""

    parts: tuple[tuple[float, ViewSampler], ...]

    def __call__(self, target: Target, carm: CArm, n: int, rng: torch.Generator) -> View:
        """A view drawn in one of the ways."""
        _, sampler = self.parts[weighted(rng, [weight for weight, _ in self.parts])]
        return sampler(target, carm, n, rng)
