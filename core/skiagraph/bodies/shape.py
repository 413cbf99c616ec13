"""Pelves of real anatomy: the shapes of 40 adults as a mean and modes, and everybody between them.

The model is data of others, CC BY 4.0: `models/pelvis_shape` says whose and how it was made. Millimetres, in the frame
of the anterior pelvic plane: x to the left, y to the back, z to the head, zero midway between the femoral heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from safetensors.numpy import load_file
from scipy.interpolate import RBFInterpolator

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.bodies.hip import average_landmarks
from skiagraph.bodies.pelvis import HIP_CENTER, LANDMARK_TILT, mirrored
from skiagraph.bodies.person import Person
from skiagraph.bodies.spine import ENDPLATE, LOWER_SACRUM
from skiagraph.errors import DataError
from skiagraph.geometry import rotation
from skiagraph.io.files import decoding
from skiagraph.planning import HEADS, SPINES, PelvicFrame
from skiagraph.register.atlas import ShapeModel
from skiagraph.shipped import shipped
from skiagraph.surface import Surface
from skiagraph.volume import Landmarks

FILE = "pelvis_shape.safetensors"
PARTS = ("left_hemipelvis", "right_hemipelvis", "upper_sacrum")
ABOVE_SYMPHYSIS, NEARLY = 72.0, 6.0
"""Millimetres above the symphysis from which the crest is searched for its spine, and how much less far in front."""
FLAT = 1.0
"""Millimetres within which the front of a crest is flat: its middle is the spine."""
SPREAD = 1.0
"""Standard deviations of a drawn coefficient."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """The model, and where on its surfaces the names of the hip task are."""

    model: ShapeModel
    corners: Int[ndarray, "l 3"]
    """The triangle of each landmark but the heads', as `LANDMARK_NAMES` lists them."""
    shares: Float[ndarray, "l 3"]
    """The weights of its corners."""
    lunate: Mapping[str, Int[ndarray, "_"]]
    """The vertices on which a head glides, by side."""
    endplate: Int[ndarray, "_"]
    """The vertices of the upper endplate of S1."""
    lower_end: Int[ndarray, "_"]
    """The vertices at which the sacrum was cut off, under S3."""


@cache
def atlas() -> Atlas:
    """The installed model. Raises DataError if it is missing or broken."""
    path = shipped("bodies", FILE, source="models/pelvis_shape")
    if path is None:
        raise DataError(f"{FILE} was not installed; reinstall skiagraph")
    with decoding(path, "the model of models/pelvis_shape"):
        found = load_file(path)
        whole = {name: found[name].astype(int) for name in found if found[name].dtype == np.uint16}
        model = ShapeModel(
            found["mean"].astype(float),
            found["modes"].astype(np.float32),
            {part: whole[f"{part}_faces"] for part in PARTS},
        )
        lunate = {side: whole[f"{side}_lunate"] for side in ("left", "right")}
        shares = found["landmark_shares"].astype(float)
        return Atlas(model, whole["landmark_corners"], shares, lunate, whole["endplate"], whole["lower_end"])


@dataclass(frozen=True, eq=False)
class PelvisShape:
    """One pelvis: vertices in the model's order, in its own anterior pelvic plane."""

    vertices: Float[ndarray, "v 3"]

    @classmethod
    def of(cls, coefficients: Float[ndarray, "c"]) -> "PelvisShape":
        """The pelvis so many standard deviations along the modes; none is the mean."""
        return cls.from_vertices(atlas().model.at(coefficients))

    @classmethod
    def draw(cls, rng: torch.Generator, spread: float = SPREAD) -> "PelvisShape":
        """Somebody else's."""
        coefficients = spread * torch.randn(len(atlas().model.modes), generator=rng, dtype=torch.float64).clamp(
            -2.5, 2.5
        )
        return cls.of(coefficients.numpy())

    @classmethod
    def from_vertices(cls, vertices: Float[ndarray, "v 3"]) -> "PelvisShape":
        """A pelvis from vertices in the model's order, wherever they lie, such as a fit's. Spikes are drawn in."""
        vertices = atlas().model.without_spikes(vertices)
        frame = PelvicFrame.of(landmarks_of(vertices))
        turn = frame.world_from_pelvis.numpy()
        middle = np.mean(list(cls.heads_of(vertices).values()), axis=0)
        return cls((vertices - middle) @ turn)

    @staticmethod
    def heads_of(vertices: Float[ndarray, "v 3"]) -> dict[str, Float[ndarray, "3"]]:
        """The centres of the acetabula of vertices in the model's order, wherever they lie."""
        return {side: _sphere(vertices[chosen])[0] for side, chosen in atlas().lunate.items()}

    @cached_property
    def surfaces(self) -> dict[str, Surface]:
        """The hip bones and the upper sacrum."""
        made = {}
        for part, faces in atlas().model.faces.items():
            first = int(faces.min())
            made[part] = Surface(self.vertices[first : int(faces.max()) + 1], faces - first)
        return made

    @cached_property
    def landmarks(self) -> Landmarks:
        """The 14 landmarks of the hip task."""
        return landmarks_of(self.vertices)

    def cup_radius(self, side: str) -> float:
        """Millimetres from the centre of the acetabulum to its lunate surface."""
        return _sphere(self.vertices[atlas().lunate[side]])[1]

    @property
    def size(self) -> float:
        """Its extent over the mean's."""
        mean = atlas().model.mean
        return float(np.sqrt(self.vertices.var(0).sum() / mean.var(0).sum()))

    @property
    def endplate(self) -> tuple[Float[ndarray, "3"], float]:
        """The middle of the upper endplate of S1, and the degrees it leans forward."""
        points = self.vertices[atlas().endplate]
        normal = np.linalg.svd(points - points.mean(0), full_matrices=False)[2][2]
        normal = normal * np.sign(normal[2])
        return points.mean(0), float(np.degrees(np.arctan2(-normal[1], normal[2])))


