"""MRML to skiagraph and back: the only place where Slicer's RAS meets the core's LPS.

Both frames are the patient's, in millimetres; x and y change their sign, z does not. Nodes are read where they are in
the world, whatever linear transforms they lie under. Functions named `..._of` read a node, `show_...` write one.
"""

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from .errors import CArmError, need_core
from .home import AllAtOnce, add, matrix

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
"""LPS from RAS, and RAS from LPS."""


# From MRML


def world_from(node):
    """The 4x4 from a node's own frame to RAS. Raises CArmError under a transform that bends."""
    parent = node.GetParentTransformNode() if node.IsA("vtkMRMLTransformableNode") else None
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise CArmError(
            f"{node.GetName()} lies under {parent.GetName()}, which bends it; harden that transform (Transforms "
            "module), or take it off"
        )
    found = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(found)
    return numbers(found)


def numbers(matrix4x4):
    """A vtkMatrix4x4 as an array."""
    return np.array([[matrix4x4.GetElement(row, column) for column in range(4)] for row in range(4)])


def lps(points):
    """RAS points (n, 3) or a 4x4 of RAS, as a float64 tensor of LPS."""
    import torch

    array = np.asarray(points, dtype=float)
    return torch.from_numpy(FLIP @ array @ FLIP if array.shape == (4, 4) else array * [-1.0, -1.0, 1.0])


def ras(points):
    """LPS points (..., 3) or a 4x4 of LPS, as an array of RAS."""
    array = np.asarray(points, dtype=float)
    return FLIP @ array @ FLIP if array.shape == (4, 4) else array * [-1.0, -1.0, 1.0]


def ijk_to_ras(node):
    """From voxels to RAS in the world, 4x4."""
    own = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(own)
    return world_from(node) @ numbers(own)


def voxels_of(node):
    """A volume's voxels (k, j, i). Raises CArmError if it has none, or several numbers each."""
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise CArmError(f"{node.GetName()} holds no voxels; load its file again, or pick another volume")
    if image.GetNumberOfScalarComponents() != 1:
        raise CArmError(
            f"{node.GetName()} has {image.GetNumberOfScalarComponents()} numbers a voxel; pick a CT, which has one"
        )
    return slicer.util.arrayFromVolume(node)


def hu_of(node):
    """A CT's Hounsfield units as a float32 tensor (k, j, i) of its own. Raises CArmError for what is no CT."""
    need_core()
    import torch

    array = voxels_of(node).astype(np.float32)
    if min(array.shape) < 2:
        raise CArmError(f"{node.GetName()} is a picture of {' x '.join(map(str, array.shape))}; pick a CT")
    if not np.isfinite(array).all():
        raise CArmError(f"{node.GetName()} holds NaN or infinity; fill them, with -1024 outside the scan")
    return torch.from_numpy(array)


def grid_of(node):
    """The lattice a volume lies on in the world."""
    need_core()
    import torch

    from skiagraph.geometry import Grid

    i, j, k = node.GetImageData().GetDimensions()
    return Grid((k, j, i), torch.from_numpy(FLIP @ ijk_to_ras(node)))


def volume_of(node):
    """A CT in any orientation and under any linear transform."""
    from skiagraph.volume import Volume

    return Volume(hu_of(node), grid_of(node))


def points_of(node):
    """The names and RAS positions in the world of a markup's points that were placed."""
    if node is None:
        return [], np.zeros((0, 3))
    names, points = [], []
    for number in range(node.GetNumberOfControlPoints()):
        if node.GetNthControlPointPositionStatus(number) != slicer.vtkMRMLMarkupsNode.PositionDefined:
            continue
        place = [0.0, 0.0, 0.0]
        node.GetNthControlPointPositionWorld(number, place)
        if not np.isfinite(place).all():
            raise CArmError(f"{node.GetName()}: point {number + 1} lies at {place}; place it anew")
        names.append(node.GetNthControlPointLabel(number).strip() or f"point_{number + 1}")
        points.append(place)
    return names, np.array(points, dtype=float).reshape(-1, 3)


def landmarks_of(node):
    """Named points: those that were placed, under the names the core knows. No node is no points."""
    need_core()
    from skiagraph.anatomy import canonical
    from skiagraph.volume import Landmarks

    names, points = points_of(node)
    names = [canonical(name) for name in names]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise CArmError(f"{node.GetName()}: two points are called {', '.join(twins)}; give every point its own name")
    return Landmarks(tuple(names), lps(points))


