"""Tools put into a scene anew for every sample: the continuum manipulator, wires and screws."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64
from torch import Tensor

from skiagraph.bodies.manipulator import BODY, Manipulator, frame
from skiagraph.bodies.tools import Tool, k_wire, screw
from skiagraph.drr.scene import Scene
from skiagraph.factory.chance import choice, uniform
from skiagraph.factory.views import Target
from skiagraph.geometry import Point, float64
from skiagraph.physics.materials import material
from skiagraph.volume import Landmarks

ASIDE = 500.0
"""Millimetres towards the head, where no panel before the hips reaches."""


@dataclass(frozen=True)
class WithManipulator:
    """The manipulator near the middle of what is looked at, bent and turned at random (Gao 2022)."""

    spread: float = 2.5
    """Degrees: deviation of the notches' control points."""
    stray: float = 10.0
    """Millimetres: deviation from the middle, along each axis."""
    aside: float = 0.0
    """How often it lies beyond the panel instead, so that none is to be found."""

    def __call__(self, scene: Scene, target: Target, rng: torch.Generator) -> Scene:
        """The scene with the tool, and its two landmarks."""
        tool = Manipulator.draw(rng, self.spread)
        middle = target.center + self.stray * torch.randn(3, generator=rng, dtype=torch.float64)
        along, sideways = torch.randn(2, 3, generator=rng, dtype=torch.float64)
        # Seen end on there is nothing to find: the tool stays within 60 degrees of the picture's plane for AP.
        along = along * float64([1.0, 0.5, 1.0])
        if uniform(rng, 0.0, 1.0) < self.aside:
            middle = middle + float64([0.0, 0.0, ASIDE])
        placed, ends = tool.placed(frame(middle, along, sideways))
        return _with(scene, placed, BODY, ends)


@dataclass(frozen=True)
class WithHardware:
    """Wires and screws along the superior pubic rami and into the femoral heads, or none at all."""

    most: int = 3

    def __call__(self, scene: Scene, target: Target, rng: torch.Generator) -> Scene:
        """The scene with up to so many implants."""
        lines = _corridors(scene.landmarks)
        for _ in range(choice(rng, self.most + 1) if lines else 0):
            tip, tail = lines[choice(rng, len(lines))]
            stray = 4.0 * torch.randn(2, 3, generator=rng, dtype=torch.float64)
            ends = (tip + stray[0]).tolist(), (tail + stray[1]).tolist()
            if uniform(rng, 0.0, 1.0) < 0.5:
                tool, name = k_wire(*ends, diameter=uniform(rng, 1.6, 3.2)), "k_wire"
            else:
                tool, name = screw(*ends, diameter=uniform(rng, 4.5, 7.3)), "screw"
            scene = _with(scene, tool, name, Landmarks.of({}))
        return scene


def _with(scene: Scene, tool: Tool, name: str, points: Landmarks) -> Scene:
    dressed = scene.with_tool(tool.occupancy, tool.grid, material(tool.material_name), name)
    known = Landmarks((*scene.landmarks.names, *points.names), torch.cat([scene.landmarks.points, points.points]))
    return replace(dressed, landmarks=known)


def _corridors(landmarks: Landmarks) -> list[tuple[Point, Point]]:
    """Lines (tip, tail) that surgeons drive metal along, as far as the landmarks tell: rules of thumb of ours."""
    lines: list[tuple[Float64[Tensor, 3], Float64[Tensor, 3]]] = []
    for side, outwards in (("left", 1.0), ("right", -1.0)):
        head, spine = f"{side}_femoral_head", f"{side}_anterior_superior_iliac_spine"
        pubis = f"{side}_superior_pubic_symphysis"
        if head in landmarks and spine in landmarks and pubis in landmarks:
            above = landmarks[head] + 0.45 * (landmarks[spine] - landmarks[head])
            lines.append((above, landmarks[pubis]))
        if head in landmarks:
            lines.append((landmarks[head], landmarks[head] + float64([outwards * 70.0, 5.0, -55.0])))
    return lines
