"""Nodes of the real Slicer core to the core's values, and back."""

import numpy as np
import pytest
import torch

pytest.importorskip("slicer_core", reason="no slicer-core; make test-slicer runs these tests")

import slicer
import vtk
from VirtualCArmLib import convert
from VirtualCArmLib.errors import CArmError
from VirtualCArmLib.home import matrix

from skiagraph.geometry import Grid, rotation, transform
from skiagraph.volume import Labels, Landmarks, Volume


def turned() -> np.ndarray:
    return (rotation("z", 31.0) @ rotation("x", -17.0) @ rotation("y", 8.0)).numpy()


def under(scene, pose, *nodes):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(matrix(pose))
    for one in nodes:
        one.SetAndObserveTransformNodeID(node.GetID())
    return node


def motion() -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = rotation("y", 25.0).numpy() @ rotation("z", -40.0).numpy()
    pose[:3, 3] = 12.0, -30.0, 55.0
    return pose


@pytest.mark.parametrize("direction", [np.eye(3), turned(), np.diag([1.0, -1.0, 1.0]), np.eye(3)[:, [2, 0, 1]]])
def test_a_ct_keeps_voxels_and_place_there_and_back(scene, rng, direction):
    grid = Grid.of((4, 5, 6), (1.0, 2.0, 3.0), (7.0, -8.0, 9.0), torch.from_numpy(direction.copy()))
    volume = Volume(torch.randn(4, 5, 6, generator=rng), grid)
    found = convert.volume_of(convert.show_volume(scene, volume, "CT"))
    assert torch.equal(found.hu, volume.hu)
    assert found.grid.same_as(grid, 1e-9)


def test_ras_and_lps_differ_in_the_signs_of_x_and_y_alone(scene):
    node = convert.show_landmarks(scene, Landmarks.of({"left_femoral_head": (90.0, 20.0, -5.0)}), "points")
    place = [0.0] * 3
    node.GetNthControlPointPositionWorld(0, place)
    assert place == [-90.0, -20.0, -5.0]
    assert convert.landmarks_of(node).points.tolist() == [[90.0, 20.0, -5.0]]


def test_a_transform_moves_ct_points_and_anatomy_alike(scene, phantom):
    nodes = (
        convert.show_volume(scene, phantom.volume, "CT"),
        convert.show_landmarks(scene, phantom.landmarks, "points"),
        convert.show_labels(scene, phantom.labels, "anatomy"),
    )
    under(scene, motion(), *nodes)
    lps = convert.lps(motion())
    assert convert.grid_of(nodes[0]).same_as(phantom.volume.grid.moved(lps), 1e-6)
    found = convert.landmarks_of(nodes[1])
    torch.testing.assert_close(found.points, transform(lps, phantom.landmarks.points))
    labels = convert.labels_of(nodes[2], nodes[0])
    assert torch.equal(labels.mask("left_femur"), phantom.labels.mask("left_femur"))


def test_a_ct_may_be_scaled_and_sheared_by_its_transform(scene, rng):
    node = convert.show_volume(scene, Volume(torch.zeros(3, 4, 5), Grid.of((3, 4, 5), (1.0, 1.0, 1.0))), "CT")
    pose = np.eye(4)
    pose[0, 1], pose[2, 2] = 0.3, 1.5
    under(scene, pose, node)
    ijk = torch.tensor([[1.0, 2.0, 1.0]], dtype=torch.float64)
    at = transform(convert.grid_of(node).world_from_ijk, ijk)[0].numpy()
    np.testing.assert_allclose(convert.ras(at), (convert.ijk_to_ras(node) @ [1.0, 2.0, 1.0, 1.0])[:3])


