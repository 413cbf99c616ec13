"""Where the C-arm stands: one linear transform in the scene, turned by angles or dragged by hand, read back as angles.

The transform takes the C-arm's own frame to the world. In its own frame the isocentre is the origin and the C-arm
stands for AP, so that models drawn in it follow by themselves, and so does the X-ray: its view is the AP view moved.
"""

from dataclasses import dataclass

import numpy as np
import vtk

from .convert import FLIP, lps, numbers, ras
from .errors import CArmError, need_core
from .home import AllAtOnce, add, held, held_or_made, hold, matrix

DEVICE, SIDE, DRAWN = "VirtualCArm.device", "VirtualCArm.side", "VirtualCArm.drawn"
ROLE = "carm"
SCALED = 1e-3
"""How far from a rotation a dragged transform may be."""


@dataclass(frozen=True)
class Device:
    """A C-arm one can choose."""

    name: str
    reference: str
    """Where its figures come from."""
    limits: str
    """Its distances, panel and limits in words."""


@dataclass(frozen=True)
class Reading:
    """What the C-arm's display would say."""

    device: str
    side: str
    """Which side of the patient it stands on."""
    primary: float
    """Degrees, LAO positive."""
    secondary: float
    """Degrees, cranial positive."""
    roll: float
    """Degrees the picture is turned in its plane; 0 is head up."""
    isocenter: tuple[float, float, float]
    """RAS millimetres."""
    words: str
    """The angles as LAO or RAO, CRA or CAU."""
    in_reach: bool
    nearest: tuple[float, float]
    """The angles in reach that come closest: its own if in reach."""
    nearest_words: str
    orbital: float
    """Degrees the C is turned along itself."""
    angulation: float
    """Degrees the C is tilted about its shaft."""


@dataclass(frozen=True)
class ViewChoice:
    """A standard view, for this patient and device."""

    name: str
    title: str
    primary: float
    secondary: float
    words: str
    in_reach: bool
    nearest_words: str
    approximate: bool
    """Whether it is a rule of thumb, to be refined on the picture."""


def devices():
    """The C-arms there are."""
    need_core()
    from skiagraph.carm import DEVICES

    return [Device(name, carm.reference, _limits(carm)) for name, carm in DEVICES.items()]


def _limits(carm):
    height, width = carm.panel_size
    said = f"{carm.source_to_panel:.0f} mm from source to panel, {width:.0f} x {height:.0f} mm panel"
    for what, (low, high) in (("orbital", carm.orbital_range), ("angulation", carm.angulation_range)):
        said += f", {what} {low:.0f} to {high:.0f} degrees" if (low, high) != (-180.0, 180.0) else ""
    return said


def carm_node(scene):
    """The C-arm's transform; one that stands for AP at the world's origin is made if there is none."""
    node = held_or_made(scene, ROLE, "vtkMRMLLinearTransformNode", "C-arm")
    if node.GetAttribute(DEVICE) is None:
        node.SetAttribute(DEVICE, "generic")
        node.SetAttribute(SIDE, "right")
    return node


def set_device(node, name, side):
    """Make another device of the C-arm, where it stands. Raises CArmError for a side there is not."""
    need_core()
    from skiagraph.carm import device

    if side not in ("left", "right"):
        raise CArmError(f"a C-arm on the patient's {side!r}; give left or right")
    device(name)
    node.SetAttribute(DEVICE, name)
    node.SetAttribute(SIDE, side)


def device_of(node, columns=None):
    """The core's C-arm, read out with so many columns if they are given."""
    need_core()
    from dataclasses import replace

    from skiagraph.carm import device

    carm = replace(device(node.GetAttribute(DEVICE)), side=node.GetAttribute(SIDE))
    return carm if columns is None else carm.with_pixels(columns)


def unlimited(carm):
    """The same device that turns any way."""
    from dataclasses import replace

    return replace(carm, orbital_range=(-180.0, 180.0), angulation_range=(-180.0, 180.0))


