"""Every way to draw a view keeps to what it says of itself."""

import math
from dataclasses import replace

import pytest
import torch

from skiagraph.bodies import Person, build
from skiagraph.carm import GENERIC, angles_of
from skiagraph.errors import GeometryError
from skiagraph.factory.chance import generator_for
from skiagraph.factory.views import Aim, Around, Box, Cone, Mixture, SolidAngle, Target, TubeInFront
from skiagraph.geometry import View, float64
from skiagraph.planning import plan, standard_view
from skiagraph.volume import Landmarks

CARM = GENERIC.with_pixels(64)
STILL = Aim(shift=0.0, roll=0.0)


@pytest.fixture(scope="module")
def target() -> Target:
    body = build(Person(tilt=10.0), spacing=6.0)
    return Target(body.volume.grid.center, body.landmarks)


def drawn(sampler, target: Target, count: int) -> list[View]:
    return [sampler(target, CARM, n, generator_for(0, "view", n)) for n in range(count)]


def test_a_box_of_nothing_is_the_view_from_the_front(target):
    view = Box((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))(target, CARM, 0, generator_for(0))
    assert torch.allclose(view.matrix(), CARM.aimed_at(target.center).matrix(), atol=1e-9)


def test_a_box_shifts_the_patient_no_further_than_it_says(target):
    """Shifted, not turned: the centre lands beside the middle by the shift, magnified."""
    views = drawn(Box((0.0, 0.0, 0.0), (50.0, 0.0, 20.0)), target, 200)
    middle = float64([31.5, 31.5])
    scale = CARM.source_to_panel / CARM.source_to_isocenter / CARM.pixel_spacing
    off = torch.stack([(view.project(target.center[None])[0] - middle) / scale for view in views])
    assert off[:, 0].abs().max() <= 50.0 + 1e-9 and off[:, 0].abs().max() > 45.0
    assert off[:, 1].abs().max() <= 20.0 + 1e-9 and off[:, 1].abs().max() > 18.0


def test_a_cone_holds_its_directions_and_fills_them_evenly(target):
    """Of directions spread evenly over a cone, a quarter lies within half the angle, nearly."""
    axis = plan(standard_view("inlet"), CARM, target.landmarks, target.center).view.normal
    views = drawn(Cone(("inlet",), 20.0, STILL), target, 400)
    angles = torch.tensor([math.degrees(math.acos(min(1.0, float(view.normal @ axis)))) for view in views])
    assert angles.max() <= 20.0 + 1e-6
    assert (angles < 10.0).float().mean() == pytest.approx(0.25, abs=0.07)


def test_an_aimed_view_looks_at_its_target(target):
    planned = plan(standard_view("ap"), CARM, target.landmarks, target.center)
    for view in drawn(Cone(("ap",), 15.0, STILL), target, 5):
        assert torch.allclose(view.project(planned.target[None])[0], float64([31.5, 31.5]), atol=1e-6)


def test_a_part_of_the_sphere_is_filled_evenly():
    """Without landmarks the angles are the table's; heights on a sphere are spread evenly."""
    nobody = Target(float64([0.0, 0.0, 0.0]), Landmarks.of({}))
    views = drawn(SolidAngle((-30.0, 60.0), (-45.0, 45.0), STILL), nobody, 400)
    angles = torch.tensor([angles_of(view.normal) for view in views])
    assert angles[:, 0].min() >= -30.0 and angles[:, 0].max() <= 60.0
    assert angles[:, 1].abs().max() <= 45.0
    heights = torch.sin(angles[:, 1].deg2rad()) / math.sin(math.radians(45.0))
    assert (heights.abs() < 0.5).float().mean() == pytest.approx(0.5, abs=0.08)


def test_given_views_come_one_after_the_other(target):
    given = tuple(CARM.aimed_at(target.center, angle) for angle in (0.0, 20.0, 40.0))
    for n, view in enumerate(drawn(Around(), replace(target, views=given), 5)):
        assert torch.allclose(view.matrix(), given[n % 3].matrix(), atol=1e-9)


def test_given_views_stray_no_further_than_they_may(target):
    given = (CARM.aimed_at(target.center),)
    views = drawn(Around(rotation=2.0, translation=5.0), replace(target, views=given), 50)
    off = torch.stack([view.project(target.center[None])[0] - 31.5 for view in views])
    scale = CARM.source_to_panel / (CARM.source_to_isocenter - 5.0) / CARM.pixel_spacing
    assert 0.0 < off.abs().max() <= 5.0 * scale
    turned = torch.stack([view.normal @ given[0].normal for view in views]).clamp(max=1.0).acos().rad2deg()
    assert 0.5 < turned.max() <= 2.0 * math.sqrt(3)


def test_standing_around_nothing_is_refused(target):
    with pytest.raises(GeometryError, match="give poses"):
        Around()(target, CARM, 0, generator_for(0))


def test_a_mixture_draws_each_part_as_often_as_it_weighs(target):
    front, side = Cone(("ap",), 0.0, STILL), Cone(("left_lateral",), 0.0, STILL)
    views = drawn(Mixture(((3.0, front), (1.0, side))), target, 300)
    fronts = sum(abs(float(view.normal[1])) > 0.7 for view in views)
    assert fronts / 300 == pytest.approx(0.75, abs=0.08)


def test_a_radiograph_is_taken_from_the_front_and_shows_the_left_on_its_right(target):
    carm = replace(CARM, source_to_isocenter=0.85 * CARM.source_to_panel)
    cone = Cone(("ap",), 5.0)
    behind = cone(target, carm, 0, torch.Generator().manual_seed(1))
    front = TubeInFront(cone)(target, carm, 0, torch.Generator().manual_seed(1))
    assert front.source[1] < target.center[1] < behind.source[1], "LPS: the front has the smaller y"
    torch.testing.assert_close(front.source_to_panel, behind.source_to_panel)
    for view in (front, behind):
        seen = target.landmarks.seen_from(view)
        left, right, pubis, spine = (
            seen.uv[seen.names.index(name)]
            for name in ("left_femoral_head", "right_femoral_head", "left_inferior_pubic_symphysis",
                         "left_anterior_superior_iliac_spine")
        )  # fmt: skip
        assert left[0] > right[0] and spine[1] < pubis[1], "left on the right, head up"

    def spines_over_heads(view):
        uv = dict(zip(target.landmarks.names, view.project(target.landmarks.points)))
        spines, heads = (
            uv[f"left_{name}"][0] - uv[f"right_{name}"][0] for name in ("anterior_superior_iliac_spine", "femoral_head")
        )
        return float(spines / heads)

    assert spines_over_heads(front) > 1.05 * spines_over_heads(behind), "what is near the tube is magnified"
