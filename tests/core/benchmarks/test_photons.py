import math

import numpy as np
import pytest
import torch
from photons import COMPOSITION, ELECTRON, Lamellae, Matter, shoot

from skiagraph.carm import GENERIC
from skiagraph.geometry import Grid, View
from skiagraph.physics.materials import material
from skiagraph.physics.panel import Panel
from skiagraph.physics.phantom import Phantom
from skiagraph.physics.spectrum import Spectrum

xraylib = pytest.importorskip("xraylib")


def slab(millimetres: float) -> Phantom:
    grid = Grid.centred((1, 1, 1), (600.0, millimetres, 600.0))
    return Phantom(torch.ones(1, 1, 1, 1), (material("water"),), grid)


def view() -> View:
    return GENERIC.with_pixels(8).view(torch.zeros(3, dtype=torch.float64))


def seed(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


@pytest.mark.parametrize("name", ["water", "adipose", "muscle", "cortical_bone", "titanium", "air"])
def test_what_can_happen_adds_up_to_the_attenuation_of_the_material(name):
    energies = torch.arange(5.0, 150.1, 0.5, dtype=torch.float64)
    total = Matter.of([name]).attenuation[0].sum(-1).double()
    torch.testing.assert_close(total, material(name).attenuation(energies), rtol=2e-4, atol=0)


def test_no_energy_is_lost_and_the_primary_is_beer_lamberts():
    tally = shoot(slab(50.0), view(), Spectrum.mono(60.0), Panel.ideal(), 300_000, seed())
    assert float(tally.left + tally.deposited.sum()) == pytest.approx(float(tally.sent), rel=1e-6)
    assert tally.thrown < tally.left
    cosine = 1200 / torch.tensor([1200.0, 215 * 2 / 6**0.5]).norm()  # of a ray as oblique as the panel's in the mean
    mu = material("water").attenuation(torch.tensor([60.0], dtype=torch.float64)).item()
    expected = math.exp(-mu * 5 / float(cosine))
    assert float(tally.primary.sum() / tally.sent) == pytest.approx(expected, rel=0.01)


def test_a_thin_slab_takes_what_klein_and_nishina_say():
    energy, depth = 60.0, 0.1
    tally = shoot(slab(10 * depth), view(), Spectrum.mono(energy), Panel.ideal(), 1_000_000, seed())
    cosine = np.linspace(-1, 1, 4001)
    ratio = 1 / (1 + energy / ELECTRON * (1 - cosine))
    momentum = np.maximum(energy / 12.39842 * np.sqrt((1 - cosine) / 2), 5e-3)
    bound = sum(
        share / xraylib.AtomicWeight(z) * np.array([xraylib.SF_Compt(z, q) for q in momentum])
        for z, share in ((1, 0.111898), (8, 0.888102))
    )
    density = ratio**2 * (ratio + 1 / ratio - 1 + cosine**2) * bound
    compton = math.pi * 0.602214 * 0.28179403**2 * np.trapezoid(density, cosine)
    given = compton * np.average(1 - ratio, weights=density)
    assert compton == pytest.approx(float(Matter.of(["water"]).attenuation[0, 110, 1]), rel=0.005)
    photo = float(Matter.of(["water"]).attenuation[0, 110, 0])
    expected = (photo + given) * depth
    assert float(tally.deposited.sum() / tally.sent) == pytest.approx(expected, rel=0.05)


def test_a_grid_passes_the_beam_and_little_else():
    n = 20_000
    energy = torch.full((n,), 40.0)
    ahead = torch.tensor([[0.0, 0.0, 1.0]]).expand(n, 3)
    aside = torch.tensor([[math.sin(0.3), 0.0, math.cos(0.3)]]).expand(n, 3)
    along = aside[:, [1, 0, 2]]
    grid = Lamellae()
    beam, across, down = (grid.passed(way, ahead, energy, seed()).mean().item() for way in (ahead, aside, along))
    assert beam == pytest.approx(1 - grid.lead * grid.lines, abs=0.03)
    assert across < 0.02
    assert down == pytest.approx(beam, abs=0.02), "along the strips nothing is in the way"
    assert grid.passed(aside, aside, energy, seed()).mean().item() == pytest.approx(beam, abs=0.02), "focused"


def test_compositions_are_whole():
    for words in COMPOSITION.values():
        assert sum(float(x) for x in words.split()[1::2]) == pytest.approx(100, abs=0.2)
