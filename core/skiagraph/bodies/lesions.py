"""Lesions of the lung, grown into a chest CT: a demonstration of the COVID task where no lesion masks are at hand.

Ground glass and consolidation lie mostly at the lung's rim, below and behind, in patches with ragged edges. The shapes
are blobs roughened by filtered noise; they are ours and make no claim to be any disease's.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy import ndimage

from skiagraph.drr.scene import Scene
from skiagraph.errors import DataError
from skiagraph.geometry import Grid, Point, float64, rigid
from skiagraph.physics.phantom import Decompose
from skiagraph.volume import Body, Labels, Volume

LESION = "lesion"
"""The structure's name."""

LUNG_HU = (-1000.0, -550.0)
"""Of aerated lung."""

LEAST_LUNG = 500_000.0
"""Cubic millimetres below which a CT is said to show no lungs."""


@dataclass(frozen=True)
class Lesions:
    """How many lesions are grown, and how the chest is sheared, once for each body that is made ready."""

    count: tuple[int, int] = (2, 8)
    radius: tuple[float, float] = (8.0, 30.0)
    """Millimetres."""
    hu: tuple[float, float] = (-650.0, -50.0)
    """From ground glass to consolidation."""
    shear: float = 30.0
    """Degrees at most, of the CT's slices against each other (SyntheX's U[-30, 30])."""

    def __call__(self, body: Body, decompose: Decompose, rng: torch.Generator) -> Scene:
        """The chest with lesions. Raises DataError if there is no lung in the CT."""
        grid, hu = body.volume.grid, body.volume.hu.numpy().copy()
        lungs = find_lungs(hu, grid)
        lesions = np.zeros(hu.shape, dtype=bool)
        count = int(torch.randint(self.count[0], self.count[1] + 1, (), generator=rng))
        rim = ndimage.distance_transform_edt(lungs, sampling=grid.spacing[::-1])
        places = np.argwhere(lungs & (rim < 15.0))
        for _ in range(count):
            k, j, i = places[int(torch.randint(len(places), (), generator=rng))].tolist()
            radius, level = (_between(rng, *limits) for limits in (self.radius, self.hu))
            grown = _blob((k, j, i), radius, grid, hu.shape, rng) & lungs
            texture = _noise(hu.shape, 3.0, rng) if grown.any() else 0.0
            hu = np.where(grown, np.maximum(hu, level + 80.0 * texture), hu)
            lesions |= grown
        sheared = _sheared(grid, _between(rng, -self.shear, self.shear))
        labels = Labels(torch.from_numpy(lesions.astype(np.uint8)), sheared, {1: LESION})
        moved = sheared.world_from_ijk @ grid.ijk_from_world
        volume = Volume(torch.from_numpy(hu.astype(np.float32)), sheared)
        return Scene.of(replace(body, volume=volume, labels=labels, landmarks=body.landmarks.moved(moved)), decompose)


def find_lungs(hu: Float[ndarray, "k j i"], grid: Grid) -> Bool[ndarray, "k j i"]:
    """The aerated lung: the largest dark regions that do not reach the picture's rim, closed over their vessels."""
    dark = (hu > LUNG_HU[0]) & (hu < LUNG_HU[1])
    regions, _ = ndimage.label(dark)
    outside = np.unique(np.concatenate([regions[:, 0].ravel(), regions[:, -1].ravel(), regions[:, :, 0].ravel(),
                                        regions[:, :, -1].ravel()]))  # fmt: skip
    sizes = np.bincount(regions.ravel())
    sizes[outside] = 0
    sizes[0] = 0
    voxel = float(np.prod(grid.spacing))
    chosen = [n for n in np.argsort(sizes)[::-1][:2] if sizes[n] * voxel > 0.1 * LEAST_LUNG]
    lungs = np.isin(regions, chosen)
    if not chosen or lungs.sum() * voxel < LEAST_LUNG:
        raise DataError("no lungs in this CT; give a chest CT for the covid preset")
    return ndimage.binary_closing(lungs, iterations=2)


def _between(rng: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=rng))


def _blob(
    at: tuple[int, int, int], radius: float, grid: Grid, shape: tuple[int, ...], rng: torch.Generator
) -> Bool[ndarray, "k j i"]:
    """A ball with a ragged rim."""
    axes = [(np.arange(n) - at[axis]) * grid.spacing[2 - axis] for axis, n in enumerate(shape)]
    k, j, i = np.ix_(*axes)
    rough = _noise(shape, 5.0, rng)
    return np.sqrt(k**2 + j**2 + i**2) < radius * (1.0 + 0.35 * rough)


def _noise(shape: tuple[int, ...], sigma: float, rng: torch.Generator) -> Float[ndarray, "k j i"]:
    """Filtered noise of unit spread, drawn on a lattice three times as coarse."""
    coarse = torch.randn([-(-n // 3) for n in shape], generator=rng).numpy()
    smooth = ndimage.gaussian_filter(coarse, sigma / 3)
    zoomed = ndimage.zoom(smooth / smooth.std(), 3, order=1)
    return zoomed[: shape[0], : shape[1], : shape[2]]


def _sheared(grid: Grid, degrees: float) -> Grid:
    """The grid with its slices pushed sideways, by an angle, about its middle."""
    shear = torch.eye(3, dtype=torch.float64)
    shear[0, 2] = float(np.tan(np.radians(degrees)))
    center: Point = grid.center
    return grid.moved(rigid(shear, center, float64([0.0, 0.0, 0.0])))
