"""Shots: X-rays kept in the scene, each a picture with its geometry, its numbers and its labels.

A shot is a volume node with the core's own record as an attribute; from it hang, by reference, the transmission the
picture was made of, the landmarks on the panel, and a mask of each structure. The table of shots is made of the nodes.
"""

import json
from dataclasses import dataclass, fields, replace
from itertools import count
from pathlib import Path
from typing import Any, Optional

import numpy as np
import vtk

from . import live, plan
from .convert import (
    add_segments,
    line_of,
    lps,
    mask_of,
    panel_ijk_to_ras,
    ras,
    show_picture,
    voxels_of,
    world_from,
)
from .errors import CArmError
from .home import AllAtOnce, add, drop, file_under, held, held_or_made

ROLE, RECORD, NUMBER = "shots", "VirtualCArm.shot", "VirtualCArm.number"
TRANSMISSION, LANDMARKS, MASKS = "VirtualCArm.transmission", "VirtualCArm.landmarks", "VirtualCArm.masks"
TOOLS = {"k_wire": 2.0, "screw": 6.5, "manipulator": 6.0, "model": 0.0}
"""What can be put into the scene, and its usual diameter in millimetres."""
COLUMNS = (
    "name", "view", "device", "fidelity", "kVp", "photons", "seed", "size", "collimation", "tool", "landmarks seen",
)  # fmt: skip


@dataclass(frozen=True)
class ShotSettings:
    """How an X-ray is taken."""

    fidelity: str = "realistic"
    """naive, heuristic or realistic."""
    kvp: Optional[float] = None
    """Tube voltage, with fidelity realistic; 90 if not given."""
    photons: Optional[float] = None
    """Photons a pixel in the open field; the fidelity's own, or its exposure control's, if not given."""
    seed: int = 0
    """Where the noise starts."""
    columns: int = 768
    collimation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Millimetres of the panel that the leaves cover: top, bottom, left, right."""
    tool: Optional[str] = None
    """k_wire, screw, manipulator or model; from the node in the role `tool`."""
    diameter: Optional[float] = None
    """Millimetres; the tool's usual one if not given."""
    bend: float = 0.0
    """Degrees the manipulator is bent by, from end to end."""


@dataclass(frozen=True)
class ShotRow:
    """What is known of a shot in the scene."""

    node: Any
    name: str
    words: str
    """The angles."""
    device: str
    fidelity: str
    kvp: Optional[float]
    photons: Optional[float]
    seed: Optional[int]
    size: tuple[int, int]
    """Rows and columns."""
    collimation: tuple[float, ...]
    tool: Optional[str]
    seen: tuple[str, ...]
    """Landmarks in the picture."""
    landmarks: Optional[Any]
    """Their node."""


def renderer_of(settings):
    """The core's renderer. Raises SkiagraphError for settings that do not go together."""
    return _render(settings, "ct", "shot.png").renderer()


def _render(settings, volume, output, **more):
    from skiagraph.tasks.request import task_from

    return task_from(_request(settings, volume, output, **more))


def _request(settings, volume, output, **more):
    request = {
        "task": "render", "volume": str(volume), "output": str(output), "fidelity": settings.fidelity,
        "kvp": settings.kvp, "photons": settings.photons, "seed": settings.seed, "size": settings.columns,
        "collimation": list(settings.collimation), **more,
    }  # fmt: skip
    return {name: value for name, value in request.items() if value is not None}


def take(scene, carm, view, phantom, labels, landmarks, settings, renderer):
    """A shot of the patient, in the core's terms. Raises CArmError if the beam misses him, or the tool is no tool."""
    from skiagraph.carm import clinical, view_angles
    from skiagraph.drr.scene import Scene
    from skiagraph.io.patient import generator
    from skiagraph.tasks.shot import collimated, shoot, window_of

    window = window_of(view, settings.collimation)
    if misses(phantom.grid, view):
        raise CArmError("the beam misses the CT; aim at the patient, at a standard view for one")
    body = Scene((phantom,), () if labels is None else (labels,), landmarks)
    if settings.tool is not None:
        body = _with_tool(body, held(scene, "tool"), settings)
    shot = shoot(
        renderer, body, view, carm, generator(settings.seed), words=clinical(*view_angles(view)),
        fidelity=settings.fidelity, kvp=settings.kvp or (90.0 if settings.fidelity == "realistic" else None),
        photons=settings.photons, seed=settings.seed, tool=settings.tool, collimation=list(settings.collimation),
    )  # fmt: skip
    return collimated(shot, window) if any(settings.collimation) else shot


