"""Every engine against closed forms, and against the reference.

Most views here are so small that the sliced engine leaves them to rays, as it does for everybody; test_sliced.py holds
it to the same laws with nothing left to them.
"""

import pytest
import torch
from analytic import Ellipsoids, Gaussians, joseph

from skiagraph.carm import GENERIC
from skiagraph.drr import native, reference, sliced
from skiagraph.drr.engines import ENGINES, engine
from skiagraph.errors import BackendError, GeometryError
from skiagraph.geometry import Grid, View, float64, rigid, rotation

ANGLES = [(0.0, 0.0), (30.0, 10.0), (-44.0, -8.0), (45.0, 35.0), (90.0, 0.0), (-120.0, 20.0)]

built = pytest.mark.skipif(not native.available(), reason="the native engine was not built here")

engines = pytest.mark.parametrize(
    "integrate",
    [
        pytest.param(reference.integrate, id="reference"),
        pytest.param(native.integrate, id="native", marks=built),
        pytest.param(sliced.integrate, id="sliced", marks=built),
    ],
)


def relative_error(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm())


@pytest.fixture(scope="module")
def blobs() -> Gaussians:
    return Gaussians(float64([[3.0, -4.0, 5.0], [-8.0, 6.0, -2.0]]), float64([20.0, 22.0]), float64([0.02, 0.015]))


@engines
@pytest.mark.parametrize("angles", ANGLES)
def test_smooth_blobs_have_their_exact_integrals(integrate, angles, blobs):
    """What is left is the trilinear grid's own blur, h²/6σ²; the benchmark holds 1e-4 on a grid twice as fine."""
    grid = Grid.centred((110, 110, 110), (2.0, 2.0, 2.0))
    view = GENERIC.with_pixels(48).aimed_at(grid.center, *angles)
    found, exact = integrate(blobs.voxels(grid)[None], grid, view)[0], blobs.integral(view)
    assert relative_error(found, exact) < 2.0**2 / 6 / 20**2
    assert float(found.double().sum() / exact.sum()) == pytest.approx(1.0, abs=3e-4)


@engines
def test_ellipsoids_come_out_as_well_as_joseph_can(integrate, rng):
    """Acceptance: at most 1.02 times the error of a float64 per-ray Joseph against the analytic phantom."""
    phantom = Ellipsoids.draw(45, radius=60, rng=rng)
    grid = Grid.centred((80, 80, 80), (1.6, 1.6, 1.6))
    field = phantom.voxels(grid)
    for angles in ANGLES[:3]:
        view = GENERIC.with_pixels(160).aimed_at(grid.center, *angles).cropped(slice(60, 100), slice(60, 100))
        exact = phantom.integral(view)
        ours = relative_error(integrate(field[None], grid, view)[0], exact)
        theirs = relative_error(joseph(field, grid, view), exact)
        assert ours <= 1.02 * theirs
        assert ours < 0.05


OBLIQUE = Grid.of((17, 19, 23), (1.3, 0.9, 2.1), (-12.0, 5.0, -900.0), rotation("z", 33) @ rotation("y", 21))
TILTED_GANTRY = torch.eye(4, dtype=torch.float64)
TILTED_GANTRY[1, 2] = 0.35
SHEARED = Grid(OBLIQUE.shape, OBLIQUE.world_from_ijk @ TILTED_GANTRY)


@engines
@pytest.mark.parametrize("grid", [OBLIQUE, SHEARED], ids=["oblique", "sheared"])
def test_the_engine_is_joseph_to_single_precision(integrate, grid, rng):
    field = torch.rand(2, *grid.shape, generator=rng)
    view = GENERIC.with_pixels(300).aimed_at(grid.center, 40.0, 30.0).cropped(slice(130, 170, 1), slice(130, 170, 1))
    found = integrate(field, grid, view)
    for channel in range(2):
        expected = joseph(field[channel], grid, view)
        assert (found[channel].double() - expected).abs().max() < 1e-4 * expected.max() + 1e-3


@engines
@pytest.mark.parametrize("angles", [(p, s) for p in (-180, -75, 0, 50, 135) for s in (-85, -30, 0, 60)])
def test_a_blobs_picture_is_centred_on_its_projection(integrate, angles):
    """A small sphere, blurred by sampling as any voxel is: centroid within 0.01 pixels over the whole range."""
    grid = Grid.centred((61, 61, 61), (1.0, 1.0, 1.0), (30.0, -20.0, -900.0))
    center = float64([33.3, -17.6, -903.8])
    field = torch.exp(-0.5 * ((grid.centers() - center) ** 2).sum(-1) / 4.0**2).float()
    view = GENERIC.with_pixels(512).aimed_at(float64([40.0, -25.0, -890.0]), *angles)
    picture = integrate(field[None], grid, view)[0].double()
    v, u = (torch.arange(n, dtype=torch.float64) for n in view.size)
    # Path lengths weigh by 1/cos of the ray, and magnification varies over the blob: both far below the bound.
    centroid = float64([float((picture.sum(0) * u).sum()), float((picture.sum(1) * v).sum())]) / picture.sum()
    assert (centroid - view.project(center[None])[0]).abs().max() < 0.02


