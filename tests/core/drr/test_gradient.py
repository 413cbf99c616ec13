"""How pictures change with their views: against closed forms, against small differences, and put to use."""

import math
from functools import cache

import pytest
import torch
from analytic import Gaussians
from scipy.spatial.transform import Rotation
from torch import Tensor

from skiagraph.carm import GENERIC
from skiagraph.drr import gradient, native, reference, sliced
from skiagraph.drr.engines import fastest
from skiagraph.drr.render import NAIVE
from skiagraph.geometry import Grid, View, float64, rigid, rotation, transform

pytestmark = pytest.mark.skipif(not native.available(), reason="the native engine was not built here")

PARTS = ("source", "origin", "u_step", "v_step")

BLOBS = Gaussians(
    float64([[3.0, -4.0, 5.0], [-10.0, 9.0, -2.0], [12.0, 4.0, -9.0]]),
    float64([13.0, 15.0, 18.0]),
    float64([0.02, -0.012, 0.015]),
)

TURN = rotation("z", 33) @ rotation("y", 21) @ rotation("x", -15)

GRIDS = {
    "even": Grid.centred((90, 90, 90), (1.8, 1.8, 1.8)),
    "anisotropic": Grid.centred((100, 90, 110), (1.5, 1.9, 1.7)),
    "oblique": Grid.centred((100, 90, 110), (1.6, 1.8, 1.5)).moved(rigid(TURN, float64([0.0, 0.0, 0.0]))),
}

BEAMS = {1: (32.0, 12.0), 0: (60.0, -25.0), 2: (15.0, 65.0)}
"""By the axis of an even grid whose slices serve the view; rays meet the slices at all places between the voxels."""


@pytest.fixture(params=sliced.LEVELS)
def level(request, monkeypatch) -> str:
    if request.param not in sliced.levels():
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setenv("SKIAGRAPH_LEVEL", request.param)
    return request.param


def beam(angles: tuple[float, float], pixels: int = 96) -> View:
    return GENERIC.with_pixels(pixels).aimed_at(float64([0.0, 0.0, 0.0]), *angles)


def shifted(view: View, part: str, axis: int, by: float) -> View:
    parts = [getattr(view, name).clone() for name in PARTS]
    parts[PARTS.index(part)][axis] += by
    return View(*parts, view.size)


def reach(view: View, part: str) -> Tensor:
    """How far each pixel, or the source, goes when a number of the view grows by one."""
    v, u = (torch.arange(n, dtype=torch.float64) for n in view.size)
    return {"u_step": u.expand(view.size), "v_step": v[:, None].expand(view.size)}.get(
        part, torch.ones(view.size).double()
    )


def by_number(found: gradient.Derivatives, part: str, axis: int) -> Tensor:
    ends = found.by_source if part == "source" else found.by_pixel
    return ends[0, axis].double() * reach(found.view, part)


def difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def cosine(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum() / (a.norm() * b.norm()))


@cache
def blobs_in(name: str) -> Tensor:
    return BLOBS.voxels(GRIDS[name])[None]


@cache
def exact(angles: tuple[float, float], part: str, axis: int) -> Tensor:
    """The closed form's own derivative."""
    view = beam(angles)
    step = 1e-3 / float(reach(view, part).max())
    ahead, behind = (BLOBS.integral(shifted(view, part, axis, by)) for by in (step, -step))
    return (ahead - behind) / (2 * step)


@pytest.mark.parametrize("axis", BEAMS)
@pytest.mark.parametrize("name", GRIDS)
def test_all_twelve_numbers_of_a_view_have_their_exact_derivatives(level, name, axis):
    """Acceptance: 5e-3 and a cosine of 0.9999, on a smooth phantom, for every slice axis and instruction set."""
    grid, view = GRIDS[name], beam(BEAMS[axis])
    found = gradient.derivatives(blobs_in(name), grid, view)
    for part in PARTS:
        for n in range(3):
            ours, expected = by_number(found, part, n), exact(BEAMS[axis], part, n)
            assert difference(ours, expected) < 5e-3
            assert cosine(ours, expected) > 0.9999


@pytest.mark.parametrize("axis", BEAMS)
def test_the_derivatives_are_those_of_the_fast_engine_s_own_picture(axis, monkeypatch):
    """Central differences of half a millimetre; when the source moves, so do the places the engine samples at."""
    monkeypatch.setattr(sliced, "FEW", 0.0)
    grid, view, field = GRIDS["even"], beam(BEAMS[axis]), blobs_in("even")
    assert sliced.axis_for(field, grid, view) == axis
    found = gradient.derivatives(field, grid, view)
    for part in PARTS:
        for n in range(3):
            step = 0.5 / float(reach(view, part).max())
            ahead, behind = (sliced.integrate(field, grid, shifted(view, part, n, by))[0] for by in (step, -step))
            ours, theirs = by_number(found, part, n), (ahead - behind).double() / (2 * step)
            assert difference(ours, theirs) < (1e-2 if part == "source" else 1e-3)
            assert cosine(ours, theirs) > 0.9999


