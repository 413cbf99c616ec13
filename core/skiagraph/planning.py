"""Standard views from anatomy: where to stand to see a pelvis from the front, from the inlet, along a corridor.

Angles are planned in the patient's anterior pelvic plane if landmarks show it, so that a tilted or turned pelvis is
still seen as asked, and come out as the DICOM angles a device would show. Figures and their sources: see `VIEWS`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from skiagraph.carm import CArm, angles_of, beam, clinical
from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import Point, View, rigid, rotation
from skiagraph.volume import Landmarks

Frame = Literal["pelvis", "table"]


@dataclass(frozen=True, eq=False)
class PelvicFrame:
    """The anterior pelvic plane: through both anterior superior iliac spines and the pubic symphysis."""

    origin: Point
    """Midway between the upper ends of the symphysis."""
    world_from_pelvis: Float64[Tensor, "3 3"]
    """Columns: the pelvis's own left, back and head."""

    @classmethod
    def of(cls, landmarks: Landmarks) -> "PelvicFrame":
        """The frame of a pelvis. Raises DataError if one of its four landmarks is missing."""
        missing = [name for name in cls.needs() if name not in landmarks]
        if missing:
            raise DataError(
                f"the anterior pelvic plane needs {', '.join(missing)}; give them or plan in the table's frame"
            )
        left_spine, right_spine, left_pubis, right_pubis = (landmarks[name] for name in cls.needs())
        origin = (left_pubis + right_pubis) / 2
        head = (left_spine + right_spine) / 2 - origin
        across = left_spine - right_spine
        if head.norm() < 10 or across.norm() < 10:
            raise GeometryError("the pelvic landmarks fall together; check that they are in millimetres and on this CT")
        head = head / head.norm()
        left = across - (across @ head) * head
        left = left / left.norm()
        return cls(origin, torch.stack([left, torch.linalg.cross(head, left), head], dim=-1))

    @classmethod
    def if_known(cls, landmarks: Landmarks) -> "PelvicFrame | None":
        """The frame of a pelvis, or None if one of its landmarks is missing."""
        return cls.of(landmarks) if all(name in landmarks for name in cls.needs()) else None

    @staticmethod
    def needs() -> tuple[str, ...]:
        """The landmarks that make the frame."""
        return (
            "left_anterior_superior_iliac_spine",
            "right_anterior_superior_iliac_spine",
            "left_superior_pubic_symphysis",
            "right_superior_pubic_symphysis",
        )

    @property
    def tilt(self) -> float:
        """Degrees about the left-right axis; positive if the spines lie in front of the symphysis (anterior tilt)."""
        head = self.world_from_pelvis[:, 2]
        return math.degrees(math.atan2(-float(head[1]), float(head[2])))

    @property
    def turn(self) -> float:
        """Degrees about the long axis; positive if the pelvis faces the patient's left."""
        left = self.world_from_pelvis[:, 0]
        return math.degrees(math.atan2(float(left[1]), float(left[0])))

    @property
    def obliquity(self) -> float:
        """Degrees about the front-back axis; positive if the left side stands higher."""
        left = self.world_from_pelvis[:, 0]
        return math.degrees(math.asin(float(left[2])))


HEADS = ("left_femoral_head", "right_femoral_head")
SPINES = ("left_anterior_superior_iliac_spine", "right_anterior_superior_iliac_spine")
NOTCHES = ("left_greater_sciatic_notch", "right_greater_sciatic_notch")

FRAMINGS = 8
"""Times a view is moved until points are in its middle; each time what is left shrinks by how deep they lie apart."""


def pelvis_from_world(landmarks: Landmarks) -> Float64[Tensor, "4 4"]:
    """The motion that brings the world to a pelvis's own axes, zero midway between its femoral heads.

    Raises DataError if one of the six landmarks is missing.
    """
    frame = PelvicFrame.of(landmarks)
    middle = (landmarks[HEADS[0]] + landmarks[HEADS[1]]) / 2
    return rigid(frame.world_from_pelvis.T, middle, -middle)


