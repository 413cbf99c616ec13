"""Whom the X-rays are taken of, and what is said when he is not all there."""

import numpy as np
import pytest

pytest.importorskip("slicer_core", reason="no slicer-core; make test-slicer runs these tests")

import slicer
import vtk
from VirtualCArmLib import convert
from VirtualCArmLib.errors import CArmError

from skiagraph.errors import DataError
from skiagraph.io.patient import write_body


def test_a_patient_is_found_again_by_role_and_not_by_name(logic, patient):
    patient.ct.SetName("renamed")
    assert logic.patient_nodes() == patient
    assert logic.home().GetNodeReference("ct") is patient.ct
    assert logic.check_patient() == []


def test_nodes_that_cannot_be_a_patient_are_refused(logic, scene, patient):
    picture = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "slice")
    slicer.util.updateVolumeFromArray(picture, np.zeros((1, 4, 4), dtype=np.int16))
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    for nodes, words in (
        ((None,), "no CT is given"),
        ((empty,), "empty holds no voxels"),
        ((picture,), "slice is a picture"),
        ((patient.landmarks,), "is no CT"),
        ((patient.ct, patient.ct), "is no list of points"),
        ((patient.ct, None, patient.ct), "names no structures"),
    ):
        with pytest.raises(CArmError, match=words):
            logic.set_patient(*nodes)
    assert logic.patient_nodes() == patient, "who was there stays"


def test_numbers_that_are_no_hounsfield_units_are_refused_as_on_the_command_line(logic, patient):
    slicer.util.arrayFromVolume(patient.ct)[:] += 1024
    slicer.util.arrayFromVolumeModified(patient.ct)
    for take in (logic.fluoro, logic.shoot):
        with pytest.raises(DataError, match=r"CT holds .* subtract 1024"):
            take()


def test_what_is_missing_or_looks_wrong_is_said(logic, scene, patient):
    logic.set_patient(patient.ct)
    assert [words.split(":")[0] for words in logic.check_patient()] == ["no landmarks", "no segmentation"]
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "far")
    logic.set_patient(patient.ct, points, patient.labels)
    assert "no landmarks" in logic.check_patient()[0], "an empty list is none"
    points.AddControlPointWorld(vtk.vtkVector3d(9e3, 0, 0), "left_femoral_head")
    assert "none of 1 landmarks lies in the CT: do they belong to it?" in logic.check_patient()
    assert "13 landmarks of the hip are not known" in logic.check_patient()[0]
    points.SetNthControlPointPositionWorld(0, 80.0, 0.0, 0.0)
    points.AddControlPointWorld(vtk.vtkVector3d(-80, 0, 0), "right_femoral_head")
    assert any("is the list mirrored?" in words for words in logic.check_patient())
    scene.RemoveNode(patient.ct)
    assert "there is no CT" in logic.check_patient()[0]


def test_a_bodys_folder_comes_in_whole(logic, phantom, tmp_path):
    write_body(tmp_path / "body", phantom)
    nodes = logic.import_body(tmp_path / "body")
    assert convert.volume_of(nodes.ct).grid.same_as(phantom.volume.grid)
    assert convert.landmarks_of(nodes.landmarks).names == phantom.landmarks.names
    found = convert.labels_of(nodes.labels, nodes.ct)
    assert found.mask("left_femur").sum() == phantom.labels.mask("left_femur").sum()
    with pytest.raises(CArmError, match="there is nothing at"):
        logic.import_body(tmp_path / "cancelled")


def test_a_generated_cts_files_are_found_beside_it(logic, phantom, tmp_path):
    from skiagraph.io.markups import write_landmarks
    from skiagraph.io.volumes import write_labels, write_volume

    write_volume(tmp_path / "nobody.nii.gz", phantom.volume)
    write_labels(tmp_path / "nobody_labels.nii.gz", phantom.labels)
    write_landmarks(tmp_path / "nobody.mrk.json", phantom.landmarks)
    nodes = logic.import_body(tmp_path / "nobody.nii.gz")
    assert nodes.ct.GetName() == "nobody"
    assert convert.landmarks_of(nodes.landmarks).names == phantom.landmarks.names
    assert nodes.labels.GetSegmentation().GetNumberOfSegments() == 6


