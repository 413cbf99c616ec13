"""X-rays somebody took: loaded, given their geometry, read for landmarks, and the CT brought to where they saw it.

A picture whose file tells its geometry lies on its panel in the world. One that does not lies flat, at (u, v, 0) LPS
times the size of a pixel, where Slicer loads pictures, until `place` says how it was taken. Its landmarks go along.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
import vtk

from . import aim, live
from .convert import (
    FLIP,
    ijk_to_ras,
    lps,
    numbers,
    panel_ijk_to_ras,
    points_of,
    show_picture,
    voxels_of,
    world_from,
)
from .errors import CArmError, need_core
from .home import AllAtOnce, add, drop, file_under, matrix

ABOUT, BONE, GEOMETRY = "VirtualCArm.xray", "VirtualCArm.bone", "VirtualCArm.geometry"
KEYPOINTS, OVERLAY, MOTION = "VirtualCArm.keypoints", "VirtualCArm.overlay", "VirtualCArm.registration"
SURE, UNSURE = (1.0, 0.82, 0.4), (1.0, 0.36, 0.36)
"""Colours of points the detector is more, or less, than half sure of: those of the core's overlays."""
HALF = 0.5
FAR_OFF = 20.0
"""Millimetres on the panel, root mean square, by which landmarks may miss where the pose puts them."""


@dataclass(frozen=True)
class Registered:
    """Where the CT lies in an X-ray, and how far that can be believed."""

    transform: Any
    """The node with the motion: CT to where the X-ray saw it."""
    overlay: Any
    """The CT's own picture at the pose found, on the X-ray's panel."""
    correlation: float
    """Gradient correlation of the two pictures, -1...1."""
    start: float
    """The same before the first step."""
    trusted: bool
    rms_px: Optional[float]
    """Root mean square distance of the landmarks as seen and as projected at the pose found; None without."""
    used: tuple[str, ...]
    """The landmarks in common."""
    words: str


def load(scene, path, bone="bright", isocenter=(0.0, 0.0, 0.0)):
    """An X-ray from a file, on its panel if the file tells its geometry. `bone` as it looks, if that is not told.

    A DICOM file of others tells angles and distances, but not where the isocentre is: that is given, in LPS.
    """
    from skiagraph.drr.display import attenuation
    from skiagraph.errors import DataError
    from skiagraph.io.files import suffix_of
    from skiagraph.io.pictures import read_xray
    from skiagraph.tasks.shot import MEASUREMENTS
    from skiagraph.tasks.xray import stretched, view_of

    path = Path(path)
    image = read_xray(path)
    try:
        view = image.view or view_of(path, tuple(isocenter))
    except DataError:
        view = None
    pixels, bone = image.pixels, image.bone or bone
    measured = suffix_of(path) in MEASUREMENTS and float(pixels.min()) >= 0 and float(pixels.max()) <= 1.5
    if measured:
        pixels, bone = attenuation(pixels), "bright"
    node = add(scene, "vtkMRMLScalarVolumeNode", path.name.split(".")[0])
    about = {"source": str(path), "pixel_spacing": image.pixel_spacing, "calibration": image.calibration}
    node.SetAttribute(ABOUT, json.dumps(about))
    set_bone(node, bone)
    shown = stretched(pixels).numpy()
    if view is None:
        _lay_flat(node, shown, image.pixel_spacing or (1.0, 1.0))
    else:
        show_picture(node, shown, view)
        _keep_geometry(node, view, None)
    live.windowed(node)
    return node


def set_bone(node, bone):
    """Say how an X-ray shows bone. Raises CArmError for anything but bright and dark."""
    if bone not in ("bright", "dark"):
        raise CArmError(f"bone that is {bone!r}; say bright or dark")
    node.SetAttribute(BONE, bone)


def _lay_flat(node, pixels, spacing):
    rows, columns = spacing
    node.SetSpacing(1.0, 1.0, 1.0)
    node.SetIJKToRASMatrix(matrix(FLIP @ np.diag([columns, rows, 1.0, 1.0])))
    import slicer

    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(pixels[None]))


