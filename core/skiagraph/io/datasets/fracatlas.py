"""FracAtlas (Abedeen 2023): radiographs with fractures drawn in, listed in a table by part of the body.

`images/Fractured` and `images/Non_fractured` hold the pictures, dataset.csv says what each shows, and
`Annotations/COCO JSON/COCO_fracture_masks.json` holds the outlines. Other folders and a part of the pictures do as
well: the table is told by its columns, the outlines by being COCO's.
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from skiagraph.errors import DataError, GeometryError
from skiagraph.io.datasets.dataset import Dataset, Found, Origin, Picture, Radiograph, named
from skiagraph.io.files import decoding
from skiagraph.io.pictures import read_xray

ORIGIN = Origin(
    "FracAtlas (Abedeen et al. 2023)",
    "https://doi.org/10.6084/m9.figshare.22363012",
    "CC BY 4.0",
    "images/, dataset.csv and Annotations/COCO JSON/COCO_fracture_masks.json",
)

FRACTURE = "fracture"
_COLUMNS = {"image_id", "hip", "fractured"}


@dataclass(frozen=True)
class Outlines:
    """The fractures drawn into one picture."""

    size: tuple[int, int]
    """Rows and columns they were drawn on."""
    polygons: tuple[tuple[float, ...], ...] = field(default=())
    """u0, v0, u1, v1 ..., each a closed line."""


def find(path: Path) -> Found:
    """The pictures, which of the table are missing, and outlines without a picture."""
    table, outlines = _table(path), _outlines(path)
    files = {file.name: file for file in sorted(path.rglob("*.jpg"))}
    lost, strange = sorted(table.keys() - files.keys()), sorted(files.keys() - table.keys())
    alone = sorted(outlines.keys() - files.keys())
    wrong = [
        *named(lost, "pictures of the table are not there"),
        *named(strange, "pictures are not in the table"),
        *named(alone, "pictures with outlines are not there"),
    ]
    if not files:
        raise DataError(f"{path} holds no picture; give {ORIGIN.wanted}")
    pictures = [
        Picture(name, partial(read, file, table.get(name, ()), outlines.get(name))) for name, file in files.items()
    ]
    return Found(pictures=tuple(pictures), wrong=tuple(wrong))


def read(file: Path, shows: tuple[str, ...], outlines: Outlines | None) -> Radiograph:
    """One radiograph, what the table says it shows, and its fractures. Raises if they were drawn on another size."""
    picture = read_xray(file)
    rows, columns = picture.pixels.shape
    if outlines is None:
        return Radiograph(file.name, file.stem, picture, findings=shows)
    if outlines.size != (rows, columns):
        raise GeometryError(
            f"{file} has {(rows, columns)} pixels, its outlines were drawn on {outlines.size}; give the published one"
        )
    return Radiograph(
        file.name, file.stem, picture, masks=_filled(outlines)[None], structures=(FRACTURE,), findings=shows
    )


def holds(path: Path) -> bool:
    """Whether a folder has a table as FracAtlas's."""
    return path.is_dir() and _table_path(path) is not None


DATASET = Dataset("fracatlas", ORIGIN, holds, find)


def _filled(outlines: Outlines) -> torch.Tensor:
    rows, columns = outlines.size
    canvas = Image.new("1", (columns, rows))
    for polygon in outlines.polygons:
        ImageDraw.Draw(canvas).polygon(list(polygon), fill=1)
    return torch.from_numpy(np.array(canvas))


def _table_path(path: Path) -> Path | None:
    for file in sorted(path.glob("*.csv")):
        with decoding(file, ORIGIN.wanted), file.open(encoding="utf-8-sig", newline="") as lines:
            if {*next(csv.reader(lines), [])} >= _COLUMNS:
                return file
    return None


def _table(path: Path) -> dict[str, tuple[str, ...]]:
    """By a picture's name, what its columns say that it shows."""
    file = _table_path(path)
    if file is None:
        raise DataError(f"{path} has no table of what its pictures show; give {ORIGIN.wanted}")
    with decoding(file, ORIGIN.wanted), file.open(encoding="utf-8-sig", newline="") as lines:
        return {
            row.pop("image_id"): tuple(name for name, value in row.items() if value == "1" and name != "fracture_count")
            for row in csv.DictReader(lines)
        }


def _outlines(path: Path) -> dict[str, Outlines]:
    """By a picture's name, its outlines, from every COCO file there is."""
    found: dict[str, Outlines] = {}
    for file in sorted(path.rglob("*.json")):
        with decoding(file, "a COCO file"):
            content = json.loads(file.read_text(encoding="utf-8-sig"))
            if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
                found |= _of_coco(content)
    return found


def _of_coco(content: Mapping[str, Any]) -> dict[str, Outlines]:
    drawn: dict[Any, list[tuple[float, ...]]] = {}
    for one in content["annotations"]:
        polygons = [tuple(float(x) for x in polygon) for polygon in one["segmentation"]]
        drawn.setdefault(one["image_id"], []).extend(polygons)
    return {
        image["file_name"]: Outlines((int(image["height"]), int(image["width"])), tuple(drawn[image["id"]]))
        for image in content["images"]
        if image["id"] in drawn
    }