def test_requests_are_tasks_the_core_knows(logic, patient, tmp_path):
    from skiagraph.tasks.request import task_from

    task_from(logic.phantom_request(tmp_path / "a", spacing=3.0, seed=4, sex="female", tilt=5.0))
    task_from(logic.generate_request(tmp_path / "b.nii.gz", seed=2, sex="male", size=180.0, tilt=-3.0))
    request = logic.landmarks_request(tmp_path / "c")
    task_from(request)
    assert (tmp_path / "c" / "labels.nii.gz").is_file()


def test_landmarks_found_say_how_sure_they_are_and_lie_near_the_truth(logic, patient, phantom):
    logic.set_patient(patient.ct, None, patient.labels)
    node = logic.find_landmarks()
    assert logic.patient_nodes().landmarks is node
    found = convert.landmarks_of(node)
    for name in found.names:
        assert (found[name] - phantom.landmarks[name]).norm() < 25, name
    assert "95 % within" in node.GetNthControlPointDescription(0)
    logic.set_patient(patient.ct)
    with pytest.raises(CArmError, match="labelled hip bones"):
        logic.find_landmarks()


def moved(scene, nodes, by=(30.0, 0.0, -12.0)):
    """Put nodes under a transform of their own."""
    above = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "bed")
    shift = vtk.vtkTransform()
    shift.Translate(*by)
    above.SetMatrixTransformToParent(shift.GetMatrix())
    for node in nodes:
        node.SetAndObserveTransformNodeID(above.GetID())
    return above


def test_landmarks_found_on_a_ct_that_was_moved_move_with_it(logic, scene, patient):
    found = logic.find_landmarks()
    names, before = convert.points_of(found)
    logic.set_patient(patient.ct, None, patient.labels)
    above = moved(scene, (patient.ct, patient.labels))
    again = logic.find_landmarks()
    assert convert.points_of(again)[0] == names
    np.testing.assert_allclose(convert.points_of(again)[1], before + np.array([30.0, 0.0, -12.0]), atol=1e-3)
    above.SetMatrixTransformToParent(vtk.vtkMatrix4x4())
    np.testing.assert_allclose(convert.points_of(again)[1], before, atol=1e-3)


def test_landmarks_found_on_one_ct_are_not_made_those_of_another(logic, scene, patient, phantom, tmp_path):
    from skiagraph.io.markups import write_landmarks

    write_landmarks(tmp_path / "found.mrk.json", phantom.landmarks)
    other = convert.show_volume(scene, phantom.volume, "another")
    logic.set_patient(other)
    points = logic.import_found(tmp_path / "found.mrk.json", patient.ct)
    assert logic.patient_nodes().landmarks is None and points.GetNumberOfControlPoints() == 14
    assert logic.import_found(tmp_path / "found.mrk.json", other) is logic.patient_nodes().landmarks


def test_placing_landmarks_keeps_those_there_are_and_asks_for_the_rest(logic, scene, patient):
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "some")
    points.AddControlPointWorld(vtk.vtkVector3d(80.0, 1.0, 2.0), "left_femoral_head")
    logic.set_patient(patient.ct, points, patient.labels)
    assert logic.landmarks_to_place() is points
    assert points.GetNumberOfControlPoints() == 14 and points.GetNumberOfDefinedControlPoints() == 1
    assert convert.points_of(points)[0] == ["left_femoral_head"]
    assert points.GetFixedNumberOfControlPoints(), "a click too many places no fifteenth"
    assert logic.landmarks_to_place().GetNumberOfControlPoints() == 14
    logic.set_patient(patient.ct)
    assert logic.landmarks_to_place().GetNumberOfControlPoints() == 14


def test_a_closed_scene_leaves_nobody_behind_and_the_next_one_is_as_new(logic, scene, phantom, patient):
    logic.still(32)
    logic.add_planned()
    logic.shoot(columns=32)
    scene.Clear(0)
    logic.forget()
    assert logic.planned() == [] and logic.shots() == []
    assert "there is no CT" in logic.check_patient()[0]
    other = convert.show_volume(scene, phantom.volume, "another")
    with pytest.raises(CArmError, match="there is no CT"):
        logic.fluoro(32)
    logic.set_patient(other)
    assert logic.fluoro(32).image is not other
