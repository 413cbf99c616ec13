import pytest
import torch

from skiagraph.carm import GENERIC
from skiagraph.drr.display import attenuation
from skiagraph.drr.render import HEURISTIC, NAIVE, REALISTIC
from skiagraph.errors import GeometryError
from skiagraph.geometry import float64, rigid, rotation, transform
from skiagraph.register import image
from skiagraph.register.image import gradient_correlation, register


@pytest.fixture
def view(body):
    return GENERIC.with_pixels(192).aimed_at(body.volume.grid.center, 10.0, 5.0)


@pytest.mark.parametrize(("renderer", "seen_as", "bound"), [(NAIVE, NAIVE, 0.1), (REALISTIC, HEURISTIC, 1.5)])
def test_a_turned_and_shifted_body_is_found_again(body, view, renderer, seen_as, bound):
    """From about 12 mm off: to a tenth of a millimetre in its own picture, to 1.5 mm of 4 mm voxels in a real one."""
    turn = rotation("x", 3) @ rotation("y", -2) @ rotation("z", 4)
    motion = rigid(turn, body.volume.grid.center, float64([6.0, 10.0, -5.0]))
    there = view.moved(torch.linalg.inv(motion))
    xray = renderer(renderer.decompose(body.volume), there, torch.Generator().manual_seed(0))
    found = register(seen_as.decompose(body.volume), view, attenuation(xray))
    points = body.landmarks.points
    off = (transform(found.world_from_body, points) - transform(motion, points)).norm(dim=1).mean()
    assert off < bound
    assert found.trusted
    assert found.correlation > found.start


def test_a_picture_of_something_else_is_not_trusted(body, view, rng):
    noise = torch.randn(view.size, generator=rng)
    assert not register(NAIVE.decompose(body.volume), view, noise).trusted


def test_a_climb_that_fails_begins_again_beside_its_start_and_the_best_is_kept(body, view, rng):
    """Noise has no summit to be trusted: all thirteen starts are climbed from, and none ends below the first."""
    noise, phantom = torch.randn(view.size, generator=rng), NAIVE.decompose(body.volume)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image, "_beside", lambda center: [])
        once = register(phantom, view, noise)
    again = register(phantom, view, noise)
    assert again.evaluations > 5 * once.evaluations
    assert again.correlation >= once.correlation
    assert torch.allclose(torch.linalg.det(again.world_from_body[:3, :3]), float64(1.0))


def test_gradient_correlation_does_not_care_for_the_grey_scale(rng):
    picture = torch.rand(40, 50, generator=rng)
    assert gradient_correlation(picture, 3 * picture + 7) == pytest.approx(1.0, abs=1e-5)
    assert gradient_correlation(picture, -picture) == pytest.approx(-1.0, abs=1e-5)
    assert gradient_correlation(picture, torch.ones(40, 50)) == 0.0


def test_an_x_ray_of_another_size_is_refused(body, view):
    with pytest.raises(GeometryError, match="its own view"):
        register(NAIVE.decompose(body.volume), view, torch.zeros(10, 10))