@engines
def test_permuting_or_flipping_the_stored_axes_changes_nothing(integrate, rng):
    grid = Grid.of((20, 24, 28), (1.5, 1.2, 1.0), (3.0, -4.0, 5.0), rotation("x", 10))
    field = torch.rand(20, 24, 28, generator=rng)
    view = GENERIC.with_pixels(200).aimed_at(grid.center, 25.0, -15.0)
    expected = integrate(field[None], grid, view)
    flip = torch.diag(float64([-1.0, 1.0, 1.0, 1.0]))
    flip[0, 3] = 27
    swap = torch.eye(4, dtype=torch.float64)[[2, 1, 0, 3]]
    for stored, matrix in ((field.flip(2), flip), (field.permute(2, 1, 0).contiguous(), swap)):
        moved = Grid((stored.shape[0], stored.shape[1], stored.shape[2]), grid.world_from_ijk @ matrix)
        assert torch.allclose(integrate(stored[None], moved, view), expected, atol=2e-3, rtol=1e-4)


@engines
def test_turning_the_patient_is_turning_the_c_arm_the_other_way(integrate, rng):
    grid = Grid.centred((30, 30, 30), (2.0, 2.0, 2.0), (10.0, 5.0, -700.0))
    field = Gaussians.draw(6, 20, 6, rng).voxels(grid.moved(rigid(rotation("x", 0), grid.center, -grid.center)))
    turned = grid.moved(rigid(rotation("z", 20), about=grid.center))
    one = integrate(field[None], turned, GENERIC.with_pixels(100).aimed_at(grid.center))
    other = integrate(field[None], grid, GENERIC.with_pixels(100).aimed_at(grid.center, primary=-20))
    assert torch.allclose(one, other, atol=1e-4)


@engines
def test_rays_end_at_the_source_and_at_the_panel(integrate):
    grid = Grid.centred((9, 401, 9), (1.0, 1.0, 1.0))
    field = torch.ones(1, 9, 401, 9)
    for source_y, panel_y, expected in ((0.0, -400.0, 200.5), (300.0, 0.0, 200.5), (100.0, -100.0, 200.0)):
        u, v = float64([0.5, 0.0, 0.0]), float64([0.0, 0.0, -0.5])
        view = View(float64([0.0, source_y, 0.0]), float64([0.0, panel_y, 0.0]), u, v, (1, 1))
        assert integrate(field, grid, view).item() == pytest.approx(expected, rel=1e-5)


@engines
def test_a_batch_of_views_is_its_views(integrate, rng):
    grid = Grid.centred((10, 12, 14), (3.0, 3.0, 3.0))
    field = torch.rand(2, 10, 12, 14, generator=rng)
    views = [GENERIC.with_pixels(40).aimed_at(grid.center, *angles) for angles in ANGLES]
    batch = integrate(field, grid, View.stack(views))
    assert batch.shape == (len(ANGLES), 2, 40, 40)
    for n, view in enumerate(views):
        assert torch.equal(batch[n], integrate(field, grid, view))


@built
def test_the_native_engine_does_not_depend_on_the_number_of_threads(rng):
    grid = Grid.centred((20, 20, 20), (3.0, 3.0, 3.0))
    field, view = torch.rand(1, 20, 20, 20, generator=rng), GENERIC.with_pixels(64).aimed_at(grid.center, 10)
    many = torch.get_num_threads()
    expected = native.integrate(field, grid, view)
    torch.set_num_threads(1)
    try:
        assert torch.equal(native.integrate(field, grid, view), expected)
    finally:
        torch.set_num_threads(many)


@built
def test_the_native_engine_sees_the_labels_the_reference_sees(rng):
    grid = Grid.of((20, 24, 28), (1.5, 1.2, 2.0), (3.0, -4.0, 5.0), rotation("x", 10) @ rotation("z", 30))
    index = torch.randint(0, 4, (20, 24, 28), generator=rng).to(torch.uint8)
    numbers = torch.tensor([3, 1, 7])
    for angles in ANGLES:
        view = GENERIC.with_pixels(120).aimed_at(grid.center, *angles)
        (through, first), (expected, nearest) = (by.thickness(index, numbers, grid, view) for by in (native, reference))
        same = (through - expected).abs() < 0.01
        assert same.float().mean() > 0.998, "all but rays that run between two voxels"
        assert (first - nearest).abs()[same & first.isfinite()].median() < 1e-3
        assert torch.isinf(first[2]).all()


def test_the_reference_has_gradients_in_field_and_view(rng):
    grid = Grid.centred((9, 9, 9), (4.0, 4.0, 4.0))
    field = Gaussians.draw(3, 8, 8, rng).voxels(grid).double()[None].requires_grad_()
    source = float64([3.0, 800.0, -5.0]).requires_grad_()

    def total(field, source):
        view = GENERIC.with_pixels(6).aimed_at(grid.center)
        moved = View(source, view.origin, view.u_step, view.v_step, view.size)
        return reference.integrate(field, grid, moved)

    assert torch.autograd.gradcheck(total, (field, source), eps=1e-4, atol=1e-3)


def test_an_engine_that_is_not_there_says_which_are():
    assert set(ENGINES) >= {"fastest", "reference"}
    with pytest.raises(BackendError, match="reference"):
        engine("warp drive")
    with pytest.raises(GeometryError, match="give one shape"):
        reference.integrate(
            torch.zeros(1, 2, 2, 2), Grid.centred((3, 3, 3), (1, 1, 1)), GENERIC.view(float64([0, 0, 0]))
        )
