"""Whom the X-ray is taken of: a CT, and what is known of its anatomy."""

from dataclasses import dataclass
from pathlib import Path

import torch

from skiagraph.anatomy import STRUCTURE_NAMES
from skiagraph.errors import DataError
from skiagraph.geometry import Point, box_around
from skiagraph.io.markups import read_landmarks, write_landmarks
from skiagraph.io.volumes import read_labels, read_volume, write_labels, write_volume
from skiagraph.volume import Body, Labels, Landmarks, Volume

CT_NAME, LABELS_NAME, LANDMARKS_NAME = "ct.nii.gz", "labels.nii.gz", "landmarks.mrk.json"

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
        patient = cls(
            read_volume(ct),
            read_labels(labels) if labels else None,
            read_landmarks(landmarks) if landmarks else Landmarks.of({}),
        )
        if patient.labels is not None:
            patient.labels.check_on(patient.volume)
        if len(patient.landmarks.names) and not patient.volume.grid.contains(patient.landmarks.points).any():
            raise DataError(
                f"none of {len(patient.landmarks.names)} landmarks lies in the CT; check that they belong to it and "
                "that their file states its coordinate system (LPS or RAS)"
            )
        return patient

    @classmethod
    def of(cls, body: Body) -> "Patient":
        """A body that comes with everything."""
        return cls(body.volume, body.labels, body.landmarks)

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


def write_body(folder: Path, body: Body) -> list[Path]:
    """A body as a folder that every command takes for a CT."""
    files = [folder / CT_NAME, folder / LABELS_NAME, folder / LANDMARKS_NAME]
    write_volume(files[0], body.volume)
    write_labels(files[1], body.labels)
    write_landmarks(files[2], body.landmarks)
    return files


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None


def generator(seed: int) -> torch.Generator:
    """A random generator that starts at a seed."""
    return torch.Generator().manual_seed(seed)
