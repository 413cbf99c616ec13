"""Labels for others and from others: COCO keypoints, and a table.

Pixel centres are whole numbers here and halves in COCO, so 0.5 is added on the way out and taken off on the way in.
COCO's visibility is 2 for a point in the picture and 0 for one of which nothing is said; ours that is said to be
outside the picture has 0 as well, and its name is in the table alone.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Set
from pathlib import Path, PurePosixPath
from typing import Any

from skiagraph.active.labels import Frame, points_from
from skiagraph.active.store import LabelStore, called
from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.errors import DataError
from skiagraph.io.files import decoding, suffix_of
from skiagraph.volume import Keypoints

FORMATS = {"coco": ".json", "csv": ".csv"}
COLUMNS = ("picture", "author", "version", "time", "landmark", "u", "v", "visible")
SAFE = "=+-@\t\r"
"""What a spreadsheet would take for a formula at the beginning of a cell."""

Framed = Callable[[str], Frame]
"""The frame of a picture, by its id."""


def as_coco(store: LabelStore, tag: str) -> dict[str, Any]:
    """The newest label of each reader and picture, as pycocotools reads it; the reader is told by each annotation."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (picture, path) in enumerate(store.pictures().items(), start=1):
        rows, columns = 0, 0
        for author in _authors(store, picture, tag):
            version = store.label(picture, tag, author)
            if version is None:
                continue
            rows, columns = version.size
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0,
                    "author": author, "version": version.number, **_annotation(version.keypoints),
                }
            )  # fmt: skip
        if rows:
            images.append(
                {"id": number, "file_name": path.relative_to(store.folder).as_posix(), "height": rows, "width": columns}
            )
    category = {"id": 1, "name": "pelvis", "keypoints": list(LANDMARK_NAMES), "skeleton": []}
    return {"images": images, "annotations": annotations, "categories": [category]}


def as_csv(store: LabelStore, tag: str) -> str:
    """One line for each point of the newest label of each reader and picture."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for picture in store.pictures():
        for author in _authors(store, picture, tag):
            version = store.label(picture, tag, author)
            if version is None:
                continue
            points = version.keypoints
            for name, (u, v), seen in zip(points.names, points.uv.tolist(), points.visible.tolist()):
                place = (repr(u), repr(v)) if seen else ("", "")
                head = (_safe(picture), _safe(author), version.number, version.time)
                rows.writerow([*head, name, *place, int(seen)])
    return text.getvalue()


def from_coco(content: bytes, pictures: Iterable[str], framed: Framed) -> dict[str, Keypoints]:
    """The points of a COCO file's pictures, by id; the first annotation of each. Raises DataError for what is none."""
    wanted = "COCO keypoints: images, annotations and categories with keypoints"
    with decoding("the file", wanted):
        found = json.loads(content)
        names = {
            one["id"]: [str(name) for name in one["keypoints"]] for one in found["categories"] if "keypoints" in one
        }
        known = set(pictures)
        files = {one["id"]: picture_of(str(one["file_name"]), known) for one in found["images"]}
        places: dict[str, dict[str, list[float] | None]] = {}
        for one in found["annotations"]:
            picture = files[one["image_id"]]
            if picture in places or one["category_id"] not in names:
                continue
            flat = [float(x) for x in one["keypoints"]]
            triples = zip(names[one["category_id"]], flat[0::3], flat[1::3], flat[2::3])
            places[picture] = {name: [u - 0.5, v - 0.5] for name, u, v, seen in triples if seen > 0}
    return _checked(places, known, framed)


def from_csv(content: bytes, pictures: Iterable[str], framed: Framed) -> dict[str, Keypoints]:
    """The points of a table with the columns picture, landmark, u, v and, if not all are visible, visible."""
    wanted = f"a table with the columns {', '.join(COLUMNS)}"
    places: dict[str, dict[str, list[float] | None]] = {}
    with decoding("the file", wanted):
        for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig"))):
            seen = (row.get("visible") or "1").strip() not in ("0", "false", "False")
            place = [float(row["u"]), float(row["v"])] if seen else None
            points = places.setdefault(row["picture"].removeprefix("'"), {})
            if row["landmark"] in points:
                raise DataError(f"{row['picture'][:40]} has two points {row['landmark'][:40]}; give one reader a file")
            points[row["landmark"]] = place
    return _checked(places, pictures, framed)


def picture_of(name: str, pictures: Set[str]) -> str:
    """A picture's id from its file's name, with its folders as they are here or whatever others it is said to have."""
    path = PurePosixPath(name.replace("\\", "/"))
    alone = PurePosixPath(path.name)
    ids = [f"{called(one)}{ending}" for one in (path, alone) for ending in ("", suffix_of(Path(path.name)))]
    return next((one for one in ids if one in pictures), called(alone))


def _checked(
    places: Mapping[str, Mapping[str, list[float] | None]], pictures: Iterable[str], framed: Framed
) -> dict[str, Keypoints]:
    known = set(pictures)
    strange = sorted(set(places) - known)
    if strange or not places:
        what = f"no picture {strange[0][:60]!r} here" if strange else "no labels in the file"
        raise DataError(f"{what}; add the pictures first, and name them as here")
    return {
        picture: points_from(json.dumps(dict(points)), framed(picture)) for picture, points in places.items() if points
    }


def _annotation(points: Keypoints) -> dict[str, Any]:
    at = dict(zip(points.names, zip(points.uv.tolist(), points.visible.tolist())))
    triples = [at.get(name, ([0.0, 0.0], False)) for name in LANDMARK_NAMES]
    flat = [value for (u, v), seen in triples for value in ((u + 0.5, v + 0.5, 2) if seen else (0.0, 0.0, 0))]
    us, vs = ([place[axis] for place, seen in triples if seen] or [0.0] for axis in (0, 1))
    box = [min(us) + 0.5, min(vs) + 0.5, max(us) - min(us), max(vs) - min(vs)]
    seen = sum(shown for _, shown in triples)
    return {"keypoints": flat, "num_keypoints": seen, "bbox": box, "area": box[2] * box[3]}


def _authors(store: LabelStore, picture: str, tag: str) -> list[str]:
    return list(dict.fromkeys(version.author for version in store.versions(picture) if version.tag == tag))


def _safe(text: str) -> str:
    return f"'{text}" if text[:1] in SAFE else text
