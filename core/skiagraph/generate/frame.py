"""The part of a body that is generated: a box about the hips, and bodies brought into it.

Its zero is midway between the femoral heads, its axes are the world's: tilt and obliquity stay in the body.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import grid_sample

from skiagraph.anatomy import STRUCTURE_INDEX, STRUCTURE_NAMES
from skiagraph.errors import DataError
from skiagraph.geometry import Grid, float64, rigid, transform
from skiagraph.io.patient import Patient
from skiagraph.planning import HEADS
from skiagraph.volume import Landmarks

AIR = -1000.0
"""HU of what lies outside the CT a body came from."""
BELOW, ABOVE = 110.0, 170.0
"""Millimetres under and over the femoral heads: from the thighs to the third lumbar vertebra."""
FRONT, BACK = 140.0, 140.0
ASIDE = 200.0


@dataclass(frozen=True)
class Frame:
    """A lattice about the hips; the default has about as many voxels as 128³."""

    spacing: float = 2.5
    """Millimetres."""
    multiple: int = 16
    """Voxels along each axis are a multiple of this, as networks want them."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (k, j, i)."""
        k, j, i = (self._voxels(length) for length in (BELOW + ABOVE, FRONT + BACK, 2 * ASIDE))
        return k, j, i

    @property
    def grid(self) -> Grid:
        """LPS millimetres, zero midway between the femoral heads."""
        middle = [0.0, (BACK - FRONT) / 2, (ABOVE - BELOW) / 2]
        return Grid.centred(self.shape, (self.spacing,) * 3, middle)

    def _voxels(self, length: float) -> int:
        return round(length / self.spacing / self.multiple) * self.multiple


@dataclass(frozen=True, eq=False)
class Framed:
    """A body within the frame."""

    hu: Float[Tensor, "k j i"]
    index: UInt8[Tensor, "k j i"]
    """Structures by `skiagraph.anatomy.STRUCTURE_INDEX`, 0 for none."""
    landmarks: Landmarks
    """In the frame's own world."""


def framed(patient: Patient, frame: Frame) -> Framed:
    """A labelled body brought into the frame, HU between its voxels, labels of the nearest.

    Raises DataError if its femoral heads or its labels are not known.
    """
    if patient.labels is None or not all(head in patient.landmarks for head in HEADS):
        raise DataError("a body without labels or femoral heads; give both, for instance by `skiagraph find-landmarks`")
    left, right = (patient.landmarks[head] for head in HEADS)
    middle = (left + right) / 2
    grid = frame.grid.moved(_shifted_by(middle))
    hu = sampled(patient.volume.hu - AIR, patient.volume.grid, grid, "bilinear") + AIR
    index = torch.zeros(grid.shape, dtype=torch.uint8)
    for number, name in STRUCTURE_INDEX.items():
        if name in patient.labels.names.values():
            there = sampled(patient.labels.mask(name).float(), patient.labels.grid, grid, "nearest") > 0.5
            index[there] = number
    return Framed(hu, index, patient.landmarks.moved(_shifted_by(-middle)))


def sampled(values: Float[Tensor, "k j i"], grid: Grid, at: Grid, mode: str) -> Float[Tensor, "z y x"]:
    """Values of one lattice at the points of another; 0 outside."""
    points = transform(grid.ijk_from_world, at.centers())
    ends = float64(grid.shape[::-1]) - 1
    where = (2 * points / ends.clamp(min=1) - 1).float()[None]
    found = grid_sample(values.float()[None, None], where, mode=mode, padding_mode="zeros", align_corners=True)
    return found[0, 0]


def _shifted_by(point: Tensor) -> Tensor:
    return rigid(torch.eye(3, dtype=torch.float64), torch.zeros_like(point), point)


CLASSES = 1 + len(STRUCTURE_NAMES)
"""Nothing, and each structure."""
