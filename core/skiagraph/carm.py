"""The device: distances, panel and limits of a C-arm, and the views it can take.

Angles are DICOM's (PS3.3 C.8.7.5.1.2, Positioner Primary and Secondary Angles), in degrees, and say where the
panel is as seen from the isocentre: primary 0 is square to the patient's chest, +90 at the patient's left (LAO),
-90 at the right (RAO); secondary +90 is at the head (cranial), -90 at the feet (caudal).
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from skiagraph.errors import GeometryError
from skiagraph.geometry import Point, View, float64, rotation

Side = Literal["left", "right"]

MOST_PIXELS = 8192
"""Columns an image can have."""


def beam(primary: float, secondary: float) -> Float64[Tensor, "3"]:
    """Unit vector from the source to the panel at two DICOM angles."""
    return rotation("z", primary) @ rotation("x", -secondary) @ float64([0.0, -1.0, 0.0])


def angles_of(direction: Float64[Tensor, "3"]) -> tuple[float, float]:
    """The DICOM angles (primary, secondary) of a direction from source to panel; `beam` undone."""
    x, y, z = (direction / direction.norm()).tolist()
    secondary = math.degrees(math.atan2(z, math.hypot(x, y)))
    primary = math.degrees(math.atan2(x, -y)) if math.hypot(x, y) > 1e-12 else 0.0
    return round(primary, 9) + 0.0, round(secondary, 9) + 0.0


def clinical(primary: float, secondary: float) -> str:
    """The two angles in the words a C-arm's display uses, such as `LAO 30 CRA 10`."""
    words = [f"{'LAO' if primary > 0 else 'RAO'} {abs(primary):.0f}" if round(primary) else ""]
    words += [f"{'CRA' if secondary > 0 else 'CAU'} {abs(secondary):.0f}" if round(secondary) else ""]
    return " ".join(word for word in words if word) or "AP 0"


@dataclass(frozen=True)
class Joints:
    """How a C-arm stands: the turn of its C along itself, and the tilt of the C about its horizontal shaft."""

    orbital: float
    """Degrees; positive brings the panel to the patient's left."""
    angulation: float
    """Degrees; positive brings the panel to the patient's head."""

    @property
    def direction(self) -> Float64[Tensor, "3"]:
        """Unit vector from source to panel. The C turns within its plane first, then the plane tilts."""
        return rotation("x", -self.angulation) @ rotation("z", self.orbital) @ float64([0.0, -1.0, 0.0])


