"""What else radiographs of a pelvis show: calcified vessels, phleboliths, contrast, a catheter, leads, clothes.

Laid out about the middle of the femoral heads by proportions of ours; nothing of it is labelled, and no label changes.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from skiagraph.bodies.implants import with_tool
from skiagraph.bodies.solids import Solid, Vector, around, ball, bar, cast, chain, cylinder, union
from skiagraph.drr.scene import Scene

ARTERY = (
    (2, -2, 165, 8.5),
    (26, -4, 125, 5.0),
    (44, -6, 95, 4.8),
    (58, -28, 55, 4.5),
    (60, -48, 22, 4.2),
    (57, -46, -25, 4.0),
    (62, -34, -80, 3.4),
    (66, -18, -150, 3.2),
)
"""From the aorta's fork down the left common and external iliac to the femoral artery: (x, y, z, radius)."""
ALOFT = -150.0
"""Millimetres in front of the femoral heads where things lie on a patient."""


def heads_of(scene: Scene) -> tuple[Vector, float] | None:
    """The middle between the femoral heads, and a person's size by their distance; None if they are not known."""
    names = ("left_femoral_head", "right_femoral_head")
    if not all(name in scene.landmarks for name in names):
        return None
    left, right = (scene.landmarks[name].numpy() for name in names)
    return (left + right) / 2, float(np.linalg.norm(left - right)) / 176.0


def calcified(scene: Scene, middle: Vector, size: float, rng: np.random.Generator) -> Scene:
    """Plaques in the walls of the iliac and femoral arteries."""
    spread, cut = rng.uniform(0.6, 2.2), rng.uniform(0.1, 0.9)
    waves, phases = rng.standard_normal((24, 3)) / 3.0, rng.uniform(0, 2 * np.pi, 24)

    def plaques(tube: Solid) -> Solid:
        def distance(points: Float[ndarray, "p 3"]) -> Float[ndarray, "p"]:
            noise = np.sin(points @ waves.T + phases).sum(1) / np.sqrt(12)
            return np.maximum(np.abs(tube(points)) - 0.55, spread * (cut - noise))

        return distance

    for side in (-1.0, 1.0):
        knots = [(middle + size * np.array([side * x, y, z]) + rng.normal(0, 3, 3), size * r) for x, y, z, r in ARTERY]
        first = int(rng.integers(0, 4))
        last = int(rng.integers(first + 2, len(knots) + 1))
        for a, b in zip(knots[first:last], knots[first + 1 : last]):
            box = around([a[0], b[0]], a[1] + 3)
            scene = with_tool(scene, cast(plaques(chain([a, b])), box, "hydroxyapatite", spacing=0.7, share=0.3))
    return scene


def phleboliths(scene: Scene, middle: Vector, size: float, rng: np.random.Generator) -> Scene:
    """Stones in the veins of the lesser pelvis."""
    for _ in range(int(rng.integers(1, 7))):
        side = rng.choice([-1.0, 1.0])
        place = middle + size * np.array([side * rng.uniform(26, 52), rng.uniform(10, 50), rng.uniform(-18, 38)])
        stone = ball(place, rng.uniform(1.2, 3.2))
        scene = with_tool(scene, cast(stone, around([place], 4), "hydroxyapatite", spacing=0.6, share=0.25))
    return scene


def contrast(scene: Scene, middle: Vector, size: float, rng: np.random.Generator) -> Scene:
    """A bladder with contrast in it, as after a CT."""
    wide, high = size * rng.uniform(22, 42), size * rng.uniform(16, 36)
    place = middle + size * np.array([rng.uniform(-10, 10), -18 + rng.uniform(-6, 6), 6]) + np.array([0, 0, high])
    flat = np.array([wide, 0.8 * wide, high])

    def bladder(points: Float[ndarray, "p 3"]) -> Float[ndarray, "p"]:
        return (np.linalg.norm((points - place) / flat, axis=1) - 1) * flat.min()

    box = np.stack([place - flat - 2, place + flat + 2])
    filling = cast(bladder, box, "iodine_contrast", spacing=1.5, share=float(np.exp(rng.uniform(-4.2, -2.0))))
    return with_tool(scene, filling)


def catheter(scene: Scene, middle: Vector, size: float, rng: np.random.Generator) -> Scene:
    """A catheter from the bladder over a thigh."""
    side = rng.choice([-1.0, 1.0])
    course = (
        (0, -18, 28),
        (0, -22, -8),
        (2, -48, -38),
        (6, -95, -58),
        (40, -108, -80),
        (75, -100, -130),
        (92, -95, -260),
    )
    knots = [middle + size * np.array([side * x, y, z]) + rng.normal(0, 5, 3) for x, y, z in course]
    radius = rng.uniform(2.2, 3.2)
    path = _smooth(knots)
    for a, b in zip(path[::3], [*path[3::3], path[-1]]):
        if np.linalg.norm(a - b) > 1:
            wall = cylinder(a, b, radius)
            scene = with_tool(scene, cast(wall, around([a, b], radius + 1), "barium_sulfate", 0.8, 0.012))
    return scene


