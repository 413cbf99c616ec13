"""What surgeons leave in hips and pelves: prostheses, nails, hip screws, cannulated screws, plates.

Each is built onto the scene's own bones: the shaft is the line through a femur's labelled voxels, its neck the line
from there to the head's centre. Proportions are rounded ones of common implants and ours. Metal is labelled `IMPLANT`,
and bone it replaces is no longer labelled bone. A replaced head's landmark is the centre of the prosthetic head, to the
last bit.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from skiagraph.bodies.solids import Solid, Vector, around, ball, bar, bowl, cast, chain, rod, union
from skiagraph.bodies.tools import Tool
from skiagraph.drr.scene import Scene
from skiagraph.geometry import transform
from skiagraph.physics.materials import material
from skiagraph.volume import Labels, Landmarks

IMPLANT = "implant"
"""The structure's name."""
ALLOYS = ("ti6al4v", "steel_316l", "cobalt_chrome")
SOFT = "muscle"
NECK_SHAFT = 53.0
"""Degrees between the neck and the shaft's downward axis: a neck-shaft angle of 127."""


@dataclass(frozen=True, eq=False)
class Proximal:
    """Where the upper end of a femur is: what implants are aligned with."""

    side: str
    head: Vector
    foot: Vector
    """On the shaft's axis where the neck's axis meets it."""
    up: Vector
    """Unit, along the shaft."""
    medial: Vector
    """Unit, from the shaft towards the head, across `up`."""
    shaft_radius: float
    head_radius: float

    @classmethod
    def found(cls, scene: Scene, side: str) -> "Proximal | None":
        """Of a scene's femur; None if its head or some 50 mm of its shaft are not known."""
        name = f"{side}_femoral_head"
        points = voxels_of(scene, f"{side}_femur")
        if name not in scene.landmarks or len(points) < 1000:
            return None
        head = scene.landmarks[name].numpy()
        below = head[2] - points[:, 2]
        shaft = points[(below > 90) & (below < 170)]
        if len(shaft) < 200 or np.ptp(shaft[:, 2]) < 50:
            return None
        heights = np.round(shaft[:, 2] / 5)
        middles = np.array([shaft[heights == one].mean(0) for one in np.unique(heights)[1:-1]])
        center = middles.mean(0)
        up = np.linalg.svd(middles - center)[2][0]
        up = up * np.sign(up[2])
        across = shaft - center - ((shaft - center) @ up)[:, None] * up
        radius = float(np.sqrt(2 * (across**2).sum(1).mean()))
        reach = head - center
        offset = reach - (reach @ up) * up
        length = float(np.linalg.norm(offset))
        foot = center + (reach @ up - length / np.tan(np.radians(NECK_SHAFT))) * up
        near = np.linalg.norm(points - head, axis=1)
        inner = points[(near < 35) & ((points - head) @ (offset / length) > 0)]
        head_radius = float(np.percentile(np.linalg.norm(inner - head, axis=1), 97)) if len(inner) else 23.0
        return cls(side, head, foot, up, offset / length, radius, min(max(head_radius, 18.0), 28.0))

    def at(self, medial: float, up: float, front: float = 0.0) -> Vector:
        """A point so many millimetres from where neck and shaft meet."""
        return self.foot + medial * self.medial + up * self.up + front * self.front

    @property
    def front(self) -> Vector:
        """Unit, across the plane of neck and shaft, to the front."""
        normal = np.cross(self.up, self.medial)
        return normal * -np.sign(normal[1] + 1e-9)

    @property
    def neck_length(self) -> float:
        """Millimetres from the shaft's axis to the head's centre."""
        return float(np.linalg.norm(self.head - self.foot))

    @property
    def neck(self) -> Vector:
        """Unit, from the shaft to the head."""
        return (self.head - self.foot) / self.neck_length