@dataclass(frozen=True)
class CArm:
    """A C-arm with the patient lying on his back beside it, head first."""

    name: str
    source_to_panel: float
    """Millimetres; DICOM (0018,1110)."""
    source_to_isocenter: float
    """Millimetres along the beam; DICOM (0018,1111)."""
    panel_pixels: tuple[int, int]
    """Rows and columns."""
    pixel_spacing: float
    """Millimetres on the panel; DICOM (0018,1164)."""
    orbital_range: tuple[float, float] = (-180.0, 180.0)
    """Degrees, for a device that stands on the patient's right."""
    angulation_range: tuple[float, float] = (-180.0, 180.0)
    """Degrees."""
    lateral_offset: float = 0.0
    """Millimetres along the image's columns from the beam to the isocentre; 0 if the C turns about its beam."""
    side: Side = "right"
    """Which side of the patient the device stands on; the other side mirrors the orbital range."""
    reference: str = ""
    """Where the figures come from."""

    def __post_init__(self) -> None:
        if not 0 < self.source_to_isocenter < self.source_to_panel:
            raise GeometryError(
                f"isocentre {self.source_to_isocenter} mm and panel {self.source_to_panel} mm from the source; "
                "the isocentre lies between source and panel"
            )

    @property
    def panel_size(self) -> tuple[float, float]:
        """Height and width of the panel in millimetres."""
        return self.panel_pixels[0] * self.pixel_spacing, self.panel_pixels[1] * self.pixel_spacing

    def with_pixels(self, columns: int) -> "CArm":
        """The same panel read out with another number of (square) pixels."""
        if not 1 <= columns <= MOST_PIXELS:
            raise GeometryError(f"an image of {columns} pixels; give 1 to {MOST_PIXELS}")
        rows = max(1, round(self.panel_pixels[0] * columns / self.panel_pixels[1]))
        return replace(self, panel_pixels=(rows, columns), pixel_spacing=self.panel_size[1] / columns)

    def view(self, isocenter: Point, primary: float = 0.0, secondary: float = 0.0, roll: float = 0.0) -> View:
        """The view at two DICOM angles with the device's isocentre at a point. The head is up, turned by `roll`.

        Raises GeometryError beyond DICOM's ranges of angles or this device's limits, naming the nearest in reach.
        """
        if not math.isfinite(roll):
            raise GeometryError(f"a roll of {roll} degrees; give a finite one")
        self.check(primary, secondary)
        turn = rotation("z", primary) @ rotation("x", -secondary)
        forward = turn @ float64([0.0, -1.0, 0.0])
        c, s = math.cos(math.radians(roll)), math.sin(math.radians(roll))
        right, down = turn @ float64([1.0, 0.0, 0.0]), turn @ float64([0.0, 0.0, -1.0])
        u, v = c * right + s * down, c * down - s * right
        source = isocenter - self.source_to_isocenter * forward - self.lateral_offset * u
        rows, columns = self.panel_pixels
        u_step, v_step = self.pixel_spacing * u, self.pixel_spacing * v
        origin = source + self.source_to_panel * forward - (columns - 1) / 2 * u_step - (rows - 1) / 2 * v_step
        return View(source, origin, u_step, v_step, self.panel_pixels)

    def aimed_at(self, target: Point, primary: float = 0.0, secondary: float = 0.0, roll: float = 0.0) -> View:
        """The view whose beam passes through `target`, which lies as far from the source as the isocentre."""
        return replace(self, lateral_offset=0.0).view(target, primary, secondary, roll)

    def isocenter(self, view: View) -> Point:
        """Where this device's isocentre is when it takes a view; turn about it to see how the picture drifts."""
        u = view.u_step / view.u_step.norm()
        return view.source + self.source_to_isocenter * view.normal + self.lateral_offset * u

    def joints(self, primary: float, secondary: float) -> tuple[Joints, Joints]:
        """The two ways to bring the panel to two DICOM angles, upright first."""
        x, y, z = beam(primary, secondary).tolist()
        orbital, angulation = math.degrees(math.asin(max(-1.0, min(1.0, x)))), math.degrees(math.atan2(z, -y))
        if abs(orbital) > 90 - 1e-6:
            angulation = 0.0
        over = math.copysign(180.0, orbital) - orbital
        turned = angulation - 180.0 if angulation > 0 else angulation + 180.0
        upright, flipped = Joints(orbital, angulation), Joints(over, turned)
        return (upright, flipped) if abs(angulation) <= 90 else (flipped, upright)

    def reaches(self, primary: float, secondary: float) -> bool:
        """Whether the device's limits allow two DICOM angles."""
        return any(self._allows(joints) for joints in self.joints(primary, secondary))

    def nearest(self, primary: float, secondary: float) -> tuple[float, float]:
        """The angles in reach whose beam is closest to the one asked for; the same ones if in reach.

        Out of reach, the closest beam has a joint at a limit: the best of the other joint, or a corner of both. Of
        two equally close it is the upright one.
        """
        if self.reaches(primary, secondary):
            return primary, secondary
        wanted = beam(primary, secondary)
        x, y, z = wanted.tolist()
        orbitals, angulations = self._limits
        candidates = [Joints(orbital, angulation) for orbital in orbitals for angulation in angulations]
        for orbital in orbitals:
            best = math.degrees(math.atan2(z, -y))
            candidates += [Joints(orbital, best), Joints(orbital, best - math.copysign(180.0, best))]
        for angulation in angulations:
            c, s = math.cos(math.radians(angulation)), math.sin(math.radians(angulation))
            candidates.append(Joints(math.degrees(math.atan2(x, s * z - c * y)), angulation))
        allowed = [joints for joints in candidates if self._allows(joints)]

        def merit(joints: Joints) -> tuple[float, bool]:
            return round(float(joints.direction @ wanted), 9), abs(joints.angulation) <= 90

        return angles_of(max(allowed, key=merit).direction)

    def check(self, primary: float, secondary: float) -> None:
        """Raise GeometryError if two angles are outside DICOM's ranges or out of this device's reach."""
        if not (abs(primary) <= 180 and abs(secondary) <= 90):
            raise GeometryError(f"primary {primary:g} and secondary {secondary:g} degrees; give -180..180 and -90..90")
        if not self.reaches(primary, secondary):
            near = self.nearest(primary, secondary)
            raise GeometryError(
                f"{self.name} on the patient's {self.side} cannot reach {clinical(primary, secondary)}; the nearest is "
                f"primary {near[0]:.1f}, secondary {near[1]:.1f} ({clinical(*near)}); take that, another side or device"
            )

    @property
    def _limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        low, high = self.orbital_range
        return ((low, high) if self.side == "right" else (-high, -low)), self.angulation_range

    def _allows(self, joints: Joints, slack: float = 1e-6) -> bool:
        return all(
            low - slack <= angle <= high + slack
            for angle, (low, high) in zip((joints.orbital, joints.angulation), self._limits)
        )


