"""The fast engine: every instruction set, every oddity of grids and views, and what it keeps of a field."""

import gc
import math
import os
from pathlib import Path

import pytest
import torch
from analytic import Ellipsoids, Gaussians
from torch import Tensor

from skiagraph.carm import GENERIC
from skiagraph.drr import native, sliced
from skiagraph.errors import BackendError, DataError
from skiagraph.geometry import Grid, View, float64, rigid, rotation

pytestmark = pytest.mark.skipif(not native.available(), reason="the native engine was not built here")

BEAMS = [(0.0, 0.0), (-30.0, 12.0), (45.0, 0.0), (90.0, -20.0), (170.0, 5.0), (10.0, 85.0)]


@pytest.fixture(autouse=True)
def always_sliced(monkeypatch):
    """Small views too, which are otherwise left to rays."""
    monkeypatch.setattr(sliced, "FEW", 0.0)


@pytest.fixture(params=sliced.LEVELS)
def level(request, monkeypatch) -> str:
    if request.param not in sliced.levels():
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setenv("SKIAGRAPH_LEVEL", request.param)
    return request.param


def is_sliced(field: Tensor, grid: Grid, view: View) -> bool:
    return sliced.axis_for(field, grid, view) is not None


def difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def blob(shape: tuple[int, int, int]) -> Tensor:
    """A Gaussian in the middle of a grid, a tenth of it wide, in voxels."""
    bells = [torch.exp(-0.5 * ((torch.arange(n) - (n - 1) / 2) / (n / 10)) ** 2) for n in shape]
    return torch.einsum("k,j,i->kji", *bells)[None]


