"""The X-ray that follows the hand: fast while the C-arm moves, in full when it rests, and what is drawn over it.

The picture lies on the panel's plane in the world. A slice view shows it as surgeons see it only if its own axes run
along the picture's, rows down and columns to the patient's left: `place_slice` does that. A camera at the source would
show the mirror image.
"""

import time
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import slicer
import vtk

from .convert import color_of, line_of, lps, numbers, ras, show_picture
from .errors import CArmError
from .home import AllAtOnce, drop, held, held_or_made, hold, matrix

IMAGE, POINTS, RIM, OUTLINES, COLORS = "live", "live.landmarks", "live.corridor", "live.outlines", "live.colors"
RADIUS = "VirtualCArm.radius"
"""Attribute of a corridor's line: its radius in millimetres."""
USUAL_RADIUS = 3.65
"""Of a 7.3 mm screw."""
OUTLINED = 384
"""Columns at which structures are outlined."""
AROUND = 24
"""Points on the rim of each end of a corridor."""


@dataclass(frozen=True)
class LiveNodes:
    """The live picture and what is drawn over it; None for what is not known."""

    image: Any
    landmarks: Optional[Any]
    corridor: Optional[Any]
    outlines: Optional[Any]
    seconds: float
    """How long it took."""


def show(scene, view, transmission, landmarks, corridor, labels, began):
    """A picture and its overlays into the live nodes. `labels` of None takes the outlines away: they are not of it."""
    from skiagraph.drr.display import picture

    image = held_or_made(scene, IMAGE, "vtkMRMLScalarVolumeNode", "Live X-ray")
    show_picture(image, picture(transmission).numpy(), view)
    windowed(image)
    points = show_seen(scene, landmarks, view)
    rim = show_corridor(scene, corridor, view)
    outlines = show_outlines(scene, labels, view)
    return LiveNodes(image, points, rim, outlines, time.perf_counter() - began)


def windowed(image):
    """Grey from 0 to 1, whatever the picture holds."""
    if image.GetDisplayNode() is None:
        image.CreateDefaultDisplayNodes()
        display = image.GetDisplayNode()
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
        display.SetAutoWindowLevel(False)
        display.SetInterpolate(True)
        display.SetWindowLevelMinMax(0.0, 1.0)


def show_seen(scene, landmarks, view):
    """Where the landmarks land, as points on the panel; those beside it are hidden. None if none are known."""
    if not landmarks.names:
        drop(scene, held(scene, POINTS))
        return None
    node = held_or_made(scene, POINTS, "vtkMRMLMarkupsFiducialNode", "Live landmarks")
    return project_into(node, landmarks, view)


def project_into(node, landmarks, view):
    """Where landmarks land, into a list of points on the panel of a view, in its order; hidden beside the panel."""
    seen = landmarks.seen_from(view)
    before = (view.depth(landmarks.points) > 0).tolist()
    places = ras(view.on_panel(seen.uv).numpy())
    with AllAtOnce(node):
        if node.GetNumberOfControlPoints() != len(landmarks.names):
            node.RemoveAllControlPoints()
            for name in landmarks.names:
                node.AddControlPointWorld(vtk.vtkVector3d(0.0, 0.0, 0.0), name)
            node.SetLocked(True)
        for number, name in enumerate(landmarks.names):
            if node.GetNthControlPointLabel(number) != name:
                node.SetNthControlPointLabel(number, name)
            visible = before[number] and bool(seen.visible[number])
            if before[number]:
                node.SetNthControlPointPositionWorld(number, *places[number])
            if bool(node.GetNthControlPointVisibility(number)) != visible:
                node.SetNthControlPointVisibility(number, visible)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetGlyphScale(1.5)
        node.GetDisplayNode().SetTextScale(2.0)
    return node


def show_corridor(scene, line, view):
    """The shadow of a corridor's rim: the hull of both its ends, as a closed curve on the panel. None without one."""
    hull = None if line is None else _hull(line, view)
    if hull is None:
        drop(scene, held(scene, RIM))
        return None
    node = held_or_made(scene, RIM, "vtkMRMLMarkupsClosedCurveNode", "Live corridor")
    with AllAtOnce(node):
        while node.GetNumberOfControlPoints() > len(hull):
            node.RemoveNthControlPoint(node.GetNumberOfControlPoints() - 1)
        for number, place in enumerate(hull):
            if number < node.GetNumberOfControlPoints():
                node.SetNthControlPointPositionWorld(number, *place)
            else:
                node.AddControlPointWorld(vtk.vtkVector3d(*place))
        node.SetCurveTypeToLinear()
        node.SetLocked(True)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetPointLabelsVisibility(False)
        node.GetDisplayNode().SetPropertiesLabelVisibility(False)
        node.GetDisplayNode().SetGlyphScale(0.2)
    return node


