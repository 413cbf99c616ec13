"""Anatomy changed before exposure, labels and landmarks carried exactly: other proportions, other bone, other hips."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from skiagraph.anatomy import STRUCTURE_NAMES
from skiagraph.drr.scene import SOFT_TISSUE_HU, Scene, articulated
from skiagraph.factory.chance import either_side, turn_about_axes, uniform
from skiagraph.geometry import Point, rigid
from skiagraph.physics.phantom import Decompose
from skiagraph.volume import Body, Landmarks, Volume

FEMORA = ("left_femur", "right_femur")


@dataclass(frozen=True)
class Variation:
    """How far a body may be changed. All of it is drawn once a body, before its pictures."""

    stretch: float = 0.04
    """Every length and every right angle, by this fraction at most: size, and a small change of shape."""
    density: float = 0.15
    """Mineral of the labelled bones, by this fraction at most."""
    hips: tuple[float, float, float] = (12.0, 8.0, 15.0)
    """Degrees a femur is turned about its head's centre, at most: flexion, abduction, rotation."""
    moving: float = 0.5
    """How often hips are moved at all."""

    def __call__(self, body: Body, decompose: Decompose, rng: torch.Generator) -> Scene:
        """The changed body, ready for X-rays."""
        center = body.volume.grid.center
        affine = _affine(self.stretch, center, rng)
        density = 1.0 + either_side(rng, self.density)
        turns = {name: turn_about_axes(rng, self.hips[0], self.hips[1], self.hips[2]) for name in FEMORA}
        moves = uniform(rng, 0.0, 1.0) < self.moving
        changed = _mineralised(body.moved(affine), density)
        motions = {name: motion for name in FEMORA if (motion := _about_head(changed, name, turns[name])) is not None}
        return articulated(changed, decompose, motions) if moves and motions else Scene.of(changed, decompose)


UNCHANGED = Variation(stretch=0.0, density=0.0, moving=0.0)
"""Bodies as they are."""


Event = Callable[[Scene, np.random.Generator], Scene]
"""What may have befallen somebody, such as a fracture or an operation."""


@dataclass(frozen=True)
class Lived:
    """Bodies varied, and to some of them something happened: each event so often as it says, in their order."""

    events: tuple[tuple[float, Event], ...]
    variation: Variation = Variation()

    def __call__(self, body: Body, decompose: Decompose, rng: torch.Generator) -> Scene:
        """The changed body and what happened to it, ready for X-rays."""
        scene = self.variation(body, decompose, rng)
        for chance, event in self.events:
            happens, seed = uniform(rng, 0.0, 1.0) < chance, int(torch.randint(2**31, (), generator=rng))
            scene = event(scene, np.random.default_rng(seed)) if happens else scene
        return scene


def _affine(most: float, center: Point, rng: torch.Generator) -> Float64[Tensor, "4 4"]:
    """Near the identity: one factor for all of it, and a symmetric strain a third as large."""
    size = either_side(rng, most)
    strain = torch.tensor([[either_side(rng, most / 3) for _ in range(3)] for _ in range(3)], dtype=torch.float64)
    return rigid((1.0 + size) * torch.eye(3, dtype=torch.float64) + (strain + strain.T) / 2, center)


def _mineralised(body: Body, factor: float) -> Body:
    """The same body with more or less of what bone has above soft tissue."""
    known = [name for name in STRUCTURE_NAMES if name in body.labels.names.values()]
    if factor == 1.0 or not known:
        return body
    hu = body.volume.hu
    bone = body.labels.mask(*known) & (hu > SOFT_TISSUE_HU)
    denser = torch.where(bone, SOFT_TISSUE_HU + factor * (hu - SOFT_TISSUE_HU), hu)
    return replace(body, volume=Volume(denser, body.volume.grid))


def _about_head(body: Body, femur: str, turn: Tensor) -> Tensor | None:
    """The motion of a femur about its head's centre; None if bone or centre is not known."""
    head = f"{femur.split('_')[0]}_femoral_head"
    known: Landmarks = body.landmarks
    if head not in known or femur not in body.labels.names.values() or not body.labels.mask(femur).any():
        return None
    return rigid(turn, known[head])
