import time

import pytest
import torch

from skiagraph.physics.materials import material
from skiagraph.physics.panel import Panel
from skiagraph.physics.quadrature import DARKEST, PROMISED, Beam, every_energy, few_energies
from skiagraph.physics.spectrum import Spectrum

BODIES = [
    (45.0, ("water",)),
    (60.0, ("water", "cortical_bone")),
    (90.0, ("adipose", "muscle", "cortical_bone", "titanium")),
    (90.0, ("muscle", "cortical_bone", "iodine_contrast")),
    (120.0, ("muscle", "iodine", "barium_sulfate", "tantalum")),
    (140.0, ("adipose", "muscle", "cortical_bone", "cobalt_chrome")),
    (150.0, ("muscle", "lead", "tungsten", "steel_316l")),
]
PANELS = {"ideal": Panel.ideal(), "flat": Panel.flat()}


def beams(kvp: float, names: tuple[str, ...], panel: Panel) -> tuple[Beam, Beam]:
    """By few energies and by all."""
    spectrum, materials = Spectrum.tube(kvp), [material(name) for name in names]
    response = panel.response(spectrum.energies)
    return few_energies(materials, spectrum, response), every_energy(materials, spectrum, response)


def any_mixture(beam: Beam, seed: int = 0) -> torch.Tensor:
    """Random mixtures of a beam's materials, from very thin to what lets a millionth through."""
    rng = torch.Generator().manual_seed(seed)
    shares = -torch.rand(2000, beam.attenuation.shape[1], generator=rng, dtype=torch.float64).log()
    shares = shares**3  # mostly of one or two materials
    direction = shares / shares.sum(-1, keepdim=True) / (beam.signal @ beam.attenuation)
    mass = (torch.logspace(-3, 2.3, 40, dtype=torch.float64)[:, None, None] * direction).flatten(0, 1)
    return mass[beam.through(mass)[0] >= DARKEST]


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize(("kvp", "names"), BODIES)
def test_few_energies_keep_signal_and_variance_behind_any_mixture(kvp, names, panel):
    few, every = beams(kvp, names, PANELS[panel])
    mass = any_mixture(every)
    depth = -every.through(mass)[0].log()
    for found, expected in zip(few.through(mass), every.through(mass), strict=True):
        off = (found / expected).log().abs()
        assert off.max() < PROMISED
        assert (off / depth.clamp(1e-3, 1.0)).max() < PROMISED, "behind thin bodies as little a part of what they stop"


@pytest.mark.parametrize(
    ("kvp", "names", "most"), [(60.0, ("water", "cortical_bone"), 10), (*BODIES[2], 10), (*BODIES[3], 14)]
)
def test_ten_energies_are_enough_between_two_absorption_edges(kvp, names, most):
    few, every = beams(kvp, names, Panel.flat())
    assert len(few.signal) <= most < len(every.signal)


@pytest.mark.parametrize(("kvp", "names"), BODIES)
def test_no_energy_counts_less_than_nothing_and_all_together_are_the_open_field(kvp, names):
    few, every = beams(kvp, names, Panel.flat())
    assert (few.signal > 0).all() and (few.variance > 0).all()
    assert few.signal.sum().item() == pytest.approx(1.0, abs=1e-8)
    assert few.variance.sum().item() == pytest.approx(every.variance.sum().item(), rel=1e-12)


def test_one_energy_is_itself():
    few, every = (
        make([material("water")], Spectrum.mono(70.0), torch.tensor([70.0], dtype=torch.float64))
        for make in (few_energies, every_energy)
    )
    assert torch.equal(few.attenuation, every.attenuation)
    assert torch.equal(few.signal, every.signal) and torch.equal(few.variance, every.variance)


def test_a_spectrum_that_no_fewer_energies_serve_keeps_all_of_its_own():
    lines = Spectrum(
        torch.tensor([20.0, 70.0, 140.0], dtype=torch.float64), torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    )
    materials = [material("muscle"), material("titanium")]
    few, every = (make(materials, lines, lines.energies) for make in (few_energies, every_energy))
    assert torch.equal(few.attenuation, every.attenuation) and torch.equal(few.signal, every.signal)


def test_energies_are_chosen_quickly_and_once():
    spectrum, panel = Spectrum.tube(101.5), Panel.flat()
    materials = [material(name) for name in ("adipose", "muscle", "cortical_bone", "titanium", "iodine_contrast")]
    began = time.process_time()
    first = few_energies(materials, spectrum, panel.response(spectrum.energies))
    assert time.process_time() - began < 1.0  # processor seconds, on machines far slower than ours
    assert few_energies(materials, spectrum, panel.response(spectrum.energies)) is first
    assert few_energies(materials, spectrum, spectrum.energies) is not first