def line_of(node, what="a line"):
    """The RAS ends of a line markup, first and last. Raises CArmError unless it has two that lie apart."""
    if node is None:
        raise CArmError(f"no line is given; place {what} (Markups, Line)")
    _, points = points_of(node)
    if len(points) < 2:
        raise CArmError(f"{node.GetName()} has {len(points)} points; place both ends of {what}")
    if np.linalg.norm(points[-1] - points[0]) < 1.0:
        raise CArmError(f"the ends of {node.GetName()} fall together; place them apart")
    return points[0], points[-1]


def plane_of(node):
    """A plane markup's RAS centre and unit normal. Raises CArmError unless it is placed."""
    if node is None:
        raise CArmError("no plane is given; place one in the valve, socket or cut to be seen face on (Markups, Plane)")
    center, normal = [0.0] * 3, [0.0] * 3
    if node.GetIsPlaneValid():
        node.GetCenterWorld(center)
        node.GetNormalWorld(normal)
    length = np.linalg.norm(normal)
    if not (np.isfinite(length) and length > 1e-6):
        raise CArmError(f"{node.GetName()} is no plane yet; place its points apart and not in one line")
    return np.array(center), np.array(normal) / length


def labels_of(node, ct):
    """Anatomy on a CT's own voxels, from a segmentation or a label map.

    Labels of other voxels are taken at the nearest. Raises CArmError if there are none, or they bend.
    """
    need_core()
    import torch

    from skiagraph.anatomy import structure_of
    from skiagraph.volume import Labels

    numbered, given = (_of_segmentation if node.IsA("vtkMRMLSegmentationNode") else _of_label_map)(node, ct)
    names, merged = {}, {}
    for number, name in given.items():
        ours = structure_of(name)
        merged.setdefault(ours, []).append(number)
        names.setdefault(merged[ours][0], ours)
    for parts in merged.values():
        if len(parts) > 1:
            numbered[np.isin(numbered, parts[1:])] = parts[0]
    return Labels(torch.from_numpy(numbered), grid_of(ct), names)


def _of_segmentation(node, ct):
    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(number) for number in range(segmentation.GetNumberOfSegments())]
    if not ids:
        raise CArmError(f"{node.GetName()} has no segments; pick a segmentation that names its structures")
    names = {number: segmentation.GetSegment(one).GetName() for number, one in enumerate(ids, start=1)}
    return _merged(node, ids, ct), names


def mask_of(node, segment_id, like):
    """Where a segment is, on the voxels (k, j, i) of a volume."""
    return _merged(node, [segment_id], like) > 0


def _merged(node, ids, volume):
    """Segments 1, 2, 3... on a volume's voxels, later ones over earlier ones."""
    chosen, values = vtk.vtkStringArray(), vtk.vtkIntArray()
    for number, one in enumerate(ids, start=1):
        chosen.InsertNextValue(one)
        values.InsertNextValue(number)
    like, merged = slicer.vtkOrientedImageData(), slicer.vtkOrientedImageData()
    like.SetImageToWorldMatrix(matrix(np.linalg.inv(world_from(node)) @ ijk_to_ras(volume)))
    like.SetExtent(volume.GetImageData().GetExtent())
    whole = slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    if not node.GenerateMergedLabelmapForAllSegments(merged, whole, like, chosen, values):
        raise CArmError(f"the voxels of {node.GetName()} could not be read; export it to a label map")
    i, j, k = volume.GetImageData().GetDimensions()
    return numpy_support.vtk_to_numpy(merged.GetPointData().GetScalars()).reshape(k, j, i).astype(np.int16)


def _of_label_map(node, ct):
    array = voxels_of(node).astype(np.int16)
    table = node.GetDisplayNode().GetColorNode() if node.GetDisplayNode() is not None else None
    present = [int(number) for number in np.unique(array) if number]
    names = {number: (table.GetColorName(number) if table is not None else "") for number in present}
    names = {number: name or f"label_{number}" for number, name in names.items()}
    there = np.linalg.inv(ijk_to_ras(node)) @ ijk_to_ras(ct)
    shape = ct.GetImageData().GetDimensions()[::-1]
    if array.shape == shape and np.abs(there - np.eye(4)).max() < 1e-4:
        return array.copy(), names
    return _nearest(array, there, shape), names


def _nearest(array, there, shape):
    """Labels at the voxels of another lattice, slice by slice; 0 beyond their own."""
    found = np.zeros(shape, dtype=array.dtype)
    j, i = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    limits = np.array(array.shape[::-1])
    for k in range(shape[0]):
        at = np.rint(np.stack([i, j, np.full_like(i, k)], axis=-1) @ there[:3, :3].T + there[:3, 3]).astype(int)
        inside = ((at >= 0) & (at < limits)).all(axis=-1)
        x, y, z = at[inside].T
        found[k][inside] = array[z, y, x]
    return found