def leads(scene: Scene, middle: Vector, size: float, rng: np.random.Generator) -> Scene:
    """Wires of a monitor over the belly or a thigh, some with an electrode's snap."""
    for _ in range(int(rng.integers(1, 4))):
        start = middle + np.array([rng.uniform(-170, 170), ALOFT, rng.uniform(120, 240)])
        end = middle + np.array([rng.uniform(-190, 190), ALOFT + 30, rng.uniform(-200, 160)])
        bend = (start + end) / 2 + rng.normal(0, 40, 3) * (1, 0.1, 1)
        path = _smooth([start, bend, end])
        for a, b in zip(path[::3], [*path[3::3], path[-1]]):
            if np.linalg.norm(a - b) > 1:
                scene = with_tool(scene, cast(cylinder(a, b, 0.55), around([a, b], 2), "copper", 0.8, 0.6))
        if rng.random() < 0.6:
            snap = cylinder(end, end + np.array([0, 1.2, 0]), 4.5)
            scene = with_tool(scene, cast(snap, around([end], 8), "steel_316l", 0.8))
    return scene


def clothes(scene: Scene, middle: Vector, size: float, rng: np.random.Generator) -> Scene:
    """A button, a zip, a coin or a key in a pocket."""
    waist = middle + np.array([rng.uniform(-12, 12), ALOFT + 20, rng.uniform(60, 130)])
    if rng.random() < 0.6:
        disc = union(bar(waist, np.eye(3), (5, 1.0, 7)), bar(waist, np.eye(3), (7, 1.0, 5)))
        scene = with_tool(scene, cast(disc, around([waist], 10), "copper", 0.8, 0.6))
    if rng.random() < 0.5:
        length = rng.uniform(60, 130)
        teeth = [waist - np.array([0.0, 0.0, 12 + 3.2 * n]) for n in range(int(length / 3.2))]
        zip_ = union(
            *(
                bar(tooth + np.array([1.2 * (-1) ** n, 0, 0]), np.eye(3), (1.4, 0.8, 0.8))
                for n, tooth in enumerate(teeth)
            )
        )
        scene = with_tool(scene, cast(zip_, around([teeth[0], teeth[-1]], 5), "copper", 0.8, 0.5))
    for _ in range(int(rng.integers(0, 3))):
        coin = middle + np.array([rng.choice([-1, 1]) * rng.uniform(95, 170), ALOFT + 60, rng.uniform(-70, 60)])
        radius = rng.uniform(9, 13)

        def disc_of(points: Float[ndarray, "p 3"], coin: Vector = coin, radius: float = radius) -> Float[ndarray, "p"]:
            beyond = np.abs(points[:, 1] - coin[1]) - 1.0
            return np.maximum(np.linalg.norm((points - coin)[:, ::2], axis=1) - radius, beyond)

        scene = with_tool(scene, cast(disc_of, around([coin], radius + 2), "copper", 0.8))
    return scene


def _smooth(knots: list[Vector]) -> list[Vector]:
    """A course through knots, by rounding their corners twice (Chaikin 1974), some millimetres a step."""
    path = np.array(knots)
    for _ in range(3):
        ahead = np.stack([0.75 * path[:-1] + 0.25 * path[1:], 0.25 * path[:-1] + 0.75 * path[1:]], 1).reshape(-1, 3)
        path = np.concatenate([path[:1], ahead, path[-1:]])
    return list(path)


@dataclass(frozen=True)
class Cluttered:
    """How often each of these things is seen, in a scene whose femoral heads are known."""

    plaques: float = 0.15
    stones: float = 0.3
    contrast: float = 0.08
    catheter: float = 0.08
    leads: float = 0.1
    clothes: float = 0.1

    def __call__(self, scene: Scene, rng: np.random.Generator) -> Scene:
        """The scene with what was drawn."""
        known = heads_of(scene)
        if known is None:
            return scene
        for chance, thing in (
            (self.plaques, calcified),
            (self.stones, phleboliths),
            (self.contrast, contrast),
            (self.catheter, catheter),
            (self.leads, leads),
            (self.clothes, clothes),
        ):
            scene = thing(scene, *known, rng) if rng.random() < chance else scene
        return scene