def _hull(line, view):
    """RAS points on the panel round a corridor's shadow; None where its ends do not lie before the source."""
    from scipy.spatial import ConvexHull

    first, last = line_of(line, "the corridor")
    radius = float(line.GetAttribute(RADIUS) or USUAL_RADIUS)
    along = (last - first) / np.linalg.norm(last - first)
    aside = np.cross(along, np.eye(3)[np.abs(along).argmin()])
    aside /= np.linalg.norm(aside)
    turns = np.linspace(0.0, 2 * np.pi, AROUND, endpoint=False)[:, None]
    rim = radius * (np.cos(turns) * aside + np.sin(turns) * np.cross(along, aside))
    points = lps(np.concatenate([first + rim, last + rim]))
    if not bool((view.depth(points) > 0).all()):
        return None
    uv = view.project(points)
    return ras(view.on_panel(uv[ConvexHull(uv.numpy()).vertices.copy()]).numpy())


def show_outlines(scene, labels, view):
    """The edges of each structure's shadow, as a label map on the panel; none left to see without labels.

    Of many structures those of the hip task are drawn, if there are any.
    """
    if labels is None:
        _wipe(held(scene, OUTLINES))
        return None
    from skiagraph.anatomy import STRUCTURE_NAMES
    from skiagraph.drr.project import project_labels
    from skiagraph.tasks.shot import structures_of

    columns = min(OUTLINED, view.size[1])
    view = view.resized((max(1, round(view.size[0] * columns / view.size[1])), columns))
    known = structures_of([labels])
    projection = project_labels(labels, view, [name for name in known if name in STRUCTURE_NAMES] or known)
    node = held_or_made(scene, OUTLINES, "vtkMRMLLabelMapVolumeNode", "Live outlines")
    show_picture(node, edges(projection.masks.numpy()), view)
    colors = _colors(scene, projection.names)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    if node.GetDisplayNode().GetColorNodeID() != colors.GetID():
        node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    return node


def _wipe(node):
    """Empty a label map that stays, so that views which show it need not be told."""
    if node is not None and node.GetImageData() is not None and node.GetImageData().GetScalarRange()[1] > 0:
        slicer.util.arrayFromVolume(node)[:] = 0
        slicer.util.arrayFromVolumeModified(node)


def edges(masks):
    """Masks (m, v, u) as one label map: the pixels of mask m that have a neighbour outside it are m + 1."""
    drawn = np.zeros(masks.shape[1:], dtype=np.uint8)
    for number, mask in enumerate(masks, start=1):
        padded = np.pad(mask, 1)
        within = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        drawn[mask & ~within] = number
    return drawn


def _colors(scene, names):
    node = held_or_made(scene, COLORS, "vtkMRMLColorTableNode", "Live outline colors")
    if [node.GetColorName(n) for n in range(1, node.GetNumberOfColors())] != list(names):
        node.SetTypeToUser()
        node.SetHideFromEditors(True)
        node.SetNumberOfColors(len(names) + 1)
        node.SetColor(0, "none", 0.0, 0.0, 0.0, 0.0)
        for number, name in enumerate(names, start=1):
            node.SetColor(number, name, *color_of(number), 1.0)
    return node


def clear(scene):
    """Take the live nodes out of the scene."""
    for role in (IMAGE, POINTS, RIM, OUTLINES, COLORS):
        drop(scene, held(scene, role))
        hold(scene, role, None)


def place_slice(slice_node, image):
    """Turn a slice view so that it shows a picture on a panel as on a screen, all of it, and not mirrored.

    Across the screen runs the picture's row, up the screen its column backwards; the third axis follows, so the picture
    is seen from the side of the panel, as radiographs are.
    """
    if image is None or image.GetImageData() is None:
        raise CArmError("there is no picture to show; take an X-ray first")
    frame = vtk.vtkMatrix4x4()
    image.GetIJKToRASMatrix(frame)
    ijk = numbers(frame)
    columns, rows, _ = image.GetImageData().GetDimensions()
    across, up = ijk[:3, 0], -ijk[:3, 1]
    width, height = columns * np.linalg.norm(across), rows * np.linalg.norm(up)
    across, up = across / np.linalg.norm(across), up / np.linalg.norm(up)
    made = np.eye(4)
    made[:3] = np.stack(
        [across, up, np.cross(across, up), (ijk @ [(columns - 1) / 2, (rows - 1) / 2, 0.0, 1.0])[:3]], axis=1
    )
    wide, high = slice_node.GetDimensions()[:2]
    scale = max(width / max(wide, 1), height / max(high, 1))
    with AllAtOnce(slice_node):
        slice_node.GetSliceToRAS().DeepCopy(matrix(made))
        slice_node.SetFieldOfView(wide * scale, high * scale, slice_node.GetFieldOfView()[2])
        slice_node.UpdateMatrices()
