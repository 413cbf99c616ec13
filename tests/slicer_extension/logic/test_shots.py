"""Shots kept in the scene, in its bundle, and on disk."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("slicer_core", reason="no slicer-core; make test-slicer runs these tests")

import slicer
import vtk
from VirtualCArmLib import convert, shots
from VirtualCArmLib.errors import CArmError

from skiagraph.errors import GeometryError, SkiagraphError
from skiagraph.io.dicom_xray import read_xray_dicom
from skiagraph.io.records import read_record


def test_a_shot_is_the_cores_own(logic, patient, phantom):
    """The same to the bit as asking the core for the view, the settings and the seed."""
    from VirtualCArmLib import aim

    from skiagraph.drr.render import REALISTIC
    from skiagraph.io.patient import generator

    logic.aim(view="inlet")
    node = logic.shoot(columns=96, seed=7)
    view = aim.view_of(logic.carm_node(), 96)
    core = REALISTIC(REALISTIC.decompose(phantom.volume), view, generator(7))
    assert torch.equal(shots.shot_of(node).transmission, core)
    again = logic.shoot(columns=96, seed=7)
    assert torch.equal(shots.shot_of(again).transmission, core)
    assert not torch.equal(shots.shot_of(logic.shoot(columns=96, seed=8)).transmission, core)


def test_settings_change_the_picture_as_physics_does(logic, patient):
    logic.aim(view="ap")
    soft, hard = (shots.shot_of(logic.shoot(columns=64, kvp=kvp, photons=1e8)).transmission for kvp in (60, 120))
    assert hard.mean() > soft.mean(), "harder photons get through more often"
    few, many = (shots.shot_of(logic.shoot(columns=64, photons=photons)).transmission for photons in (2e3, 1e7))
    assert (few - few.roll(1, 0)).abs().mean() > (many - many.roll(1, 0)).abs().mean()
    with pytest.raises(SkiagraphError, match="kvp has no meaning"):
        logic.shoot(fidelity="naive", kvp=70)
    with pytest.raises(CArmError, match="a shot has no colour"):
        logic.shoot(colour="red")


def test_behind_the_collimator_there_is_lead_and_no_landmark(logic, patient):
    logic.aim(view="ap")
    whole = logic.shoot(columns=64, fidelity="naive")
    half = logic.shoot(columns=64, fidelity="naive", collimation=(0, 0, 215.04, 0))
    seen = {row.node.GetID(): set(row.seen) for row in logic.shots()}
    assert all(name.startswith("left") for name in seen[half.GetID()]) and len(seen[whole.GetID()]) == 14
    transmission = shots.shot_of(half).transmission
    assert transmission[:, :32].unique().numel() == 1
    assert torch.equal(transmission[:, 32:], shots.shot_of(whole).transmission[:, 32:])
    masks = shots.shot_of(half).projection
    assert not masks.masks[:, :, :32].any() and "right_femur" not in masks.names
    with pytest.raises(GeometryError, match="leave nothing open"):
        logic.shoot(columns=64, collimation=(300, 300, 0, 0))


@pytest.mark.parametrize("tool", ["k_wire", "screw", "manipulator", "model"])
def test_a_tool_casts_its_shadow_where_its_node_is(logic, scene, patient, tool):
    if tool == "model":
        node = scene.AddNewNodeByClass("vtkMRMLModelNode", "ball")
        ball = vtk.vtkSphereSource()
        ball.SetCenter(80.0, 0.0, 40.0)
        ball.SetRadius(8.0)
        ball.Update()
        node.SetAndObservePolyData(ball.GetOutput())
        middle = np.array([80.0, 0.0, 40.0])
    else:
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "line")
        for end in ((60.0, 0.0, 40.0), (100.0, 0.0, 40.0)):
            node.AddControlPointWorld(vtk.vtkVector3d(*end))
        middle = np.array([80.0 if tool != "manipulator" else 40.0, 0.0, 40.0])
    logic.aim(view="ap")
    bare = logic.shoot(columns=256, fidelity="naive")
    logic.set_tool(node)
    dressed = logic.shoot(columns=256, fidelity="naive", tool=tool)
    one, other = (shots.shot_of(shot) for shot in (bare, dressed))
    shadow = (one.transmission.log() - other.transmission.log()).clamp(min=0)
    uv = one.view.project(convert.lps(middle[None]))[0]
    v, u = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    at = torch.stack([(shadow * u).sum(), (shadow * v).sum()]) / shadow.sum()
    assert (at - uv).abs()[1] < 1.5
    if tool in ("k_wire", "model"):
        assert (at - uv).abs()[0] < 1.5
    if tool == "manipulator":
        tip = other.record.keypoints.names.index("manipulator_tip")
        assert (other.record.keypoints.uv[tip] - one.view.project(convert.lps(np.array([[100.0, 0, 40]])))).norm() < 1


def test_a_tool_that_is_not_there_is_asked_for_and_nothing_is_added(logic, scene, patient):
    logic.aim(view="ap")
    count = scene.GetNumberOfNodes()
    with pytest.raises(CArmError, match="no line or model is picked"):
        logic.shoot(columns=32, tool="screw")
    with pytest.raises(CArmError, match="no tool called 'hammer'"):
        logic.shoot(columns=32, tool="hammer")
    logic.set_tool(scene.AddNewNodeByClass("vtkMRMLModelNode", "nothing"))
    with pytest.raises(CArmError, match="no model with a surface"):
        logic.shoot(columns=32, tool="model")
    assert scene.GetNumberOfNodes() == count + 1


def test_shots_come_back_from_their_bundle_whole(logic, stage, patient, tmp_path):
    from scene import Stage
    from VirtualCArmLib.logic import CArmLogic

    logic.aim(view="ap")
    logic.shoot(columns=64, seed=3, collimation=(10, 0, 0, 0), name="first")
    logic.aim(view="left_obturator_oblique")
    logic.shoot(columns=64, fidelity="heuristic")
    other = Stage().opened(stage.saved(tmp_path / "shots.mrb"))
    back = CArmLogic(other.scene)
    assert len(back.shots()) == 2
    for ours, theirs in zip(logic.shots(), back.shots()):
        for field in ("name", "words", "device", "fidelity", "kvp", "photons", "seed", "size", "collimation", "seen"):
            assert getattr(ours, field) == getattr(theirs, field), field
        one, same = shots.shot_of(ours.node), shots.shot_of(theirs.node)
        assert torch.equal(one.transmission, same.transmission)
        assert torch.equal(one.projection.masks, same.projection.masks)
        assert torch.equal(one.view.matrix(), same.view.matrix())
        assert theirs.landmarks.GetNumberOfControlPoints() == len(ours.seen)
        np.testing.assert_allclose(convert.ijk_to_ras(ours.node), convert.ijk_to_ras(theirs.node), atol=1e-9)
        np.testing.assert_array_equal(convert.voxels_of(ours.node), convert.voxels_of(theirs.node))
    now = back.jump_to_shot(back.shots()[0].node)
    assert now.words == back.shots()[0].words
    other.closed()


def test_the_table_says_what_the_nodes_are(logic, patient):
    logic.aim(view="ap")
    logic.shoot(columns=32, seed=5)
    logic.shoot(columns=32, fidelity="naive", name="plain")
    table = logic.shot_table()
    rows = [
        [table.GetCellText(r, c) for c in range(table.GetNumberOfColumns())] for r in range(table.GetNumberOfRows())
    ]
    assert [row[0] for row in rows] == ["X-ray CAU 3", "plain"]
    assert rows[0][3:7] == ["realistic", "90", "", "5"]
    logic.delete_shot(logic.shots()[0].node)
    assert logic.shot_table().GetNumberOfRows() == 1


def test_a_deleted_shot_takes_along_what_hangs_from_it_and_no_more(logic, scene, patient):
    logic.aim(view="ap")
    logic.draw_carm()
    count = scene.GetNumberOfNodes()
    node = logic.shoot(columns=32)
    logic.delete_shot(node)
    assert scene.GetNumberOfNodes() == count
    with pytest.raises(CArmError, match="is not a shot"):
        logic.delete_shot(patient.ct)


def test_what_a_shot_is_made_of_is_offered_to_be_saved(logic, scene, patient):
    """Slicer's Save dialog leaves out what is hidden from editors."""
    logic.aim(view="ap")
    node = logic.shoot(columns=32)
    for role in (shots.TRANSMISSION, shots.LANDMARKS, shots.MASKS):
        part = node.GetNodeReference(role)
        assert part.GetSaveWithScene() and not part.GetHideFromEditors(), role


