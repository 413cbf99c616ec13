import math

import pytest
import torch

from skiagraph.carm import CIOS_FUSION, GENERIC
from skiagraph.errors import GeometryError
from skiagraph.geometry import Grid, View, box_around, float64, meeting, rigid, rotation, transform

ANGLES = [(0, 0), (30, -10), (-45, 25), (90, 0), (-90, 5), (170, -40), (12, 89)]


def views(size: int = 256) -> list[View]:
    target = float64([12.0, -7.0, -940.0])
    return [GENERIC.with_pixels(size).aimed_at(target, *angles, roll=7.0 * n) for n, angles in enumerate(ANGLES)]


def points(rng: torch.Generator, count: int = 200) -> torch.Tensor:
    return float64([12.0, -7.0, -940.0]) + 100 * (torch.rand(count, 3, generator=rng, dtype=torch.float64) - 0.5)


@pytest.mark.parametrize("view", views())
def test_points_land_where_k_r_t_says(view, rng):
    k, r, t = view.krt()
    x = points(rng)
    pixel = (x @ r.T + t) @ k.T
    assert (view.project(x) - pixel[:, :2] / pixel[:, 2:]).abs().max() < 1e-6


@pytest.mark.parametrize("view", views())
def test_a_rotation_is_proper_and_intrinsics_are_triangular(view):
    k, r, _ = view.krt()
    assert torch.linalg.det(r) == pytest.approx(1.0, abs=1e-9)
    assert (r @ r.T - torch.eye(3)).abs().max() < 1e-9
    assert k.tril(-1).abs().max() < 1e-9
    assert k[2, 2] == 1.0


@pytest.mark.parametrize("view", views())
def test_half_a_turn_of_a_picture_takes_every_pixel_to_its_opposite(view):
    view = view.cropped(slice(0, 5), slice(3, 9))
    torch.testing.assert_close(view.half_turned().pixels(), view.pixels().flip(0, 1))
    assert torch.equal(view.half_turned().source, view.source)


@pytest.mark.parametrize("view", views())
def test_matrix_and_krt_round_trip(view):
    spacing = view.pixel_spacing[1]
    for twin in (View.from_matrix(view.matrix(), view.size, spacing), View.from_krt(*view.krt(), view.size, spacing)):
        for name in ("source", "origin", "u_step", "v_step"):
            assert (getattr(twin, name) - getattr(view, name)).abs().max() < 1e-9


def test_both_signs_of_focal_length_are_one_view():
    view = views()[1]
    k, r, t = view.krt()
    assert k[0, 0] < 0, "the display convention's z points from the panel to the source"
    flip = torch.diag(float64([-1.0, -1.0, 1.0]))
    mirrored = View.from_krt(k @ flip, flip @ r, flip @ t, view.size, view.pixel_spacing[1])
    x = view.source + 500 * view.normal
    assert (mirrored.project(x[None]) - view.project(x[None])).abs().max() < 1e-6


def test_a_positive_focal_length_looks_from_the_source():
    k = torch.tensor([[1000.0, 0, 49.5], [0, 1000.0, 49.5], [0, 0, 1]], dtype=torch.float64)
    view = View.from_krt(k, torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), (100, 100), 0.5)
    assert view.source_to_panel == pytest.approx(500.0)
    assert view.depth(float64([[0.0, 0.0, 200.0]])).item() == pytest.approx(200.0)
    assert (view.project(float64([[10.0, -5.0, 200.0]])) - float64([[99.5, 24.5]])).abs().max() < 1e-9
    assert (view.krt()[0] - k).abs().max() < 1e-9


def test_an_off_centre_principal_point_and_oblong_pixels_survive():
    k = torch.tensor([[-900.0, 3.0, 40.25], [0, -1100.0, 71.5], [0, 0, 1]], dtype=torch.float64)
    view = View.from_krt(k, rotation("x", 20) @ rotation("z", 40), float64([3.0, 4.0, -700.0]), (120, 90), 0.4)
    assert (view.krt()[0] - k).abs().max() < 1e-9
    assert (view.principal_point - float64([40.25, 71.5])).abs().max() < 1e-9


def test_pixels_project_onto_themselves():
    view = views(24)[2].cropped(slice(2, 20), slice(5, 17))
    v, u = torch.meshgrid(torch.arange(18.0), torch.arange(12.0), indexing="ij")
    found = view.project(view.pixels().reshape(-1, 3))
    assert (found - torch.stack([u, v], dim=-1).reshape(-1, 2)).abs().max() < 1e-9


def test_resizing_keeps_the_panels_edges():
    view = views(100)[3]
    small = view.resized((25, 50))
    assert (
        small.on_panel(float64([[-0.5, -0.5], [49.5, 24.5]])) - view.on_panel(float64([[-0.5, -0.5], [99.5, 99.5]]))
    ).abs().max() < 1e-9