@dataclass(frozen=True)
class StandardView:
    """A view surgeons know by name: where the panel stands, and what is in the middle of the picture."""

    name: str
    title: str
    primary: float
    """Degrees in the pelvis's frame, LAO positive."""
    secondary: float
    """Degrees in the pelvis's frame, cranial positive."""
    target: tuple[str, ...]
    """The landmarks whose middle is the picture's."""
    reference: str
    """Where the angles come from."""
    corridor: tuple[str, str] | None = None
    """Landmarks (behind, in front) of a bone corridor to look along instead, if they are given."""
    approximate: bool = False
    """Whether the angles are a rule of thumb, to be refined on the picture."""


def _sides(name: str, title: str, primary: float, secondary: float, **rest: object) -> tuple[StandardView, ...]:
    corridor = rest.pop("corridor", None)
    return tuple(
        StandardView(
            f"{side}_{name}",
            f"{side.capitalize()} {title}",
            sign * primary,
            secondary,
            target=(f"{side}_femoral_head",),
            corridor=None if corridor is None else (f"{side}_{corridor}_posterior", f"{side}_{corridor}_anterior"),
            **rest,  # type: ignore[arg-type]
        )
        for side, sign in (("left", 1.0), ("right", -1.0))
    )


VIEWS: dict[str, StandardView] = {
    view.name: view
    for view in (
        StandardView("ap", "AP pelvis", 0.0, 0.0, HEADS + SPINES, "by definition"),
        StandardView("inlet", "Inlet", 0.0, 25.0, HEADS + SPINES, "Eastman & Routt 2015: 24.9 degrees on average"),
        StandardView("outlet", "Outlet", 0.0, -42.0, HEADS + SPINES, "Eastman & Routt 2015: 42.4 degrees on average"),
        *_sides("obturator_oblique", "obturator oblique", 45.0, 0.0, reference="Judet 1964"),
        *_sides("iliac_oblique", "iliac oblique", -45.0, 0.0, reference="Judet 1964"),
        *_sides("obturator_inlet", "obturator inlet", 40.0, 25.0, reference="rule of thumb", approximate=True),
        *_sides(
            "teardrop", "teardrop (obturator outlet)", 40.0, -30.0,
            reference="along the LC-2 corridor as in Pelphix (Killeen 2023); a rule of thumb without it",
            corridor="lc2", approximate=True,
        ),
        StandardView("left_lateral", "Lateral, panel at the left", 90.0, 0.0, NOTCHES, "true lateral of the sacrum"),
        StandardView("right_lateral", "Lateral, panel at the right", -90.0, 0.0, NOTCHES, "true lateral of the sacrum"),
        *_sides("hip_ap", "hip AP", 0.0, 0.0, reference="by definition"),
    )
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PlannedView:
    """A standard view worked out for one patient and one device."""

    standard: StandardView
    view: View
    primary: float
    """Degrees the device shows."""
    secondary: float
    """Degrees the device shows."""
    target: Point
    """What the middle of the picture shows, LPS."""
    nearest: tuple[float, float]
    """The angles in the device's reach that come closest; the view's own if it is in reach."""
    frame: Frame
    """Whether the angles were planned in the pelvis's own frame or in the table's."""
    approximate: bool

    @property
    def in_reach(self) -> bool:
        """Whether the device's limits allow the view."""
        return self.nearest == (self.primary, self.secondary)

    @property
    def words(self) -> str:
        """The angles as a C-arm displays them."""
        return clinical(self.primary, self.secondary)


def standard_view(name: str) -> StandardView:
    """A standard view by its name; spaces and hyphens will do. Raises GeometryError naming those there are."""
    tidy = name.strip().lower().replace("-", "_").replace(" ", "_")
    if tidy not in VIEWS:
        raise GeometryError(f"no standard view {name!r}; give one of {', '.join(VIEWS)}")
    return VIEWS[tidy]


def plan(
    standard: StandardView, carm: CArm, landmarks: Landmarks, center: Point, frame: Frame = "pelvis"
) -> PlannedView:
    """A standard view of one patient.

    With the pelvic landmarks the angles are the pelvis's own; without them, or with `frame="table"`, they are the
    table's. `center` is what to aim at if none of the target's landmarks is known. A view out of the device's reach
    is planned all the same and says so.
    """
    pelvis = PelvicFrame.if_known(landmarks) if frame == "pelvis" else None
    turn = rotation("z", 0.0) if pelvis is None else pelvis.world_from_pelvis
    direction = turn @ beam(standard.primary, standard.secondary)
    along_corridor = standard.corridor is not None and all(name in landmarks for name in standard.corridor)
    if standard.corridor is not None and along_corridor:
        behind, front = (landmarks[name] for name in standard.corridor)
        direction = (front - behind) / (front - behind).norm()
        target = (front + behind) / 2
    else:
        known = landmarks.subset(standard.target)
        target = known.points.mean(dim=0) if len(known.names) == len(standard.target) else center
    primary, secondary = (round(angle, 6) + 0.0 for angle in angles_of(direction))
    free = replace(carm, orbital_range=(-180.0, 180.0), angulation_range=(-180.0, 180.0))
    return PlannedView(
        standard,
        free.aimed_at(target, primary, secondary),
        primary,
        secondary,
        target,
        carm.nearest(primary, secondary),
        "table" if pelvis is None else "pelvis",
        standard.approximate and not along_corridor,
    )


def plan_all(carm: CArm, landmarks: Landmarks, center: Point, frame: Frame = "pelvis") -> Mapping[str, PlannedView]:
    """Every standard view of one patient."""
    return {name: plan(standard, carm, landmarks, center, frame) for name, standard in VIEWS.items()}


def edge_on(normal: Float64[Tensor, "3"], primary: Float64[Tensor, "*n"]) -> Float64[Tensor, "*n"]:
    """For each primary angle the secondary one, -90...90 degrees, at which a plane is seen as a line.

    These pairs are the S-curve valves are aimed by (Gurvitch et al. 2010): the beam lies in the plane, so
    cos s (n_x sin p - n_y cos p) + n_z sin s = 0. Along the body's axis (n_z = 0) the curve is upright: every
    secondary angle will do where the bracket is 0, none elsewhere, and NaN stands for both. Raises GeometryError for a
    normal of no length.
    """
    length = float(normal.norm())
    if not (math.isfinite(length) and length > 1e-12):
        raise GeometryError(f"a plane with normal {normal.tolist()}; give a direction")
    x, y, z = (normal / length).tolist()
    if abs(z) < 1e-9:
        return torch.full_like(primary, math.nan)
    turned = torch.deg2rad(primary)
    return torch.rad2deg(torch.atan((y * torch.cos(turned) - x * torch.sin(turned)) / z))


def framing(
    carm: CArm,
    points: Float64[Tensor, "p 3"],
    primary: float = 0.0,
    secondary: float = 0.0,
    roll: float = 0.0,
) -> View:
    """The view at two angles that has the shadows of points (LPS) in its middle, and their own middle at the isocentre.

    The middle is of the box round the shadows, so that if anything keeps them all on the panel at this distance, this
    view does. Raises GeometryError without points, and for angles out of the device's reach.
    """
    if not len(points):
        raise GeometryError("no points to keep in the picture; name some landmarks that are known")
    target = points.mean(dim=0)
    for _ in range(FRAMINGS):
        view = carm.aimed_at(target, primary, secondary, roll)
        uv = view.project(points)
        rows, columns = view.size
        off = (uv.amin(dim=0) + uv.amax(dim=0)) / 2 - torch.tensor([columns - 1, rows - 1], dtype=torch.float64) / 2
        shrink = carm.source_to_isocenter / carm.source_to_panel
        target = target + shrink * (off[0] * view.u_step + off[1] * view.v_step)
    return carm.aimed_at(target, primary, secondary, roll)
