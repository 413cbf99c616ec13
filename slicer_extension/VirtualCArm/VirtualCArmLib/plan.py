"""Which view is best for a target, and the views that were planned: a table in the scene, one row each.

Rows are texts, so that what is saved is what was said: Slicer writes numbers of tables to six digits.
"""

import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import vtk

from . import aim
from .convert import line_of, lps, plane_of, ras
from .errors import CArmError
from .home import AllAtOnce, held, held_or_made

ROLE = "plan"
COLUMNS = ("name", "device", "side", "primary", "secondary", "roll", "right", "anterior", "superior", "words")
NUMBERS = COLUMNS[3:9]
STEP = 1.0
"""Degrees between points of an S-curve."""


@dataclass(frozen=True)
class Suggestion:
    """Where to stand for a target."""

    primary: float
    secondary: float
    isocenter: tuple[float, float, float]
    """RAS millimetres."""
    words: str
    in_reach: bool
    """Whether the device reaches the very view that serves best."""
    off: float
    """Degrees between that view and this one, the nearest in reach."""
    inside: tuple[str, ...]
    """Landmarks in the picture."""
    outside: tuple[str, ...]
    """Landmarks that are not."""


@dataclass(frozen=True)
class SCurve:
    """The angles at which a plane is seen edge on, and where it is seen face on."""

    primary: tuple[float, ...]
    """Degrees."""
    secondary: tuple[float, ...]
    """Degrees, one for each primary; NaN where there is none."""
    in_reach: tuple[bool, ...]
    edge: Suggestion
    """The reachable view edge on that is closest to where the C-arm stands."""
    face: Suggestion
    """The view face on, or the nearest in reach."""


@dataclass(frozen=True)
class PlannedView:
    """A row of the plan."""

    name: str
    device: str
    side: str
    primary: float
    secondary: float
    roll: float
    isocenter: tuple[float, float, float]
    """RAS millimetres."""
    words: str


# Suggestions


def along(scene, line, landmarks):
    """Down a line: a corridor, or the axis of a screw, from whichever end is easier to reach."""
    first, last = line_of(line, "the corridor")
    return _best(scene, [last - first, first - last], (first + last) / 2, landmarks)


def s_curve(scene, plane, landmarks):
    """A plane's S-curve by this device, the point of it nearest to the C-arm, and the view face on."""
    import torch

    from skiagraph.carm import angles_of, beam
    from skiagraph.planning import edge_on

    center, normal = plane_of(plane)
    carm, now = aim.device_of(aim.carm_node(scene)), aim.reading(aim.carm_node(scene))
    across = torch.from_numpy(normal * [-1.0, -1.0, 1.0])
    primary = torch.arange(-180.0, 180.0 + STEP / 2, STEP, dtype=torch.float64)
    secondary = edge_on(across, primary)
    reach = [s == s and carm.reaches(p, s) for p, s in zip(primary.tolist(), secondary.tolist())]
    here = beam(now.primary, now.secondary)
    pairs = [pair for pair, ok in zip(zip(primary.tolist(), secondary.tolist()), reach) if ok]
    if pairs:
        edge = ras(max((beam(p, s) for p, s in pairs), key=lambda one: float(one @ here)).numpy())
    else:
        within = here - (here @ across) * across
        edge = ras((within if float(within.norm()) > 1e-6 else beam(*angles_of(_square_to(across)))).numpy())
    return SCurve(
        tuple(primary.tolist()),
        tuple(secondary.tolist()),
        tuple(reach),
        _best(scene, [edge], center, landmarks),
        _best(scene, [normal, -normal], center, landmarks),
    )


def _square_to(direction):
    import torch

    return torch.linalg.cross(direction, torch.eye(3, dtype=torch.float64)[int(direction.abs().argmin())])


def kept_in_field(scene, suggestion, landmarks, names):
    """A suggestion shifted so that landmarks are in the middle of its picture. Raises CArmError for unknown ones."""
    from skiagraph.planning import framing

    missing = [name for name in names if name not in landmarks]
    if missing or not names:
        there = ", ".join(landmarks.names) or "none"
        raise CArmError(f"no landmark {', '.join(missing) or 'is named'}; there are {there}")
    carm = aim.unlimited(aim.device_of(aim.carm_node(scene)))
    view = framing(carm, landmarks.subset(names).points, suggestion.primary, suggestion.secondary)
    return _said(carm, view, landmarks, suggestion.in_reach, suggestion.off)


def _best(scene, directions, target, landmarks):
    """The reachable view closest to one of some RAS directions of the beam; of equals, the panel in front."""
    import torch

    from skiagraph.carm import angles_of, beam

    carm = aim.device_of(aim.carm_node(scene))
    found = []
    for direction in directions:
        wanted = torch.from_numpy(np.asarray(direction, dtype=float) * [-1.0, -1.0, 1.0])
        wanted = wanted / wanted.norm()
        angles = angles_of(wanted)
        near = carm.nearest(*angles)
        off = float(torch.rad2deg(torch.acos((beam(*near) @ wanted).clamp(-1, 1)))) if near != angles else 0.0
        found.append((round(off, 6), abs(angles[0]) > 90, near))
    off, _, (primary, secondary) = min(found)
    free = aim.unlimited(carm)
    view = free.aimed_at(lps(np.asarray(target, dtype=float)), primary, secondary)
    return _said(free, view, landmarks, off == 0.0, off)


