"""The continuum manipulator: a slotted tube that bends in a plane, on a straight shaft.

The tool of SyntheX's second task (Gao 2022): 27 notches on alternating sides, each a little hinge. Diameters and
lengths are those published for the manipulator of Kutzer 2011 and Murphy 2014 (35 mm of bending length, 6 mm outside,
4 mm inside); the depth and width of the notches are ours.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree
from torch import Tensor

from skiagraph.anatomy import MANIPULATOR
from skiagraph.bodies.tools import Tool
from skiagraph.errors import DataError
from skiagraph.geometry import Grid, Point, float64
from skiagraph.volume import Landmarks

NOTCHES = 27
CONTROLS = 5
"""Notches whose angles are drawn; the others' lie on a cubic spline through them."""

BASE, TIP, BODY = (term.name for term in MANIPULATOR)
"""The landmarks at the ends of the bending part's centre line, and the structure."""


@dataclass(frozen=True)
class Manipulator:
    """The tool, bent by an angle at each notch. Millimetres and degrees."""

    angles: tuple[float, ...] = (0.0,) * NOTCHES
    length: float = 35.0
    """Of the bending part."""
    outer: float = 6.0
    """Diameter."""
    inner: float = 4.0
    """Diameter of the channel."""
    shaft: float = 60.0
    """Of the straight tube behind it."""
    slot: float = 0.7
    """Width of a notch along the tube."""
    material_name: str = "nitinol"

    def __post_init__(self) -> None:
        if not 0 < self.inner < self.outer or len(self.angles) < 2:
            raise DataError(
                f"a manipulator of {self.inner:g} in {self.outer:g} mm with {len(self.angles)} notches; "
                "give a wall and at least two notches"
            )

    @classmethod
    def draw(cls, rng: torch.Generator, spread: float = 2.5) -> "Manipulator":
        """Bent at random: control points of the notches' angles are normal, `spread` degrees wide."""
        controls = spread * torch.randn(CONTROLS, generator=rng, dtype=torch.float64).numpy()
        spline = CubicSpline(np.linspace(0, NOTCHES - 1, CONTROLS), controls)
        return cls(tuple(float(angle) for angle in spline(np.arange(NOTCHES))))

    def center_line(self) -> Float64[ndarray, "n 2"]:
        """Forward kinematics: from base to tip, x sideways in the plane of bending and y along the straight tool."""
        heading = np.radians(np.concatenate([[0.0], np.cumsum(self.angles)]))
        step = self.length / len(self.angles)
        # Each hinge lies in the middle of its link.
        links = 0.5 * (heading[:-1] + heading[1:])
        steps = step * np.stack([np.sin(links), np.cos(links)], axis=1)
        return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])

    def placed(self, world_from_tool: Float64[Tensor, "4 4"], spacing: float = 0.35) -> tuple[Tool, Landmarks]:
        """The tool in the world and its two landmarks.

        In its own frame the base is the origin, the shaft runs along -y, and it bends in the x-y plane.
        """
        line = self.center_line()
        tool = self._tool(line, world_from_tool, spacing)
        ends = float64([[0.0, 0.0, 0.0], [*line[-1].tolist(), 0.0]])
        points = ends @ world_from_tool[:3, :3].T + world_from_tool[:3, 3]
        return tool, Landmarks((BASE, TIP), points)

    def _tool(self, line: Float64[ndarray, "n 2"], world_from_tool: Tensor, spacing: float) -> Tool:
        """Voxels in the tool's own frame, so that its grid is small however it lies."""
        margin = self.outer / 2 + spacing
        fine, along, sideways = _resampled(line)
        fine = np.concatenate([_shaft(self.shaft), fine])
        along = np.concatenate([np.linspace(-self.shaft, 0.0, len(fine) - len(along), endpoint=False), along])
        sideways = np.concatenate([np.tile([[1.0, 0.0]], (len(fine) - len(sideways), 1)), sideways])
        low = np.array([*(fine.min(0) - margin), -margin])
        size = np.ceil((np.array([*(fine.max(0) + margin), margin]) - low) / spacing).astype(int) + 1
        x, y, z = (low[n] + spacing * np.arange(size[n]) for n in range(3))
        yy, xx = np.meshgrid(y, x, indexing="ij")
        near, at = cKDTree(fine).query(np.stack([xx.ravel(), yy.ravel()], axis=1), distance_upper_bound=margin)
        reached = np.isfinite(near)
        at = np.minimum(at, len(fine) - 1)
        from_line = np.stack([xx.ravel(), yy.ravel()], axis=1) - fine[at]
        offset = (from_line * sideways[at]).sum(1)
        # At the two ends the tube is cut straight off.
        ahead = np.abs(from_line[:, 1] * sideways[at, 0] - from_line[:, 0] * sideways[at, 1])
        inside = np.clip(0.5 - np.where((at == 0) | (at == len(fine) - 1), ahead, -1.0) / spacing, 0, 1)
        across, place = np.where(reached, near, np.inf).reshape(yy.shape), along[at].reshape(yy.shape)
        occupancy = self._wall(across[None], z[:, None, None], offset.reshape(yy.shape)[None], place[None], spacing)
        occupancy = occupancy * inside.reshape(yy.shape)[None]
        grid = Grid.of(occupancy.shape, (spacing,) * 3, low.tolist()).moved(world_from_tool)
        return Tool(torch.from_numpy(occupancy.astype(np.float32)), grid, self.material_name)

    def _wall(self, across: ndarray, z: ndarray, offset: ndarray, place: ndarray, spacing: float) -> ndarray:
        """How full each voxel is: a tube, with every other notch cut from the other side."""
        distance = np.hypot(across, z)
        tube = np.clip(0.5 + (self.outer / 2 - distance) / spacing, 0, 1)
        channel = np.clip(0.5 + (self.inner / 2 - distance) / spacing, 0, 1)
        pitch = self.length / len(self.angles)
        number = np.floor(place / pitch)
        within = np.abs(place - (number + 0.5) * pitch)
        cut = np.clip(0.5 + (self.slot / 2 - within) / spacing, 0, 1)
        side = np.where(number % 2 == 0, offset, -offset)
        cut = cut * np.clip(0.5 + (side + 0.3 * self.outer / 2) / spacing, 0, 1) * (place >= 0) * (place < self.length)
        return (tube - channel) * (1.0 - cut)


def _resampled(line: Float64[ndarray, "n 2"], step: float = 0.1) -> tuple[ndarray, ndarray, ndarray]:
    """A smooth curve through the links' ends in small steps: points, way from the base, and unit vectors sideways."""
    ways = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    spline = CubicSpline(ways, line)
    along = np.arange(0.0, ways[-1], step)
    ahead = spline(along, 1)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    return spline(along), along, np.stack([ahead[:, 1], -ahead[:, 0]], axis=1)


def _shaft(length: float, step: float = 0.1) -> ndarray:
    way = np.arange(-length, 0.0, step)
    return np.stack([np.zeros_like(way), way], axis=1)


def frame(base: Point, along: Float64[Tensor, "3"], sideways: Float64[Tensor, "3"]) -> Float64[Tensor, "4 4"]:
    """`world_from_tool` for a tool whose base is at a point, whose straight part points along a direction."""
    y = along / along.norm()
    x = sideways - (sideways @ y) * y
    x = x / x.norm()
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = torch.stack([x, y, torch.linalg.cross(x, y)], dim=1)
    matrix[:3, 3] = base
    return matrix
