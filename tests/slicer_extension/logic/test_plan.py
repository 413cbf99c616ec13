"""Best views, and the plan that is kept in the scene."""

import csv
import json

import numpy as np
import pytest

pytest.importorskip("slicer_core", reason="no slicer-core; make test-slicer runs these tests")

import vtk
from VirtualCArmLib import aim, convert
from VirtualCArmLib.errors import CArmError

from skiagraph.io.poses import read_pose_records


def a_line(scene, first, last):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "corridor")
    for end in (first, last):
        node.AddControlPointWorld(vtk.vtkVector3d(*end))
    return node


def a_plane(scene, center, normal):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode", "ring")
    node.SetCenterWorld(center)
    node.SetNormalWorld(normal)
    return node


def test_down_a_corridor_both_its_ends_fall_on_one_pixel_in_the_middle(logic, scene, patient):
    line = a_line(scene, (20.0, -30.0, 5.0), (45.0, 40.0, 30.0))
    found = logic.see_along(line)
    assert found.in_reach and found.off == 0
    logic.take(found)
    view = aim.view_of(logic.carm_node(), 512)
    uv = view.project(convert.lps(np.array(convert.line_of(line))))
    assert (uv[0] - uv[1]).norm() < 0.01
    assert (uv[0] - 255.5).abs().max() < 0.01


def test_out_of_reach_the_nearest_view_is_given_and_how_far_off_it_is(logic, scene, patient):
    logic.set_device("loop-x")
    steep = logic.see_along(a_line(scene, (0.0, 0.0, -50.0), (0.0, 20.0, 50.0)))
    assert not steep.in_reach
    assert logic.take(steep).in_reach
    assert steep.off == pytest.approx(np.degrees(np.arctan2(100, 20)) - 30, abs=0.5)


def test_edge_on_a_plane_is_a_line_and_face_on_its_normal_is_the_beam(logic, scene, patient):
    normal = np.array([0.3, 0.4, 0.866])
    plane = a_plane(scene, [0.0, 0.0, 10.0], normal)
    curve = logic.see_facing(plane)
    assert len(curve.primary) == len(curve.secondary) == len(curve.in_reach) == 361
    for suggestion, along in ((curve.edge, 0.0), (curve.face, 1.0)):
        logic.take(suggestion)
        ahead = convert.ras(aim.view_of(logic.carm_node(), 16).normal.numpy())
        assert abs(ahead @ normal / np.linalg.norm(normal)) == pytest.approx(along, abs=0.01)


def test_a_plane_along_the_body_has_an_edge_on_view_though_no_curve(logic, scene, patient):
    curve = logic.see_facing(a_plane(scene, [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]))
    assert not any(curve.in_reach)
    logic.take(curve.edge)
    assert abs(convert.ras(aim.view_of(logic.carm_node(), 16).normal.numpy())[0]) < 1e-6


def test_landmarks_to_be_kept_are_brought_into_the_field(logic, scene, patient):
    logic.set_device("loop-x")
    heads = ("left_femoral_head", "right_femoral_head")
    found = logic.see_along(a_line(scene, (150.0, -30.0, 5.0), (150.0, 40.0, 5.0)))
    assert set(heads) - set(found.inside), "else there is nothing to show"
    kept = logic.see_field(found, heads)
    assert set(heads) <= set(kept.inside)
    assert (kept.primary, kept.secondary) == pytest.approx((found.primary, found.secondary), abs=1e-5)
    with pytest.raises(CArmError, match="no landmark nose"):
        logic.see_field(found, ("nose",))


def planned(logic):
    for view, name in (("ap", None), ("inlet", "Inlet, for the screw"), ("left_lateral", "Inlet, for the screw")):
        logic.aim(view=view)
        logic.add_planned(name)
    return logic.planned()


def test_planned_views_are_reordered_renamed_removed_and_jumped_to(logic, patient):
    rows = planned(logic)
    assert [row.name for row in rows] == ["CAU 3", "Inlet, for the screw", "Inlet, for the screw 2"]
    logic.move_planned(2, 0)
    logic.rename_planned(0, " Lateral ")
    with pytest.raises(CArmError, match="needs a name"):
        logic.rename_planned(0, "  ")
    logic.remove_planned(1)
    assert [row.name for row in logic.planned()] == ["Lateral", "Inlet, for the screw"]
    logic.set_device("cios-fusion")
    read = logic.jump(1)
    assert (read.device, read.primary, read.secondary) == ("generic", rows[1].primary, rows[1].secondary)
    assert read.isocenter == pytest.approx(rows[1].isocenter)
    for wrong in (-1, 2):
        with pytest.raises(CArmError, match="the plan has 2"):
            logic.jump(wrong)


def test_a_plan_comes_back_from_its_bundle_to_the_digit(logic, stage, patient, tmp_path):
    from scene import Stage
    from VirtualCArmLib.logic import CArmLogic

    rows = planned(logic)
    other = Stage().opened(stage.saved(tmp_path / "plan.mrb"))
    assert CArmLogic(other.scene).planned() == rows
    other.closed()


def test_a_plan_goes_to_json_and_back_to_csv_and_to_records_that_make_samples_reads(logic, patient, tmp_path):
    rows = planned(logic)
    (plain,) = logic.export_plan(tmp_path / "plan.json")
    assert logic.import_plan(plain) == 3
    assert [row.isocenter for row in logic.planned()[3:]] == [row.isocenter for row in rows]
    for _ in range(3):
        logic.remove_planned(3)
    (table,) = logic.export_plan(tmp_path / "plan.csv")
    with table.open(encoding="utf-8", newline="") as file:
        assert [line["name"] for line in csv.DictReader(file)] == [row.name for row in rows]
    logic.export_plan(tmp_path / "records")
    poses = read_pose_records(tmp_path / "records").of[""]
    assert len(poses) == 3
    logic.jump(1)
    view = aim.view_of(logic.carm_node(), 768)
    assert (poses[1].view.matrix() - view.matrix()).abs().max() / view.matrix().abs().max() < 1e-6


def test_a_row_somebody_spoiled_is_named_and_an_empty_plan_is_no_file(logic, patient, tmp_path):
    with pytest.raises(CArmError, match="the plan is empty"):
        logic.export_plan(tmp_path / "plan.json")
    planned(logic)
    table = logic.plan_table()
    table.SetCellText(1, table.GetColumnIndex("primary"), "steep")
    with pytest.raises(CArmError, match=r"row 2 of the plan.*steep"):
        logic.planned()
    table.SetCellText(1, table.GetColumnIndex("primary"), "30")
    with pytest.raises(CArmError, match="cannot write a plan as"):
        logic.export_plan(tmp_path / "plan.xml")
    (tmp_path / "bad.json").write_text(json.dumps({"views": [{}]}), encoding="utf-8")
    with pytest.raises(CArmError, match="holds no plan"):
        logic.import_plan(tmp_path / "bad.json")


def test_a_change_of_the_plan_can_be_undone(logic, scene, patient):
    scene.SetUndoOn()
    rows = planned(logic)
    logic.remove_planned(0)
    scene.Undo()
    assert logic.planned() == rows
