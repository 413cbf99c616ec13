"""The femur: head, neck, trochanters and a shaft with its medullary canal."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from skiagraph.bodies.pelvis import HIP_CENTER, Placed, mirrored, ramp
from skiagraph.bodies.person import HipAngles
from skiagraph.bodies.skeleton import Balls, Bone, curve
from skiagraph.geometry import rotation

# An average left femur, (x, y, z, radius) in millimetres from the head's centre: neck-shaft angle 127 degrees,
# anteversion 12, offset 43; the knee straight below the head, so that the shaft leans 7 degrees.
NECK = ((6, 1, -4, 17.0), (14, 3, -10.5, 14.5), (21, 4.5, -15.5, 13.2), (29, 6, -21, 14.0), (38, 7.5, -28, 15.5))
CALCAR = ((14, 3, -15, 11.5), (22, 4, -23, 10.5), (29, 5.5, -34, 11.5), (35, 6.5, -46, 13.0))
SHAFT = (
    (43, 8, -34, 16.0),
    (42.5, 8, -50, 15.8),
    (41, 7, -66, 15.0),
    (39, 5, -85, 14.2),
    (35.5, 3, -115, 13.6),
    (29, 2, -165, 13.3),
    (22, 3, -225, 13.3),
    (16, 6, -280, 13.6),
)
GREATER_TROCHANTER = ((55, 17, -7, 5.5), (58, 14, -9, 8.5), (58, 10, -19, 12.0), (54, 8, -31, 14.5), (48, 8, -45, 14.5))
SADDLE = ((36, 9, -21, 13.0), (44, 12, -20, 11.5), (52, 14, -17, 11.0))
TROCHANTERIC_CREST = ((54, 18, -5, 6.0), (46, 19, -22, 5.5), (36, 19, -40, 6.0), (28, 18, -54, 6.5))
LESSER_TROCHANTER = (
    (36, 10, -46, 12.0),
    (29, 14, -54, 9.5),
    (25, 17, -59, 7.0),
    (28, 14, -66, 8.0),
    (34, 9, -77, 11.0),
)
NECK_BASE, NECK_REACH = np.array([42.0, 8.0, -32.0]), 38.0
"""Where the neck comes out of the shaft, and the millimetres from there on which it turns with the head."""
PARTS = (NECK, CALCAR, GREATER_TROCHANTER, SADDLE, TROCHANTERIC_CREST, LESSER_TROCHANTER)

CORTEX = ((60.0, 0.8), (0.0, 0.9), (-22.0, 1.3), (-40.0, 2.0), (-58.0, 3.0), (-80.0, 4.0), (-110.0, 4.9), (-300.0, 5.7))
"""(z along the femur, thickness of the cortex in millimetres): under the trochanters a slice holds 700 HU above soft
tissue on average over six drawn people, and 650 (550 to 750) over nine adults; `core/benchmarks/femoral_shaft.py`."""


class Thigh:
    """Where a thigh is: turned about the centre of its femoral head."""

    def __init__(self, pelvis: Placed, side: str) -> None:
        self.side = side
        self.size = pelvis.person.size
        self.center = pelvis.place(mirrored(np.array([HIP_CENTER]), side))[0]
        self.head_radius = pelvis.cup_radius(side) - pelvis.person.joint_space
        angles: HipAngles = getattr(pelvis.person, f"{side}_hip")
        # For the left thigh: abduction turns the knee to +x, inward rotation the front to -x, flexion the knee to -y.
        self.girth = pelvis.person.girth
        # For the left neck: steeper lifts the head, further to the front takes it to -y.
        self.neck = (rotation("y", pelvis.person.neck_shaft) @ rotation("z", pelvis.person.version)).numpy()
        self.lift = self._bent(np.zeros((1, 3)))[0]
        turn = rotation("y", -angles.abduction) @ rotation("x", -angles.flexion) @ rotation("z", -angles.rotation)
        self.turn = turn.numpy()

    def place(self, points: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """Points of the average left femur, in the world."""
        return mirrored(self.size * (self._bent(points) - self.lift) @ self.turn.T, self.side) + self.center

    def local(self, points: Float[ndarray, "*n 3"]) -> Float[ndarray, "*n 3"]:
        """Points of the world in the frame of the average left femur, the turn of the neck left aside."""
        flip = np.array([1.0 if self.side == "left" else -1.0, 1.0, 1.0])
        return (points - self.center) * flip @ self.turn / self.size + self.lift

    def _bent(self, points: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """Points of the average left femur after its neck has turned about its base; the shaft stays."""
        out = points - NECK_BASE
        share = ramp(-(out @ NECK_BASE) / np.linalg.norm(NECK_BASE), 0, NECK_REACH)[..., None]
        return NECK_BASE + out + share * (out @ self.neck.T - out)


MARROW = ((60.0, 300.0), (-20.0, 260.0), (-55.0, 150.0), (-85.0, 10.0), (-120.0, -40.0), (-300.0, -50.0))
"""(z along the femur, HU within the cortex): trabecular bone gives way to yellow marrow."""


def femur(thigh: Thigh) -> Bone:
    """This person's femur of a side."""
    head = Balls(thigh.center[None], np.array([thigh.head_radius]))
    shaft = curve(SHAFT).placed(thigh.place, thigh.size * thigh.girth)
    return Bone((head, shaft, *(curve(part).placed(thigh.place, thigh.size) for part in PARTS)), blend=5.0)