def odd_view(grid: Grid, rng: torch.Generator) -> View:
    """Any direction and roll, off-centre, not square, skewed, tilted against the beam."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=rng))

    reach = float((grid.corners - grid.center).norm(dim=1).max())
    beam, across = torch.randn(2, 3, generator=rng, dtype=torch.float64)
    beam = beam / beam.norm()
    u = torch.linalg.cross(beam, across)
    u = u / u.norm()
    v = torch.linalg.cross(beam, u) * between(0.6, 1.4) + u * between(-0.3, 0.3)
    u = u + beam * between(-0.3, 0.3)
    rows, columns = (int(between(20, 90)) for _ in range(2))
    near, far = reach * between(1.5, 5), reach * between(1.4, 3)
    u, v = (axis * reach * (1 + far / near) * between(0.5, 1.5) / n for axis, n in ((u, columns), (v, rows)))
    corner = grid.center + far * beam - u * columns * between(0.4, 0.6) - v * rows * between(0.4, 0.6)
    return View(grid.center - near * beam, corner, u, v, (rows, columns))


def odd_grid(rng: torch.Generator, least: int) -> Grid:
    """Any size, spacing and direction; sheared, left-handed, far from the origin."""
    k, j, i = torch.randint(least, least + 40, (3,), generator=rng).tolist()
    spacing = (0.4 + 2.5 * torch.rand(3, generator=rng)).tolist()
    angles = (360 * torch.rand(3, generator=rng)).tolist()
    axes = rotation("z", angles[0]) @ rotation("y", angles[1]) @ rotation("x", angles[2])
    axes = axes @ (torch.eye(3) + 0.2 * torch.randn(3, 3, generator=rng).triu(1)).double()
    axes = axes * torch.where(torch.rand(3, generator=rng) < 0.3, -1.0, 1.0).double()
    return Grid.of((k, j, i), spacing, (1000 * torch.randn(3, generator=rng)).tolist(), axes / axes.norm(dim=0))


@pytest.mark.parametrize("angles", BEAMS)
def test_every_instruction_set_is_as_accurate_as_rays(level, angles, rng):
    """Acceptance: at most 1.02 times the error of a per-ray Joseph against the analytic phantom."""
    phantom = Ellipsoids.draw(45, radius=60, rng=rng)
    grid = Grid.centred((110, 110, 110), (1.2, 1.2, 1.2))
    view = GENERIC.with_pixels(400).aimed_at(grid.center, *angles).cropped(slice(120, 280), slice(120, 280))
    field = phantom.voxels(grid)[None]
    exact = phantom.integral(view)
    assert is_sliced(field, grid, view)
    ours, theirs = (difference(engine(field, grid, view)[0], exact) for engine in (sliced.integrate, native.integrate))
    assert ours <= 1.02 * theirs


@pytest.mark.parametrize("seed", range(12))
def test_odd_grids_and_views_come_out_as_by_rays(level, seed):
    """Smooth, so that resampling counts for nothing and a hundredth of a voxel would show."""
    rng = torch.Generator().manual_seed(seed)
    grid = odd_grid(rng, least=40)
    view, field = odd_view(grid, rng), blob(grid.shape)
    found, expected = (engine(field, grid, view) for engine in (sliced.integrate, native.integrate))
    assert difference(found, expected) < 5e-3
    assert float(found.sum() / expected.sum()) == pytest.approx(1.0, abs=2e-3)


def test_most_odd_views_are_sliced():
    generators = [torch.Generator().manual_seed(seed) for seed in range(60)]
    cases = [(grid, odd_view(grid, rng)) for rng in generators for grid in [odd_grid(rng, least=40)]]
    assert sum(is_sliced(blob(grid.shape), grid, view) for grid, view in cases) > 20


@pytest.mark.parametrize("seed", range(60))
def test_thin_and_rough_fields_neither_crash_nor_leave_their_bounds(seed):
    """From one voxel an axis; all instruction sets agree, whatever the field."""
    rng = torch.Generator().manual_seed(seed)
    grid = odd_grid(rng, least=1)
    k, j, i = (min(n, 1 + n % size) for n, size in zip(grid.shape, (3, 40, 17)))
    grid, view = Grid((k, j, i), grid.world_from_ijk), odd_view(Grid((k, j, i), grid.world_from_ijk), rng)
    field = torch.rand(2, k, j, i, generator=rng) * (torch.rand(k, j, i, generator=rng) < 0.7) - 0.2
    longest = float((grid.corners - grid.center).norm(dim=1).max()) * 2 + 2 * max(grid.spacing)
    with pytest.MonkeyPatch.context() as patch:
        pictures = []
        for name in sliced.levels():
            patch.setenv("SKIAGRAPH_LEVEL", name)
            pictures.append(sliced.integrate(field, grid, view))
    for picture in pictures:
        assert picture.isfinite().all() and picture.abs().max() <= longest
        assert torch.allclose(picture, pictures[0], rtol=1e-5, atol=2e-5 * longest)


def test_the_number_of_threads_changes_nothing(level, rng):
    grid = Grid.centred((70, 80, 90), (1.5, 1.5, 1.5))
    field, view = torch.rand(2, *grid.shape, generator=rng), GENERIC.with_pixels(150).aimed_at(grid.center, 20, 10)
    assert is_sliced(field, grid, view)
    many, pictures = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5, 40):
            torch.set_num_threads(threads)
            pictures.append(sliced.integrate(field.clone(), grid, view))
    finally:
        torch.set_num_threads(many)
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)


def test_where_slices_do_not_serve_rays_do(rng):
    grid = Grid.centred((40, 40, 40), (1.0, 1.0, 1.0))
    field = torch.rand(1, *grid.shape, generator=rng)
    far = GENERIC.with_pixels(64).aimed_at(grid.center)
    inside = View(float64([3.0, 2.0, 1.0]), far.origin, far.u_step, far.v_step, far.size)
    beside = View(float64([0.0, 0.0, 30.0]), far.origin, far.u_step, far.v_step, far.size)
    near = far.moved(rigid(rotation("z", 0), grid.center, float64([0.0, 295.0, 0.0])))
    wide = View(float64([0, 60, 0]), float64([-300, -90, 300]), float64([10, 0, 0]), float64([0, 0, -10]), (61, 61))
    assert is_sliced(field, grid, far)
    for view in (inside, beside, near, wide):
        assert not is_sliced(field, grid, view)
        assert torch.equal(sliced.integrate(field, grid, view), native.integrate(field, grid, view))


def wide_view(grid: Grid, direction: tuple[float, float, float], size: tuple[int, int]) -> View:
    """A cone of 100 degrees that starts not far from a grid's corner."""
    beam = float64(direction) / float64(direction).norm()
    u = torch.linalg.cross(beam, float64([0.3, 0.2, 0.9]))
    u = u / u.norm()
    v = torch.linalg.cross(beam, u)
    reach = float((grid.corners - grid.center).norm(dim=1).max())
    source, side = grid.center - 1.3 * reach * beam, 6.0 * reach
    rows, columns = size
    corner = source + 2.5 * reach * beam - side / 2 * (u + v)
    return View(source, corner, u * side / columns, v * side / rows, size)