def replaced_hip(scene: Scene, hip: Proximal, rng: np.random.Generator) -> Scene:
    """A total hip replacement, or half of one: a stem and a head in the place of the old, and mostly a cup."""
    half = rng.random() < 0.35
    center = hip.head + (0.0 if half else 2.5) * rng.standard_normal(3).clip(-2, 2)
    radius = hip.head_radius if half else float(rng.choice([14.0, 16.0, 18.0]))
    cup = hip.head_radius + rng.uniform(3.0, 5.0)
    shoulder = hip.at(0.12 * hip.neck_length, 4.0)
    thick, length = min(0.58 * hip.shaft_radius, 8.5), rng.uniform(105, 150)
    stem = chain(
        [
            (hip.at(16, 12), 0.8 * thick + 2.0),
            (hip.at(7, -12), thick + 2.0),
            (hip.at(1.5, -40), thick),
            (hip.at(0, -75), 0.85 * thick),
            (hip.at(0, -length), 0.55 * thick),
        ]
    )
    neck = rod(hip.at(13, 9), center, 7.5, 5.5)
    alloy = ALLOYS[int(rng.choice([0, 2]))]
    cut = rod(hip.head + 2.0 * hip.neck, shoulder + 26 * hip.neck, hip.head_radius + 2.0, 15.0)
    scene = without(scene, f"{hip.side}_femur", cut, around([hip.head, shoulder], hip.head_radius + 25))
    if not half:
        cavity, box = ball(center, cup), around([center], cup + 2)
        scene = without(scene, f"{hip.side}_hemipelvis", cavity, box)
        tilt, lean = np.radians(rng.normal(42, 6)), np.radians(rng.normal(15, 7))
        lateral = np.array([1.0 if hip.side == "left" else -1.0, 0, 0])
        opening = np.cos(lean) * (np.sin(tilt) * lateral - np.cos(tilt) * np.array([0, 0, 1.0]))
        opening = opening + np.sin(lean) * np.array([0, -1.0, 0])
        shell = bowl(center, opening, cup, cup - rng.uniform(3.0, 5.0))
        scene = with_metal(scene, cast(shell, box, "ti6al4v"))
        if rng.random() < 0.4:
            for aside in rng.normal(0, 0.35, (int(rng.integers(1, 3)), 3)):
                way = -opening + 0.9 * np.array([0, 0.3, 0.9]) + aside
                way = way / np.linalg.norm(way)
                ends = center + (cup - 3) * way, center + (cup + rng.uniform(18, 32)) * way
                scene = with_metal(scene, cast(rod(*ends, 2.8), around(ends, 4), "ti6al4v"))
    if rng.random() < 0.35:
        cement = chain([(hip.at(9, -6), thick + 5.5), (hip.at(1, -45), thick + 2.5), (hip.at(0, -length - 12), thick)])
        box = around([hip.at(9, -6), hip.at(0, -length - 12)], thick + 6)
        scene = with_tool(scene, cast(cement, box, "pmma", spacing=1.2))
        scene = with_tool(scene, cast(cement, box, "barium_sulfate", spacing=1.2, share=0.03))
    box = around([hip.at(16, 12), hip.at(0, -length), center], thick + 3)
    scene = with_metal(scene, cast(union(stem, neck), box, alloy, spacing=1.0))
    scene = with_metal(scene, cast(ball(center, radius), around([center], radius + 1), "cobalt_chrome"))
    return with_landmark(scene, f"{hip.side}_femoral_head", center)


def nailed(scene: Scene, hip: Proximal, rng: np.random.Generator) -> Scene:
    """An intramedullary nail with a screw into the head."""
    top, end = hip.at(-4, 0.55 * hip.neck_length), hip.at(0, -rng.uniform(110, 190))
    alloy = ALLOYS[int(rng.integers(0, 2))]
    nail = chain([(top, 7.8), (hip.at(-1, -35), 7.0), (hip.at(0, -60), 5.4), (end, 5.0)])
    tip = hip.head + (hip.head_radius - rng.uniform(8, 16)) * hip.neck + rng.normal(0, 2, 3)
    lag = rod(tip, hip.foot - (hip.shaft_radius + 8) * hip.neck, 5.3, 4.6)
    low = hip.at(0, -float(np.linalg.norm(end - hip.foot)) + 18)
    lock = rod(low - (hip.shaft_radius + 3) * hip.medial, low + (hip.shaft_radius + 1) * hip.medial, 2.4)
    box = around([top, end, tip, hip.foot - (hip.shaft_radius + 8) * hip.neck, low], hip.shaft_radius + 8)
    return with_metal(scene, cast(union(nail, lag, lock), box, alloy))


