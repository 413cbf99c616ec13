from dataclasses import replace

import pytest
import torch

from skiagraph.carm import (
    CIOS_FUSION,
    DEVICES,
    GENERIC,
    LOOP_X,
    angles_of,
    beam,
    clinical,
    device,
    view_angles,
    view_roll,
)
from skiagraph.errors import GeometryError
from skiagraph.geometry import float64

ORIGIN = float64([0.0, 0.0, 0.0])
LEFT, BACK, HEAD = torch.eye(3, dtype=torch.float64)


def test_at_zero_the_panel_is_before_the_chest():
    view = GENERIC.view(ORIGIN)
    assert torch.allclose(view.normal, -BACK)
    assert torch.allclose(view.source, 1000 * BACK)


def test_primary_90_is_the_patients_left_and_secondary_90_the_head():
    """DICOM PS3.3 C.8.7.5.1.2."""
    assert torch.allclose(GENERIC.view(ORIGIN, primary=90).normal, LEFT)
    assert torch.allclose(GENERIC.view(ORIGIN, primary=-90).normal, -LEFT)
    assert torch.allclose(GENERIC.view(ORIGIN, secondary=90).normal, HEAD)
    assert torch.allclose(GENERIC.view(ORIGIN, secondary=-90).normal, -HEAD)


def test_the_patients_left_is_on_the_images_right_and_the_head_is_up():
    uv = GENERIC.view(ORIGIN).project(torch.stack([ORIGIN, 10 * LEFT, 10 * HEAD]))
    assert uv[1, 0] > uv[0, 0] and uv[1, 1] == pytest.approx(uv[0, 1].item())
    assert uv[2, 1] < uv[0, 1] and uv[2, 0] == pytest.approx(uv[0, 0].item())


@pytest.mark.parametrize("primary", range(-170, 171, 34))
@pytest.mark.parametrize("secondary", range(-80, 81, 32))
def test_a_view_shows_the_angles_it_was_taken_at(primary, secondary):
    view = GENERIC.aimed_at(float64([5.0, 6.0, 7.0]), primary, secondary, roll=11.0)
    assert view_angles(view) == pytest.approx((primary, secondary), abs=1e-9)
    assert view_roll(view) == pytest.approx(11.0, abs=1e-9)
    assert view.source_to_panel.item() == pytest.approx(1200.0)
    assert torch.allclose(view.principal_point, float64([767.5, 767.5]))


@pytest.mark.parametrize("primary", [-150, -90, -30, 0, 45, 90, 135])
@pytest.mark.parametrize("secondary", [-60, -10, 0, 35, 85])
def test_both_ways_to_stand_bring_the_panel_to_the_same_place(primary, secondary):
    for joints in GENERIC.joints(primary, secondary):
        assert torch.allclose(joints.direction, beam(primary, secondary), atol=1e-9)


def test_the_side_a_device_stands_on_mirrors_its_reach():
    left = replace(CIOS_FUSION, side="left")
    for primary in range(-120, 121, 10):
        assert CIOS_FUSION.reaches(primary, 0) == left.reaches(-primary, 0)
    assert CIOS_FUSION.reaches(-100, 0) and not CIOS_FUSION.reaches(60, 0)


@pytest.mark.parametrize("arm", [CIOS_FUSION, LOOP_X])
def test_the_nearest_view_in_reach_is_in_reach_and_no_sampled_one_is_nearer(arm):
    for primary, secondary in [(60, 0), (90, 20), (0, 50), (45, -60), (-130, 10)]:
        near = arm.nearest(primary, secondary)
        assert arm.reaches(*near)
        wanted = beam(primary, secondary)
        others = [beam(p, s) @ wanted for p in range(-180, 180, 4) for s in range(-84, 85, 4) if arm.reaches(p, s)]
        assert beam(*near) @ wanted > max(others) - 1e-6


def test_a_view_out_of_reach_is_refused_and_the_nearest_named():
    with pytest.raises(GeometryError, match=r"cannot reach LAO 90.*LAO 40"):
        CIOS_FUSION.view(ORIGIN, primary=90)
    with pytest.raises(GeometryError, match=r"give -180\.\.180"):
        GENERIC.view(ORIGIN, primary=200)
    with pytest.raises(GeometryError, match="one of generic"):
        device("magic")


def test_an_arm_that_does_not_turn_about_its_beam_drifts():
    isocenter = float64([1.0, 2.0, 3.0])
    view = CIOS_FUSION.view(isocenter, -30)
    assert torch.allclose(CIOS_FUSION.isocenter(view), isocenter)
    beside = view.project(isocenter[None])[0] - view.principal_point
    magnified = 157.582 * 1020 / 631.776 / 0.194
    assert abs(beside[0].item()) == pytest.approx(magnified, rel=1e-6)
    assert abs(beside[1].item()) < 1e-6
    aimed = CIOS_FUSION.aimed_at(isocenter, -30)
    assert torch.allclose(aimed.project(isocenter[None])[0], aimed.principal_point)


def test_angles_are_read_as_a_display_says_them():
    assert clinical(30.2, -9.8) == "LAO 30 CAU 10"
    assert clinical(-45, 0.2) == "RAO 45"
    assert clinical(0, 25) == "CRA 25"
    assert angles_of(beam(33, 21)) == pytest.approx((33, 21))


def test_the_siemens_panel_has_the_published_intrinsics():
    """SyntheX and DeepFluoro: 1020 mm / 0.194 mm = 5257.73 pixels, principal point 767.5, z towards the source."""
    k, _, _ = CIOS_FUSION.view(ORIGIN).krt()
    expected = float64([[-5257.732, 0, 767.5], [0, -5257.732, 767.5], [0, 0, 1]])
    assert (k - expected).abs().max() < 1e-3


def test_every_device_says_where_its_figures_come_from():
    assert all(arm.reference for arm in DEVICES.values())


def test_fewer_pixels_are_the_same_panel():
    small = GENERIC.with_pixels(100)
    assert small.panel_size == pytest.approx(GENERIC.panel_size)
    with pytest.raises(GeometryError, match="8192"):
        GENERIC.with_pixels(0)