# To MRML


def show_volume(scene, volume, name):
    """A CT as a new volume node."""
    node = add(scene, "vtkMRMLScalarVolumeNode", name)
    _write(node, volume.hu.numpy(), volume.grid)
    node.CreateDefaultDisplayNodes()
    return node


def show_labels(scene, labels, name):
    """Anatomy as a new segmentation node, a segment for each structure that has voxels."""
    import torch

    node = add(scene, "vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    present = set(torch.unique(labels.index).tolist())
    named = [(title, (labels.index == number).numpy()) for number, title in labels.names.items() if number in present]
    add_segments(node, named, FLIP @ labels.grid.world_from_ijk.numpy())
    return node


def add_segments(node, named, own):
    """Segments of a segmentation from titles and masks (k, j, i), none empty, on a lattice with this IJK to RAS."""
    for number, (title, mask) in enumerate(named, start=1):
        filled = np.nonzero(mask)
        low = [int(axis.min()) for axis in filled]
        high = [int(axis.max()) + 1 for axis in filled]
        box = mask[tuple(slice(a, b) for a, b in zip(low, high))]
        image = slicer.vtkOrientedImageData()
        image.SetExtent(low[2], high[2] - 1, low[1], high[1] - 1, low[0], high[0] - 1)
        image.SetImageToWorldMatrix(matrix(own))
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())[:] = box.ravel()
        image.Modified()
        node.AddSegmentFromBinaryLabelmapRepresentation(image, title, color_of(number))


def color_of(number):
    """One of many colours that differ, 0...1."""
    color = [0.0] * 3
    vtk.vtkMath.HSVToRGB([(0.61803 * number) % 1.0, 0.65, 1.0], color)
    return color


def show_landmarks(scene, landmarks, name, about=None, node=None):
    """Named points as a markups node, a new one or `node`; names told `about` but not found are placed nowhere."""
    about = dict(about or {})
    node = node or add(scene, "vtkMRMLMarkupsFiducialNode", name)
    with AllAtOnce(node):
        node.RemoveAllControlPoints()
        for title, place in zip(landmarks.names, ras(landmarks.points.numpy())):
            number = node.AddControlPointWorld(vtk.vtkVector3d(*place), title)
            node.SetNthControlPointDescription(number, about.pop(title, ""))
        for title, words in about.items():
            number = node.AddControlPoint(vtk.vtkVector3d(0.0, 0.0, 0.0), title)
            node.SetNthControlPointDescription(number, words)
            node.UnsetNthControlPointPosition(number)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node


def show_picture(node, picture, view):
    """A picture (v, u) into a volume node, where its view has the panel: every pixel's centre on its own place.

    Columns run along i and rows down along j; k, square to both, points back at the source for a view of the display
    convention, so that the axes are right-handed in RAS.
    """
    array = np.ascontiguousarray(np.asarray(picture)[None])
    rows, columns = view.size
    if array.shape != (1, rows, columns):
        raise CArmError(f"a picture of {array.shape[1:]} pixels on a panel of {view.size}; give the view of this one")
    with AllAtOnce(node):
        node.SetIJKToRASMatrix(matrix(panel_ijk_to_ras(view)))
        _put(node, array)
    return node


def panel_ijk_to_ras(view):
    """From the pixels (i = u, j = v) of a single view's panel to RAS, 4x4."""
    u, v, origin = (ras(part.numpy()) for part in (view.u_step, view.v_step, view.origin))
    out = np.cross(u, v)
    made = np.eye(4)
    made[:3] = np.stack([u, v, out / np.linalg.norm(out), origin], axis=1)
    return made


def _write(node, array, grid):
    node.SetIJKToRASMatrix(matrix(FLIP @ grid.world_from_ijk.numpy()))
    _put(node, np.ascontiguousarray(array))


def _put(node, array):
    """Voxels into a volume node; into the memory it has, if that fits."""
    image = node.GetImageData()
    fits = image is not None and image.GetDimensions() == array.shape[::-1]
    if fits:
        scalars = image.GetPointData().GetScalars()
        held = None if scalars is None else numpy_support.vtk_to_numpy(scalars)
        if held is not None and held.dtype == array.dtype and held.size == array.size:
            held[:] = array.ravel()
            scalars.Modified()
            image.Modified()
            return
    slicer.util.updateVolumeFromArray(node, array)