def pose_of(node):
    """The C-arm's frame to the world, LPS, a rotation and a shift. Raises CArmError if it was scaled or mirrored."""
    found = vtk.vtkMatrix4x4()
    if not node.IsTransformToWorldLinear():
        raise CArmError(f"{node.GetName()} lies under a transform that bends; take it off (Transforms module)")
    node.GetMatrixTransformToWorld(found)
    pose = numbers(found)
    if not np.isfinite(pose).all():
        raise CArmError(f"{node.GetName()} holds no numbers; aim it anew, at a standard view")
    stray = np.abs(pose[:3, :3] @ pose[:3, :3].T - np.eye(3)).max()
    if stray > SCALED or np.linalg.det(pose[:3, :3]) < 0:
        raise CArmError(
            f"{node.GetName()} was scaled or mirrored ({stray:.3f} from a rotation); a C-arm only turns and shifts: "
            "tidy it, or aim it anew"
        )
    return lps(_rigid(pose))


def tidy(node):
    """Take scale, shear and mirroring out of a dragged transform."""
    found = vtk.vtkMatrix4x4()
    node.GetMatrixTransformToWorld(found)
    _place(node, _rigid(numbers(found)))


def _rigid(pose):
    """The nearest rotation, with the same shift."""
    left, _, right = np.linalg.svd(pose[:3, :3])
    made = pose.copy()
    made[:3, :3] = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
    return made


def _place(node, pose):
    """Put the transform where its frame has a RAS pose in the world."""
    above = vtk.vtkMatrix4x4()
    parent = node.GetParentTransformNode()
    if parent is not None:
        parent.GetMatrixTransformToWorld(above)
    node.SetMatrixTransformToParent(matrix(np.linalg.inv(numbers(above)) @ pose))


def turn(node, primary, secondary, roll, isocenter):
    """Stand at two angles, with the isocentre at a RAS point. The device's limits do not stop it: they are said.

    Raises GeometryError beyond the angles DICOM knows.
    """
    view = unlimited(device_of(node, 1)).view(lps(np.asarray(isocenter, dtype=float)), primary, secondary, roll)
    stand(node, view)


def stand(node, view):
    """Stand so as to take a view of this device (of any number of pixels)."""
    import torch

    u, v = view.u_step / view.u_step.norm(), view.v_step / view.v_step.norm()
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.stack([u, -view.normal, -v], dim=1)
    pose[:3, 3] = device_of(node).isocenter(view)
    _place(node, FLIP @ pose.numpy() @ FLIP)


def view_of(node, columns):
    """The view the C-arm has, with so many columns."""
    return _at_rest(device_of(node, columns)).moved(pose_of(node))


def _at_rest(carm):
    """A device's AP view with its isocentre at the origin."""
    import torch

    return unlimited(carm).view(torch.zeros(3, dtype=torch.float64))


def reading(node):
    """What the C-arm's display says, as it stands."""
    need_core()
    from skiagraph.carm import clinical, view_angles, view_roll

    carm, pose = device_of(node), pose_of(node)
    view = _at_rest(device_of(node, 1)).moved(pose)
    primary, secondary = (round(angle, 6) + 0.0 for angle in view_angles(view))
    nearest = carm.nearest(primary, secondary)
    upright, _ = carm.joints(primary, secondary)
    return Reading(
        carm.name,
        carm.side,
        primary,
        secondary,
        round(view_roll(view), 6) + 0.0,
        tuple(float(x) for x in ras(pose[:3, 3].numpy())),
        clinical(primary, secondary),
        nearest == (primary, secondary),
        nearest,
        clinical(*nearest),
        upright.orbital,
        upright.angulation,
    )


def choices(node, landmarks, center, frame="pelvis"):
    """The standard views of a patient by this device: `landmarks` and `center` in the core's LPS."""
    from skiagraph.carm import clinical
    from skiagraph.planning import plan_all

    return [
        ViewChoice(
            name, one.standard.title, one.primary, one.secondary, one.words, one.in_reach, clinical(*one.nearest),
            one.approximate,
        )
        for name, one in plan_all(device_of(node), landmarks, center, frame).items()
    ]  # fmt: skip


def to_standard(node, name, landmarks, center, frame="pelvis"):
    """Stand for a standard view of a patient. Raises GeometryError for one there is not."""
    from skiagraph.planning import plan, standard_view

    stand(node, plan(standard_view(name), device_of(node, 1), landmarks, center, frame).view)


# What is seen of it in 3D


PARTS = {
    "body": ("C-arm body", (0.75, 0.78, 0.82), 1.0),
    "beam": ("C-arm beam", (1.0, 0.85, 0.2), 0.12),
    "panel": ("C-arm panel", (0.25, 0.45, 0.75), 0.35),
    "ray": ("C-arm principal ray", (1.0, 0.35, 0.1), 1.0),
}
"""Name, colour and opacity of the models."""


