"""The X-ray on the panel: every pixel in its place, and not mirrored."""

import numpy as np
import pytest
import torch

pytest.importorskip("slicer_core", reason="no slicer-core; make test-slicer runs these tests")

import slicer
import vtk
from VirtualCArmLib import convert, live, shots, sight
from VirtualCArmLib.errors import CArmError
from VirtualCArmLib.home import drop, matrix

from skiagraph.geometry import rotation

VIEWS = [(0, 0), (30, 0), (-30, 25), (45, 20), (90, 0), (-60, -35)]


def blob(node) -> np.ndarray:
    """Where the shadow's centre of mass lies in the world, RAS."""
    measured = node.GetNodeReference(shots.TRANSMISSION)
    shadow = -np.log(np.clip(convert.voxels_of(measured)[0], 1e-6, None))
    v, u = np.indices(shadow.shape)
    at = [(shadow * u).sum() / shadow.sum(), (shadow * v).sum() / shadow.sum()]
    return (convert.ijk_to_ras(measured) @ [*at, 0.0, 1.0])[:3]


def place_of(points, number=0) -> np.ndarray:
    place = [0.0] * 3
    points.GetNthControlPointPositionWorld(number, place)
    return np.array(place)


@pytest.mark.parametrize(("primary", "secondary"), VIEWS)
@pytest.mark.parametrize("ct", ["straight", "oblique", "moved"])
def test_a_landmark_lands_on_its_own_shadow(logic, scene, ball, primary, secondary, ct):
    turn = None if ct == "straight" else (rotation("z", 20.0) @ rotation("x", 35.0)).numpy()
    nodes = ball(turn)
    if ct == "moved":
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation("y", 40.0).numpy(), (15.0, 20.0, -10.0)
        above = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        above.SetMatrixTransformToParent(matrix(pose))
        for node in (nodes.ct, nodes.landmarks):
            node.SetAndObserveTransformNodeID(above.GetID())
    logic.aim(primary=primary, secondary=secondary, roll=10, isocenter=(0, 0, 0))
    shot = logic.shoot(fidelity="naive", columns=384)
    pixel = np.linalg.norm(convert.ijk_to_ras(shot)[:3, 0])
    landmark = place_of(shot.GetNodeReference(shots.LANDMARKS))
    assert np.linalg.norm(blob(shot) - landmark) < 0.5 * pixel


