"""What a public data set is to us: where it comes from, and the bodies and radiographs in a copy of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from skiagraph.errors import GeometryError
from skiagraph.geometry import float64
from skiagraph.io.patient import Subject
from skiagraph.io.xray import XrayImage
from skiagraph.volume import Keypoints


@dataclass(frozen=True)
class Origin:
    """Where a data set is published, and what its files are called."""

    title: str
    where: str
    licence: str
    layout: str

    @property
    def wanted(self) -> str:
        """What to give, for the end of an error."""
        return f"{self.layout} ({self.title}: {self.where}; licence: {self.licence})"

    @property
    def source(self) -> str:
        """What a body is and under which licence, for a set's card."""
        return f"{self.title}, {self.where}; licence: {self.licence}"


@dataclass(frozen=True, eq=False)
class Radiograph:
    """A real X-ray with what is annotated in it."""

    name: str
    """Unique in its data set."""
    subject: str
    """Whose it is, as far as the data set says; else the name."""
    picture: XrayImage
    """Its pixels and, where they are known, the view and the spacing."""
    keypoints: Keypoints | None = None
    masks: Bool[Tensor, "m v u"] | None = None
    structures: tuple[str, ...] = ()
    """The names of the masks."""
    findings: tuple[str, ...] = ()
    """What its publisher says it shows, or which of its splits it is in."""

    def __post_init__(self) -> None:
        shape = tuple(self.picture.pixels.shape)
        if self.masks is not None and tuple(self.masks.shape) != (len(self.structures), *shape):
            raise GeometryError(
                f"{self.name}: {len(self.structures)} masks of {tuple(self.masks.shape[-2:])} pixels on a picture of "
                f"{shape}; give masks of its size"
            )


@dataclass(frozen=True)
class Picture:
    """A radiograph before it is read."""

    name: str
    load: Callable[[], Radiograph]


@dataclass(frozen=True)
class Found:
    """What is in one copy of a data set."""

    subjects: tuple[Subject, ...] = ()
    pictures: tuple[Picture, ...] = ()
    wrong: tuple[str, ...] = ()
    """What does not fit together, seen from the names alone."""
    notes: tuple[str, ...] = ()
    """What is as published, and good to know."""

    def radiographs(self) -> Iterator[Radiograph]:
        """The radiographs, each read when its turn comes."""
        return (picture.load() for picture in self.pictures)


@dataclass(frozen=True)
class Dataset:
    """A public data set that we can read."""

    name: str
    origin: Origin
    holds: Callable[[Path], bool]
    """Whether a path looks like a copy of it."""
    find: Callable[[Path], Found]
    """What is in a copy. Raises DataError if nothing is."""


def named(names: Sequence[str], what: str) -> list[str]:
    """One line on those that share a fault; none if there are none."""
    return [f"{len(names)} {what}, such as {names[0]}"] if names else []


def keypoints_in(names: tuple[str, ...], uv: Float64[Tensor, "p 2"], size: tuple[int, int]) -> Keypoints:
    """Annotated points; those beside the picture, or NaN, are not visible."""
    rows, columns = size
    inside = ((uv >= -0.5) & (uv <= float64([columns, rows]) - 0.5)).all(dim=-1)  # NaN compares as outside
    return Keypoints(names, uv, inside)


def masks_of(index: Tensor, names: dict[int, str]) -> Bool[Tensor, "m v u"]:
    """Where a picture of numbers says that each named structure is."""
    return torch.stack([index == number for number in names])
