"""Several bodies before one C-arm: bones that move apart, and tools that push aside what they are put into.

Line integrals add, so a body displaces another by taking it away where it stands: its phantom holds its own matter
and, negative, what the host has in the same place. Nothing is resampled but that, and a thin tool keeps its own
fine grid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor
from torch.nn.functional import grid_sample, max_pool3d

from skiagraph.anatomy import LANDMARKS
from skiagraph.errors import DataError
from skiagraph.geometry import Grid, box_around, transform
from skiagraph.physics.materials import Material
from skiagraph.physics.phantom import Decompose, Phantom
from skiagraph.volume import Body, Labels, Landmarks, Volume

SOFT_TISSUE_HU = 40.0
"""What is left where a bone was taken out of its CT."""
RIM_HU = 120.0
"""A voxel beside a structure and of no other is partly its bone if denser than this, and moves along."""


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


@dataclass(frozen=True, eq=False)
class Bone:
    """A structure by itself, on the box of its CT's grid that holds it."""

    name: str
    matter: Phantom
    occupancy: Float[Tensor, "k j i"]
    """1 in its voxels and those of its rim, 0 elsewhere."""
    label: Bool[Tensor, "k j i"]
    """Its voxels alone."""

    def moved(self, motion: Float64[Tensor, "4 4"], hosts: Sequence[Phantom]) -> tuple[Phantom, Labels]:
        """Its phantom after a rigid world motion (mm), displacing what the hosts have there, and its label."""
        grid = self.matter.grid.moved(motion)
        matter = Phantom(self.matter.density, self.matter.materials, grid)
        return displacing(matter, self.occupancy, hosts), Labels(self.label.to(torch.uint8), grid, {1: self.name})


@dataclass(frozen=True, eq=False)
class Loosened:
    """A body with some bones taken out, so that each of its pictures can have them elsewhere.

    The gap a bone leaves is filled with soft tissue; where it goes, it displaces what was there. Its landmarks move
    along, and so do the voxels of its rim, which are partly bone.
    """

    host: Scene
    bones: tuple[Bone, ...]

    @classmethod
    def of(cls, body: Body, decompose: Decompose, names: Sequence[str]) -> "Loosened":
        """A body without the named structures, and these. Raises DataError if the labels hold no voxel of one."""
        gone = torch.zeros(body.volume.grid.shape, dtype=torch.bool)
        for name in names:
            gone |= _with_rim(body, name)
        host = Volume(body.volume.hu.masked_fill(gone, SOFT_TISSUE_HU), body.volume.grid)
        left = Labels(body.labels.index.masked_fill(gone, 0), body.labels.grid, body.labels.names)
        whole = decompose(body.volume)
        return cls(
            Scene.of(Body(host, left, body.landmarks), decompose),
            tuple(_taken_out(name, body, whole) for name in names),
        )

    def scene(self, motions: Mapping[str, Float64[Tensor, "4 4"]]) -> Scene:
        """The bones put back, each by its own rigid world motion (mm), or where it was."""
        phantoms, labels, landmarks = [*self.host.phantoms], [*self.host.labels], self.host.landmarks
        for bone in self.bones:
            motion = motions.get(bone.name, torch.eye(4, dtype=torch.float64))
            phantom, label = bone.moved(motion, phantoms)
            phantoms.append(phantom)
            labels.append(label)
            landmarks = _carried(landmarks, bone.name, motion)
        return Scene(tuple(phantoms), tuple(labels), landmarks)


def articulated(body: Body, decompose: Decompose, motions: Mapping[str, Float64[Tensor, "4 4"]]) -> Scene:
    """A body some of whose structures have moved: each named one by its own rigid world motion (mm)."""
    return Loosened.of(body, decompose, tuple(motions)).scene(motions)


def _with_rim(body: Body, name: str) -> Bool[Tensor, "k j i"]:
    """A structure and those voxels beside it that are partly its: left behind they would be its ghost."""
    whole = body.labels.mask(name)
    found = box_around(whole)
    if found is None:
        return whole
    box = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in found)
    beside = max_pool3d(whole[box][None].float(), 3, stride=1, padding=1)[0] > 0
    whole[box] |= beside & (body.labels.index[box] == 0) & (body.volume.hu[box] > RIM_HU)
    return whole


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


def _taken_out(name: str, body: Body, whole: Phantom) -> Bone:
    bone = _with_rim(body, name)
    box = box_around(bone)
    if box is None:
        raise DataError(f"the labels hold no voxel of {name}; it cannot be moved")
    occupancy = bone[box].float()
    matter = Phantom(whole.density[(slice(None), *box)] * occupancy, whole.materials, body.volume.grid.cropped(box))
    return Bone(name, matter, occupancy, body.labels.mask(name)[box])


def _merged(density: Tensor, materials: tuple[Material, ...], grid: Grid) -> Phantom:
    distinct = tuple(dict.fromkeys(materials))
    channels = [[m for m, known in enumerate(materials) if known is material] for material in distinct]
    return Phantom(torch.stack([density[same].sum(dim=0) for same in channels]), distinct, grid)


def _carried(landmarks: Landmarks, structure: str, motion: Tensor) -> Landmarks:
    belongs = {term.name for term in LANDMARKS if term.structure == structure}
    moved = transform(motion, landmarks.points)
    mine = torch.tensor([name in belongs for name in landmarks.names], dtype=torch.bool)
    return Landmarks(landmarks.names, torch.where(mine[:, None], moved, landmarks.points))
