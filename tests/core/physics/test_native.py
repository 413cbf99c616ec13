"""The compiled loops over pixels against what they are twins of; noise has tests of its own."""

import pytest
import torch

from skiagraph import compiled
from skiagraph.physics import native
from skiagraph.physics.blur import blur, separable
from skiagraph.physics.materials import material
from skiagraph.physics.panel import Panel
from skiagraph.physics.quadrature import every_energy, few_energies
from skiagraph.physics.spectrum import Spectrum
from skiagraph.physics.transmit import Exposure, through, transmit

pytestmark = pytest.mark.skipif(not compiled.available(), reason="the compiled library was not built here")

NAMES = ("adipose", "muscle", "cortical_bone", "titanium")


@pytest.fixture(params=compiled.LEVELS)
def level(request, monkeypatch) -> str:
    if request.param not in compiled.levels():
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setenv("SKIAGRAPH_LEVEL", request.param)
    return request.param


def seeded(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (64, 64), (65, 129)])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_transmission_is_that_of_double_precision(level, size, count):
    spectrum, panel = Spectrum.tube(90.0), Panel.flat()
    most = torch.tensor([30.0, 40.0, 8.0, 3.0])[:count, None, None]
    mass = torch.rand(2, count, *size, generator=seeded()) * most
    beam = few_energies([material(name) for name in NAMES[:count]], spectrum, panel.response(spectrum.energies))
    found, expected = through(mass, beam), through(mass.double(), beam)
    for name in ("signal", "variance"):
        ours, exact = getattr(found, name).double(), getattr(expected, name)
        assert ((ours / exact).log().abs() / (1 - expected.signal.log())).max() < 3e-7


def test_the_exponential_is_good_to_its_last_digits_and_ends_in_nothing(level):
    spectrum = Spectrum.mono(60.0)
    beam = every_energy([material("water")], spectrum, spectrum.energies)
    scale = beam.attenuation.float().double().item()
    depth = torch.linspace(0, 86, 10_001)
    found = native.transmit((depth / scale).float()[None, None], beam)[0][0].double()
    exact = (-(depth / scale).float().double() * scale).exp()
    assert (found / exact - 1).abs().max() < 6e-6, "what rounding the depth itself costs at e^-86"
    assert ((found / exact - 1).abs() / (1 + depth)).max() < 1.2e-7
    assert torch.equal(native.transmit(torch.full((1, 1, 3), 1e4), beam)[0], torch.zeros(1, 3))
    assert native.transmit(torch.zeros(1, 1, 3), beam)[0].tolist() == [[1.0] * 3]


def test_an_x_ray_by_few_energies_is_that_by_all():
    spectrum, panel = Spectrum.tube(90.0), Panel.flat()
    response, materials = panel.response(spectrum.energies), [material(name) for name in NAMES]
    mass = torch.rand(4, 90, 80, generator=seeded()) * torch.tensor([10.0, 30.0, 5.0, 0.5])[:, None, None]
    found, every = transmit(mass, materials, spectrum, response), every_energy(materials, spectrum, response)
    exact = through(mass.double(), every)
    assert (found.signal.double() / exact.signal).log().abs().max() < 3e-5
    assert (found.variance.double() / exact.variance).log().abs().max() < 3e-5


@pytest.mark.parametrize("sigma", [(0.3, 0.3), (2.0, 0.1), (0.0001, 5.0), (9.0, 30.0)])
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (130, 7), (70, 64)])
def test_blur_is_that_of_torch(level, sigma, size):
    image = torch.rand(2, 3, *size, generator=seeded())
    torch.testing.assert_close(blur(image, *sigma), blur(image.double(), *sigma).float(), rtol=2e-6, atol=1e-6)


def test_kernels_of_different_lengths_keep_their_axes(level):
    image = torch.rand(20, 30, generator=seeded())
    down, across = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 0.0])
    found = native.separable(image, down, across)
    assert torch.equal(found[:-2, 1:], image[2:, :-1])
    assert torch.equal(found, separable(image, down, across))


def test_an_exposure_is_the_same_in_double_precision_but_for_rounding(level):
    signal = torch.linspace(0.003, 0.9, 200 * 300).reshape(200, 300)
    found, expected = (Panel.flat().expose(Exposure(x, x), 0.3, seeded(3)).double() for x in (signal, signal.double()))
    off = (found - expected).abs() / expected.clamp(min=1e-3)
    assert (off > 1e-3).double().mean() < 1e-3


def test_gradients_and_other_precisions_are_left_to_torch():
    plain = torch.ones(2, 2)
    assert native.serves(plain)
    assert not native.serves(plain, plain.double())
    assert not native.serves(plain, plain.clone().requires_grad_())