def _keep_geometry(node, view, device):
    from skiagraph.io.records import Record, as_json
    from skiagraph.volume import Landmarks

    record = Record.of(view, Landmarks.of({}), device or "generic")
    node.SetAttribute(GEOMETRY, json.dumps(as_json(record)))


def about(node):
    """What was said of an X-ray when it was loaded. Raises CArmError for a node that is none."""
    text = None if node is None else node.GetAttribute(ABOUT)
    if text is None:
        raise CArmError(f"{'nothing' if node is None else node.GetName()} is no X-ray; load one (Real X-rays)")
    return json.loads(text)


def view_of(node):
    """Where an X-ray was taken from, in the core's terms. Raises CArmError if that is not known."""
    from skiagraph.io.records import from_json

    said = about(node)
    text = node.GetAttribute(GEOMETRY)
    if text is None:
        size = said["pixel_spacing"]
        more = "" if size else " and how large a pixel is"
        raise CArmError(f"it is not known how {node.GetName()} was taken: set its device, its angles{more}")
    return from_json(json.loads(text), node.GetName()).view


def place(
    node, carm, primary, secondary, roll, isocenter, source_to_panel=None, pixel_spacing=None, tube_in_front=False
):
    """Put an X-ray on the panel of such a view, its landmarks along; `isocenter` in RAS, the middle of the picture.

    `pixel_spacing` is the millimetres between pixels on the panel. Raises CArmError if neither it nor the file says so.
    """
    from dataclasses import replace

    from skiagraph.geometry import View

    said = about(node)
    rows, columns = voxels_of(node).shape[1:]
    spacing = _spacing(node, said, carm, columns) if pixel_spacing is None else (float(pixel_spacing),) * 2
    if not (np.isfinite(spacing).all() and min(spacing) > 0):
        raise CArmError(
            f"pixels of {spacing[0]:g} mm; give a positive size, such as {carm.panel_size[1] / columns:.3f}"
        )
    if source_to_panel is not None:
        to_isocenter = carm.source_to_isocenter * source_to_panel / carm.source_to_panel
        carm = replace(carm, source_to_panel=float(source_to_panel), source_to_isocenter=to_isocenter)
    one = aim.unlimited(replace(carm, panel_pixels=(1, 1), pixel_spacing=1.0))
    middle = one.aimed_at(lps(np.asarray(isocenter, dtype=float)), primary, secondary, roll)
    u_step, v_step = spacing[1] * middle.u_step, spacing[0] * middle.v_step
    origin = middle.origin - (columns - 1) / 2 * u_step - (rows - 1) / 2 * v_step
    view = View(middle.source, origin, u_step, v_step, (rows, columns))
    if tube_in_front:
        view = view.changed_over(lps(np.asarray(isocenter, dtype=float)))
    points = keypoints_of(node)
    pixels = None if points is None else _pixels(node, points)
    node.SetIJKToRASMatrix(matrix(panel_ijk_to_ras(view)))
    if points is not None:
        _move(node, points, pixels)
    _keep_geometry(node, view, carm.name)
    return node


def _spacing(node, said, carm, columns):
    if said["pixel_spacing"] is None:
        raise CArmError(
            f"the file of {node.GetName()} does not say how large a pixel is: give the millimetres between pixels on "
            f"the panel ({carm.panel_size[1] / columns:.3f}, if the picture is the whole panel of {carm.name})"
        )
    if said["calibration"] not in ("panel", "file"):
        raise CArmError(
            f"pixels of {node.GetName()} are {said['pixel_spacing'][1]:g} mm in the patient ({said['calibration']}), "
            "not on the panel: give the millimetres between pixels on the panel"
        )
    return tuple(said["pixel_spacing"])


# Landmarks on it


def keypoints_of(node):
    """The X-ray's list of points, None if there is none."""
    return node.GetNodeReference(KEYPOINTS)


