"""What a reader says of a picture: points with their names, who said it and when, as Slicer opens it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float64
from torch import Tensor

from skiagraph.anatomy import LANDMARK_NAMES, canonical
from skiagraph.errors import DataError
from skiagraph.geometry import View, float64
from skiagraph.io.markups import keypoint_markups
from skiagraph.volume import Keypoints

Event = Literal["saved", "reopened", "removed"]
FINAL, ORIGINAL = "final", "original"
"""MONAI Label's tags of what a reader has finished, and of what a model proposed."""
WANTED = 'points such as {"left_femoral_head": [u, v]} in pixels, null for what is not in the picture, or a .mrk.json'
OWN = "skiagraph"
"""The key of a version's file under which ours lies; the rest of it is Slicer's."""


@dataclass(frozen=True)
class Frame:
    """The picture on which points lie: how large it is, and how Slicer places it."""

    size: tuple[int, int]
    """Rows and columns."""
    spacing: tuple[float, float] | None = None
    """Millimetres between (rows, columns), None if unknown."""
    view: View | None = None


@dataclass(frozen=True, eq=False)
class Version:
    """What was said of a picture at one time. It is never changed, only followed by another."""

    number: int
    """Counted for each picture, from 1."""
    event: Event
    tag: str
    author: str
    time: str
    """ISO 8601, UTC."""
    keypoints: Keypoints
    """Names not among them are left open; those that are not visible are said to be outside the picture."""
    size: tuple[int, int] = (0, 0)
    """Rows and columns of the picture."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What else is known: model, confidences, time taken."""


def as_json(version: Version, frame: Frame) -> dict[str, Any]:
    """A version as its file says it: markups that Slicer opens, and beside them pixels and provenance."""
    points = version.keypoints
    marks = [
        {"name": name, "uv": uv if seen else None, "visible": seen}
        for name, uv, seen in zip(points.names, points.uv.tolist(), points.visible.tolist())
    ]
    own = {
        "number": version.number,
        "event": version.event,
        "tag": version.tag,
        "author": version.author,
        "time": version.time,
        "size": list(version.size),
        "landmarks": marks,
        "about": dict(version.about),
    }
    return {**keypoint_markups(points, frame.view, frame.spacing), OWN: own}


def from_json(content: Mapping[str, Any]) -> Version:
    """The version in a file that `as_json` made. Raises DataError, KeyError or TypeError for others."""
    own = content[OWN]
    if own["event"] not in get_args(Event):
        raise DataError(f"a version of event {own['event']!r}; give one of {', '.join(get_args(Event))}")
    rows, columns = own["size"]
    points = _keypoints({mark["name"]: mark["uv"] for mark in own["landmarks"]})
    return Version(
        int(own["number"]), own["event"], str(own["tag"]), str(own["author"]), str(own["time"]), points,
        (int(rows), int(columns)), dict(own["about"]),
    )  # fmt: skip


def points_from(text: str | bytes, frame: Frame, names: tuple[str, ...] = LANDMARK_NAMES) -> Keypoints:
    """The points a client sent, in pixels: Slicer's markups, our records and findings, or names and pixels.

    Raises DataError for what is no list of points, names that are not looked for, and points outside the picture.
    """
    try:
        content = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise DataError(f"the label is no JSON ({str(error)[:80]}); give {WANTED}") from None
    if not isinstance(content, dict):
        raise DataError(f"the label is a JSON {type(content).__name__}; give {WANTED}")
    places = _places(content, frame)
    strange = sorted(set(places) - set(names))
    if strange:
        raise DataError(f"the label names {', '.join(map(repr, strange[:5]))}; give names among {', '.join(names)}")
    if not places:
        raise DataError(f"the label has no points; give {WANTED}")
    points = _keypoints(places)
    rows, columns = frame.size
    inside = ((points.uv >= -0.5) & (points.uv <= float64([columns, rows]) - 0.5)).all(dim=-1)
    outside = [name for name, at in zip(points.names, (points.visible & ~inside).tolist()) if at]
    if outside:
        where = points.uv[points.names.index(outside[0])].tolist()
        raise DataError(
            f"{outside[0]} is at {where[0]:.1f}, {where[1]:.1f}, outside the picture of {columns} x {rows} pixels; "
            "give null for a point that is not in the picture"
        )
    return points