GENERIC = CArm(
    name="generic",
    source_to_panel=1200.0,
    source_to_isocenter=1000.0,
    panel_pixels=(1536, 1536),
    pixel_spacing=0.28,
    reference="our choice: a 43 cm (17 inch) panel, 36 cm at the isocentre, so that both hips fit; no limits",
)

CIOS_FUSION = CArm(
    name="cios-fusion",
    source_to_panel=1020.0,
    source_to_isocenter=631.776,
    panel_pixels=(1536, 1536),
    pixel_spacing=0.194,
    orbital_range=(-110.0, 40.0),
    lateral_offset=-157.582,
    reference="distances and panel: SyntheX (Gao 2022) and DeepFluoro (Grupp 2020); isocentre and its lateral offset: "
    "xReg's Cios Fusion extrinsic, the offset taken along the image's columns by us; orbital range: DeepDRR's "
    "MobileCArm, RAO 110 to LAO 40; that the long travel is to the side the device stands on is our assumption",
)

LOOP_X = CArm(
    name="loop-x",
    source_to_panel=1247.4,
    source_to_isocenter=747.1,
    panel_pixels=(2880, 2880),
    pixel_spacing=0.150,
    angulation_range=(-30.0, 30.0),
    reference="Killeen 2023 (IPCAI pelvic corridors): tilt 30 degrees either way, turn about the patient unlimited",
)

DEVICES: dict[str, CArm] = {device.name: device for device in (GENERIC, CIOS_FUSION, LOOP_X)}


def device(name: str) -> CArm:
    """A device by its name."""
    if name not in DEVICES:
        raise GeometryError(f"no device called {name!r}; give one of {', '.join(DEVICES)}")
    return DEVICES[name]


def view_angles(view: View) -> tuple[float, float]:
    """The DICOM angles (primary, secondary) of a single view's principal ray."""
    return angles_of(view.normal)


def view_roll(view: View) -> float:
    """Degrees by which a single view's image is turned away from head up, as `CArm.view` takes them."""
    primary, secondary = view_angles(view)
    turn = rotation("z", primary) @ rotation("x", -secondary)
    u = view.u_step / view.u_step.norm()
    along = torch.stack([u @ turn[:, 0], u @ -turn[:, 2]])
    return math.degrees(math.atan2(float(along[1]), float(along[0])))