def test_labels_keep_their_voxels_and_names_as_segmentation_and_as_label_map(scene, phantom):
    ct = convert.show_volume(scene, phantom.volume, "CT")
    segmentation = convert.show_labels(scene, phantom.labels, "anatomy")
    map_ = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    map_.SetIJKToRASMatrix(matrix(convert.ijk_to_ras(ct)))
    slicer.util.updateVolumeFromArray(map_, phantom.labels.index.numpy().astype(np.int16))
    colors = scene.AddNewNodeByClass("vtkMRMLColorTableNode")
    colors.SetTypeToUser()
    colors.SetNumberOfColors(7)
    for number, name in phantom.labels.names.items():
        colors.SetColor(number, name, 1.0, 1.0, 1.0, 1.0)
    map_.CreateDefaultDisplayNodes()
    map_.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    for node in (segmentation, map_):
        found = convert.labels_of(node, ct)
        assert set(found.names.values()) == set(phantom.labels.names.values())
        for name in phantom.labels.names.values():
            assert torch.equal(found.mask(name), phantom.labels.mask(name)), name


def test_labels_on_other_voxels_are_taken_at_the_nearest(scene):
    ct = convert.show_volume(scene, Volume(torch.zeros(20, 20, 20), Grid.centred((20, 20, 20), (2.0, 2.0, 2.0))), "CT")
    fine = Grid.centred((31, 31, 31), (1.0, 1.0, 1.0))
    inside = fine.centers().norm(dim=-1) < 12
    ball = Labels(inside.to(torch.uint8), fine, {1: "hip_left"})
    want = convert.grid_of(ct).centers().norm(dim=-1) < 12
    segmentation = convert.show_labels(scene, ball, "ball")
    map_ = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    map_.SetIJKToRASMatrix(matrix(convert.FLIP @ fine.world_from_ijk.numpy()))
    slicer.util.updateVolumeFromArray(map_, inside.numpy().astype(np.int16))
    assert convert.labels_of(segmentation, ct).names == {1: "left_hemipelvis"}, "TotalSegmentator's names are known"
    for node in (segmentation, map_):
        assert torch.equal(convert.labels_of(node, ct).index > 0, want)


def test_points_that_were_not_placed_are_no_landmarks_and_twins_are_refused(scene):
    node = convert.show_landmarks(scene, Landmarks.of({"a": (1, 2, 3)}), "points", {"b": "nowhere to be seen"})
    assert node.GetNumberOfControlPoints() == 2
    assert convert.landmarks_of(node).names == ("a",)
    node.AddControlPointWorld(vtk.vtkVector3d(0, 0, 0), "a")
    with pytest.raises(CArmError, match="two points are called a"):
        convert.landmarks_of(node)


def test_what_bends_and_what_is_no_ct_is_refused_in_words(scene):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    with pytest.raises(CArmError, match="empty holds no voxels"):
        convert.volume_of(node)
    slicer.util.updateVolumeFromArray(node, np.full((3, 3, 3), np.nan, dtype=np.float32))
    with pytest.raises(CArmError, match="NaN or infinity"):
        convert.volume_of(node)
    slicer.util.updateVolumeFromArray(node, np.zeros((1, 3, 3), dtype=np.int16))
    with pytest.raises(CArmError, match="pick a CT"):
        convert.hu_of(node)
    spline = vtk.vtkThinPlateSplineTransform()
    points = vtk.vtkPoints()
    for corner in ((0, 0, 0), (9, 0, 0), (0, 9, 0), (0, 0, 9)):
        points.InsertNextPoint(*corner)
    spline.SetSourceLandmarks(points)
    spline.SetTargetLandmarks(points)
    bent = scene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    bent.SetAndObserveTransformToParent(spline)
    node.SetAndObserveTransformNodeID(bent.GetID())
    with pytest.raises(CArmError, match="lies under warp, which bends it"):
        convert.grid_of(node)


def test_lines_and_planes_that_are_not_there_are_asked_for(scene):
    line = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "screw")
    with pytest.raises(CArmError, match="no line is given"):
        convert.line_of(None)
    with pytest.raises(CArmError, match="screw has 0 points"):
        convert.line_of(line)
    for _ in range(2):
        line.AddControlPointWorld(vtk.vtkVector3d(1.0, 1.0, 1.0))
    with pytest.raises(CArmError, match="fall together"):
        convert.line_of(line)
    plane = scene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode", "ring")
    for node, words in ((None, "no plane is given"), (plane, "ring is no plane yet")):
        with pytest.raises(CArmError, match=words):
            convert.plane_of(node)