def _said(carm, view, landmarks, in_reach, off):
    from skiagraph.carm import clinical, view_angles

    primary, secondary = view_angles(view)
    seen = view.sees(landmarks.points).tolist()
    return Suggestion(
        round(primary, 6) + 0.0,
        round(secondary, 6) + 0.0,
        tuple(float(x) for x in ras(carm.isocenter(view).numpy())),
        clinical(primary, secondary),
        in_reach,
        off,
        tuple(name for name, one in zip(landmarks.names, seen) if one),
        tuple(name for name, one in zip(landmarks.names, seen) if not one),
    )


# The list


def table_of(scene):
    """The plan's table; an empty one is made if there is none."""
    node = held_or_made(scene, ROLE, "vtkMRMLTableNode", "C-arm plan")
    for name in COLUMNS:
        if node.GetColumnIndex(name) < 0:
            column = vtk.vtkStringArray()
            column.SetName(name)
            column.SetNumberOfValues(node.GetNumberOfRows())
            node.AddColumn(column)
    return node


def rows_of(scene):
    """The planned views, in their order. Raises CArmError for a row somebody made unreadable."""
    if held(scene, ROLE) is None:
        return []
    node = table_of(scene)
    return [_row(node, number) for number in range(node.GetNumberOfRows())]


def _row(node, number):
    said = {name: node.GetCellText(number, node.GetColumnIndex(name)) for name in COLUMNS}
    try:
        values = [float(said[name]) for name in NUMBERS]
        if not np.isfinite(values).all():
            raise ValueError
    except ValueError:
        wrong = ", ".join(f"{name} {said[name]!r}" for name in NUMBERS)
        raise CArmError(
            f"row {number + 1} of the plan, {said['name']!r}, holds {wrong}; give numbers, or delete it"
        ) from None
    return PlannedView(
        said["name"], said["device"], said["side"], values[0], values[1], values[2], tuple(values[3:]), said["words"]
    )


def write(scene, rows):
    """Make the table say these planned views."""
    node = table_of(scene)
    scene.SaveStateForUndo()
    with AllAtOnce(node):
        while node.GetNumberOfRows() > len(rows):
            node.RemoveRow(node.GetNumberOfRows() - 1)
        while node.GetNumberOfRows() < len(rows):
            node.AddEmptyRow()
        for number, row in enumerate(rows):
            for name, text in _texts(row).items():
                node.SetCellText(number, node.GetColumnIndex(name), text)
    return node


def _texts(row):
    values = (row.primary, row.secondary, row.roll, *row.isocenter)
    return {
        "name": row.name,
        "device": row.device,
        "side": row.side,
        **{name: repr(round(float(value), 6) + 0.0) for name, value in zip(NUMBERS, values)},
        "words": row.words,
    }


def of_reading(name, now):
    """A row of the plan for the C-arm as it stands."""
    return PlannedView(
        name, now.device, now.side, now.primary, now.secondary, now.roll, tuple(now.isocenter), now.words
    )


def chosen(rows, number):
    """One of the rows. Raises CArmError for one there is not."""
    if not 0 <= number < len(rows):
        raise CArmError(f"there is no planned view {number + 1}; the plan has {len(rows)}")
    return rows[number]


def view_of(row, columns):
    """A planned view as the core's, with its device."""
    from dataclasses import replace

    from skiagraph.carm import device

    carm = replace(device(row.device), side=row.side).with_pixels(columns)
    view = aim.unlimited(carm).view(lps(np.array(row.isocenter)), row.primary, row.secondary, row.roll)
    return carm, view


# Files


def export(path, rows, landmarks, columns=768):
    """The plan as .json, as .csv, or as a folder of records for `make-samples --poses` and `project`; the files."""
    from skiagraph.io.files import write_json, writing, writing_together
    from skiagraph.io.records import Record, write_record

    path = Path(path)
    if not rows:
        raise CArmError("the plan is empty; plan a view first")
    if path.suffix == ".json":
        write_json(path, {"frame": "RAS", "views": [asdict(row) for row in rows]})
        return [path]
    if path.suffix == ".csv":
        text = io.StringIO()
        lines = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        lines.writeheader()
        lines.writerows(_texts(row) for row in rows)
        with writing(path) as part:
            part.write_text(text.getvalue(), encoding="utf-8")
        return [path]
    if path.suffix:
        raise CArmError(f"cannot write a plan as {path.name}; give .json, .csv, or a folder for records")
    with writing_together(path) as stage:
        names = []
        for number, row in enumerate(rows, start=1):
            carm, view = view_of(row, columns)
            names.append(f"{number:03d}_{tidy_name(row.name)}.json")
            write_record(stage / names[-1], Record.of(view, landmarks, carm.name, title=row.name, words=row.words))
    return [path / name for name in names]


def read(path):
    """The planned views of a .json file that `export` wrote."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        rows = [
            PlannedView(
                str(one["name"]), str(one["device"]), str(one["side"]), float(one["primary"]), float(one["secondary"]),
                float(one["roll"]), tuple(float(x) for x in one["isocenter"]), str(one["words"]),
            )
            for one in content["views"]
        ]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CArmError(f"{path} holds no plan ({error}); give a .json that was exported here") from None
    if content.get("frame") != "RAS" or any(len(row.isocenter) != 3 for row in rows):
        raise CArmError(f"{path} is no plan in RAS; give a .json that was exported here")
    return rows


def tidy_name(name):
    """A name as a file may have it."""
    kept = "".join(letter if letter.isalnum() else "_" for letter in name.strip().lower())
    return kept.strip("_") or "view"


def unlike(name, rows):
    """A name no row has yet."""
    taken = {row.name for row in rows}
    number, found = 2, name
    while found in taken:
        found, number = f"{name} {number}", number + 1
    return found