def hip_screwed(scene: Scene, hip: Proximal, rng: np.random.Generator) -> Scene:
    """A dynamic hip screw with its side plate."""
    holes = int(rng.integers(3, 6))
    length = 18.0 * holes + 18
    out = -(hip.shaft_radius + 2.5)
    axes = np.stack([hip.medial, hip.front, hip.up], -1)
    foot = hip.at(out, out / np.tan(np.radians(NECK_SHAFT)))
    plate = bar(foot - 0.42 * length * hip.up, axes, (2.9, 8.5, length / 2))
    tip = hip.head + (hip.head_radius - rng.uniform(8, 16)) * hip.neck + rng.normal(0, 2, 3)
    lag, barrel = rod(tip, foot, 4.2), rod(foot, foot + 38 * hip.neck, 6.2)
    thread = rod(tip, tip - 20 * hip.neck, 6.0)
    screws = [
        rod(foot - (22 + 17 * n) * hip.up, foot - (22 + 17 * n) * hip.up + (2 * hip.shaft_radius + 5) * hip.medial, 2.2)
        for n in range(holes)
    ]
    box = around([tip, foot, foot - length * hip.up], 2 * hip.shaft_radius + 14)
    return with_metal(scene, cast(union(plate, lag, barrel, thread, *screws), box, "steel_316l"))


def pinned(scene: Scene, hip: Proximal, rng: np.random.Generator) -> Scene:
    """Two or three cannulated screws through the neck."""
    places = ((0, -8), (7, 4), (-7, 4))[: int(rng.integers(2, 4))]
    turned = np.cross(hip.neck, hip.front)
    solids, ends = [], []
    for front, across in places:
        aside = front * hip.front + across * turned + rng.normal(0, 1, 3)
        tip = hip.head + (hip.head_radius - rng.uniform(8, 14)) * hip.neck + aside
        tail = hip.foot - (hip.shaft_radius + 4) * hip.neck + aside
        solids += [rod(tip, tail, 2.4), rod(tip, tip - 16 * hip.neck, 3.4), rod(tail, tail + 4 * hip.neck, 4.6)]
        ends += [tip, tail]
    return with_metal(scene, cast(union(*solids), around(ends, 7), ALLOYS[int(rng.integers(0, 2))]))


def plated_symphysis(scene: Scene, rng: np.random.Generator) -> Scene:
    """A plate over the symphysis, screwed down into the pubes; the same scene if the symphysis is not known."""
    names = [f"{side}_{end}_pubic_symphysis" for side in ("left", "right") for end in ("superior", "inferior")]
    if not all(name in scene.landmarks for name in names):
        return scene
    left, low_left, right, low_right = (scene.landmarks[name].numpy() for name in names)
    middle, down = (left + right) / 2, (low_left + low_right - left - right) / 2
    down = down / np.linalg.norm(down)
    across = np.array([1.0, 0, 0]) - down[0] * down
    across = across / np.linalg.norm(across)
    axes = np.stack([across, np.cross(down, across), down], -1)
    reach = float(rng.choice([22.0, 32.0, 42.0]))
    plate = bar(middle - 4.5 * down, axes, (reach, 4.5, 1.6))
    places = [middle - 4 * down + x * across for x in np.linspace(-reach + 5, reach - 5, 4 if reach < 25 else 6)]
    tips = [place + rng.uniform(22, 42) * down + rng.normal(0, 2, 3) for place in places]
    screws = [rod(place, tip, 1.75) for place, tip in zip(places, tips)]
    return with_metal(scene, cast(union(plate, *screws), around([*places, *tips], 8), ALLOYS[int(rng.integers(0, 2))]))


def screwed_sacrum(scene: Scene, rng: np.random.Generator) -> Scene:
    """A screw from the outside of the ilium into the first sacral body; the same scene without a labelled sacrum."""
    points = voxels_of(scene, "upper_sacrum")
    if len(points) < 1000:
        return scene
    top = points[points[:, 2] > np.percentile(points[:, 2], 55)]
    middle = np.array([np.median(points[:, 0]), np.percentile(top[:, 1], 35), np.percentile(top[:, 2], 35)])
    side = rng.choice([-1.0, 1.0])
    tip, tail = middle - side * np.array([rng.uniform(-10, 10), 0, 0]), middle + side * np.array([80.0, 6.0, -4.0])
    tip, tail = tip + rng.normal(0, 3, 3), tail + rng.normal(0, 3, 3)
    toward = (tail - tip) / np.linalg.norm(tail - tip)
    solid = union(rod(tip, tail, 2.6), rod(tip, tip + 22 * toward, 3.6), rod(tail, tail - 3 * toward, 6.0, 5.0))
    return with_metal(scene, cast(solid, around([tip, tail], 8), "ti6al4v"))


