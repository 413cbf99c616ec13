"""QaTa-COV19 (Degerli 2021): chest X-rays, `Images/x.png`, with masks of infiltrates, `Ground-truths/mask_x.png`.

Version 1 has the two folders once, version 2 in `Train Set` and `Test Set`. Control groups come without masks.
"""

import re
from functools import partial
from pathlib import Path

from skiagraph.errors import DataError
from skiagraph.io.datasets.dataset import Dataset, Found, Origin, Picture, Radiograph, named
from skiagraph.io.pictures import read_mask, read_xray

ORIGIN = Origin(
    "QaTa-COV19 (Degerli et al. 2021)",
    "https://www.kaggle.com/datasets/aysendegerli/qatacov19-dataset",
    "as its page says; the pictures are from several collections, each with its own licence",
    "folders called Images and Ground-truths, with x.png and mask_x.png, once or in Train Set and Test Set",
)

IMAGES, MASKS, PREFIX = "Images", "Ground-truths", "mask_"
LESION = "lesion"
"""The name of the mask, as of the lesions that are grown into CTs."""

_PERSON = re.compile(r"sub-S\d+")


def find(path: Path) -> Found:
    """The pictures with a mask; pictures and masks that stand alone."""
    pictures, wrong = [], []
    for home in _homes(path):
        images = {file.stem: file for file in sorted((home / IMAGES).glob("*.png"))}
        masks = {file.stem.removeprefix(PREFIX): file for file in sorted((home / MASKS).glob(f"{PREFIX}*.png"))}
        split = home.relative_to(path).as_posix() if home != path else ""
        bare, alone = sorted(images.keys() - masks.keys()), sorted(masks.keys() - images.keys())
        wrong += named([f"{stem}.png" for stem in bare], f"pictures of {home.name} have no mask")
        wrong += named([masks[stem].name for stem in alone], f"masks of {home.name} have no picture")
        for stem in sorted(images.keys() & masks.keys()):
            name = f"{split}/{stem}" if split else stem
            pictures.append(Picture(name, partial(read, name, split, images[stem], masks[stem])))
    if not pictures:
        raise DataError(f"{path} holds no picture with a mask; give {ORIGIN.wanted}")
    return Found(pictures=tuple(pictures), wrong=tuple(wrong))


def read(name: str, split: str, image: Path, mask: Path) -> Radiograph:
    """One X-ray with its mask. Raises GeometryError if they are of two sizes."""
    person = _PERSON.search(image.stem)
    return Radiograph(
        name,
        person[0] if person else image.stem,
        read_xray(image),
        masks=read_mask(mask)[None],
        structures=(LESION,),
        findings=(split,) if split else (),
    )


def holds(path: Path) -> bool:
    """Whether a folder has the two folders in it, or in one of its folders."""
    return path.is_dir() and bool(_homes(path))


DATASET = Dataset("qata-cov19", ORIGIN, holds, find)


def _homes(path: Path) -> list[Path]:
    """The folders that have both."""
    within = [path, *(folder for depth in ("*", "*/*") for folder in sorted(path.glob(depth)))]
    return [folder for folder in within if (folder / IMAGES).is_dir() and (folder / MASKS).is_dir()]