def cortex(thigh: Thigh, points: Float[ndarray, "*n 3"]) -> Float[ndarray, "*n"]:
    """Millimetres of compact bone under the surface: thick in the shaft, thin over what stands out from it."""
    local = thigh.local(points)
    along, thickness = np.array(CORTEX[::-1]).T
    x, y, z, radius = np.array(SHAFT[::-1]).T
    depth = local[..., 2]
    beyond = np.hypot(local[..., 0] - np.interp(depth, z, x), local[..., 1] - np.interp(depth, z, y))
    beyond = beyond - thigh.girth * np.interp(depth, z, radius)
    compact = np.interp(depth, along, thickness)
    return thigh.size * (compact + (np.minimum(compact, 1.0) - compact) * ramp(beyond, 0, 4))


def marrow(thigh: Thigh, points: Float[ndarray, "*n 3"]) -> Float[ndarray, "*n"]:
    """HU within the cortex."""
    along, hu = np.array(MARROW[::-1]).T
    x, _, z = np.moveaxis(thigh.local(points), -1, 0)
    level = np.interp(z, along, hu)
    return np.where(level > 0, level * _trabeculae(x, z), level)


COMPRESSED = ((20.0, -46.0), (1.0, 16.0))
"""(x, z) of the ends of the principal compressive group, from the calcar to the top of the head."""
ARCH = ((20.0, -34.0), 30.0)
"""Centre and radius of the principal tensile group, from under the greater trochanter over the neck to the head."""
WARD = (24.0, -22.0)
"""The middle of Ward's triangle, where there is hardly any bone between them."""


def _trabeculae(x: Float[ndarray, "*n"], z: Float[ndarray, "*n"]) -> Float[ndarray, "*n"]:
    """Density over the average at a height, seen from the front: the groups of Ward 1838 and Singh et al. 1970."""
    (ax, az), (bx, bz) = COMPRESSED
    length = np.hypot(bx - ax, bz - az)
    aside = ((x - ax) * (bz - az) - (z - az) * (bx - ax)) / length
    pressed = np.exp(-((aside / 9.0) ** 2))
    (cx, cz), radius = ARCH
    pulled = np.exp(-(((np.hypot(x - cx, z - cz) - radius) / 5.0) ** 2)) * (z > cz)
    hollow = np.exp(-((x - WARD[0]) ** 2 + (z - WARD[1]) ** 2) / (2 * 8.0**2))
    return 0.7 + 0.6 * pressed + 0.3 * pulled - 0.4 * hollow - 0.25 * ramp(x, 44, 56)
