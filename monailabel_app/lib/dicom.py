"""What was found or read on a DICOM X-ray as DICOM: structures as a SEG, points as an SR (TID 1500)."""

import os
import tempfile
from importlib.metadata import version
from pathlib import Path

from monailabel_app.lib.study import READING, Seen
from skiagraph.active.labels import Version
from skiagraph.io.dicom_findings import (
    Algorithm,
    read_source,
    write_reading,
    write_report,
    write_segmentation,
)
from skiagraph.volume import Keypoints

SEG, SR = "dicom_seg", "dicom_sr"
"""What MONAI Label calls the one, and we the other."""


def segmentation(seen: Seen, weights: str) -> str:
    """The structures found, as a file that the caller deletes. Raises DataError if the X-ray is not DICOM."""
    with READING:
        source = read_source(seen.path)
        name = _file()
        write_segmentation(Path(name), source, seen.found.masks, seen.found.structures, _algorithm(weights))
    return name


def report(seen: Seen, points: Keypoints, weights: str) -> str:
    """The points found, likewise."""
    with READING:
        source = read_source(seen.path)
        name = _file()
        write_report(Path(name), source, points, seen.found.confidence, _algorithm(weights))
    return name


def reading(path: Path, label: Version) -> str:
    """The points of a label, by its author, likewise."""
    with READING:
        source = read_source(path)
        name = _file()
        write_reading(Path(name), source, label.keypoints, label.author)
    return name


def _algorithm(weights: str) -> Algorithm:
    return Algorithm(weights, version("skiagraph"))


def _file() -> str:
    handle, name = tempfile.mkstemp(suffix=".dcm")
    os.close(handle)
    return name
