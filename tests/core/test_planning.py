import pytest
import torch

from skiagraph.anatomy import LANDMARK_NAMES, LANDMARKS, STRUCTURES, canonical, term
from skiagraph.carm import CIOS_FUSION, GENERIC, beam
from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import float64, rigid, rotation
from skiagraph.planning import (
    VIEWS,
    PelvicFrame,
    edge_on,
    framing,
    pelvis_from_world,
    plan,
    plan_all,
    standard_view,
)
from skiagraph.volume import Landmarks

CENTER = float64([0.0, 0.0, 0.0])


@pytest.fixture
def pelvis() -> Landmarks:
    """An upright pelvis, its plane square to the table."""
    return Landmarks.of(
        {
            "left_femoral_head": (88, 30, 10), "right_femoral_head": (-88, 30, 10),
            "left_greater_sciatic_notch": (60, 90, 60), "right_greater_sciatic_notch": (-60, 90, 60),
            "left_superior_pubic_symphysis": (5, 0, 0), "right_superior_pubic_symphysis": (-5, 0, 0),
            "left_anterior_superior_iliac_spine": (120, 0, 85), "right_anterior_superior_iliac_spine": (-120, 0, 85),
        }
    )  # fmt: skip


def test_an_upright_pelvis_is_neither_tilted_nor_turned_nor_oblique(pelvis):
    frame = PelvicFrame.of(pelvis)
    assert (frame.tilt, frame.turn, frame.obliquity) == pytest.approx((0, 0, 0), abs=1e-9)


@pytest.mark.parametrize(("axis", "name", "sign"), [("x", "tilt", 1), ("z", "turn", 1), ("y", "obliquity", -1)])
def test_the_pelvic_frame_measures_a_turn_about_each_axis(pelvis, axis, name, sign):
    moved = pelvis.moved(rigid(rotation(axis, 8), about=CENTER))
    assert getattr(PelvicFrame.of(moved), name) == pytest.approx(sign * 8, abs=1e-9)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_planned_on_a_turned_patient_shows_the_same_picture(pelvis, name):
    motion = rigid(rotation("z", 9) @ rotation("x", -6), about=CENTER)
    still, turned = (plan(VIEWS[name], GENERIC, marks, CENTER) for marks in (pelvis, pelvis.moved(motion)))
    assert torch.allclose(motion[:3, :3] @ still.view.normal, turned.view.normal, atol=1e-7)
    assert torch.allclose(turned.target, motion[:3, :3] @ still.target, atol=1e-7)


def test_inlet_looks_from_the_feet_and_outlet_from_the_head(pelvis):
    planned = plan_all(GENERIC, pelvis, CENTER)
    assert planned["inlet"].view.normal[2] > 0.3, "the panel of an inlet view is towards the head"
    assert planned["outlet"].view.normal[2] < -0.3
    assert planned["left_obturator_oblique"].view.normal[0] > 0.5, "the panel is at the patient's left"
    assert torch.allclose(planned["left_obturator_oblique"].view.normal, planned["right_iliac_oblique"].view.normal)


def test_the_target_is_in_the_middle_of_the_picture(pelvis):
    for view in plan_all(GENERIC, pelvis, CENTER).values():
        assert torch.allclose(view.view.project(view.target[None])[0], view.view.principal_point, atol=1e-6)


def test_without_landmarks_the_angles_are_the_tables():
    view = plan(VIEWS["inlet"], GENERIC, Landmarks.of({}), float64([1.0, 2.0, 3.0]))
    assert view.frame == "table"
    assert (view.primary, view.secondary) == (0.0, 25.0)
    assert view.target.tolist() == [1.0, 2.0, 3.0]


def test_a_teardrop_looks_down_its_corridor_if_it_is_given(pelvis):
    rough = plan(VIEWS["left_teardrop"], GENERIC, pelvis, CENTER)
    corridor = {"left_lc2_posterior": (60, 100, 90), "left_lc2_anterior": (95, 10, 40)}
    points = {name: pelvis[name].tolist() for name in pelvis.names} | corridor
    exact = plan(VIEWS["left_teardrop"], GENERIC, Landmarks.of(points), CENTER)
    assert rough.approximate and not exact.approximate
    axis = float64(corridor["left_lc2_anterior"]) - float64(corridor["left_lc2_posterior"])
    ends = exact.view.project(float64(list(corridor.values())))
    assert torch.allclose(exact.view.normal, axis / axis.norm(), atol=1e-7)
    assert (ends[0] - ends[1]).abs().max() < 1e-3, "both ends of the corridor fall on one pixel"


