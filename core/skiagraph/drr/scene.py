"""Several bodies before one C-arm: bones that move apart, and tools that push aside what they are put into.

Line integrals add, so a body displaces another by taking it away where it stands: its phantom holds its own matter
and, negative, what the host has in the same place. Nothing is resampled but that, and a thin tool keeps its own
fine grid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn.functional import grid_sample

from skiagraph.anatomy import LANDMARKS
from skiagraph.errors import DataError
from skiagraph.geometry import Grid, box_around, transform
from skiagraph.physics.materials import Material
from skiagraph.physics.phantom import Decompose, Phantom
from skiagraph.volume import Body, Labels, Landmarks, Volume

SOFT_TISSUE_HU = 40.0
"""What is left where a bone was taken out of its CT."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What stands before the C-arm, and what is known of it."""

    phantoms: tuple[Phantom, ...]
    labels: tuple[Labels, ...]
    landmarks: Landmarks

    @property
    def structures(self) -> set[str]:
        """The names of all that is labelled."""
        return {name for labels in self.labels for name in labels.names.values()}

    @classmethod
    def of(cls, body: Body, decompose: Decompose) -> "Scene":
        """One body as it is."""
        return cls((decompose(body.volume),), (body.labels,), body.landmarks)

    def with_tool(self, occupancy: Float[Tensor, "k j i"], grid: Grid, material: Material, name: str) -> "Scene":
        """The scene with a tool in it: `occupancy` 0...1 of each voxel of the tool's own grid is full of a material."""
        matter = Phantom(material.density * occupancy[None].float(), (material,), grid)
        return Scene(
            (*self.phantoms, displacing(matter, occupancy, self.phantoms)),
            (*self.labels, Labels((occupancy >= 0.5).to(torch.uint8), grid, {1: name})),
            self.landmarks,
        )


def articulated(body: Body, decompose: Decompose, motions: Mapping[str, Float64[Tensor, "4 4"]]) -> Scene:
    """A body some of whose structures have moved: each named one by its own rigid world motion (mm).

    The gap a structure leaves is filled with soft tissue; where it goes, it displaces what was there. Its landmarks
    move along.
    """
    gone = body.labels.mask(*motions)
    host = Volume(body.volume.hu.masked_fill(gone, SOFT_TISSUE_HU), body.volume.grid)
    left = Labels(body.labels.index.masked_fill(gone, 0), body.labels.grid, body.labels.names)
    scene = Scene.of(Body(host, left, body.landmarks), decompose)
    whole = decompose(body.volume)
    phantoms, labels, landmarks = [*scene.phantoms], [*scene.labels], body.landmarks
    for name, motion in motions.items():
        inside = body.labels.mask(name)
        box = box_around(inside)
        if box is None:
            raise DataError(f"the labels hold no voxel of {name}; it cannot be moved")
        grid = body.volume.grid.cropped(box).moved(motion)
        occupancy = inside[box].float()
        matter = Phantom(whole.density[(slice(None), *box)] * occupancy, whole.materials, grid)
        phantoms.append(displacing(matter, occupancy, phantoms))
        labels.append(Labels(inside[box].to(torch.uint8), grid, {1: name}))
        landmarks = _carried(landmarks, name, motion)
    return Scene(tuple(phantoms), tuple(labels), landmarks)


def displacing(matter: Phantom, occupancy: Float[Tensor, "k j i"], hosts: Sequence[Phantom]) -> Phantom:
    """A phantom that takes away what `hosts` hold where it stands, in proportion to its occupancy."""
    density, materials = [matter.density], [*matter.materials]
    for host in hosts:
        density.append(-resampled(host, matter.grid) * occupancy)
        materials += host.materials
    return _merged(torch.cat(density), tuple(materials), matter.grid)


def resampled(phantom: Phantom, grid: Grid) -> Float[Tensor, "m k j i"]:
    """A phantom's densities at another grid's voxels, trilinearly; nothing outside it."""
    ijk = transform(phantom.grid.ijk_from_world, grid.centers())
    sizes = torch.tensor(phantom.grid.shape[::-1], dtype=torch.float64)
    where = ((2 * ijk + 1) / sizes - 1).to(phantom.density)
    (found,) = grid_sample(phantom.density[None], where[None], padding_mode="zeros", align_corners=False)
    return found


def _merged(density: Tensor, materials: tuple[Material, ...], grid: Grid) -> Phantom:
    distinct = tuple(dict.fromkeys(materials))
    channels = [[m for m, known in enumerate(materials) if known is material] for material in distinct]
    return Phantom(torch.stack([density[same].sum(dim=0) for same in channels]), distinct, grid)


def _carried(landmarks: Landmarks, structure: str, motion: Tensor) -> Landmarks:
    belongs = {term.name for term in LANDMARKS if term.structure == structure}
    moved = transform(motion, landmarks.points)
    mine = torch.tensor([name in belongs for name in landmarks.names], dtype=torch.bool)
    return Landmarks(landmarks.names, torch.where(mine[:, None], moved, landmarks.points))
