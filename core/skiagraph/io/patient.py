"""Whom the X-ray is taken of: a CT, and what is known of its anatomy."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from skiagraph.anatomy import STRUCTURE_NAMES
from skiagraph.errors import DataError
from skiagraph.geometry import Point, box_around, transform
from skiagraph.io.markups import read_landmarks, write_landmarks
from skiagraph.io.poses import Pose
from skiagraph.io.volumes import names_path, onto, read_labels, read_volume, write_labels, write_volume
from skiagraph.volume import Body, Labels, Landmarks, Volume

CT_NAME, LABELS_NAME, LANDMARKS_NAME = "ct.nii.gz", "labels.nii.gz", "landmarks.mrk.json"

log = logging.getLogger("skiagraph")

SKIN_HU = -300.0
"""Between air and tissue."""


@dataclass(frozen=True, eq=False)
class Patient:
    """A CT with as much anatomy as is known; no landmarks is an empty set of them."""

    volume: Volume
    labels: Labels | None
    landmarks: Landmarks

    @classmethod
    def read(cls, ct: Path, labels: Path | None = None, landmarks: Path | None = None) -> "Patient":
        """A patient from files. A folder written by `skiagraph body` brings its labels and landmarks along."""
        if (ct / CT_NAME).is_file():
            labels = labels or _if_there(ct / LABELS_NAME)
            landmarks = landmarks or _if_there(ct / LANDMARKS_NAME)
            ct = ct / CT_NAME
        return cls.around(read_volume(ct), labels, landmarks)

    @classmethod
    def around(cls, volume: Volume, labels: Path | None = None, landmarks: Path | None = None) -> "Patient":
        """A patient from a CT and the files of what is known of it."""
        points = read_landmarks(landmarks) if landmarks else Landmarks.of({})
        if landmarks:
            _check_landmarks(points, volume, landmarks)
        return cls(volume, _on(volume, read_labels(labels), labels) if labels else None, points)

    @classmethod
    def of(cls, body: Body) -> "Patient":
        """A body that comes with everything."""
        return cls(body.volume, body.labels, body.landmarks)

    def moved(self, world_from_world: Float64[Tensor, "4 4"]) -> "Patient":
        """The same patient elsewhere."""
        labels = None if self.labels is None else self.labels.moved(world_from_world)
        return Patient(self.volume.moved(world_from_world), labels, self.landmarks.moved(world_from_world))

    def spread(self) -> Float64[Tensor, "p 3"]:
        """Points all over the CT."""
        k, j, i = (torch.linspace(0, n - 1, 9, dtype=torch.float64) for n in self.volume.grid.shape)
        return transform(self.volume.grid.world_from_ijk, torch.cartesian_prod(i, j, k))

    @property
    def center(self) -> Point:
        """The middle of the labelled pelvis, or of everything inside the skin."""
        grid = self.volume.grid
        box = None
        if self.labels is not None:
            hips = [name for name in STRUCTURE_NAMES[:2] if name in self.labels.names.values()]
            box = box_around(self.labels.mask(*hips)) if hips else None
        box = box or box_around(self.volume.hu > SKIN_HU)
        return grid.center if box is None else grid.cropped(box).center


@dataclass(frozen=True, eq=False)
class Subject:
    """One body, before it is there."""

    name: str
    """Unique in a set; splits are by it."""
    source: str
    """What it is and under which licence it may be used, for the set's card."""
    load: Callable[[], Patient]
    shows: Callable[[], frozenset[str]] | None = None
    """Which structures are labelled in it, where that is told sooner than by loading it."""
    poses: tuple[Pose, ...] = ()
    """The X-rays of it that are to be taken, if they are given."""


def write_body(folder: Path, body: Body | Patient) -> list[Path]:
    """A body as a folder that every command takes for a CT; labels if there are any."""
    files = [folder / CT_NAME, folder / LANDMARKS_NAME]
    write_volume(files[0], body.volume)
    write_landmarks(files[1], body.landmarks)
    if body.labels is not None:
        files.append(folder / LABELS_NAME)
        write_labels(files[-1], body.labels)
    return files


def _on(volume: Volume, labels: Labels, path: Path) -> Labels:
    """Labels on the CT's voxels: a crop of them is filled up, as Slicer crops what it segments."""
    if not labels.grid.same_as(volume.grid) and labels.grid.is_part_of(volume.grid):
        labels = onto(labels, volume.grid)
    labels.check_on(volume)
    if not set(STRUCTURE_NAMES) & set(labels.names.values()):
        log.warning(
            "%s names none of %s: views are aimed without them. Name its numbers in %s",
            path.name, ", ".join(STRUCTURE_NAMES), names_path(path).name,
        )  # fmt: skip
    return labels


def _check_landmarks(landmarks: Landmarks, volume: Volume, path: Path) -> None:
    """Raise DataError if the points cannot be of this CT, or lie in a mirrored frame."""
    if not landmarks.names:
        raise DataError(f"{path} holds no landmark; give points with names and positions")
    inside = volume.grid.contains(landmarks.points)
    if not inside.any():
        raise DataError(
            f"none of {len(inside)} landmarks lies in the CT; check that they belong to it and that their file states "
            "its coordinate system (LPS or RAS)"
        )
    pairs = [(name, name.replace("left_", "right_", 1)) for name in landmarks.names if name.startswith("left_")]
    crossed = [left for left, right in pairs if right in landmarks and landmarks[left][0] < landmarks[right][0]]
    if crossed:
        raise DataError(f"{crossed[0]} lies to the right of its twin in {path.name}; is the file in RAS? give LPS")
    if not inside.all():
        log.warning("%d of %d landmarks of %s lie outside the CT", int((~inside).sum()), len(inside), path.name)


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None


def generator(seed: int) -> torch.Generator:
    """A random generator that starts at a seed."""
    if not 0 <= seed < 2**63:
        raise DataError(f"a seed of {seed}; give 0 to 2^63 - 1")
    return torch.Generator().manual_seed(seed)