@dataclass(frozen=True, eq=False)
class ShapedPelvis:
    """A pelvis of real anatomy on the table: what `skiagraph.bodies.pelvis.Pelvis` is to the average one."""

    person: Person
    shape: PelvisShape

    @property
    def turn(self) -> Float[ndarray, "3 3"]:
        """How the frame of the average pelvis is turned on the table."""
        return self._own_turn @ rotation("x", -LANDMARK_TILT).numpy()

    @cached_property
    def _own_turn(self) -> Float[ndarray, "3 3"]:
        return (rotation("y", -self.person.obliquity) @ rotation("x", self.person.tilt)).numpy()

    def put(self, points: Float[ndarray, "*n 3"]) -> Float[ndarray, "*n 3"]:
        """Points of the shape, in the world."""
        return points @ self._own_turn.T

    def cup_radius(self, side: str) -> float:
        """Millimetres."""
        return self.shape.cup_radius(side)

    def place(self, points: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """Points of the average pelvis at their like in this one: a thin-plate spline through what both name."""
        return self.put(self._spline(points))

    @cached_property
    def _spline(self) -> RBFInterpolator:
        names = {"femoral_head": np.array(HIP_CENTER), **average_landmarks()}
        here, there = [], []
        for side in ("left", "right"):
            for name, point in names.items():
                here.append(mirrored(point[None], side)[0])
                there.append(self.shape.landmarks[f"{side}_{name}"].numpy())
        here += [np.array(ENDPLATE), np.array([0.0, *LOWER_SACRUM])]
        there += [self.shape.endplate[0], self.shape.vertices[atlas().lower_end].mean(0)]
        return RBFInterpolator(np.array(here), np.array(there), kernel="thin_plate_spline")


def carried(vertices: Float[ndarray, "v 3"]) -> dict[str, Float[ndarray, "3"]]:
    """The landmarks of vertices in the model's order, wherever they lie, by the model's vertices alone."""
    found = atlas()
    on_bone = iter(np.einsum("lc,lcx->lx", found.shares, vertices[found.corners]))
    heads = PelvisShape.heads_of(vertices)
    return {name: heads[name.split("_")[0]] if name in HEADS else next(on_bone) for name in LANDMARK_NAMES}


def landmarks_of(vertices: Float[ndarray, "v 3"]) -> Landmarks:
    """The landmarks on vertices in the model's order, wherever they lie.

    All are carried by their vertices but the anterior superior iliac spines: what is foremost of an iliac crest
    differs from one to the next, so they are what is foremost in the anterior pelvic plane they themselves make.
    """
    points = carried(vertices)
    for _ in range(3):
        frame = PelvicFrame.of(Landmarks.of({name: point.tolist() for name, point in points.items()}))
        for part, spine in zip(PARTS, SPINES):
            inside = (vertices - frame.origin.numpy()) @ frame.world_from_pelvis.numpy()
            faces = atlas().model.faces[part]
            faces = faces[inside[faces, 2].min(1) > ABOVE_SYMPHYSIS]
            front = inside[faces, 1].min(1)
            cloud = Surface(inside, faces[front < front.min() + NEARLY]).cloud(0.7).points
            points[spine] = frame.world_from_pelvis.numpy() @ cloud[foremost(cloud)] + frame.origin.numpy()
    return Landmarks.of({name: point.tolist() for name, point in points.items()})


def foremost(inside: Float[ndarray, "n 3"]) -> int:
    """Which of a crest's points is its spine: in the middle of what is foremost of it; y is to the back."""
    front = inside[inside[:, 1] < inside[:, 1].min() + FLAT].mean(0)
    return int(np.linalg.norm(inside - front, axis=1).argmin())


def _sphere(points: Float[ndarray, "n 3"]) -> tuple[Float[ndarray, "3"], float]:
    """The centre and the radius of the sphere nearest to points, in algebraic least squares."""
    system = np.c_[2 * points, np.ones(len(points))]
    *center, rest = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0]
    return np.array(center), float(np.sqrt(rest + np.dot(center, center)))
