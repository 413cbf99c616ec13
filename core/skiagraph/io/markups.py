"""Landmarks and keypoints on disk: Slicer's .mrk.json and .fcsv, and plain JSON."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from skiagraph.anatomy import canonical
from skiagraph.errors import DataError
from skiagraph.geometry import View, float64
from skiagraph.io.files import decoding, read_json, suffix_of, there, write_json, writing
from skiagraph.volume import Keypoints, Landmarks

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
WANTED = 'landmarks: Slicer\'s .mrk.json or .fcsv, or JSON such as {"left_femoral_head": [x, y, z]} in LPS mm'
WANTED_2D = 'keypoints: Slicer\'s .mrk.json or .fcsv, a record, or JSON such as {"left_femoral_head": [u, v]} in pixels'

Named = tuple[str, list[float] | None]
"""A name and a position, None for one that is not there."""


def read_landmarks(path: Path) -> Landmarks:
    """Named points in LPS millimetres; points placed nowhere are left out."""
    there(path, WANTED)
    named = [(name, position) for name, position in _read(path, WANTED, 3) if position is not None]
    _refuse_twins([name for name, _ in named], path)
    return Landmarks(tuple(name for name, _ in named), _points([position for _, position in named], 3))


def write_landmarks(path: Path, landmarks: Landmarks, about: Mapping[str, str] | None = None) -> None:
    """Named points on disk, LPS: .mrk.json or .fcsv for Slicer, or plain .json.

    `about` says something of each, which Slicer shows as its description; names of which there is no landmark are
    placed nowhere.
    """
    if not bool(torch.isfinite(landmarks.points).all()):
        raise DataError(f"landmarks for {path.name} are NaN or infinite; leave out what is not there")
    about = about or {}
    names = [*landmarks.names, *(name for name in about if name not in landmarks)]
    _write(path, [(name, landmarks[name].tolist() if name in landmarks else None) for name in names], about)


def read_keypoints(path: Path, view: View | None = None, spacing: tuple[float, float] | None = None) -> Keypoints:
    """Named points of an image, (u, v) in pixels; a point placed nowhere is NaN and not visible.

    Points of Slicer are projected through `view`, or divided by `spacing`, the millimetres between (rows, columns).
    """
    there(path, WANTED_2D)
    if suffix_of(path) == ".json":
        content = read_json(path, WANTED_2D)
        if isinstance(content.get("landmarks"), list) and any("uv" in mark for mark in content["landmarks"]):
            return _from_record(content["landmarks"], path)
        named = _plain(content, path, 2)
        uv = _points([position for _, position in named], 2)
    else:
        named = _read(path, WANTED_2D, 3)
        uv = _pixels(_points([position for _, position in named], 3), view, spacing)
    _refuse_twins([name for name, _ in named], path)
    visible = torch.isfinite(uv).all(dim=-1)
    if view is not None:
        rows, columns = view.size
        visible &= ((uv >= -0.5) & (uv <= float64([columns, rows]) - 0.5)).all(dim=-1)
    return Keypoints(tuple(name for name, _ in named), uv, visible)


def write_keypoints(
    path: Path, keypoints: Keypoints, view: View | None = None, spacing: tuple[float, float] | None = None
) -> None:
    """Named points of an image as Slicer places the image itself; those that are not visible are placed nowhere.

    With a `view` they lie on its panel in the world. Without, they lie at (u, v, 0) LPS times `spacing`, the
    millimetres between (rows, columns), 1 if unknown: there Slicer loads a .png. Plain .json keeps pixels.
    """
    uv = keypoints.uv
    _write(path, _seen(keypoints, uv.tolist() if suffix_of(path) == ".json" else _in_slicer(uv, view, spacing)))


def keypoint_markups(
    keypoints: Keypoints, view: View | None = None, spacing: tuple[float, float] | None = None
) -> dict[str, Any]:
    """What `write_keypoints` writes into a .mrk.json."""
    return _markups(_seen(keypoints, _in_slicer(keypoints.uv, view, spacing)), {})


def _seen(keypoints: Keypoints, places: list[list[float]]) -> list[Named]:
    seen = keypoints.visible & torch.isfinite(keypoints.uv).all(dim=-1)
    return [(name, place if s else None) for name, place, s in zip(keypoints.names, places, seen.tolist())]


def _in_slicer(uv: Tensor, view: View | None, spacing: tuple[float, float] | None) -> list[list[float]]:
    if view is not None:
        _check_single(view)
        return view.on_panel(uv).tolist()
    rows, columns = (1.0, 1.0) if spacing is None else spacing
    return [[u * columns, v * rows, 0.0] for u, v in uv.tolist()]


def _points(places: Sequence[list[float] | None], size: int) -> Tensor:
    rows = [[math.nan] * size if place is None else place for place in places]
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, size)


def _pixels(points: Tensor, view: View | None, spacing: tuple[float, float] | None) -> Tensor:
    if view is not None:
        _check_single(view)
        return view.project(points)
    rows, columns = (1.0, 1.0) if spacing is None else spacing
    return points[:, :2] / float64([columns, rows])


def _check_single(view: View) -> None:
    if view.source.ndim != 1:
        raise DataError(f"keypoints of {tuple(view.source.shape[:-1])} views; give one view a file")


def _read(path: Path, wanted: str, size: int) -> list[Named]:
    if suffix_of(path) == ".fcsv":
        with decoding(path, wanted):
            return _from_fcsv(path.read_text(encoding="utf-8-sig"), path)
    if suffix_of(path) not in (".mrk.json", ".json"):
        raise DataError(f"{path.name} is not a kind of file points come in; give {wanted}")
    content = read_json(path, wanted)
    with decoding(path, wanted):
        return _from_markups(content, path) if "markups" in content else _plain(content, path, size)


def _from_markups(content: Mapping[str, Any], path: Path) -> list[Named]:
    if not isinstance(content["markups"], list):
        raise DataError(f"{path} holds no list of markups; give a .mrk.json as Slicer writes it")
    lists = [markup for markup in content["markups"] if markup.get("type") == "Fiducial"]
    if not lists:
        kinds = ", ".join(str(markup.get("type")) for markup in content["markups"]) or "nothing"
        raise DataError(f"{path} holds {kinds} but no list of points; give markups of type Fiducial")
    named: list[Named] = []
    for markup in lists:
        sign = _lps_sign(markup.get("coordinateSystem"), path)
        units = markup.get("coordinateUnits", "mm")
        if set([units] if isinstance(units, str) else units) != {"mm"}:
            raise DataError(f"{path} is in {units}; give points in mm")
        for number, point in enumerate(markup.get("controlPoints", []), start=1):
            name = canonical(str(point.get("label") or f"point_{number}"))
            if point.get("positionStatus", "defined") != "defined" or point.get("position") is None:
                named.append((name, None))
            else:
                position = _position(point["position"], name, path, 3)
                named.append((name, [s * x for s, x in zip(sign, position)]))
    return named


def _from_fcsv(text: str, path: Path) -> list[Named]:
    lines = text.splitlines()
    comments = [line.lstrip("# ") for line in lines if line.startswith("#")]
    heads = {key.strip().lower(): value.strip() for key, _, value in (line.partition("=") for line in comments)}
    if "coordinatesystem" not in heads:
        raise DataError(f"{path} does not say its CoordinateSystem; give a Slicer .fcsv with LPS or RAS in its head")
    sign = _lps_sign(heads["coordinatesystem"], path)
    columns = heads.get("columns", "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID").split(",")
    x, label = columns.index("x"), columns.index("label")
    named: list[Named] = []
    for row in csv.reader(line for line in lines if line.strip() and not line.startswith("#")):
        if len(row) <= label:
            raise DataError(f"{path} has a row of {len(row)} columns, {label + 1} are needed; the file is cut short")
        name = canonical(row[label] or f"point_{len(named) + 1}")
        status = row[len(columns)] if len(row) > len(columns) else "2"  # Slicer: 0 undefined, 1 preview, 2 defined
        position = _position([float(value) for value in row[x : x + 3]], name, path, 3)
        named.append((name, [s * v for s, v in zip(sign, position)] if status == "2" else None))
    return named


def _plain(content: Mapping[str, Any], path: Path, size: int) -> list[Named]:
    if isinstance(content.get("landmarks"), list):
        named: list[Named] = []
        for mark in content["landmarks"]:
            places = [mark[key] for key in ("position", "xyz", "point", "uv") if key in mark]
            if "name" not in mark or not places:
                raise DataError(f"{path} has a landmark without name or position: {mark}; give {WANTED}")
            named.append((canonical(str(mark["name"])), _place(places[0], str(mark["name"]), path, size)))
        return named
    listed = content["landmarks"] if isinstance(content.get("landmarks"), dict) else content
    return [
        (canonical(name), _place(place, name, path, size)) for name, place in listed.items() if not name.startswith("_")
    ]


def _place(value: object, name: str, path: Path, size: int) -> list[float] | None:
    return None if value is None else _position(value, name, path, size)


def _position(value: object, name: str, path: Path, size: int) -> list[float]:
    known = isinstance(value, Sequence) and all(isinstance(x, (int, float)) and math.isfinite(x) for x in value)
    if not known or len(value) != size:  # type: ignore[arg-type]
        raise DataError(f"{path}: {name} is at {value!r}; give {size} finite numbers")
    return [float(x) for x in value]  # type: ignore[attr-defined]


def _lps_sign(system: object, path: Path) -> tuple[float, float, float]:
    signs = {"LPS": (1.0, 1.0, 1.0), "1": (1.0, 1.0, 1.0), "RAS": (-1.0, -1.0, 1.0), "0": (-1.0, -1.0, 1.0)}
    if str(system).strip().upper() not in signs:
        raise DataError(f"{path} is in coordinate system {system}; give points in LPS or RAS")
    return signs[str(system).strip().upper()]


def _from_record(marks: Sequence[Mapping[str, Any]], path: Path) -> Keypoints:
    with decoding(path, WANTED_2D):
        names = [canonical(str(mark["name"])) for mark in marks]
        _refuse_twins(names, path)
        places = [_place(mark["uv"], str(mark["name"]), path, 2) for mark in marks]
        visible = torch.tensor([bool(mark.get("visible", mark["uv"] is not None)) for mark in marks], dtype=torch.bool)
        return Keypoints(tuple(names), _points(places, 2), visible)


def _refuse_twins(names: Sequence[str], path: Path) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise DataError(f"{path}: two points are called {', '.join(twins)}; give every point a name of its own")


def _write(path: Path, named: Sequence[Named], about: Mapping[str, str] = MappingProxyType({})) -> None:
    kind = suffix_of(path)
    if kind == ".mrk.json":
        write_json(path, _markups(named, about))
    elif kind == ".json":
        write_json(path, dict(named))
    elif kind == ".fcsv":
        with writing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
            file.write("# Markups fiducial file version = 5.10\n# CoordinateSystem = LPS\n")
            file.write("# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n")
            rows = csv.writer(file, lineterminator="\n")
            for number, (name, place) in enumerate(named, start=1):
                x, y, z = (0.0, 0.0, 0.0) if place is None else place
                rows.writerow(
                    [number, x, y, z, 0, 0, 0, 1, 1, 1, 0, name, about.get(name, ""), "", 0 if place is None else 2, 0]
                )
    else:
        raise DataError(f"cannot write points as {path.name}; give a name that ends in .mrk.json, .fcsv or .json")


def _markups(named: Sequence[Named], about: Mapping[str, str]) -> dict[str, Any]:
    points = [
        {
            "id": str(number),
            "label": name,
            "description": about.get(name, ""),
            "associatedNodeID": "",
            "position": [0.0, 0.0, 0.0] if place is None else place,
            "orientation": [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0],
            "selected": True,
            "locked": False,
            "visibility": True,
            "positionStatus": "undefined" if place is None else "defined",
        }
        for number, (name, place) in enumerate(named, start=1)
    ]
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(points),
        "controlPoints": points,
    }
    return {"@schema": SCHEMA, "markups": [markup]}
