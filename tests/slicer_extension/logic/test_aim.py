"""The C-arm in the scene: set by angles, dragged by hand, read back."""

import math

import numpy as np
import pytest

pytest.importorskip("slicer_core", reason="no slicer-core; make test-slicer runs these tests")

import vtk
from VirtualCArmLib import aim, convert
from VirtualCArmLib.errors import CArmError
from VirtualCArmLib.home import drop, matrix

from skiagraph.errors import GeometryError

ANGLES = [(0, 0, 0), (30, 0, 0), (-30, 25, 0), (45, 20, -12), (90, 0, 30), (-110, -40, 170), (10, -85, 5)]


@pytest.mark.parametrize(("primary", "secondary", "roll"), ANGLES)
@pytest.mark.parametrize("device", ["generic", "cios-fusion", "loop-x"])
def test_the_angles_read_back_are_those_set(logic, device, primary, secondary, roll):
    logic.set_device(device)
    read = logic.aim(primary=primary, secondary=secondary, roll=roll, isocenter=(10.0, -20.0, 30.0))
    assert (read.primary, read.secondary, read.roll) == pytest.approx((primary, secondary, roll), abs=1e-5)
    assert read.isocenter == pytest.approx((10.0, -20.0, 30.0), abs=1e-9)
    assert read.in_reach == logic.set_device(device).in_reach


@pytest.mark.parametrize(("primary", "secondary"), [(30, 0), (0, 25), (-35, -20), (60, 40)])
def test_a_c_arm_dragged_in_the_scene_reads_the_angles_of_its_beam(logic, primary, secondary):
    """Dragged: turned about the world's axes, as interaction handles do. PS3.3 C.8.7.5.1.2 in RAS."""
    logic.aim(primary=0, secondary=0, isocenter=(5.0, 6.0, 7.0))
    turn = vtk.vtkTransform()
    turn.Translate(5, 6, 7)
    turn.RotateZ(primary)
    turn.RotateX(secondary)
    node = logic.carm_node()
    node.SetMatrixTransformToParent(turn.GetMatrix())
    read = logic.reading()
    assert (read.primary, read.secondary, read.roll) == pytest.approx((primary, secondary, 0.0), abs=1e-5)
    p, s = math.radians(primary), math.radians(secondary)
    wanted = [-math.sin(p) * math.cos(s), math.cos(p) * math.cos(s), math.sin(s)]
    np.testing.assert_allclose(convert.ras(aim.view_of(node, 16).normal.numpy()), wanted, atol=1e-9)


def test_what_a_display_says_is_lao_and_rao_cranial_and_caudal(logic):
    assert logic.aim(primary=30, secondary=10).words == "LAO 30 CRA 10"
    assert logic.aim(primary=-45, secondary=-20).words == "RAO 45 CAU 20"
    assert logic.aim(primary=0, secondary=0).words == "AP 0"


def test_limits_are_said_and_do_not_stop_the_hand(logic):
    logic.set_device("cios-fusion")
    read = logic.aim(primary=90)
    assert (read.primary, read.in_reach, read.nearest_words) == (90.0, False, "LAO 40")
    assert logic.set_device("cios-fusion", side="left").in_reach
    with pytest.raises(GeometryError, match=r"-180\.\.180"):
        logic.aim(primary=300)
    assert "orbital -110 to 40" in next(one.limits for one in logic.devices() if one.name == "cios-fusion")


def test_a_c_arm_under_a_transform_is_where_it_looks(logic, scene):
    above = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]], (1, 2, 3)
    above.SetMatrixTransformToParent(matrix(pose))
    logic.carm_node().SetAndObserveTransformNodeID(above.GetID())
    read = logic.aim(primary=20, secondary=-10, isocenter=(4.0, 5.0, 6.0))
    assert (read.primary, read.secondary) == pytest.approx((20, -10), abs=1e-5)
    assert read.isocenter == pytest.approx((4.0, 5.0, 6.0))


def test_a_scaled_c_arm_is_refused_and_can_be_tidied(logic):
    logic.aim(primary=25)
    node = logic.carm_node()
    pose = np.eye(4)
    node.GetMatrixTransformToParent(found := vtk.vtkMatrix4x4())
    pose[:3, :3] = convert.numbers(found)[:3, :3] @ np.diag([1.1, 1.2, 1.0])
    node.SetMatrixTransformToParent(matrix(pose))
    with pytest.raises(CArmError, match="scaled or mirrored"):
        logic.reading()
    assert logic.tidy_carm().primary == pytest.approx(25, abs=0.5)


def test_a_standard_view_of_the_patient_is_the_cores(logic, patient, phantom):
    from skiagraph.carm import GENERIC
    from skiagraph.planning import plan, standard_view

    for choice in logic.standard_views():
        read = logic.aim(view=choice.name)
        assert (read.primary, read.secondary) == pytest.approx((choice.primary, choice.secondary), abs=1e-4)
    logic.aim(view="inlet")
    core = plan(standard_view("inlet"), GENERIC, phantom.landmarks, phantom.volume.grid.center).view
    ours = aim.view_of(logic.carm_node(), 1536)
    assert (ours.matrix() - core.matrix()).abs().max() / core.matrix().abs().max() < 1e-9


def test_the_table_shifts_the_isocentre_and_nothing_else(logic):
    before = logic.aim(primary=15, secondary=5, isocenter=(0, 0, 0))
    after = logic.shift(right=10, anterior=-5, superior=2)
    assert after.isocenter == pytest.approx((10, -5, 2))
    assert (after.primary, after.secondary) == pytest.approx((before.primary, before.secondary))


def test_the_drawn_beam_ends_at_the_panel_and_follows_the_c_arm(logic, scene):
    logic.set_device("cios-fusion")
    models = {node.GetName(): node for node in logic.draw_carm()}
    assert len(models) == 4
    logic.aim(primary=-30, secondary=12, isocenter=(11.0, 22.0, 33.0))
    view = aim.view_of(logic.carm_node(), 2)
    to_world = convert.world_from(models["C-arm beam"])
    points = models["C-arm beam"].GetPolyData().GetPoints()
    world = [(to_world @ [*points.GetPoint(n), 1.0])[:3] for n in range(5)]
    np.testing.assert_allclose(world[0], convert.ras(view.source.numpy()), atol=1e-3)
    corners = view.on_panel(view.source.new_tensor([[-0.5, -0.5], [1.5, -0.5], [1.5, 1.5], [-0.5, 1.5]]))
    np.testing.assert_allclose(world[1:], convert.ras(corners.numpy()), atol=1e-3)
    count = scene.GetNumberOfNodes()
    logic.draw_carm(visible=False)
    logic.draw_carm()
    assert scene.GetNumberOfNodes() == count, "drawn again, it is the same models"
    drop(scene, models["C-arm beam"])
    assert len(logic.draw_carm()) == 4, "one that was deleted comes back"
