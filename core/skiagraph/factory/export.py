"""Sets for others: COCO keypoints and masks, and the folder of a MONAI Label datastore."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from skiagraph.drr.display import picture
from skiagraph.errors import DataError
from skiagraph.factory.coding import key_of
from skiagraph.factory.order import SPLITS
from skiagraph.factory.reading import SampleSet
from skiagraph.factory.take import Taken
from skiagraph.io.files import write_json
from skiagraph.io.markups import write_keypoints
from skiagraph.io.pictures import write_picture
from skiagraph.io.records import write_record

Progress = Callable[[int, int, str], None]

KEYPOINTS_ID = 1
"""COCO's category of the landmarks; structures follow."""


def to_coco(samples: SampleSet, folder: Path, report: Progress) -> list[Path]:
    """Pictures under `images/` and an `annotations_SPLIT.json` each, as pycocotools reads them.

    All landmarks are one category with keypoints (visibility 2 where visible, 0 where not); each structure is a
    category with run-length masks. Pixel centres are whole numbers here and halves in COCO, so 0.5 is added.
    """
    written, done = [], 0
    total = sum(samples.count(split) for split in SPLITS)
    for split in SPLITS:
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for taken in samples.samples(split) if samples.count(split) else ():
            name = f"{key_of(taken.number)}.png"
            write_picture(folder / "images" / name, picture(taken.sample.image))
            rows, columns = taken.sample.view.size
            images.append({"id": taken.number, "file_name": name, "height": rows, "width": columns})
            for annotation in _annotations(taken, samples):
                annotations.append({"id": len(annotations) + 1, "image_id": taken.number, "iscrowd": 0, **annotation})
            done += 1
            report(done, total, f"{split}: {name}")
        if images:
            written.append(folder / f"annotations_{split}.json")
            write_json(written[-1], {**_head(samples), "images": images, "annotations": annotations})
    return written


def to_monailabel(samples: SampleSet, folder: Path, report: Progress) -> list[Path]:
    """Pictures, with their records, and final labels as Slicer markups under `labels/final/`."""
    written: list[Path] = []
    total = sum(samples.count(split) for split in SPLITS)
    for taken in samples.samples():
        key = key_of(taken.number)
        write_picture(folder / f"{key}.png", picture(taken.sample.image))
        write_record(folder / f"{key}.json", taken.record)
        write_keypoints(folder / "labels" / "final" / f"{key}.json", taken.sample.keypoints)
        written.append(folder / f"{key}.png")
        report(len(written), total, key)
    return written


FORMATS: dict[str, Callable[[SampleSet, Path, Progress], list[Path]]] = {"coco": to_coco, "monailabel": to_monailabel}
"""Writers by the name of what they write."""


def refuse_full(folder: Path) -> None:
    """Raise DataError if a folder already holds something."""
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty; give a new folder")


def _head(samples: SampleSet) -> dict[str, Any]:
    names = list(samples.landmarks)
    pelvis = {"id": KEYPOINTS_ID, "name": "landmarks", "supercategory": "anatomy", "keypoints": names, "skeleton": []}
    structures = [
        {"id": KEYPOINTS_ID + 1 + n, "name": name, "supercategory": "anatomy"}
        for n, name in enumerate(samples.structures)
    ]
    return {
        "info": {"description": "synthetic X-rays made by Skiagraph", "version": samples.card["versions"]["skiagraph"]},
        "licenses": [{"id": n, "name": source} for n, source in enumerate(samples.card["sources"], start=1)],
        "categories": [pelvis, *structures],
    }


def _annotations(taken: Taken, samples: SampleSet) -> list[dict[str, Any]]:
    points = taken.sample.keypoints
    place = dict(zip(points.names, zip(points.uv.tolist(), points.visible.tolist())))
    found: list[dict[str, Any]] = []
    triples = [place.get(name, ([0.0, 0.0], False)) for name in samples.landmarks]
    seen = torch.tensor([uv for uv, visible in triples if visible])
    if len(seen):
        flat = [value for (u, v), shown in triples for value in ((u + 0.5, v + 0.5, 2) if shown else (0.0, 0.0, 0))]
        low, high = seen.min(dim=0).values, seen.max(dim=0).values
        box = [*(low + 0.5).tolist(), *(high - low).tolist()]
        found.append(
            {
                "category_id": KEYPOINTS_ID,
                "keypoints": flat,
                "num_keypoints": len(seen),
                "bbox": box,
                "area": box[2] * box[3],
            }
        )
    for name, mask in zip(taken.sample.structures, taken.sample.masks):
        if mask.any():
            found.append(
                {
                    "category_id": KEYPOINTS_ID + 1 + samples.structures.index(name),
                    "segmentation": {"counts": run_lengths(mask), "size": list(mask.shape)},
                    "bbox": _box(mask),
                    "area": int(mask.sum()),
                }
            )
    return found


def _box(mask: Bool[Tensor, "v u"]) -> list[int]:
    """COCO's left, top, width and height of what is true."""
    rows, columns = (torch.nonzero(mask.any(dim=axis))[:, 0].tolist() for axis in (1, 0))
    return [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]


def run_lengths(mask: Bool[Tensor, "v u"]) -> list[int]:
    """COCO's uncompressed run lengths: down the columns, beginning with the pixels that are not in the mask."""
    flat = mask.numpy().flatten(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *runs] if flat[0] else runs