@pytest.mark.parametrize("direction", [(1.0, 0.9, 0.1), (1.0, 1.0, 1.0), (0.1, -1.0, 1.1)])
def test_a_view_no_one_axis_serves_is_put_together_from_parts(level, direction, rng):
    phantom = Ellipsoids.draw(45, radius=60, rng=rng)
    grid = Grid.centred((110, 110, 110), (1.2, 1.2, 1.2))
    field, view = phantom.voxels(grid)[None], wide_view(grid, direction, (400, 300))
    assert not is_sliced(field, grid, view)
    exact = phantom.integral(view)
    found, expected = (engine(field, grid, view)[0] for engine in (sliced.integrate, native.integrate))
    assert not torch.equal(found, expected)
    assert difference(found, exact) <= 1.02 * difference(expected, exact)


def test_two_copies_serve_all_three_axes(rng):
    """At most 2.5 times the field in 16 bits, zeros around it included."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("memory in use is read from /proc, which is not here")
    grid = Grid.centred((200, 250, 200), (1.0, 1.0, 1.0))
    field = torch.rand(1, *grid.shape, generator=rng)
    views = [GENERIC.with_pixels(200).aimed_at(grid.center, *angles) for angles in ((0, 0), (90, 0), (0, 85))]
    before = resident_bytes()
    axes = {sliced.axis_for(field, grid, view) for view in views if sliced.integrate(field, grid, view).any()}
    assert axes == {0, 1, 2}
    assert resident_bytes() - before < 2.5 * 2 * field.numel()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_few_rays_are_taken_one_by_one(monkeypatch, rng):
    monkeypatch.undo()
    grid = Grid.centred((30, 30, 30), (2.0, 2.0, 2.0))
    field = torch.rand(1, *grid.shape, generator=rng)
    assert not is_sliced(field, grid, GENERIC.with_pixels(100).aimed_at(grid.center))
    assert is_sliced(field, grid, GENERIC.with_pixels(600).aimed_at(grid.center))


def test_air_is_nothing_and_a_view_past_the_field_is_empty():
    grid = Grid.centred((30, 30, 30), (2.0, 2.0, 2.0))
    view = GENERIC.with_pixels(64).aimed_at(grid.center)
    assert not sliced.integrate(torch.zeros(2, *grid.shape), grid, view).any()
    speck = torch.zeros(1, *grid.shape)
    speck[0, 0, 0, 0] = speck[0, -1, -1, -1] = 1.0
    assert (sliced.integrate(speck, grid, view) != 0).float().mean() < 0.02, "zero stays zero in 16 bits"
    past = GENERIC.with_pixels(64).aimed_at(grid.center + float64([2000.0, 0.0, 0.0]))
    assert not sliced.integrate(torch.ones(1, *grid.shape), grid, past).any()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_refused(value):
    field = torch.zeros(1, 9, 9, 9)
    field[0, 4, 5, 6] = value
    with pytest.raises(DataError, match="NaN or infinity"):
        sliced.integrate(
            field, Grid.centred((9, 9, 9), (1, 1, 1)), GENERIC.with_pixels(32).aimed_at(float64([0, 0, 0]))
        )


def test_sixteen_bits_keep_the_mean_of_a_uniform_region():
    """A slab of water beside a speck of metal: parts in a million, though a step of the 16 bits is 1.4e-4 of water."""
    grid = Grid.centred((60, 60, 60), (2.0, 2.0, 2.0))
    field = torch.zeros(1, *grid.shape)
    field[:, :, 10:50] = 1.0
    field[0, 0, 10, 0] = 4.5
    view = GENERIC.with_pixels(512).aimed_at(grid.center).cropped(slice(240, 272), slice(240, 272))
    assert is_sliced(field, grid, view)
    found, expected = (engine(field, grid, view) for engine in (sliced.integrate, native.integrate))
    assert float((found / expected - 1).abs().max()) < 2e-5
    assert float(found.sum() / expected.sum()) == pytest.approx(1.0, abs=4e-6)


def test_channels_of_any_scale_keep_their_own(rng):
    grid = Grid.centred((40, 40, 40), (2.0, 2.0, 2.0))
    view = GENERIC.with_pixels(100).aimed_at(grid.center, 15)
    base = Gaussians.draw(3, 10, 8, rng).voxels(grid)
    field = torch.stack([base, 1e-6 * base, -3e4 * base, torch.zeros_like(base)])
    found = sliced.integrate(field, grid, view)
    for channel, scale in enumerate((1.0, 1e-6, -3e4)):
        assert float((found[channel] / scale - found[0]).abs().max()) < 3e-5 * float(found[0].max())
    assert not found[3].any()


@pytest.mark.parametrize("scale", [1e-37, 1e-20, 1e20, 1e33])
def test_values_may_be_tiny_or_huge(scale):
    grid = Grid.centred((40, 40, 40), (2.0, 2.0, 2.0))
    view, field = GENERIC.with_pixels(100).aimed_at(grid.center), blob(grid.shape)
    found, expected = sliced.integrate(scale * field, grid, view), sliced.integrate(field, grid, view)
    assert difference(found.double() / scale, expected.double()) < 1e-2


def test_a_field_is_made_ready_once_and_again_when_it_has_changed(rng):
    grid = Grid.centred((40, 40, 40), (2.0, 2.0, 2.0))
    view = GENERIC.with_pixels(100).aimed_at(grid.center)
    field = torch.rand(1, *grid.shape, generator=rng)
    first = sliced.integrate(field, grid, view)
    ready = sliced._PREPARED.of(field)
    assert torch.equal(sliced.integrate(field, grid, view), first) and sliced._PREPARED.of(field) is ready
    field.mul_(2)
    assert torch.allclose(sliced.integrate(field, grid, view), 2 * first, rtol=1e-4)
    key = id(field)
    assert key in sliced._PREPARED
    del field
    gc.collect()
    assert key not in sliced._PREPARED


def test_inference_tensors_and_other_precisions_serve_as_well(rng):
    grid = Grid.centred((40, 40, 40), (2.0, 2.0, 2.0))
    view = View.stack([GENERIC.with_pixels(100).aimed_at(grid.center, angle) for angle in (0.0, 30.0)])
    field = torch.rand(1, *grid.shape, generator=rng)
    expected = sliced.integrate(field, grid, view)
    with torch.inference_mode():
        assert torch.equal(sliced.integrate(field * 1.0, grid, view), expected)
    assert torch.equal(sliced.integrate(field.double(), grid, view), expected)
    assert torch.equal(sliced.integrate(field.transpose(1, 2).contiguous().transpose(1, 2), grid, view), expected)


def test_an_instruction_set_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("SKIAGRAPH_LEVEL", "mmx")
    with pytest.raises(BackendError, match="portable"):
        sliced.level()


@pytest.mark.parametrize("at", [(0.0, 0.0, 0.0), (70.0, -20.0, 60.0), (400.0, 0.0, 0.0)])
def test_a_small_field_is_seen_as_rays_see_it_wherever_its_shadow_falls(at, rng):
    turned = rigid(rotation("z", 20.0) @ rotation("x", -15.0), float64([0, 0, 0]))
    turned[:3, 3] = float64(at)
    grid = Grid.centred((60, 50, 40), (0.7, 0.7, 0.7)).moved(turned)
    k, j, i = (torch.linspace(-1, 1, n) for n in grid.shape)
    field = (1 - k[:, None, None] ** 2 - j[:, None] ** 2 - i**2).clamp(min=0)[None]
    view = GENERIC.with_pixels(256).aimed_at(float64([0, 0, 0]), 12.0, -8.0)
    found, expected = (engine(field, grid, view) for engine in (sliced.integrate, native.integrate))
    assert difference(found, expected) < 3e-3 if bool(expected.any()) else not bool(found.any())
    rows, columns = sliced.shadow_of(grid, view)
    outside = expected.clone()
    outside[..., rows, columns] = 0
    assert not bool(outside.any()), "no ray beside the shadow meets the field"
