"""The preprocessed files of the DeepFluoro data (Grupp 2020): X-rays made small, with their masks and landmarks.

Their makers cut 50 pixels off every side, took the logarithm so that bone is bright, brought the head up and binned
2, 4, 8 or 16 times. CTs, poses and views are in the full-resolution file only. The groups are numbered as the papers
number the specimens, which is not the order of their names.
"""

from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch

from skiagraph.anatomy import STRUCTURE_INDEX, STRUCTURE_NAMES, canonical
from skiagraph.errors import DataError
from skiagraph.io.datasets import deepfluoro
from skiagraph.io.datasets.dataset import Dataset, Found, Origin, Picture, Radiograph, keypoints_in, masks_of
from skiagraph.io.datasets.deepfluoro import PAPER_ORDER, is_hdf5, keys_of, opened
from skiagraph.io.xray import XrayImage

ORIGIN = Origin(
    "DeepFluoro, preprocessed (Grupp et al. 2020)",
    deepfluoro.ORIGIN.where,
    deepfluoro.ORIGIN.licence,
    "ipcai_2020_preprocessed_data_8x.h5 or another of its sizes",
)

FULL_SIZE, FULL_SPACING = 1436, 0.194
"""Pixels a side of what was binned, and the millimetres between them."""


def find(path: Path) -> Found:
    """All X-rays of all specimens."""
    with opened(path, ORIGIN) as file:
        landmarks = _landmark_names(file, path)
        pictures: list[Picture] = []
        wrong: list[str] = []
        for group in sorted(name for name in file if name.isdigit()):
            shapes = {
                name: tuple(file[group][name].shape) for name in ("projs", "segs", "lands") if name in file[group]
            }
            projs = shapes.get("projs", ())
            if len(projs) != 3 or shapes.get("segs") != projs or shapes.get("lands") != (projs[0], 2, len(landmarks)):
                said = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "nothing"
                wrong.append(f"group {group} does not fit together: {said}, for {len(landmarks)} landmarks")
                continue
            pictures += [
                Picture(f"{subject_of(group)}/{n:03d}", partial(read, path, group, n)) for n in range(projs[0])
            ]
    if not pictures:
        raise DataError(f"{path} holds no projections{': ' if wrong else ''}{'; '.join(wrong)}; give {ORIGIN.wanted}")
    return Found(pictures=tuple(pictures), wrong=tuple(wrong))


def read(path: Path, group: str, number: int) -> Radiograph:
    """One X-ray of a specimen, by the number of its group."""
    with opened(path, ORIGIN) as file:
        names = _landmark_names(file, path)
        here = file[group]
        image, index, lands = (np.asarray(here[name][number]) for name in ("projs", "segs", "lands"))
    binned = max(1, round(FULL_SIZE / image.shape[1]))
    picture = XrayImage(
        torch.from_numpy(image.astype(np.float32)),
        bone="bright",
        pixel_spacing=(binned * FULL_SPACING, binned * FULL_SPACING),
        calibration="panel",
        relationship="LOG",
        source=f"{path}: {group}, {number}",
    )
    rows, columns = image.shape
    subject = subject_of(group)
    return Radiograph(
        f"{subject}/{number:03d}",
        subject,
        picture,
        keypoints_in(names, torch.from_numpy(lands.astype(np.float64).T.copy()), (rows, columns)),
        masks_of(torch.from_numpy(index.astype(np.uint8)), STRUCTURE_INDEX),
        STRUCTURE_NAMES,
    )


def subject_of(group: str) -> str:
    """The specimen that a group is of: `02` is 18-1109."""
    number = int(group)
    return PAPER_ORDER[number - 1] if 1 <= number <= len(PAPER_ORDER) else group


def holds(path: Path) -> bool:
    """Whether a path is such a file."""
    return is_hdf5(path) and "land-names" in keys_of(path)


DATASET = Dataset("deepfluoro-small", ORIGIN, holds, find)


def _landmark_names(file: h5py.File, path: Path) -> tuple[str, ...]:
    given = file.get("land-names")
    if not isinstance(given, h5py.Group):
        raise DataError(f"{path} has no land-names; give {ORIGIN.wanted}")
    texts = [given[name][()] for name in sorted(given) if name.startswith("land-")]
    return tuple(canonical(text.decode() if isinstance(text, bytes) else str(text)) for text in texts)
