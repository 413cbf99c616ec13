"""The New Mexico Decedent Image Database: a folder for each person, `case-100114`, of DICOM series from head to toe.

A person was scanned in parts, each reconstructed several times. We take the torso, in thin slices and for bone where
there is a choice: the names of folders and the descriptions of series say which is which. The database has no
annotations; labels.nii.gz and landmarks.mrk.json in a person's folder are taken for the torso's.
"""

import re
from functools import partial
from pathlib import Path

from skiagraph.errors import DataError
from skiagraph.io.datasets.dataset import Dataset, Found, Origin
from skiagraph.io.dicom_ct import Series, read_series, series_in
from skiagraph.io.patient import LABELS_NAME, LANDMARKS_NAME, Patient, Subject
from skiagraph.io.volumes import check_hounsfield

ORIGIN = Origin(
    "New Mexico Decedent Image Database (Edgar et al. 2020)",
    "https://nmdid.unm.edu, doi:10.25827/5s8c-n515",
    "its data use agreement: free to vetted users, not to be passed on",
    "folders called case-100114 with the DICOM series of a person in each",
)

_CASE = re.compile(r"case-\d{6}")
_BEST = ("TORSO", "THIN", "BONE")
"""What the name of the wanted series says, the most important first."""


def find(path: Path) -> Found:
    """The people."""
    cases = [path] if _is_case(path) else [folder for folder in sorted(path.iterdir()) if _is_case(folder)]
    if not cases:
        raise DataError(f"{path} holds nobody; give {ORIGIN.wanted}")
    empty = [case.name for case in cases if not any(file.is_file() for file in case.rglob("*"))]
    bare = sum(not (case / LABELS_NAME).is_file() and not (case / LANDMARKS_NAME).is_file() for case in cases)
    note = (
        f"{bare} of {len(cases)} people have neither {LABELS_NAME} nor {LANDMARKS_NAME}: views are aimed without them"
    )
    return Found(
        tuple(Subject(case.resolve().name, ORIGIN.source, partial(read, case)) for case in cases),
        wrong=tuple(f"{name} is empty" for name in empty),
        notes=(note,) if bare else (),
    )


def read(folder: Path) -> Patient:
    """A person's torso, with the labels and landmarks that lie in the folder."""
    volume = read_series(torso(folder), folder)
    check_hounsfield(volume.hu, folder)
    labels, landmarks = folder / LABELS_NAME, folder / LANDMARKS_NAME
    return Patient.around(volume, labels if labels.is_file() else None, landmarks if landmarks.is_file() else None)


def torso(folder: Path) -> Series:
    """The series to look at. Raises DataError if none of several is called a torso's."""
    found = series_in(folder)
    called = {series.uid: _called(series, folder) for series in found}
    best = max(found, key=lambda one: (*(word in called[one.uid] for word in _BEST), len(one.files)))
    if len(found) > 1 and _BEST[0] not in called[best.uid]:
        listed = "; ".join(f"{series.title}, {len(series.files)} images" for series in found)
        raise DataError(f"none of the series in {folder} is called a torso's ({listed}); leave only the one to look at")
    return best


def holds(path: Path) -> bool:
    """Whether a folder is called as a person's, or has some that are."""
    return path.is_dir() and (_is_case(path) or any(map(_is_case, path.iterdir())))


DATASET = Dataset("nmdid", ORIGIN, holds, find)


def _is_case(path: Path) -> bool:
    return path.is_dir() and _CASE.fullmatch(path.resolve().name) is not None


def _called(series: Series, folder: Path) -> str:
    """Its description and the folders it lies in, below the person's."""
    inside = series.files[0].relative_to(folder).parent
    return f"{series.title} {inside}".upper()