def test_along_an_axis_bilinear_slices_have_steps_in_their_slopes_that_do_not_average_out():
    """Rays that cross every slice at the same place between two voxels. Half the voxel, half the step."""
    view, errors = beam((0.0, 0.0)), []
    for voxel in (3.0, 1.5):
        grid = Grid.centred((round(160 / voxel),) * 3, (voxel,) * 3)
        found = gradient.derivatives(BLOBS.voxels(grid)[None], grid, view)
        errors.append(difference(by_number(found, "origin", 0), exact((0.0, 0.0), "origin", 0)))
    assert errors[1] < 0.6 * errors[0] < 0.02


def test_the_picture_beside_the_derivatives_is_the_picture(level, monkeypatch, rng):
    monkeypatch.setattr(sliced, "FEW", 0.0)
    grid = Grid.centred((60, 70, 80), (1.5, 1.5, 1.5))
    field, view = torch.rand(2, *grid.shape, generator=rng), beam((20.0, 10.0), 150)
    assert torch.equal(gradient.derivatives(field, grid, view).picture, sliced.integrate(field, grid, view))


def test_the_number_of_threads_changes_nothing(level, rng):
    grid = Grid.centred((60, 70, 80), (1.5, 1.5, 1.5))
    field, view = torch.rand(2, *grid.shape, generator=rng), beam((20.0, 10.0), 150)
    many, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 7):
            torch.set_num_threads(threads)
            found.append(sliced.ends(field.clone(), grid, view))
    finally:
        torch.set_num_threads(many)
    assert all(torch.equal(sums, found[0]) for sums in found)


def test_instruction_sets_agree(rng, monkeypatch):
    grid, found = GRIDS["oblique"], []
    field, view = torch.rand(2, *grid.shape, generator=rng), beam((20.0, 10.0), 150)
    for name in sliced.levels():
        monkeypatch.setenv("SKIAGRAPH_LEVEL", name)
        found.append(sliced.ends(field, grid, view))
    for sums in found[1:]:
        assert difference(sums, found[0]) < 1e-4


@pytest.mark.parametrize("ends", [reference.ends, native.ends, sliced.ends])
def test_moving_an_end_along_its_ray_changes_nothing(ends):
    grid, view = GRIDS["anisotropic"], beam((32.0, 12.0), 40)
    sums = ends(blobs_in("anisotropic"), grid, view)
    along = (view.pixels() - view.source).movedim(-1, 0).float()
    along /= along.norm(dim=0)
    for end in (sums[0, 1:4], sums[0, 4:]):
        assert float((end * along).sum(dim=0).abs().max()) < 1e-3 * float(end.norm(dim=0).max())


