"""A few of the cases that `make fuzz` takes by the thousand, and what it once found."""

import pytest
import torch
from fuzz import check, crowd, grow
from hypothesis import given, settings
from hypothesis import strategies as st

from skiagraph.carm import GENERIC
from skiagraph.drr import engines, native, reference, sliced
from skiagraph.drr.kept import Kept
from skiagraph.errors import GeometryError
from skiagraph.geometry import Grid, View, float64

pytestmark = pytest.mark.skipif(not native.available(), reason="the native engine was not built here")


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**31))
def test_any_field_from_anywhere_comes_out_right_or_is_refused(number):
    check(number)


def test_threads_may_render_the_same_fields_at_once():
    crowd(0)


def test_fields_that_are_gone_leave_nothing_behind():
    assert grow(calls=1500) < 5e6


def test_the_last_voxel_of_a_long_row_is_the_last_that_is_read():
    """At 60000 voxels single precision has steps of 0.004, so that a ray just inside was rounded to one outside."""
    size = 60000
    store = torch.ones(2 * 2 * size + 1)
    store[-1] = torch.nan
    field, grid = store[:-1].view(1, 2, 2, size), Grid.of((2, 2, size), (1.0, 1.0, 1.0))
    source, corner = float64([size - 1.002, 0.9, -50]), float64([size - 1.0025, 0.5, 50])
    view = View(source, corner, float64([0.0002, 0, 0]), float64([0, 0.15, 0]), (4, 30))
    found = native.integrate(field, grid, view)
    assert torch.allclose(found, reference.integrate(field, grid, view), atol=5e-3)


@pytest.mark.parametrize("by", [native, reference], ids=["native", "reference"])
def test_labels_may_be_any_whole_numbers(by):
    """A number is not taken for another that its last sixteen bits are the same as, nor air for the label 0."""
    grid = Grid.centred((4, 4, 4), (10.0, 10.0, 10.0))
    view = GENERIC.with_pixels(24).aimed_at(grid.center, 10, 20)
    numbers = [1, 2**16 + 1, 2**31 - 1, 2**40, -3]
    index = torch.tensor(numbers[:-1])[torch.arange(64).reshape(4, 4, 4) % 4]
    through, _ = by.thickness(index, torch.tensor(numbers), grid, view)
    for number, found in zip(numbers, through):
        mask, one = (index == number).to(torch.uint8), torch.tensor([1])
        assert torch.equal(found, by.thickness(mask, one, grid, view)[0][0])
    assert not through[-1].any()
    ones = torch.ones(4, 4, 4, dtype=torch.uint8)
    assert not by.thickness(ones, torch.tensor([0, 257]), grid, view)[0].any()


def test_a_slice_beyond_the_end_of_a_ray_gives_its_share():
    """The ray leaves the field's side between its last slice and its end, and still half that slice is its own."""
    grid = Grid.of((2, 2, 4), (1.0, 1.0, 1.0))
    view = View(
        float64([-18, 5.6, 0.5]), float64([2.7, 2.05, 0.5]), float64([0, 0, 0.01]), float64([0, 0.01, 0]), (1, 1)
    )
    field = torch.ones(1, *grid.shape)
    expected = reference.integrate(field.double(), grid, view)
    assert expected > 0
    assert torch.allclose(native.integrate(field, grid, view).double(), expected, rtol=1e-4)


def test_half_precision_is_integrated_in_single():
    """Millimetres soon pass 65504, the largest half."""
    grid = Grid.centred((30, 30, 30), (5.0, 5.0, 5.0))
    field, view = torch.full((1, *grid.shape), 1000.0), GENERIC.with_pixels(20).aimed_at(grid.center)
    assert torch.equal(engines.fastest(field.half(), grid, view), reference.integrate(field, grid, view))


def test_gradients_are_kept_for_every_part_of_a_view():
    grid = Grid.centred((8, 8, 8), (5.0, 5.0, 5.0))
    view = GENERIC.with_pixels(4).aimed_at(grid.center)
    moved = View(view.source, view.origin, view.u_step.clone().requires_grad_(), view.v_step, view.size)
    assert engines.fastest(torch.ones(1, *grid.shape), grid, moved).requires_grad


def test_batches_may_be_of_batches(monkeypatch, rng):
    monkeypatch.setattr(sliced, "FEW", 0.0)
    grid = Grid.centred((20, 20, 20), (2.0, 2.0, 2.0))
    views = View.stack([GENERIC.with_pixels(40).aimed_at(grid.center, angle) for angle in (0.0, 30.0, 60.0, 90.0)])
    parts = (part.reshape(2, 2, 3) for part in (views.source, views.origin, views.u_step, views.v_step))
    field, nested = torch.rand(1, *grid.shape, generator=rng), View(*parts, views.size)
    for engine in (sliced, native, reference):
        flat = engine.integrate(field, grid, views)
        assert torch.equal(engine.integrate(field, grid, nested), flat.unflatten(0, (2, 2)))


def test_views_that_show_nothing_are_refused():
    one = GENERIC.with_pixels(4).aimed_at(float64([0, 0, 0]))
    none = torch.zeros(0, 3, dtype=torch.float64)
    with pytest.raises(GeometryError, match="give at least one"):
        View(none, none, none, none, (4, 4))
    for v_step in (0 * one.v_step, 2 * one.u_step):
        with pytest.raises(GeometryError, match="one line"):
            View(one.source, one.origin, one.u_step, v_step, one.size)


def test_a_field_changed_while_it_is_made_ready_is_made_ready_again():
    field, seen = torch.zeros(1, 2, 2, 2), []

    def make(given: torch.Tensor) -> float:
        seen.append(float(given.sum()))
        given.add_(1.0)  # as by another thread
        return seen[-1]

    kept = Kept(make)
    assert (kept.of(field), kept.of(field)) == (0.0, 8.0)


@pytest.mark.parametrize("away", [1e6, 1e12, 1e14, 1e15, 1e16, 1e20])
def test_from_however_far_only_the_field_is_read(away, rng):
    """Beyond 1e12 voxels double precision no longer says on which side of its surface a ray is."""
    for _ in range(40):
        store = torch.full((3, 2, 3, 4, 5), torch.nan)
        store[1] = torch.rand(2, 3, 4, 5, generator=rng)
        grid = Grid.of((3, 4, 5), (1.0, 1.0, 1.0))
        beam, u, v = torch.linalg.qr(torch.randn(3, 3, generator=rng, dtype=torch.float64)).Q
        view = View(grid.center - away * beam, grid.center + 20 * beam - 5 * (u + v), u, v, (11, 11))
        for engine in (native, sliced):
            assert engine.integrate(store[1], grid, view).isfinite().all()


def test_a_field_one_voxel_thick_is_all_that_is_read():
    store = torch.full((3, 1, 4, 4, 1), torch.nan)
    store[1] = 1.0
    grid = Grid.of((4, 4, 1), (1.0, 1.0, 1.0))
    u, v = float64([1e-9, 0.0, 0.0]), float64([0.0, 0.01, 0.0])
    view = View(float64([1e-5, 2.5, -100.0]), float64([1e-5, 2.2, 100.0]), u, v, (60, 3))
    assert torch.allclose(native.integrate(store[1], grid, view), torch.tensor(4.0), rtol=1e-4)