def misses(grid, view):
    """Whether the beam of a view passes by a lattice altogether."""
    from skiagraph.drr.sliced import shadow_of

    rows, columns = shadow_of(grid, view)
    return rows.stop <= rows.start or columns.stop <= columns.start


def _with_tool(scene, node, settings):
    from skiagraph.physics.materials import material

    if settings.tool not in TOOLS:
        raise CArmError(f"no tool called {settings.tool!r}; give {', '.join(TOOLS)}")
    if node is None:
        raise CArmError(f"a {settings.tool} is asked for, but no line or model is picked for it; pick one, or no tool")
    tool, points = _tool(node, settings)
    dressed = scene.with_tool(tool.occupancy, tool.grid, material(tool.material_name), settings.tool)
    if points is None:
        return dressed
    import torch

    from skiagraph.volume import Landmarks

    names = (*scene.landmarks.names, *points.names)
    return replace(dressed, landmarks=Landmarks(names, torch.cat([scene.landmarks.points, points.points])))


def _tool(node, settings):
    """A tool where its node has it: a line's last point is the tip. And its landmarks, if it has any."""
    from skiagraph.bodies import tools

    if settings.tool == "model":
        return tools.implant(*_mesh(node)), None
    if not node.IsA("vtkMRMLMarkupsNode"):
        raise CArmError(f"{node.GetName()} is no line; pick a line of Markups for a {settings.tool}")
    tail, tip = (lps(end).tolist() for end in line_of(node, f"the {settings.tool}"))
    diameter = settings.diameter or TOOLS[settings.tool]
    if settings.tool == "k_wire":
        return tools.k_wire(tip, tail, diameter), None
    if settings.tool == "screw":
        return tools.screw(tip, tail, diameter, head_diameter=max(9.5, 1.4 * diameter)), None
    return _manipulator(tip, tail, diameter, settings.bend)


def _manipulator(tip, tail, diameter, bend):
    import torch

    from skiagraph.bodies.manipulator import NOTCHES, Manipulator, frame

    made = Manipulator((bend / NOTCHES,) * NOTCHES, outer=diameter, inner=diameter * 2 / 3)
    end, start = (torch.tensor(one, dtype=torch.float64) for one in (tip, tail))
    along = (end - start) / (end - start).norm()
    sideways = torch.eye(3, dtype=torch.float64)[int(along.abs().argmin())]
    return made.placed(frame(end - made.length * along, along, sideways))


def _mesh(node):
    """A model's triangles in the world, LPS."""
    if not node.IsA("vtkMRMLModelNode") or node.GetPolyData() is None or not node.GetPolyData().GetNumberOfPoints():
        raise CArmError(f"{node.GetName()} is no model with a surface; pick one")
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputData(node.GetPolyData())
    triangles.PassLinesOff()
    triangles.PassVertsOff()
    triangles.Update()
    surface, to_world = triangles.GetOutput(), world_from(node)
    points = np.array([surface.GetPoint(n) for n in range(surface.GetNumberOfPoints())])
    faces = np.array([[surface.GetCell(n).GetPointId(c) for c in range(3)] for n in range(surface.GetNumberOfCells())])
    return ras(points @ to_world[:3, :3].T + to_world[:3, 3]), faces.reshape(-1, 3)


# In the scene


def show(scene, shot, name, ct=None):
    """A shot as nodes; the picture's is the shot's."""
    from skiagraph.io.records import as_json

    image = add(scene, "vtkMRMLScalarVolumeNode", name)
    show_picture(image, shot.shown.numpy(), shot.view)
    live.windowed(image)
    # Not hidden from editors: what is hidden, Slicer's Save dialog does not save.
    measured = add(scene, "vtkMRMLScalarVolumeNode", f"{image.GetName()} transmission")
    show_picture(measured, shot.transmission.numpy(), shot.view)
    image.SetNodeReferenceID(TRANSMISSION, measured.GetID())
    points = _show_points(scene, shot.record.keypoints, shot.view, f"{image.GetName()} landmarks")
    masks = None
    if shot.projection is not None and bool(shot.projection.masks.any()):
        masks = add(scene, "vtkMRMLSegmentationNode", f"{image.GetName()} masks")
        masks.CreateDefaultDisplayNodes()
        seen = [(title, mask) for title, mask in zip(shot.projection.names, shot.projection.masks) if bool(mask.any())]
        add_segments(masks, [(title, mask[None].numpy()) for title, mask in seen], panel_ijk_to_ras(shot.view))
        masks.SetDisplayVisibility(False)
    for role, node in ((LANDMARKS, points), (MASKS, masks)):
        if node is not None:
            image.SetNodeReferenceID(role, node.GetID())
    for node in (measured, points, masks):
        file_under(scene, node, image)
    if ct is not None:
        image.SetNodeReferenceID("VirtualCArm.ct", ct.GetID())
    image.SetAttribute(NUMBER, str(1 + max((_number(node) for node in nodes(scene)), default=0)))
    image.SetAttribute(RECORD, json.dumps(as_json(shot.record)))
    return image


