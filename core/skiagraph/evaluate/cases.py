"""Pictures with known landmarks: a folder of X-rays with a file of points beside each, or a set of samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from skiagraph.domain.appearance import DISPLAYED, Appearance
from skiagraph.domain.batch import Batch
from skiagraph.errors import DataError
from skiagraph.factory.reading import SampleSet
from skiagraph.io.files import decoding, read_json
from skiagraph.io.markups import read_keypoints
from skiagraph.io.pictures import read_xray
from skiagraph.volume import Keypoints

HEAD_RADIUS = 24.0
"""Millimetres of an adult's femoral head: the ruler of a radiograph without pixel size."""
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".nrrd", ".mha", ".bmp")
POINTS = (".mrk.json", ".json", ".fcsv")


@dataclass(frozen=True, eq=False)
class Known:
    """A picture in which bone is bright, and what is known of it."""

    name: str
    subject: str
    picture: Float[Tensor, "v u"]
    truth: Keypoints
    millimetres: float
    """Of a pixel, in the plane of the hips; of a sample, where the isocentre is."""
    masks: Bool[Tensor, "m v u"]
    structures: tuple[str, ...]


def in_folder(folder: Path, millimetres: float | None = None) -> Iterator[Known]:
    """The X-rays of a folder that have landmarks beside them under the same name, each a subject of its own.

    A pixel's size is what is given, else what the file says at the panel, else the radius of the femoral heads that
    the points' file states as `_fh_radius_l` and `_fh_radius_r`, taken as `HEAD_RADIUS`. Raises DataError without one.
    """
    found = [(path, points) for path in sorted(folder.iterdir()) if (points := _points_of(path)) is not None]
    if not found:
        raise DataError(f"no X-ray with landmarks beside it in {folder}; give NAME.png and NAME.json, and so on")
    for path, points in found:
        image = read_xray(path)
        picture = image.pixels if image.bone != "dark" else -image.pixels
        nothing = torch.zeros(0, *picture.shape, dtype=torch.bool)
        keypoints = read_keypoints(points, image.view, image.pixel_spacing)
        size = millimetres or _from_file(image.pixel_spacing) or _from_heads(points)
        if size is None:
            raise DataError(f"{path.name} does not say how large its pixels are; give --millimetres")
        yield Known(path.stem, path.stem, picture, keypoints, size, nothing, ())


def in_set(samples: SampleSet, split: str, shown: Appearance = DISPLAYED) -> Iterator[Known]:
    """The samples of a split as pictures, millimetres where the isocentre is. What shows them must not move them."""
    rng = torch.Generator().manual_seed(0)
    for taken in samples.samples(split):
        sample = taken.sample
        device: Any = taken.record.device
        picture = shown(Batch.bare(sample.image[None, None]), rng).pictures[0, 0]
        nearer = float(device["source_to_isocenter"]) / float(device["source_to_panel"])
        size = nearer * sample.view.pixel_spacing[0]
        subject = str(taken.record.extra["subject"])
        name = f"{taken.number:08d}"
        yield Known(name, subject, picture, sample.keypoints, size, sample.masks, sample.structures)


def _points_of(path: Path) -> Path | None:
    if path.suffix.lower() not in PICTURES:
        return None
    return next((beside for kind in POINTS if (beside := path.with_name(path.stem + kind)).is_file()), None)


def _from_file(spacing: tuple[float, float] | None) -> float | None:
    return None if spacing is None else sum(spacing) / 2


def _from_heads(points: Path) -> float | None:
    if points.suffix != ".json":
        return None
    with decoding(points, "landmarks"):
        content = read_json(points)
        radii = [float(content[key]) for key in ("_fh_radius_l", "_fh_radius_r") if content.get(key)]
    return HEAD_RADIUS * len(radii) / sum(radii) if radii else None
