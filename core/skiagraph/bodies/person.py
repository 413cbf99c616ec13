"""Who lies on the table: everything a synthetic body is made from."""

import math
from dataclasses import dataclass, field, fields
from typing import Literal

import torch

from skiagraph.errors import DataError


@dataclass(frozen=True)
class HipAngles:
    """How one thigh is held; all zero is straight down with the kneecap to the ceiling."""

    flexion: float = 0.0
    """Degrees, knee towards the chest; -10 to 45."""
    abduction: float = 2.0
    """Degrees, away from the other leg; -12 to 30."""
    rotation: float = 4.0
    """Degrees, toes inwards; -35 to 35."""

    def __post_init__(self) -> None:
        _check(self, {"flexion": (-10, 45), "abduction": (-12, 30), "rotation": (-35, 35)})


@dataclass(frozen=True)
class Person:
    """The parameters of one synthetic lower torso; the defaults are an average adult lying on the back."""

    sex: Literal["female", "male"] = "female"
    """Sets the subpubic angle, the width of the pelvis, the flare of the wings and the size of the joints."""
    size: float = 1.0
    """Every length, over the average of both sexes; 0.85 to 1.15."""
    width: float = 0.0
    """Millimetres by which each half of the pelvis is wider than its sex's average; -6 to 6."""
    flare: float = 0.0
    """Degrees by which the iliac wings lean further out; -6 to 6."""
    asymmetry: float = 0.0
    """How far left and right differ, positive for the larger left; -1 to 1."""
    tilt: float = 2.5
    """Degrees by which the iliac spines lie in front of the symphysis, seen from the side; -10 to 25."""
    obliquity: float = 0.0
    """Degrees by which the left side of the pelvis is higher; -6 to 6."""
    lordosis: float = 0.0
    """Degrees added to the bend of the lumbar spine; -15 to 15."""
    scoliosis: float = 0.0
    """Degrees by which the spine leans to the left; -8 to 8."""
    bone_density: float = 1.0
    """Mineral over the average; 0.6 (osteoporosis) to 1.3."""
    joint_space: float = 3.6
    """Millimetres of cartilage between femoral head and acetabulum; 2.2 (worn) to 4.8."""
    neck_shaft: float = 0.0
    """Degrees by which the femoral necks are steeper than 127; -12 to 12."""
    version: float = 0.0
    """Degrees by which the femoral necks point further to the front than 12; -15 to 15."""
    girth: float = 1.0
    """Of the femoral shafts over the average for the person's size; 0.85 to 1.15."""
    fat: float = 18.0
    """Millimetres of fat under the skin; 6 to 45."""
    left_hip: HipAngles = field(default_factory=HipAngles)
    """How the left thigh is held."""
    right_hip: HipAngles = field(default_factory=HipAngles)
    """How the right thigh is held."""
    seed: int = 0
    """Names the grain of the bone, the gas and the noise."""

    def __post_init__(self) -> None:
        if self.sex not in ("female", "male"):
            raise DataError(f"sex is {self.sex!r}; give 'female' or 'male'")
        _check(self, RANGES)

    @classmethod
    def draw(cls, rng: torch.Generator) -> "Person":
        """Somebody else."""

        def normal(mean: float, deviation: float, low: float, high: float) -> float:
            drawn = mean + deviation * torch.randn((), generator=rng, dtype=torch.float64).item()
            return min(max(drawn, low), high)

        def hip() -> HipAngles:
            return HipAngles(normal(2, 4, -8, 20), normal(3, 4, -8, 20), normal(3, 9, -20, 28))

        male = torch.rand((), generator=rng).item() < 0.5
        return cls(
            sex="male" if male else "female",
            size=normal(1.03 if male else 0.98, 0.04, *RANGES["size"]),
            width=normal(0, 2, *RANGES["width"]),
            flare=normal(0, 2, *RANGES["flare"]),
            asymmetry=normal(0, 0.35, *RANGES["asymmetry"]),
            tilt=normal(2.5, 5.5, -9, 18),
            obliquity=normal(0, 1.5, *RANGES["obliquity"]),
            lordosis=normal(0, 5, *RANGES["lordosis"]),
            scoliosis=normal(0, 2, *RANGES["scoliosis"]),
            bone_density=normal(1.0, 0.2, *RANGES["bone_density"]),
            fat=math.exp(normal(math.log(18), 0.4, math.log(7), math.log(42))),
            left_hip=hip(),
            right_hip=hip(),
            seed=int(torch.randint(2**31 - 1, (), generator=rng).item()),
            joint_space=normal(3.5, 0.6, *RANGES["joint_space"]),
            neck_shaft=normal(1.0, 5.0, *RANGES["neck_shaft"]),
            version=normal(0.0, 6.0, *RANGES["version"]),
            girth=normal(1.0, 0.06, *RANGES["girth"]),
        )


RANGES: dict[str, tuple[float, float]] = {
    "size": (0.85, 1.15),
    "width": (-6, 6),
    "flare": (-6, 6),
    "asymmetry": (-1, 1),
    "tilt": (-10, 25),
    "obliquity": (-6, 6),
    "lordosis": (-15, 15),
    "scoliosis": (-8, 8),
    "bone_density": (0.6, 1.3),
    "joint_space": (2.2, 4.8),
    "neck_shaft": (-12, 12),
    "version": (-15, 15),
    "girth": (0.85, 1.15),
    "fat": (6, 45),
}
"""The least and the most of every number of a person for which the anatomy still holds together."""


def _check(value: Person | HipAngles, ranges: dict[str, tuple[float, float]]) -> None:
    for parameter in fields(value):
        if parameter.name in ranges:
            low, high = ranges[parameter.name]
            found = getattr(value, parameter.name)
            if not low <= found <= high:
                raise DataError(f"{parameter.name} is {found:g}; give {low:g} to {high:g}")