def _show_points(scene, keypoints, view, name):
    """The keypoints on the panel, those in the picture; None if none are."""
    seen = [n for n, one in enumerate(keypoints.visible.tolist()) if one]
    if not seen:
        return None
    node = add(scene, "vtkMRMLMarkupsFiducialNode", name)
    places = ras(view.on_panel(keypoints.uv[seen]).numpy())
    with AllAtOnce(node):
        for number, place in zip(seen, places):
            node.AddControlPointWorld(vtk.vtkVector3d(*place), keypoints.names[number])
        node.SetLocked(True)
    node.CreateDefaultDisplayNodes()
    return node


def nodes(scene):
    """The shots' nodes, in the order they were taken."""
    found = scene.GetNodesByClass("vtkMRMLScalarVolumeNode")
    found.UnRegister(None)
    every = [found.GetItemAsObject(number) for number in range(found.GetNumberOfItems())]
    return sorted((node for node in every if node.GetAttribute(RECORD)), key=_number)


def _number(node):
    return int(node.GetAttribute(NUMBER) or 0)


def record_of(node):
    """The core's record of a shot. Raises CArmError for a node that is none."""
    from skiagraph.io.records import from_json

    text = None if node is None else node.GetAttribute(RECORD)
    if not text:
        raise CArmError(f"{'nothing' if node is None else node.GetName()} is not a shot; pick one of the shots")
    return from_json(json.loads(text), node.GetName())


def rows_of(scene):
    """All shots of a scene, in the order they were taken."""
    return [row_of(node) for node in nodes(scene)]


def row_of(node):
    """What is known of a shot."""
    record = record_of(node)
    said = record.extra
    seen = tuple(name for name, one in zip(record.keypoints.names, record.keypoints.visible.tolist()) if one)
    return ShotRow(
        node, node.GetName(), str(said.get("words", "")), str(record.device), str(said.get("fidelity", "")),
        said.get("kvp"), said.get("photons"), said.get("seed"), record.view.size,
        tuple(said.get("collimation") or ()), said.get("tool"), seen, node.GetNodeReference(LANDMARKS),
    )  # fmt: skip


def table_of(scene):
    """The shots as a table, made anew from the nodes."""
    node = held_or_made(scene, ROLE, "vtkMRMLTableNode", "Shots")
    table = vtk.vtkTable()
    rows = [_texts(row) for row in rows_of(scene)]
    for name in COLUMNS:
        column = vtk.vtkStringArray()
        column.SetName(name)
        for row in rows:
            column.InsertNextValue(row[name])
        table.AddColumn(column)
    node.SetAndObserveTable(table)
    return node


def _texts(row):
    said = {
        "name": row.name, "view": row.words, "device": row.device, "fidelity": row.fidelity, "kVp": row.kvp,
        "photons": row.photons, "seed": row.seed, "size": f"{row.size[1]} x {row.size[0]}",
        "collimation": " ".join(f"{leaf:g}" for leaf in row.collimation) if any(row.collimation) else None,
        "tool": row.tool, "landmarks seen": len(row.seen),
    }  # fmt: skip
    return {name: "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
            for name, value in said.items()}  # fmt: skip


def delete(scene, node):
    """Take a shot and all that hangs from it, but from no copy of it, out of a scene."""
    record_of(node)
    others = [other for other in nodes(scene) if other is not node]
    for role in (TRANSMISSION, LANDMARKS, MASKS):
        part = node.GetNodeReference(role)
        if all(other.GetNodeReference(role) is not part for other in others):
            drop(scene, part)
    drop(scene, node)


# Files


def export(node, path):
    """A shot to disk, as `skiagraph render` writes one: picture, record, landmarks, masks; the files."""
    from skiagraph.tasks.shot import save

    shot = shot_of(node)
    return save(shot, Path(path), kvp=shot.record.extra.get("kvp"))