def test_a_copy_of_a_shot_is_deleted_alone(logic, scene, patient):
    logic.aim(view="ap")
    node = logic.shoot(columns=32)
    twin = slicer.vtkSlicerVolumesLogic.CloneVolume(scene, node, "twin")
    twin.CopyReferences(node)
    for name in node.GetAttributeNames():
        twin.SetAttribute(name, node.GetAttribute(name))
    logic.delete_shot(twin)
    assert shots.shot_of(node).projection is not None and logic.shots()[0].landmarks is not None


def test_what_stands_beside_an_export_is_named_before_it_is_replaced(logic, patient, tmp_path):
    logic.aim(view="ap")
    node = logic.shoot(columns=32)
    assert logic.beside_shot(tmp_path / "ap.png") == []
    (tmp_path / "ap.mrk.json").write_text("somebody's points", encoding="utf-8")
    assert [file.name for file in logic.beside_shot(tmp_path / "ap.png")] == ["ap.mrk.json"]
    logic.export_shot(node, tmp_path / "ap.png")
    assert {file.name for file in logic.beside_shot(tmp_path / "ap.dcm")} == {"ap.json", "ap.mrk.json", "ap_masks"}


def test_a_shot_whose_measurement_was_deleted_says_so(logic, scene, patient, tmp_path):
    logic.aim(view="ap")
    node = logic.shoot(columns=32)
    scene.RemoveNode(node.GetNodeReference(shots.TRANSMISSION))
    with pytest.raises(CArmError, match="was deleted; take the shot again"):
        logic.export_shot(node, tmp_path / "shot.png")
    assert not list(tmp_path.iterdir())
    assert len(logic.shots()) == 1