def detect(scene, node, reach=None):
    """Find the landmarks on an X-ray: points on its picture, yellow where the detector is sure and red where not.

    Points it does not see are placed nowhere, so that they can be set by hand.
    """
    from dataclasses import replace

    import torch

    from skiagraph.detect.bundle import read_bundle
    from skiagraph.tasks.detect import the_bundle

    about(node)
    detector = read_bundle(the_bundle())
    detector = replace(detector, reading=replace(detector.reading, reach=reach or detector.reading.reach))
    found = detector(torch.from_numpy(growing(node)))
    return show_keypoints(
        scene,
        node,
        {
            name: (uv, confidence, visible)
            for name, uv, confidence, visible in zip(
                found.keypoints.names,
                found.keypoints.uv.tolist(),
                found.confidence.tolist(),
                found.keypoints.visible.tolist(),
            )
        },
    )


def growing(node):
    """An X-ray's pixels (v, u), larger where more was in the way."""
    pixels = voxels_of(node)[0].astype(np.float32)
    return pixels if node.GetAttribute(BONE) != "dark" else -pixels


def show_keypoints(scene, node, points):
    """Points of an X-ray by name: pixel (u, v) or None, confidence, and whether it is in the picture."""
    markups = keypoints_of(node)
    if markups is None:
        markups = add(scene, "vtkMRMLMarkupsFiducialNode", f"{node.GetName()} landmarks")
        markups.CreateDefaultDisplayNodes()
        display = markups.GetDisplayNode()
        display.SetSelectedColor(*SURE)
        display.SetColor(*UNSURE)
        display.SetGlyphScale(1.5)
        node.SetNodeReferenceID(KEYPOINTS, markups.GetID())
        file_under(scene, markups, node)
    to_world = ijk_to_ras(node)
    scene.SaveStateForUndo()
    with AllAtOnce(markups):
        markups.RemoveAllControlPoints()
        for name, (uv, confidence, visible) in points.items():
            at = (0.0, 0.0) if uv is None else uv
            number = markups.AddControlPointWorld(vtk.vtkVector3d(*(to_world @ [at[0], at[1], 0.0, 1.0])[:3]), name)
            markups.SetNthControlPointSelected(number, confidence > HALF)
            markups.SetNthControlPointDescription(number, f"confidence {confidence:.2f}")
            if uv is None or not visible:
                markups.UnsetNthControlPointPosition(number)
    return markups


def pixels_of(node):
    """The names and pixels (u, v) of an X-ray's points that are placed. Raises CArmError if it has none."""
    markups = keypoints_of(node)
    if markups is None:
        raise CArmError(f"{node.GetName()} has no landmarks; detect them, or place them")
    return _pixels(node, markups)


def _pixels(node, markups):
    names, points = points_of(markups)
    there = np.linalg.inv(ijk_to_ras(node))
    return names, (points @ there[:3, :3].T + there[:3, 3])[:, :2]


def _move(node, markups, named):
    to_world, places = ijk_to_ras(node), dict(zip(*named))
    with AllAtOnce(markups):
        for number in range(markups.GetNumberOfControlPoints()):
            uv = places.get(markups.GetNthControlPointLabel(number))
            if uv is not None:
                markups.SetNthControlPointPositionWorld(number, *(to_world @ [uv[0], uv[1], 0.0, 1.0])[:3])


def keypoints_value(node):
    """An X-ray's points as the core's; none if there are none."""
    import torch

    from skiagraph.anatomy import canonical
    from skiagraph.volume import Keypoints

    names, uv = pixels_of(node) if keypoints_of(node) is not None else ([], np.zeros((0, 2)))
    return Keypoints(
        tuple(map(canonical, names)), torch.from_numpy(uv.copy()), torch.ones(len(names), dtype=torch.bool)
    )


# The CT in it


