"""PXR150 (Cheng 2021): 150 AP pelvic radiographs of an emergency room, named for what they show.

`s018-032-0425-hipfx.png` shows a fracture of the hip; the others are `normal` or `pelvicfx`. No landmarks are
published; those that lie beside the pictures, as `radiographs` reads them, are taken along.
"""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from skiagraph.io.datasets import radiographs
from skiagraph.io.datasets.dataset import Dataset, Found, Origin, Picture, Radiograph

ORIGIN = Origin(
    "PXR150 (Cheng et al. 2021)",
    "https://doi.org/10.6084/m9.figshare.17185814, or github.com/atong89130/PelviXNet",
    "MIT in the repository",
    "pictures called s001-140-0372-pelvicfx.png, with normal, hipfx or pelvicfx at the end",
)

_NAME = re.compile(r"s\d{3}-.*-(normal|hipfx|pelvicfx)")


def find(path: Path) -> Found:
    """The radiographs that are called as theirs."""
    files = [file for file in radiographs.pictures_in(path) if _NAME.fullmatch(file.stem)]
    return Found(pictures=tuple(Picture(file.stem, partial(read, file)) for file in files))


def read(file: Path) -> Radiograph:
    """One radiograph and what it shows."""
    shown = _NAME.fullmatch(file.stem)
    return replace(radiographs.read(file), findings=(shown[1],) if shown else ())


def holds(path: Path) -> bool:
    """Whether a folder has pictures so named."""
    return path.is_dir() and any(_NAME.fullmatch(file.stem) for file in radiographs.pictures_in(path))


DATASET = Dataset("pxr150", ORIGIN, holds, find)