def _places(content: Mapping[str, Any], frame: Frame) -> dict[str, list[float] | None]:
    found: list[tuple[str, list[float] | None]] = []
    if isinstance(content.get("markups"), list):
        for markup in content["markups"]:
            found += _from_slicer(markup, frame)
    elif isinstance(marks := content.get("landmarks", content.get("keypoints")), list):
        for mark in marks:
            if not isinstance(mark, dict) or "name" not in mark or "uv" not in mark:
                raise DataError(f"a landmark without name or uv; give {WANTED}")
            gone = mark["uv"] is None or mark.get("visible") is False
            found.append((_name(mark["name"]), None if gone else _numbers(mark["uv"], 2, mark["name"])))
    else:
        listed = content["landmarks"] if isinstance(content.get("landmarks"), dict) else content
        for name, place in listed.items():
            found.append((_name(name), None if place is None else _numbers(place, 2, name)))
    names = [name for name, _ in found]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise DataError(f"two points are called {', '.join(twins)}; give every point a name of its own")
    return dict(found)


def _from_slicer(markup: Any, frame: Frame) -> list[tuple[str, list[float] | None]]:
    points = markup.get("controlPoints") if isinstance(markup, dict) else None
    if not isinstance(points, list) or markup.get("type") != "Fiducial":
        raise DataError("the label holds markups that are no list of points; give markups of type Fiducial")
    sign = {"LPS": 1.0, "RAS": -1.0}.get(str(markup.get("coordinateSystem")))
    if sign is None:
        raise DataError(f"markups in {markup.get('coordinateSystem')!r}; give points in LPS or RAS")
    if markup.get("coordinateUnits", "mm") not in ("mm", ["mm", "mm", "mm"]):
        raise DataError(f"markups in {markup.get('coordinateUnits')!r}; give points in mm")
    found: list[tuple[str, list[float] | None]] = []
    for point in points:
        if not isinstance(point, dict) or "label" not in point:
            raise DataError("a control point without a label; name every point")
        name = _name(point["label"])
        if point.get("positionStatus", "defined") != "defined" or point.get("position") is None:
            found.append((name, None))
            continue
        x, y, z = _numbers(point["position"], 3, name)
        found.append((name, _pixel(float64([sign * x, sign * y, z]), frame).tolist()))
    return found


def _pixel(point: Float64[Tensor, "3"], frame: Frame) -> Float64[Tensor, "2"]:
    if frame.view is not None:
        return frame.view.project(point)
    rows, columns = frame.spacing or (1.0, 1.0)
    return point[:2] / float64([columns, rows])


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise DataError(f"a point called {str(value)[:40]!r}; give names as text")
    return canonical(value)


def _numbers(value: Any, count: int, name: Any) -> list[float]:
    plain = isinstance(value, list) and all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in value)
    if not plain or len(value) != count or not all(abs(x) < 1e7 for x in value):
        raise DataError(f"{str(name)[:40]} is at {str(value)[:60]}; give {count} finite numbers")
    return [float(x) for x in value]


def _no_number(said: str) -> float:
    raise ValueError(f"{said} is no number")


def _keypoints(places: Mapping[str, list[float] | None]) -> Keypoints:
    uv = [[float("nan")] * 2 if place is None else place for place in places.values()]
    seen = torch.tensor([place is not None for place in places.values()], dtype=torch.bool)
    return Keypoints(tuple(places), torch.tensor(uv, dtype=torch.float64).reshape(-1, 2), seen)