def register(scene, node, phantom, naive, landmarks, report=None):
    """Find where the CT lies in an X-ray: from its landmarks, where four or more are known, then from the pictures.

    `phantom` is the CT as the registration sees it, `naive` as its picture is taken. The nodes of an earlier try are
    taken over.
    """
    import torch

    from skiagraph.drr.display import picture
    from skiagraph.drr.render import NAIVE
    from skiagraph.register.image import register as climb
    from skiagraph.register.pose import FEWEST, pose_from_landmarks

    view = view_of(node)
    seen = keypoints_value(node)
    common = [name for name in seen.names if name in landmarks]
    fit = pose_from_landmarks(landmarks, seen, view) if len(common) >= FEWEST else None
    start = None if fit is None else fit.world_from_body
    found = climb(phantom, view, torch.from_numpy(growing(node)), start, report)
    motion = _held(scene, node, MOTION, "vtkMRMLLinearTransformNode", f"CT to {node.GetName()}")
    motion.SetMatrixTransformToParent(matrix(FLIP @ found.world_from_body.numpy() @ FLIP))
    overlay = _held(scene, node, OVERLAY, "vtkMRMLScalarVolumeNode", f"{node.GetName()} CT")
    show_picture(overlay, picture(NAIVE(naive.moved(found.world_from_body), view)).numpy(), view)
    live.windowed(overlay)
    rms, near = None, True
    if common:
        at = landmarks.subset(common).moved(found.world_from_body)
        off = view.project(at.points) - seen.uv[[seen.names.index(name) for name in common]]
        rms = float(off.square().sum(dim=-1).mean().sqrt())
        near = rms * float(view.u_step.norm()) < FAR_OFF
    trusted = found.trusted and near
    words = f"correlation {found.correlation:.2f}" + ("" if trusted else ": do not trust this pose")
    words += f"; {len(common)} landmarks {rms:.1f} px off" if rms is not None else "; no landmarks to check it by"
    return Registered(motion, overlay, found.correlation, found.start, trusted, rms, tuple(common), words)


def _held(scene, node, role, kind, name):
    found = node.GetNodeReference(role)
    if found is None:
        found = add(scene, kind, name)
        node.SetNodeReferenceID(role, found.GetID())
        file_under(scene, found, node)
    return found


def apply(scene, node, patient_nodes):
    """Put a patient's nodes where an X-ray saw him: under the motion found, after the transforms they lie under.

    Raises CArmError if the X-ray was not registered.
    """
    motion = node.GetNodeReference(MOTION)
    if motion is None:
        raise CArmError(f"{node.GetName()} is not registered yet; register the CT to it first")
    scene.SaveStateForUndo()
    found = vtk.vtkMatrix4x4()
    motion.GetMatrixTransformToWorld(found)
    after = {}
    for one in patient_nodes:
        if one is None:
            continue
        parent = one.GetParentTransformNode()
        if parent is None:
            one.SetAndObserveTransformNodeID(motion.GetID())
            continue
        if parent.GetID() not in after:
            both = add(scene, "vtkMRMLLinearTransformNode", f"{parent.GetName()}, then {motion.GetName()}")
            both.SetMatrixTransformToParent(matrix(numbers(found) @ world_from(one)))
            after[parent.GetID()] = both
        one.SetAndObserveTransformNodeID(after[parent.GetID()].GetID())


def delete(scene, node):
    """Take an X-ray and what hangs from it out of a scene; the motion stays if the patient lies under it."""
    about(node)
    for role in (KEYPOINTS, OVERLAY):
        drop(scene, node.GetNodeReference(role))
    drop(scene, node)


def export_keypoints(node, path):
    """An X-ray's points to .mrk.json, .fcsv or .json (pixels); the file."""
    from skiagraph.io.markups import write_keypoints

    need_core()
    said = about(node)
    view = view_of(node) if node.GetAttribute(GEOMETRY) else None
    spacing = None if said["pixel_spacing"] is None else tuple(said["pixel_spacing"])
    write_keypoints(Path(path), keypoints_value(node), view, spacing)
    return Path(path)
