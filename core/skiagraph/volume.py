"""Bodies as data: a CT, its anatomy per voxel, named points in it and on its pictures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Shaped
from torch import Tensor

from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import Grid, View, transform


@dataclass(frozen=True, eq=False)
class Volume:
    """A CT: Hounsfield units on a grid."""

    hu: Float[Tensor, "k j i"]
    grid: Grid

    def __post_init__(self) -> None:
        if tuple(self.hu.shape) != self.grid.shape:
            raise GeometryError(f"{tuple(self.hu.shape)} voxels on a grid of {self.grid.shape}; give one shape")

    def moved(self, world_from_world: Float64[Tensor, "4 4"]) -> "Volume":
        """The same body after a rigid motion."""
        return Volume(self.hu, self.grid.moved(world_from_world))


@dataclass(frozen=True, eq=False)
class Labels:
    """Anatomy per voxel: one number each, 0 for none, and what the numbers mean."""

    index: Shaped[Tensor, "k j i"]
    """Whole numbers: uint8 or int16."""
    grid: Grid
    names: Mapping[int, str]

    def __post_init__(self) -> None:
        if tuple(self.index.shape) != self.grid.shape:
            raise GeometryError(f"{tuple(self.index.shape)} labels on a grid of {self.grid.shape}; give one shape")
        if self.index.is_floating_point():
            raise DataError("labels hold fractions; give whole numbers")

    def index_of(self, name: str) -> int:
        """The number of a structure. Raises DataError naming those there are."""
        for number, known in self.names.items():
            if known == name:
                return number
        raise DataError(f"no structure {name!r} among the labels; they have {', '.join(self.names.values()) or 'none'}")

    def mask(self, *names: str) -> Bool[Tensor, "k j i"]:
        """Where any of the named structures is."""
        found = torch.zeros(self.index.shape, dtype=torch.bool)
        for name in names:
            found |= self.index == self.index_of(name)
        return found

    def moved(self, world_from_world: Float64[Tensor, "4 4"]) -> "Labels":
        """The same anatomy after a rigid motion."""
        return Labels(self.index, self.grid.moved(world_from_world), self.names)

    def check_on(self, volume: Volume) -> None:
        """Raise GeometryError unless these labels lie on the CT's own voxels."""
        if not self.grid.same_as(volume.grid):
            raise GeometryError(
                f"labels of {self.grid.shape} voxels at {self.grid.origin.tolist()} do not lie on the CT's "
                f"{volume.grid.shape} at {volume.grid.origin.tolist()}; resample them to the CT's grid"
            )


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Named points in the body, LPS millimetres."""

    names: tuple[str, ...]
    points: Float64[Tensor, "p 3"]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.points):
            raise GeometryError(f"{len(self.points)} points but {len(self.names)} names; give one name a point")
        _refuse_twins(self.names)

    @classmethod
    def of(cls, points: Mapping[str, Sequence[float]]) -> "Landmarks":
        """Landmarks from names and LPS positions."""
        array = torch.tensor([[float(x) for x in xyz] for xyz in points.values()], dtype=torch.float64)
        return cls(tuple(points), array.reshape(-1, 3))

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Float64[Tensor, "3"]:
        if name not in self.names:
            raise DataError(f"no landmark {name!r}; there are {', '.join(self.names) or 'none'}")
        return self.points[self.names.index(name)]

    def subset(self, names: Iterable[str]) -> "Landmarks":
        """Those of the given names that are there, in the given order."""
        kept = [name for name in names if name in self.names]
        return Landmarks(tuple(kept), self.points[[self.names.index(name) for name in kept]])

    def moved(self, world_from_world: Float64[Tensor, "4 4"]) -> "Landmarks":
        """The same points after a rigid motion of the body."""
        return Landmarks(self.names, transform(world_from_world, self.points))

    def seen_from(self, view: View) -> "Keypoints":
        """Where the points land in a single view, and which of them land on its panel."""
        return Keypoints(self.names, view.project(self.points), view.sees(self.points))


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Named points of an image, (u, v) in pixels; those beside the panel or behind the source are not visible."""

    names: tuple[str, ...]
    uv: Float64[Tensor, "p 2"]
    visible: Bool[Tensor, "p"]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.uv) == len(self.visible):
            raise GeometryError(f"{len(self.uv)} points but {len(self.names)} names; give one name a point")
        _refuse_twins(self.names)


def _refuse_twins(names: tuple[str, ...]) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise DataError(f"two points are called {', '.join(twins)}; give every point a name of its own")


@dataclass(frozen=True, eq=False)
class Body:
    """A patient with his annotations: the CT, its anatomy and its landmarks, all in one LPS frame."""

    volume: Volume
    labels: Labels
    landmarks: Landmarks

    def moved(self, world_from_world: Float64[Tensor, "4 4"]) -> "Body":
        """The same body after a motion of the world."""
        volume, labels = self.volume.moved(world_from_world), self.labels.moved(world_from_world)
        return Body(volume, labels, self.landmarks.moved(world_from_world))