def test_turning_the_patient_is_turning_the_c_arm_the_other_way(rng):
    center = float64([10.0, 20.0, 30.0])
    x = points(rng) - float64([0.0, 0.0, -960.0])
    motion = rigid(rotation("z", 25), about=center)
    turned_arm = GENERIC.aimed_at(center, primary=-25.0)
    assert (turned_arm.project(x) - GENERIC.aimed_at(center).project(transform(motion, x))).abs().max() < 1e-6
    assert (
        turned_arm.project(x) - GENERIC.aimed_at(center).moved(torch.linalg.inv(motion)).project(x)
    ).abs().max() < 1e-6


def test_a_batch_of_views_is_its_views(rng):
    batch, x = View.stack(views()), points(rng)
    for n, view in enumerate(views()):
        assert (batch.project(x)[n] - view.project(x)).abs().max() < 1e-9
        assert (batch[n].matrix() - view.matrix()).abs().max() == 0
        assert (batch.matrix()[n] - view.matrix()).abs().max() < 1e-9
    assert batch.pixels().shape == (len(ANGLES), 256, 256, 3)


def test_what_is_behind_the_source_or_beside_the_panel_is_not_seen():
    view = GENERIC.aimed_at(float64([0.0, 0.0, 0.0]))
    behind, beside, beyond, there = [0.0, 1050.0, 0.0], [400.0, 0.0, 0.0], [0.0, -250.0, 0.0], [5.0, 0.0, 5.0]
    assert view.sees(float64([behind, beside, beyond, there])).tolist() == [False, False, False, True]
    assert view.depth(float64([behind])).item() < 0


def test_a_grid_keeps_its_place_through_every_door(rng):
    grid = Grid.of((7, 8, 9), (0.8, 0.9, 2.5), (-30.0, 12.0, 5.0), rotation("x", 20) @ rotation("z", -10))
    assert grid.spacing == pytest.approx((0.8, 0.9, 2.5))
    assert (transform(grid.ijk_from_world, grid.centers())[3, 4, 5] - float64([5.0, 4.0, 3.0])).abs().max() < 1e-9
    box = (slice(2, 5), slice(1, 8), slice(3, 4))
    assert (grid.cropped(box).centers() - grid.centers()[box]).abs().max() < 1e-9
    assert grid.contains(grid.center) and not grid.contains(grid.corners[0] * 2 - grid.center)
    assert grid.same_as(grid.moved(torch.eye(4, dtype=torch.float64)))
    assert not grid.same_as(grid.moved(rigid(rotation("z", 1), about=grid.center)))


def test_a_box_holds_all_that_is_true():
    mask = torch.zeros(4, 5, 6, dtype=torch.bool)
    assert box_around(mask) is None
    mask[1, 2, 3] = mask[2, 2, 5] = True
    assert box_around(mask) == (slice(1, 3), slice(2, 3), slice(3, 6))


def test_broken_geometry_says_what_to_do():
    eye = torch.eye(3, dtype=torch.float64)
    with pytest.raises(GeometryError, match="empty"):
        Grid.of((0, 4, 4), (1, 1, 1))
    with pytest.raises(GeometryError, match="flat or zero"):
        Grid.of((4, 4, 4), (1, 0, 1))
    with pytest.raises(GeometryError, match="NaN"):
        Grid.of((4, 4, 4), (1, math.nan, 1))
    with pytest.raises(GeometryError, match="not a rotation"):
        View.from_krt(eye, 2 * eye, float64([0.0, 0.0, 1.0]), (4, 4), 1.0)
    with pytest.raises(GeometryError, match="singular"):
        View.from_matrix(torch.zeros(3, 4), (4, 4), 1.0)
    with pytest.raises(GeometryError, match="3x4"):
        View.from_matrix(torch.eye(4), (4, 4), 1.0)
    with pytest.raises(GeometryError, match="plane of the panel"):
        View(float64([0.0, 0, 0]), float64([1.0, 0, 0]), float64([1.0, 0, 0]), float64([0.0, 1, 0]), (4, 4))
    with pytest.raises(GeometryError, match="cannot batch"):
        View.stack([CIOS_FUSION.aimed_at(float64([0.0, 0, 0])), GENERIC.with_pixels(5).aimed_at(float64([0.0, 0, 0]))])


@pytest.mark.parametrize("view", views())
def test_in_the_mirror_a_mirrored_body_is_seen_on_the_other_side_of_the_picture(view, rng):
    x = points(rng)
    here, there = view.project(x), view.mirrored().project(x * float64([-1.0, 1.0, 1.0]))
    assert torch.allclose(there, torch.stack([255 - here[:, 0], here[:, 1]], dim=-1), atol=1e-6)
    assert torch.allclose(view.mirrored().mirrored().matrix(), view.matrix(), atol=1e-9)


def test_rays_of_a_point_meet_where_it_is(rng):
    x, several = points(rng), views()[:3]
    assert torch.allclose(meeting(several, torch.stack([view.project(x) for view in several])), x, atol=1e-6)


def test_rays_of_one_view_meet_nowhere(rng):
    view = views()[0]
    with pytest.raises(GeometryError, match="meet nowhere"):
        meeting([view, view], torch.stack([view.project(points(rng))] * 2))