def test_a_planned_view_out_of_reach_says_so_and_names_the_nearest(pelvis):
    view = plan(VIEWS["left_lateral"], CIOS_FUSION, pelvis, CENTER)
    assert not view.in_reach
    assert CIOS_FUSION.reaches(*view.nearest)
    assert torch.allclose(view.view.normal, beam(90, 0))


def test_names_are_understood_as_people_write_them():
    assert standard_view("Left-Obturator Oblique").name == "left_obturator_oblique"
    with pytest.raises(GeometryError, match="one of ap, inlet"):
        standard_view("sideways")
    with pytest.raises(DataError, match="anterior pelvic plane needs"):
        PelvicFrame.of(Landmarks.of({"left_femoral_head": (0, 0, 0)}))


def test_the_short_names_of_deepfluoro_are_ours():
    short = [
        "FH-l",
        "FH-r",
        "GSN-l",
        "GSN-r",
        "IOF-l",
        "IOF-r",
        "MOF-l",
        "MOF-r",
        "SPS-l",
        "SPS-r",
        "IPS-l",
        "IPS-r",
        "ASIS-l",
        "ASIS-r",
    ]
    assert tuple(canonical(name) for name in short) == LANDMARK_NAMES
    assert all(term(landmark.structure) in STRUCTURES for landmark in LANDMARKS)
    assert canonical("something else") == "something else"
    with pytest.raises(DataError, match="no anatomy"):
        term("elbow")


def test_a_pelvis_brought_to_its_own_axes_is_upright_with_its_heads_about_zero(pelvis):
    moved = pelvis.moved(rigid(rotation("x", 20) @ rotation("y", 8), float64([5.0, 0.0, 900.0])))
    own = moved.moved(pelvis_from_world(moved))
    frame = PelvicFrame.of(own)
    assert (frame.tilt, frame.turn, frame.obliquity) == pytest.approx((0, 0, 0), abs=1e-9)
    assert own["left_femoral_head"].tolist() == pytest.approx([88, 0, 0], abs=1e-9)


def test_along_its_s_curve_a_plane_is_seen_as_a_line():
    primary = torch.linspace(-90, 90, 13, dtype=torch.float64)
    for normal in ((0.3, -0.5, 0.8), (-0.7, 0.1, 0.2), (0.0, 0.0, -2.0)):
        secondary = edge_on(float64(normal), primary)
        assert (secondary.abs() <= 90).all()
        beams = torch.stack([beam(p, s) for p, s in zip(primary.tolist(), secondary.tolist())])
        assert (beams @ float64(normal)).abs().max() < 1e-9


def test_a_plane_and_its_back_have_one_s_curve_and_one_along_the_body_has_no_graph():
    primary = torch.linspace(-60, 60, 7, dtype=torch.float64)
    torch.testing.assert_close(
        edge_on(float64([0.2, 0.3, 0.9]), primary), edge_on(float64([-0.2, -0.3, -0.9]), primary)
    )
    assert edge_on(float64([1.0, 0.4, 0.0]), primary).isnan().all()
    with pytest.raises(GeometryError, match="give a direction"):
        edge_on(float64([0.0, 0.0, 0.0]), primary)


def test_what_is_framed_lies_about_the_middle_of_the_picture(pelvis):
    for primary, secondary, roll in ((0, 0, 0), (40, -30, 15), (90, 0, 0)):
        view = framing(GENERIC, pelvis.points, primary, secondary, roll)
        uv = view.project(pelvis.points)
        middle = (uv.amin(dim=0) + uv.amax(dim=0)) / 2
        assert (middle - float64([view.size[1] - 1, view.size[0] - 1]) / 2).abs().max() < 1.0
        torch.testing.assert_close(view.normal, beam(primary, secondary))
    with pytest.raises(GeometryError, match="no points"):
        framing(GENERIC, pelvis.points[:0])