def test_moving_the_patient_is_noticed_and_costs_no_new_phantom(logic, scene, ball, monkeypatch):
    nodes = ball()
    first = convert.voxels_of(logic.fluoro(64).image).copy()
    monkeypatch.setattr(sight, "hu_of", lambda node: pytest.fail("the CT is read again"))
    above = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    above.SetMatrixTransformToParent(matrix([[1, 0, 0, 40], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    nodes.ct.SetAndObserveTransformNodeID(above.GetID())
    assert np.abs(convert.voxels_of(logic.fluoro(64).image) - first).max() > 0.1


def test_a_changed_voxel_is_noticed(logic, ball):
    nodes = ball()
    first = convert.voxels_of(logic.fluoro(64).image).copy()
    slicer.util.arrayFromVolume(nodes.ct)[10:20, 10:20, 10:20] = 2000.0
    slicer.util.arrayFromVolumeModified(nodes.ct)
    assert np.abs(convert.voxels_of(logic.fluoro(64).image) - first).max() > 0.1


def test_a_segment_painted_over_or_renamed_is_noticed(logic, patient):
    logic.aim(view="ap")
    before = convert.voxels_of(logic.still(96).outlines).copy()
    segmentation = patient.labels.GetSegmentation()
    femur = segmentation.GetSegmentIdBySegmentName("left_femur")
    painted = slicer.vtkOrientedImageData()
    painted.DeepCopy(segmentation.GetSegment(femur).GetRepresentation("Binary labelmap"))
    painted.GetPointData().GetScalars().Fill(0)
    slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(
        painted, patient.labels, femur, slicer.vtkSlicerSegmentationsModuleLogic.MODE_REPLACE
    )
    after = convert.voxels_of(logic.still(96).outlines)
    assert (before == 5).any() and not (after == 5).any(), "the femur was painted away"
    segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName("right_femur")).SetName("cement")
    names = logic.still(96).outlines.GetDisplayNode().GetColorNode()
    assert "right_femur" not in [names.GetColorName(n) for n in range(names.GetNumberOfColors())]


def shown(scene, image) -> tuple[np.ndarray, object]:
    """What a slice view shows of a picture, rows from the top, and the view's node."""
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLScene(scene)
    node = logic.AddSliceNode("Xray")
    node.SetDimensions(120, 120, 1)
    logic.GetSliceCompositeNode().SetBackgroundVolumeID(image.GetID())
    live.place_slice(node, image)
    logic.UpdatePipeline()
    blend = logic.GetBlend()
    blend.Update()
    output = blend.GetOutput()
    array = vtk.util.numpy_support.vtk_to_numpy(output.GetPointData().GetScalars())
    columns, rows, _ = output.GetDimensions()
    return array.reshape(rows, columns, -1)[::-1, :, 0].astype(float), node


@pytest.mark.parametrize(("primary", "secondary"), [(0, 0), (40, -20), (-90, 0)])
def test_a_slice_view_shows_the_picture_as_it_is_and_not_its_mirror_image(logic, scene, patient, primary, secondary):
    logic.aim(view="ap")
    logic.aim(primary=primary, secondary=secondary)
    image = logic.fluoro(120).image
    seen, _ = shown(scene, image)
    picture = convert.voxels_of(image)[0]

    def alike(other):
        return np.corrcoef(seen.ravel(), other.ravel())[0, 1]

    assert alike(picture) > 0.97, "the view puts its middle between pixels"
    assert alike(picture) > alike(picture[:, ::-1]) + 0.02
    assert alike(picture) > alike(picture[::-1]) + 0.02


def test_the_patients_left_is_on_the_right_of_an_ap_view_and_his_head_is_up(logic, scene, patient):
    logic.aim(view="ap")
    found = logic.fluoro(96)
    _, node = shown(scene, found.image)
    to_screen = np.linalg.inv(convert.numbers(node.GetXYToRAS()))
    names = [found.landmarks.GetNthControlPointLabel(n) for n in range(found.landmarks.GetNumberOfControlPoints())]
    at = {name: (to_screen @ [*place_of(found.landmarks, n), 1.0])[:3] for n, name in enumerate(names)}
    assert at["left_femoral_head"][0] > at["right_femoral_head"][0] + 20
    assert at["left_anterior_superior_iliac_spine"][1] > at["left_inferior_pubic_symphysis"][1] + 10, "y is up"
    assert abs(at["left_femoral_head"][2]) < 0.01, "on the slice itself"
    assert np.linalg.det(convert.numbers(node.GetSliceToRAS())[:3, :3]) == pytest.approx(1.0)


def test_points_beside_the_panel_are_hidden_and_come_back(logic, patient):
    logic.aim(view="ap")
    logic.shift(right=-180)
    node = logic.fluoro(32).landmarks
    hidden = [n for n in range(node.GetNumberOfControlPoints()) if not node.GetNthControlPointVisibility(n)]
    assert 0 < len(hidden) < node.GetNumberOfControlPoints()
    logic.aim(view="ap")
    assert logic.fluoro(32).landmarks is node
    assert all(node.GetNthControlPointVisibility(n) for n in range(node.GetNumberOfControlPoints()))


def test_outlines_run_round_the_shadows(logic, patient, phantom):
    logic.aim(view="ap")
    found = logic.still(128)
    index = convert.voxels_of(found.outlines)[0]
    assert set(np.unique(index)) == {0, 1, 2, 3, 4, 5, 6}
    colors = found.outlines.GetDisplayNode().GetColorNode()
    assert colors.GetColorName(1) == "left_hemipelvis"
    np.testing.assert_allclose(convert.ijk_to_ras(found.outlines), convert.ijk_to_ras(found.image))
    assert logic.fluoro(64).outlines is None
    assert convert.voxels_of(found.outlines).max() == 0, "outlines of another view are gone"
    assert logic.still(64).outlines is found.outlines


def test_the_edges_of_a_square_are_its_rim():
    mask = np.zeros((1, 7, 7), dtype=bool)
    mask[0, 2:5, 2:5] = True
    drawn = live.edges(mask)
    assert drawn.sum() == 8 and drawn[3, 3] == 0


def test_a_corridor_seen_from_its_end_is_a_circle_of_its_radius(logic, scene, patient):
    line = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "corridor")
    for end in ((0.0, -30.0, 0.0), (0.0, 30.0, 0.0)):
        line.AddControlPointWorld(vtk.vtkVector3d(*end))
    logic.set_corridor(line, radius=5.0)
    logic.take(logic.see_along())
    rim = logic.fluoro(64).corridor
    places = np.array([place_of(rim, n) for n in range(rim.GetNumberOfControlPoints())])
    across = np.linalg.norm(places - places.mean(axis=0), axis=1)
    nearest = 5.0 * 1200.0 / (1000.0 - 30.0)
    np.testing.assert_allclose(across, nearest, rtol=0.01)
    logic.set_corridor(None)
    assert logic.fluoro(64).corridor is None


def test_without_a_ct_or_landmarks_it_is_said_or_done_without(logic, scene, ball):
    with pytest.raises(CArmError, match="there is no CT"):
        logic.fluoro()
    nodes = ball()
    drop(scene, nodes.landmarks)
    assert logic.fluoro(32).landmarks is None
    scene.RemoveNode(nodes.ct)
    with pytest.raises(CArmError, match="there is no CT"):
        logic.fluoro(32)


def test_a_c_arm_whose_tube_is_in_the_patient_says_so(logic, patient):
    from skiagraph.errors import GeometryError

    logic.aim(view="ap")
    at = logic.reading().isocenter
    logic.aim(isocenter=(at[0], at[1] + 1000.0, at[2]))
    with pytest.raises(GeometryError, match="lies inside the body"):
        logic.fluoro(32)


def test_live_nodes_are_the_same_from_frame_to_frame_and_can_be_cleared(logic, scene, patient):
    logic.still(48)
    count = scene.GetNumberOfNodes()
    for primary in (5, 10, 15):
        logic.aim(primary=primary)
        logic.still(48)
    assert scene.GetNumberOfNodes() == count
    logic.clear_live()
    assert not [n for n in range(scene.GetNumberOfNodes()) if "Live" in (scene.GetNthNode(n).GetName() or "")]
    assert torch.is_grad_enabled()