@pytest.mark.parametrize("shape", [(17, 19, 23), (1, 6, 9)])
def test_the_reference_differentiates_its_own_line_integrals(shape, rng):
    """Against differences in double precision, on a rough field."""
    grid = Grid.of(shape, (1.3, 0.9, 2.1), (-12.0, 5.0, -9.0), TURN)
    field = torch.rand(2, *shape, generator=rng).double()
    view = GENERIC.with_pixels(200).aimed_at(grid.center + 0.2, 15.0, 5.0).cropped(slice(88, 111), slice(91, 108))
    sums = reference.ends(field, grid, view)
    assert torch.equal(sums[:, 0], reference.integrate(field, grid, view))
    for part, first in (("source", 1), ("origin", 4)):
        for n in range(3):
            ahead, behind = (reference.integrate(field, grid, shifted(view, part, n, by)) for by in (1e-6, -1e-6))
            assert torch.allclose(sums[:, first + n], (ahead - behind) / 2e-6, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("shape", [(17, 19, 23), (1, 6, 9)])
@pytest.mark.parametrize("place", ["far", "source inside", "panel inside", "both inside"])
def test_derivatives_ray_by_ray_are_the_reference_s(shape, place, rng):
    """On a rough field, also where rays start or end within it and so change what they cut off."""
    grid = Grid.of(shape, (1.3, 0.9, 2.1), (-12.0, 5.0, -9.0), TURN)
    field = torch.rand(2, *shape, generator=rng)
    far = GENERIC.with_pixels(200).aimed_at(grid.center + 0.2, 15.0, 5.0).cropped(slice(88, 111), slice(91, 108))
    source = grid.center + float64([1.0, 2.0, -0.5]) if place in ("source inside", "both inside") else far.source
    panel = (
        grid.center - 0.01 * far.u_step - 0.02 * far.v_step if place in ("panel inside", "both inside") else far.origin
    )
    view = View(source, panel, far.u_step, far.v_step, far.size)
    ours, theirs = native.ends(field, grid, view), reference.ends(field.double(), grid, view)
    assert ours[:, 0].any()
    assert difference(ours[:, 0].double(), theirs[:, 0]) < 1e-5
    for n in range(1, 7):
        close = torch.isclose(ours[:, n].double(), theirs[:, n], rtol=1e-3, atol=1e-4 * float(theirs[:, n].abs().max()))
        assert close.float().mean() > 0.99, "all but rays that run along the edge of two voxels"


def test_where_slices_do_not_serve_rays_do(rng):
    grid = Grid.centred((24, 24, 24), (1.0, 1.0, 1.0))
    field, far = torch.rand(1, *grid.shape, generator=rng), beam((0.0, 0.0), 24)
    inside = View(float64([3.0, 2.0, 1.0]), far.origin, far.u_step, far.v_step, far.size)
    assert torch.equal(sliced.ends(field, grid, inside), native.ends(field, grid, inside))


def test_a_view_that_no_one_axis_serves_is_differentiated_in_parts(monkeypatch):
    monkeypatch.setattr(sliced, "SMALLEST", 12)
    grid = GRIDS["even"]
    u, v = float64([21.0, 0.0, 0.0]), float64([0.0, 0.0, -21.0])
    wide = View(float64([0.0, 175.0, 0.0]), float64([-686.0, -175.0, 686.0]), u, v, (66, 66))
    assert sliced.axis_for(blobs_in("even"), grid, wide) is None
    found = gradient.derivatives(blobs_in("even"), grid, wide)
    ahead, behind = (BLOBS.integral(shifted(wide, "origin", 0, by)) for by in (1e-3, -1e-3))
    assert difference(by_number(found, "origin", 0), (ahead - behind) / 2e-3) < 2e-2


def test_air_has_no_derivatives():
    grid = Grid.centred((20, 20, 20), (2.0, 2.0, 2.0))
    assert not sliced.ends(torch.zeros(2, *grid.shape), grid, beam((0.0, 0.0))).any()
    past = beam((0.0, 0.0)).moved(rigid(rotation("z", 0), float64([0.0, 0.0, 0.0]), float64([3000.0, 0.0, 0.0])))
    assert not sliced.ends(torch.ones(1, *grid.shape), grid, past).any()


def test_autograd_pulls_a_loss_back_to_every_number_of_the_views():
    """A batch of views, two channels: the same as every pixel's derivatives, weighed and summed up."""
    grid = GRIDS["oblique"]
    field = torch.cat([blobs_in("oblique"), blobs_in("oblique").square()])
    views = View.stack([beam(angles, 24) for angles in BEAMS.values()])
    weights = torch.linspace(-1, 2, 3 * 2 * 24 * 24).reshape(3, 2, 24, 24).sin()
    parts = [getattr(views, name).clone().requires_grad_() for name in PARTS]
    picture = fastest(field, grid, View(*parts, views.size))
    assert picture.shape == (3, 2, 24, 24)
    pulled = torch.autograd.grad((picture * weights).sum(), parts)
    for m in range(3):
        found = gradient.derivatives(field, grid, views[m])
        for part, ours in zip(PARTS, pulled):
            ends = found.by_source if part == "source" else found.by_pixel
            expected = torch.einsum("cvu,cnvu,vu->n", weights[m].double(), ends.double(), reach(views[m], part))
            assert torch.allclose(ours[m], expected, rtol=1e-4, atol=1e-6 * float(reach(views[m], part).max()))


def test_autograd_agrees_with_the_reference_s_own():
    grid, view, field = GRIDS["oblique"], beam((32.0, 12.0), 32), blobs_in("oblique")
    target, pulled = 0.5 * reference.integrate(field, grid, view), []
    for integrate in (fastest, reference.integrate):
        parts = [getattr(view, name).clone().requires_grad_() for name in PARTS]
        loss = (integrate(field, grid, View(*parts, view.size)) - target).square().sum()
        pulled.append(torch.cat(torch.autograd.grad(loss, parts)))
    assert difference(*pulled) < 1e-2


def test_a_sum_of_squares_has_the_gradient_of_its_own_values():
    """In each of the twelve numbers, near enough to the view the X-ray was taken from and off it in all of them."""
    grid, view, field = GRIDS["even"], beam((32.0, 12.0), 40), blobs_in("even")
    target = BLOBS.integral(view)

    def loss(view: View) -> Tensor:
        return (gradient.integrate(field, grid, view)[0] - target).square().sum()

    for part in PARTS:
        for n in range(3):
            step = 8.0 / float(reach(view, part).max())
            off = shifted(view, part, n, step)
            number = getattr(off, part).requires_grad_()
            loss(off).backward()
            ahead, behind = (float(loss(shifted(view, part, n, factor * step)).detach()) for factor in (1.1, 0.9))
            assert float(number.grad[n]) == pytest.approx((ahead - behind) / (0.2 * step), rel=1e-2)


def test_the_fastest_engine_differentiates_what_it_is_asked_to(monkeypatch):
    grid, view, field = GRIDS["even"], beam((32.0, 12.0), 12), blobs_in("even")
    source = view.source.clone().requires_grad_()
    moving = View(source, view.origin, view.u_step, view.v_step, view.size)
    assert not fastest(field, grid, view).requires_grad
    with torch.no_grad():
        assert not fastest(field, grid, moving).requires_grad
    assert fastest(field.clone().requires_grad_(), grid, moving).requires_grad
    monkeypatch.setattr(reference, "integrate", None)
    assert fastest(field, grid, moving).requires_grad


def test_a_loss_on_an_x_ray_reaches_the_view(body):
    view = GENERIC.with_pixels(64).aimed_at(body.volume.grid.center)
    source = view.source.clone().requires_grad_()
    moving = View(source, view.origin, view.u_step, view.v_step, view.size)
    phantom = NAIVE.decompose(body.volume)
    NAIVE(phantom, moving).mean().backward()
    step = 5.0
    ahead, behind = (float(NAIVE(phantom, shifted(view, "source", 1, by)).double().mean()) for by in (step, -step))
    assert float(source.grad[1]) == pytest.approx((ahead - behind) / (2 * step), rel=0.05)


def test_turning_and_shifting_the_body_is_moving_the_view_the_other_way():
    grid, view, center = GRIDS["oblique"], beam((32.0, 12.0)), float64([10.0, -20.0, 5.0])
    columns = gradient.derivatives(blobs_in("oblique"), grid, view).by_motion(center)[0]
    for n in range(6):
        pictures = []
        for sign in (1, -1):
            step = torch.zeros(6, dtype=torch.float64)
            step[n] = sign * (1e-4 if n < 3 else 1e-2)
            pictures.append(BLOBS.integral(view.moved(torch.linalg.inv(motion(step, center)))))
        expected = (pictures[0] - pictures[1]) / (2e-4 if n < 3 else 2e-2)
        assert difference(columns[n].double(), expected) < 5e-3


def motion(x: Tensor, center: Tensor) -> Tensor:
    return rigid(torch.from_numpy(Rotation.from_rotvec(x[:3].numpy()).as_matrix()), center, x[3:])


def test_a_body_ten_millimetres_and_five_degrees_off_is_found_again():
    """Acceptance: to 0.05 mm and 0.02 degrees without noise, by Gauss and Newton's steps."""
    spread = Gaussians(
        float64([[30.0, -20.0, 35.0], [-35.0, 25.0, -10.0], [10.0, 30.0, -40.0], [-20.0, -35.0, 20.0]]),
        float64([10.0, 12.0, 14.0, 11.0]),
        float64([0.02, 0.015, 0.015, 0.02]),
    )
    grid, view = Grid.centred((150, 150, 150), (1.2, 1.2, 1.2)), beam((32.0, 12.0), 128)
    field, center, axis = spread.voxels(grid)[None], grid.center, float64([0.6, -0.64, 0.48])
    true = motion(torch.cat([math.radians(5) * axis, float64([6.0, -6.4, 4.8])]), center)
    target = spread.integral(view.moved(torch.linalg.inv(true)))
    found = torch.eye(4, dtype=torch.float64)
    for _ in range(5):
        seen = gradient.derivatives(field, grid, view.moved(torch.linalg.inv(found)))
        columns = seen.by_motion(center)[0].flatten(start_dim=1).double().T
        step = torch.linalg.lstsq(columns, (target - seen.picture[0]).reshape(-1, 1)).solution[:, 0]
        found = found @ motion(step, center)
    off = torch.linalg.inv(true) @ found
    assert math.degrees(Rotation.from_matrix(off[:3, :3].numpy()).magnitude()) < 0.02
    assert float((transform(found, center) - transform(true, center)).norm()) < 0.05