def test_an_exported_shot_is_what_render_writes(logic, patient, tmp_path):
    logic.aim(view="outlet")
    node = logic.shoot(columns=64, kvp=80)
    files = logic.export_shot(node, tmp_path / "outlet.dcm")
    assert {"outlet.dcm", "outlet.json", "outlet.mrk.json"} <= {file.name for file in files}
    record = read_record(tmp_path / "outlet.json")
    assert torch.equal(record.view.matrix(), shots.shot_of(node).view.matrix())
    image = read_xray_dicom(tmp_path / "outlet.dcm")
    np.testing.assert_allclose(image.pixels.numpy(), convert.voxels_of(node)[0], atol=2e-5)
    assert json.loads((tmp_path / "outlet.mrk.json").read_text(encoding="utf-8"))["markups"][0]["controlPoints"]


def test_a_batch_of_the_planned_views_is_what_would_have_been_shot(logic, patient, tmp_path):
    logic.aim(view="inlet")
    logic.aim(roll=5)
    logic.add_planned("Inlet!")
    settings = shots.ShotSettings(columns=48, fidelity="naive", collimation=(0, 20, 0, 0))
    here = shots.shot_of(logic.shoot(settings))
    (request,) = logic.batch_requests(tmp_path / "batch", settings)
    json.dumps(request)
    logic.run(request)
    node = logic.import_shot(request["output"])
    there = shots.shot_of(node)
    torch.testing.assert_close(there.view.matrix(), here.view.matrix(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(there.transmission, here.transmission, atol=2e-3, rtol=0)
    assert set(there.projection.names) == set(here.projection.names)
    assert node.GetName() == "001_inlet"


def test_a_batch_takes_the_place_of_no_file(logic, patient, tmp_path):
    """Not of somebody's own ct.nii.gz in the folder he picks, nor of an earlier batch."""
    (tmp_path / "ct.nii.gz").write_bytes(b"mine")
    logic.aim(view="ap")
    logic.add_planned("ap")
    settings = shots.ShotSettings(columns=32, fidelity="naive")
    (first,), (second,) = (logic.batch_requests(tmp_path, settings) for _ in range(2))
    assert (tmp_path / "ct.nii.gz").read_bytes() == b"mine"
    assert first["output"] == str(tmp_path / "xrays" / "001_ap.nrrd")
    assert second["output"] == str(tmp_path / "xrays_2" / "001_ap.nrrd")
    assert (tmp_path / "xrays_2" / "patient" / "ct.nii.gz").is_file()


def test_a_batch_that_cannot_be_says_so_before_anything_is_written(logic, patient, tmp_path):
    with pytest.raises(CArmError, match="the plan is empty"):
        logic.batch_requests(tmp_path / "batch")
    logic.set_device("cios-fusion")
    logic.aim(primary=100)
    logic.add_planned()
    with pytest.raises(GeometryError, match="cannot reach LAO 100"):
        logic.batch_requests(tmp_path / "batch")
    with pytest.raises(CArmError, match="with a tool one by one"):
        logic.batch_requests(tmp_path / "batch", shots.ShotSettings(tool="screw"))
    assert not (tmp_path / "batch").exists()


def test_a_shot_out_of_reach_or_beside_the_patient_is_refused(logic, scene, patient):
    logic.set_device("cios-fusion")
    logic.aim(view="ap")
    count = scene.GetNumberOfNodes()
    logic.aim(primary=100)
    with pytest.raises(GeometryError, match="cannot reach LAO 100 CAU 3; the nearest is primary"):
        logic.shoot(columns=32)
    logic.set_device("generic")
    logic.aim(primary=0, isocenter=(5000.0, 0.0, 0.0))
    with pytest.raises(CArmError, match="misses the CT"):
        logic.shoot(columns=32)
    assert scene.GetNumberOfNodes() == count
