"""Real X-rays without labels, for a network to get used to; never those it will be measured on."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from skiagraph.detect.framing import SMALLEST, Framing
from skiagraph.drr.display import attenuation
from skiagraph.errors import DataError
from skiagraph.factory.chance import choice, uniform
from skiagraph.io.datasets import radiographs
from skiagraph.io.datasets.dataset import Picture, Radiograph
from skiagraph.io.datasets.registry import recognised
from skiagraph.io.files import stem_of
from skiagraph.io.xray import XrayImage

log = logging.getLogger("skiagraph")

THUMB = 32
"""Rows and columns of the small pictures by which one is known again."""
ALIKE = 0.995
"""Correlation of two small pictures above which they are one. Of 439 radiographs of hips four pairs have more, three of
them the same picture twice; the next has 0.988. A picture inverted, half as large, as a JPEG has 0.9999."""


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Real X-rays, small enough to keep."""

    names: tuple[str, ...]
    pictures: tuple[Float[Tensor, "v u"], ...]
    """Bone bright, 0 to 1; the shorter side is `side`."""
    side: int
    left_out: tuple[str, ...] = field(default=())
    """Those that were not to be used."""

    @classmethod
    def of(cls, found: Iterable[Radiograph], side: int, keep_out: Float[Tensor, "n t"]) -> "Unlabelled":
        """The radiographs whose thumbnails are not among `keep_out`. Raises DataError if none is left."""
        if side < SMALLEST:
            raise DataError(f"pictures of {side} pixels; give at least {SMALLEST}")
        names, pictures, left_out = list[str](), list[Tensor](), list[str]()
        for radiograph in found:
            seen = bright(radiograph.picture)
            if bool(((keep_out @ thumbnail(seen)).abs() > ALIKE).any()):
                left_out.append(radiograph.name)
            else:
                names.append(radiograph.name)
                pictures.append(_sized(seen, side))
        if not pictures:
            raise DataError(
                f"none of {len(left_out)} X-rays may be adapted to: all are kept out, or have landmarks beside them to "
                "be measured on; give others"
            )
        return cls(tuple(names), tuple(pictures), side, tuple(left_out))

    def framed(self, size: int, rng: torch.Generator, count: int) -> Float[Tensor, "b 1 s s"]:
        """So many of them drawn, each as a detector sees it."""
        drawn = [self.pictures[choice(rng, len(self.pictures))] for _ in range(count)]
        return torch.stack([Framing((one.shape[0], one.shape[1]), size).framed(one) for one in drawn])[:, None]

    def pieces(self, size: int, rng: torch.Generator, count: int) -> Float[Tensor, "b 1 s s"]:
        """So many squares cut from them, each from one drawn, mirrored as often as not."""
        drawn = [self.pictures[choice(rng, len(self.pictures))][None, None] for _ in range(count)]
        return torch.cat([pieces(one, size, rng) for one in drawn])


def read_unlabelled(folders: Sequence[Path], side: int, keep_out: Sequence[Path] = ()) -> Unlabelled:
    """The X-rays of folders, but for those with landmarks beside them and those that are in a folder to be kept out.

    A picture is known again by what it shows, whatever its name, size or format. Raises DataError if a folder holds
    no X-rays, or one that is to be kept out cannot be read.
    """
    if not folders:
        raise DataError("no real X-rays to adapt to; give --real FOLDER")
    known = [thumbnail(bright(one.load().picture)) for folder in keep_out for one in _pictures(folder)]
    known += [thumbnail(bright(radiographs.read(file).picture)) for folder in folders for file in _labelled(folder)]
    found = _readable([one for folder in folders for one in _pictures(folder)])
    return Unlabelled.of(found, side, torch.stack(known) if known else torch.zeros(0, THUMB * THUMB))


def pieces(pictures: Float[Tensor, "b 1 v u"], size: int, rng: torch.Generator) -> Float[Tensor, "b 1 s s"]:
    """A square cut from each picture at random, mirrored as often as not. Raises DataError if they are too small."""
    rows, columns = pictures.shape[-2:]
    if size > min(rows, columns):
        raise DataError(f"pieces of {size} pixels of pictures of {rows} x {columns}; give larger pictures")
    cut = []
    for one in pictures:
        v, u = choice(rng, rows - size + 1), choice(rng, columns - size + 1)
        square = one[:, v : v + size, u : u + size]
        cut.append(square.flip(-1) if uniform(rng, 0.0, 1.0) < 0.5 else square)
    return torch.stack(cut)


def bright(picture: XrayImage) -> Float[Tensor, "v u"]:
    """An X-ray in which bone is bright, over 0 to 1. Raises DataError if it shows nothing."""
    pixels = picture.pixels
    if picture.relationship == "LIN":
        pixels = attenuation(pixels / pixels.max().clamp(min=1e-6))
    elif picture.bone == "dark":
        pixels = -pixels
    low, high = pixels.min(), pixels.max()
    if not bool(high > low) or min(pixels.shape) < SMALLEST:
        raise DataError(f"{picture.source or 'a picture'} shows nothing; give X-rays only")
    return (pixels - low) / (high - low)


def thumbnail(picture: Float[Tensor, "v u"]) -> Float[Tensor, "t"]:
    """A small picture of mean 0 and length 1."""
    small = interpolate(picture[None, None], (THUMB, THUMB), mode="bilinear", antialias=True).flatten()
    small = small - small.mean()
    return small / small.norm().clamp(min=1e-6)


def _pictures(folder: Path) -> tuple[Picture, ...]:
    """Those of a folder of pictures, or of a data set that is kept in another way. Raises DataError without any."""
    if not folder.exists():
        raise DataError(f"nothing at {folder}; give a folder of X-rays")
    files = radiographs.pictures_in(folder) if folder.is_dir() else []
    dataset = None if files else recognised(folder)
    if not files and dataset is None:
        raise DataError(f"{folder} holds no X-rays; give {radiographs.ORIGIN.wanted}")
    if dataset is not None:
        return dataset.find(folder).pictures
    return tuple(Picture(stem_of(file), partial(radiographs.read, file)) for file in files)


def _labelled(folder: Path) -> list[Path]:
    """Those with landmarks beside them."""
    files = radiographs.pictures_in(folder) if folder.is_dir() else []
    return [file for file in files if radiographs.landmarks_beside(file, (1, 1)) is not None]


def _readable(pictures: Sequence[Picture]) -> Iterator[Radiograph]:
    """Each in turn; a note on those that cannot be read, as FracAtlas has some cut off. Raises if none can."""
    wrong = []
    for picture in pictures:
        try:
            yield picture.load()
        except DataError as error:
            wrong.append(str(error))
    if len(wrong) == len(pictures):
        raise DataError(f"none of {len(pictures)} X-rays can be read: {wrong[0]}")
    if wrong:
        log.warning("%d of %d X-rays cannot be read and are left out: %s", len(wrong), len(pictures), wrong[0])


def _sized(picture: Float[Tensor, "v u"], side: int) -> Float[Tensor, "r c"]:
    rows, columns = picture.shape
    scale = side / min(rows, columns)
    size = (max(side, round(rows * scale)), max(side, round(columns * scale)))
    return interpolate(picture[None, None], size, mode="bilinear", antialias=True, align_corners=False)[0, 0]