def drawn(scene):
    """The models that draw the C-arm; none that was deleted."""
    found = [held(scene, f"{ROLE}.{part}") for part in PARTS]
    return [node for node in found if node is not None]


def draw(scene, visible=True):
    """The C-arm, its beam, its panel and its principal ray, as models that follow it."""
    node = carm_node(scene)
    carm = device_of(node, 2)
    key = f"{carm.name} {carm.side}"
    shapes = None
    for part, (name, color, opacity) in PARTS.items():
        model = held(scene, f"{ROLE}.{part}")
        if model is None:
            model = add(scene, "vtkMRMLModelNode", name)
            model.CreateDefaultDisplayNodes()
            model.GetDisplayNode().SetColor(*color)
            model.GetDisplayNode().SetOpacity(opacity)
            model.GetDisplayNode().SetBackfaceCulling(0)
            model.SetSelectable(False)
            hold(scene, f"{ROLE}.{part}", model)
        if model.GetAttribute(DRAWN) != key or model.GetPolyData() is None:
            shapes = shapes or _shapes(carm)
            model.SetAndObservePolyData(shapes[part])
            model.SetAttribute(DRAWN, key)
        with AllAtOnce(model):
            if model.GetTransformNodeID() != node.GetID():
                model.SetAndObserveTransformNodeID(node.GetID())
            if bool(model.GetDisplayVisibility()) != visible:
                model.SetDisplayVisibility(visible)
    return drawn(scene)


def _shapes(carm):
    """The models' surfaces in the C-arm's own frame, RAS millimetres."""
    view = _at_rest(carm)
    rows, columns = view.size
    ends = [[-0.5, -0.5], [columns - 0.5, -0.5], [columns - 0.5, rows - 0.5], [-0.5, rows - 0.5]]
    corners = ras(view.on_panel(view.source.new_tensor(ends)).numpy())
    source, middle = ras(view.source.numpy()), corners.mean(axis=0)
    ahead = (middle - source) / np.linalg.norm(middle - source)
    return {
        "body": _body(carm, source, middle, ahead),
        "beam": _polygons(np.vstack([source, corners]), [(0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 1)]),
        "panel": _polygons(np.vstack([corners, corners + 40.0 * ahead]), _BOX),
        "ray": _tube(np.stack([source, middle]), 1.5),
    }


_BOX = ((0, 1, 2, 3), (7, 6, 5, 4), (0, 4, 5, 1), (1, 5, 6, 2), (2, 6, 7, 3), (3, 7, 4, 0))


def _body(carm, source, middle, ahead):
    """The C, round the side the device stands on, and the tube's housing behind the source."""
    center, radius = (source + middle) / 2, np.linalg.norm(middle - source) / 2 + 80.0
    side = np.array([1.0 if carm.side == "right" else -1.0, 0.0, 0.0])
    around = np.radians(np.linspace(-90.0, 90.0, 49))
    arc = center + radius * (np.cos(around)[:, None] * side + np.sin(around)[:, None] * ahead)
    housing = _tube(np.stack([source - 90.0 * ahead, source - 10.0 * ahead]), 70.0)
    joined = vtk.vtkAppendPolyData()
    for part in (_tube(arc, 28.0), housing):
        joined.AddInputData(part)
    joined.Update()
    return joined.GetOutput()


def _polygons(points, faces):
    made, cells, places = vtk.vtkPolyData(), vtk.vtkCellArray(), vtk.vtkPoints()
    for point in points:
        places.InsertNextPoint(*point)
    for face in faces:
        cells.InsertNextCell(len(face))
        for corner in face:
            cells.InsertCellPoint(corner)
    made.SetPoints(places)
    made.SetPolys(cells)
    return made


def _tube(points, radius):
    line, cells, places = vtk.vtkPolyData(), vtk.vtkCellArray(), vtk.vtkPoints()
    cells.InsertNextCell(len(points))
    for number, point in enumerate(points):
        places.InsertNextPoint(*point)
        cells.InsertCellPoint(number)
    line.SetPoints(places)
    line.SetLines(cells)
    tube = vtk.vtkTubeFilter()
    tube.SetInputData(line)
    tube.SetRadius(radius)
    tube.SetNumberOfSides(24)
    tube.CappingOn()
    tube.Update()
    return tube.GetOutput()