def beside(path):
    """What stands where the labels of a shot would go that is exported to a path."""
    from skiagraph.tasks import shot

    return [one for one in (shot.beside(path, ".json"), shot.beside(path, ".mrk.json"), shot.masks_folder(path))
            if one.exists()]  # fmt: skip


def shot_of(node):
    """A shot's nodes as the core's value. Raises CArmError if its transmission was deleted."""
    import torch

    from skiagraph.carm import DEVICES
    from skiagraph.drr.project import Projection
    from skiagraph.tasks.shot import Shot

    record = record_of(node)
    measured = node.GetNodeReference(TRANSMISSION)
    if measured is None:
        raise CArmError(f"the measurement behind {node.GetName()} was deleted; take the shot again")
    _, columns = record.view.size
    transmission = torch.from_numpy(voxels_of(measured)[0].astype(np.float32))
    carm = DEVICES.get(str(record.device), DEVICES["generic"]).with_pixels(columns)
    return Shot(transmission, carm, record, _projection(node, record.view, Projection))


def _projection(node, view, kind):
    import torch

    masks = node.GetNodeReference(MASKS)
    if masks is None:
        return None
    segmentation = masks.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    if not ids:
        return None
    found = torch.from_numpy(np.stack([mask_of(masks, one, node)[0] for one in ids]))
    rows, columns = view.pixel_spacing
    depth = torch.full(found.shape, torch.inf)
    return kind(tuple(segmentation.GetSegment(one).GetName() for one in ids), found.float(), depth, rows * columns)


def import_shot(scene, path, name=None):
    """An X-ray that `skiagraph render` took, to a file of transmission such as .nrrd, as a shot."""
    import torch

    from skiagraph.carm import DEVICES
    from skiagraph.drr.project import Projection
    from skiagraph.io.files import stem_of, suffix_of
    from skiagraph.io.pictures import read_mask, read_xray
    from skiagraph.io.records import read_record
    from skiagraph.tasks.shot import MEASUREMENTS, Shot, beside, masks_folder

    path = Path(path)
    if suffix_of(path) not in MEASUREMENTS:
        raise CArmError(f"{path.name} is a picture, not a measurement; give one of {' '.join(MEASUREMENTS)}")
    record = read_record(beside(path, ".json"))
    files = sorted(masks_folder(path).glob("*.png"))
    projection = None
    if files:
        masks = torch.stack([read_mask(file) for file in files])
        rows, columns = record.view.pixel_spacing
        depth = torch.full(masks.shape, torch.inf)
        projection = Projection(tuple(file.stem for file in files), masks.float(), depth, rows * columns)
    carm = DEVICES.get(str(record.device), DEVICES["generic"]).with_pixels(record.view.size[1])
    shot = Shot(read_xray(path).pixels, carm, record, projection)
    return show(scene, shot, name or stem_of(path))


def fresh(folder):
    """A folder for X-rays in another, where there is none yet: what somebody put there stays."""
    names = (f"xrays_{number}" if number > 1 else "xrays" for number in count(1))
    return next(Path(folder) / name for name in names if not (Path(folder) / name).exists())


def requests(patient, folder, rows, settings):
    """A request to `skiagraph run` for each planned view, of the patient in a folder: `.nrrd` files in another.

    Raises CArmError if there is no view, GeometryError for one out of reach, DataError for settings that do not fit.
    """
    if not rows:
        raise CArmError("the plan is empty; plan a view first")
    if settings.tool is not None:
        raise CArmError("a batch takes the patient alone; take shots with a tool one by one, or choose no tool")
    renderer_of(settings)
    made = []
    for number, row in enumerate(rows, start=1):
        carm, view = plan.view_of(row, settings.columns)
        carm.check(row.primary, row.secondary)
        target = view.source + carm.source_to_isocenter * view.normal
        made.append(
            _request(
                settings, patient, Path(folder) / f"{number:03d}_{plan.tidy_name(row.name)}.nrrd",
                primary=row.primary, secondary=row.secondary, roll=row.roll, target=target.tolist(),
                device=row.device, side=row.side,
            )
        )  # fmt: skip
        made[-1]["seed"] = settings.seed + number - 1
    return made


def changed(settings, changes):
    """Settings with some of them changed by name. Raises CArmError for one there is not."""
    known = [field.name for field in fields(ShotSettings)]
    strange = sorted(set(changes) - set(known))
    if strange:
        raise CArmError(f"a shot has no {', '.join(strange)}; give {', '.join(known)}")
    return replace(settings, **changes)
