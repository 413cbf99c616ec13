"""Radiographs in a folder, with whatever lies beside them.

`NAME.json` may hold landmarks, `{"FH-l": [u, v], "MOF-r": null}`: pixels, u to the right and v down, whole numbers at
pixel centres, null for a point that is not to be seen; names that begin with `_` are remarks. Where the pictures lie
in a folder `images`, a folder `masks` beside it may hold `NAME.png`.
"""

import math
from functools import partial
from pathlib import Path

import torch

from skiagraph.anatomy import canonical
from skiagraph.errors import DataError
from skiagraph.io.datasets.dataset import Dataset, Found, Origin, Picture, Radiograph, keypoints_in, named
from skiagraph.io.files import decoding, read_json, stem_of, suffix_of
from skiagraph.io.pictures import read_mask, read_xray
from skiagraph.volume import Keypoints

ORIGIN = Origin(
    "X-ray pictures",
    "yours",
    "its owner's",
    "a folder of pictures, or of images/ and masks/, with landmarks in NAME.json beside NAME.png",
)

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".dcm")
IMAGES, MASKS = "images", "masks"
MASK = "mask"
"""The name of what a mask shows that does not say it."""


def find(path: Path) -> Found:
    """The pictures, with their masks and landmarks."""
    files = pictures_in(path)
    masks = {file.stem: file for file in sorted((path / MASKS).glob("*.png"))} if (path / MASKS).is_dir() else {}
    wrong = []
    if masks:
        stems = {stem_of(file) for file in files}
        bare, alone = sorted(stems - masks.keys()), sorted(masks.keys() - stems)
        wrong += named(bare, "pictures have no mask") + named(alone, "masks have no picture")
    if not files:
        raise DataError(f"{path} holds no picture; give {ORIGIN.wanted}")
    return Found(
        pictures=tuple(Picture(stem_of(file), partial(read, file, masks.get(stem_of(file)))) for file in files),
        wrong=tuple(wrong),
    )


def read(file: Path, mask: Path | None = None) -> Radiograph:
    """One X-ray with the landmarks beside it and its mask, if it has any."""
    name, picture = stem_of(file), read_xray(file)
    rows, columns = picture.pixels.shape
    masks = None if mask is None else read_mask(mask)[None]
    return Radiograph(name, name, picture, landmarks_beside(file, (rows, columns)), masks, (MASK,) if mask else ())


def landmarks_beside(file: Path, size: tuple[int, int]) -> Keypoints | None:
    """The landmarks in the .json beside a picture; None if there is none, or it is something else."""
    beside = file.with_name(stem_of(file) + ".json")
    if not beside.is_file():
        return None
    content = {name: place for name, place in read_json(beside).items() if not name.startswith("_")}
    if not content or not all(place is None or isinstance(place, list) for place in content.values()):
        return None
    with decoding(beside, 'landmarks, such as {"FH-l": [781.5, 558.8], "MOF-r": null}'):
        uv = [[math.nan] * 2 if place is None else [float(x) for x in place] for place in content.values()]
        points = torch.tensor(uv, dtype=torch.float64).reshape(len(uv), 2)
    return keypoints_in(tuple(canonical(name) for name in content), points, size)


def pictures_in(path: Path) -> list[Path]:
    """The pictures of a folder, or of its folder `images` and the folders in that."""
    within = sorted((path / IMAGES).rglob("*")) if (path / IMAGES).is_dir() else sorted(path.iterdir())
    return [file for file in within if file.is_file() and suffix_of(file) in PICTURES]


def holds(path: Path) -> bool:
    """Whether a folder has pictures in it."""
    return path.is_dir() and bool(pictures_in(path))


DATASET = Dataset("radiographs", ORIGIN, holds, find)