OF_A_HIP = (replaced_hip, nailed, hip_screwed, pinned)
SHARES = (0.5, 0.2, 0.15, 0.15)
"""How often each, of the implants of a hip."""


@dataclass(frozen=True)
class Implanted:
    """Metal in one hip or both, or in the pelvic ring."""

    ring: float = 0.2
    """How often it is the pelvic ring that was fixed."""
    both: float = 0.2
    """How often both hips were operated on, of those where it was a hip."""

    def __call__(self, scene: Scene, rng: np.random.Generator) -> Scene:
        """The scene with implants, as far as its bones are known."""
        if rng.random() < self.ring:
            fixed = plated_symphysis(scene, rng) if rng.random() < 0.7 else scene
            return screwed_sacrum(fixed, rng) if fixed is scene or rng.random() < 0.4 else fixed
        sides = ["left", "right"] if rng.random() < self.both else [str(rng.choice(["left", "right"]))]
        for side in sides:
            hip = Proximal.found(scene, side)
            if hip is not None:
                scene = OF_A_HIP[int(rng.choice(len(OF_A_HIP), p=SHARES))](scene, hip, rng)
        return scene


def with_metal(scene: Scene, tool: Tool) -> Scene:
    """The scene with metal, and the bones' labels without what it replaced."""
    dressed = scene.with_tool(tool.occupancy, tool.grid, material(tool.material_name), IMPLANT)
    metal = dressed.labels[-1]
    return replace(dressed, labels=(*(_less(one, metal) for one in scene.labels), metal))


def with_tool(scene: Scene, tool: Tool) -> Scene:
    """The scene with matter that nobody labels."""
    dressed = scene.with_tool(tool.occupancy, tool.grid, material(tool.material_name), IMPLANT)
    return replace(dressed, labels=scene.labels)


def without(scene: Scene, structure: str, solid: Solid, box: Float[ndarray, "2 3"]) -> Scene:
    """The scene with soft tissue in the place of what of a structure lies in a solid."""
    labels = []
    for one in scene.labels:
        labels.append(_cut(one, structure, solid))
    empty = cast(solid, box, SOFT, spacing=1.0)
    return replace(with_tool(scene, empty), labels=tuple(labels))


def with_landmark(scene: Scene, name: str, point: Vector) -> Scene:
    """The scene with a landmark somewhere else."""
    known = scene.landmarks
    points = known.points.clone()
    points[known.names.index(name)] = torch.from_numpy(point)
    return replace(scene, landmarks=Landmarks(known.names, points))


def voxels_of(scene: Scene, structure: str) -> Float[ndarray, "p 3"]:
    """The centres of the voxels of a structure, wherever in the scene they are."""
    found = [np.zeros((0, 3))]
    for labels in scene.labels:
        if structure in labels.names.values():
            kji = labels.mask(structure).nonzero().flip(-1).double()
            found.append(transform(labels.grid.world_from_ijk, kji).numpy())
    return np.concatenate(found)


def _cut(labels: Labels, structure: str, solid: Solid) -> Labels:
    """Labels without what of a structure lies in a solid."""
    if structure not in labels.names.values():
        return labels
    kji = labels.mask(structure).nonzero()
    points = transform(labels.grid.world_from_ijk, kji.flip(-1).double()).numpy()
    gone = kji[torch.from_numpy(solid(points) < 0)]
    index = labels.index.clone()
    index[gone[:, 0], gone[:, 1], gone[:, 2]] = 0
    return Labels(index, labels.grid, labels.names)


def _less(labels: Labels, metal: Labels) -> Labels:
    """Labels without those voxels whose centres metal is at."""
    kji = metal.index.nonzero()
    if not len(kji) or not labels.names or IMPLANT in labels.names.values():
        return labels
    points = transform(metal.grid.world_from_ijk, kji.flip(-1).double())
    there = transform(labels.grid.ijk_from_world, points).round().long().flip(-1)
    inside = ((there >= 0) & (there < torch.tensor(labels.index.shape))).all(dim=-1)
    k, j, i = there[inside].T
    index = labels.index.clone()
    index[k, j, i] = 0
    return Labels(index, labels.grid, labels.names)
