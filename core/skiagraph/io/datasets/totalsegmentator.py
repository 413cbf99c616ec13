"""TotalSegmentator's CTs (Wasserthal 2023), one file for each structure: `s0000/ct.nii.gz`, `s0000/segmentations/`.

The bones of the hip task are read of its 117 structures: the sacrum with S1 as `upper_sacrum`, all vertebrae as one.
"""

import csv
import gzip
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from skiagraph.anatomy import TOTALSEGMENTATOR
from skiagraph.errors import DataError
from skiagraph.io.datasets.dataset import Dataset, Found, Origin
from skiagraph.io.files import decoding, stem_of
from skiagraph.io.patient import CT_NAME, Patient, Subject
from skiagraph.io.volumes import read_labels, read_volume
from skiagraph.volume import Landmarks

ORIGIN = Origin(
    "TotalSegmentator v2 (Wasserthal et al. 2023)",
    "https://doi.org/10.5281/zenodo.10047292",
    "CC BY 4.0 as of v2.0.1; the record of v2.0.0 said CC BY-NC-SA",
    "a folder of s0000/ct.nii.gz and s0000/segmentations/*.nii.gz, and meta.csv",
)

MASKS, TABLE = "segmentations", "meta.csv"

_HEADER = 352
"""Bytes of a NIfTI-1 file before its voxels, at least."""


def find(path: Path) -> Found:
    """The subjects, those of the table that are missing, and those without CT or masks."""
    folders = [path] if _is_subject(path) else _folders(path)
    whole = [folder for folder in folders if _is_subject(folder)]
    if not whole:
        raise DataError(f"{path} holds no subject; give {ORIGIN.wanted}")
    wrong = [f"{folder.name} has no {CT_NAME} or no {MASKS}" for folder in folders if folder not in whole]
    listed = _table(path / TABLE)
    lost = sorted(set(listed) - {folder.name for folder in folders})
    if lost:
        wrong.append(f"{len(lost)} of the {len(listed)} subjects of {TABLE} are not there, such as {lost[0]}")
    notes = () if listed or path in whole else (f"no {TABLE}: age, kind of study and split are not known",)
    subjects = [
        Subject(folder.resolve().name, ORIGIN.source, partial(read, folder), partial(pelvis_of, folder))
        for folder in whole
    ]
    return Found(tuple(subjects), wrong=tuple(wrong), notes=notes)


def read(folder: Path) -> Patient:
    """A subject; only structures of which something is in the CT are named. Raises if a mask does not fit the CT."""
    volume, labels = read_volume(folder / CT_NAME), read_labels(folder / MASKS)
    labels.check_on(volume)
    present = set(labels.index.unique().tolist())
    names = {number: name for number, name in labels.names.items() if number in present}
    return Patient(volume, replace(labels, names=names), Landmarks.of({}))


def pelvis_of(folder: Path) -> frozenset[str]:
    """Which bones of pelvis and hip a subject shows, read off the masks alone."""
    files = {file: TOTALSEGMENTATOR.get(stem_of(file).lower()) for file in (folder / MASKS).glob("*.nii.gz")}
    return frozenset(name for file, name in files.items() if name not in (None, "vertebrae") and _marked(file))


def holds(path: Path) -> bool:
    """Whether a folder is a subject, or has some."""
    return path.is_dir() and (_is_subject(path) or any(map(_is_subject, _folders(path))))


DATASET = Dataset("totalsegmentator", ORIGIN, holds, find)


def _is_subject(folder: Path) -> bool:
    return (folder / CT_NAME).is_file() and (folder / MASKS).is_dir()


def _folders(path: Path) -> list[Path]:
    return [folder for folder in sorted(path.iterdir()) if folder.is_dir() and re.fullmatch(r"s\d{4}", folder.name)]


def _marked(file: Path) -> bool:
    """Whether any voxel of a mask is not 0."""
    with decoding(file, ORIGIN.wanted), gzip.open(file, "rb") as packed:
        packed.read(_HEADER)
        while block := packed.read(1 << 22):
            if block.strip(b"\0"):
                return True
    return False


def _table(path: Path) -> list[str]:
    if not path.is_file():
        return []
    with decoding(path, ORIGIN.wanted), path.open(encoding="utf-8-sig", newline="") as file:
        return [row["image_id"] for row in csv.DictReader(file, delimiter=";")]
