import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from skiagraph.errors import DataError
from skiagraph.physics.materials import ELEMENTS, Material, material
from skiagraph.physics.panel import Panel
from skiagraph.physics.spectrum import Spectrum
from skiagraph.physics.transmit import transmit

BONE = {"H": 0.034, "C": 0.155, "N": 0.042, "O": 0.435, "Na": 0.001, "Mg": 0.002, "P": 0.103, "S": 0.003, "Ca": 0.225}
WEDGES = {
    "aluminium": {"Al": 1.0},
    "water": {"H": 0.111898, "O": 0.888102},
    "cortical_bone": BONE,
    "titanium": {"Ti": 1.0},
}


def wedge(one: Material, millimetres: list[float], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.tensor(millimetres, dtype=dtype)[None, None] * (one.density / 10)


def through(names: list[str], mass: torch.Tensor, spectrum: Spectrum, panel: Panel | None = None):
    response = (panel or Panel.ideal()).response(spectrum.energies)
    return transmit(mass, [material(name) for name in names], spectrum, response)


@pytest.mark.parametrize("name", WEDGES)
@pytest.mark.parametrize("energy", [30.0, 47.3, 70.0, 110.0])
def test_a_wedge_transmits_what_beer_lambert_says(name, energy):
    xraylib = pytest.importorskip("xraylib")
    mu = sum(w * xraylib.CS_Total(ELEMENTS.index(symbol) + 1, energy) for symbol, w in WEDGES[name].items())
    thickness = [1.0, 2.0, 5.0, 10.0, 20.0, 35.0]
    found = -through([name], wedge(material(name), thickness), Spectrum.mono(energy)).signal.log()[0].double()
    expected = torch.tensor(thickness, dtype=torch.float64) / 10 * material(name).density * mu
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("name", "millimetres"),
    [("water", [1.0, 50.0, 100.0, 200.0, 300.0]), ("aluminium", [1.0, 2.0, 5.0, 10.0, 20.0])],
)
def test_the_beam_hardens_as_the_full_sum_over_energies_says(name, millimetres):
    xraylib = pytest.importorskip("xraylib")
    beam = Spectrum.tube(90.0, aluminium=4.0)
    energies, photons = beam.energies.numpy(), beam.photons.numpy()
    rho = material(name).density
    mu = np.array(
        [sum(w * xraylib.CS_Total(ELEMENTS.index(s) + 1, e) for s, w in WEDGES[name].items()) for e in energies]
    )
    t = np.array(millimetres)
    signal = (photons * energies * np.exp(-mu * rho * t[:, None] / 10)).sum(1) / (photons * energies).sum()
    expected = -np.log(signal) / t
    found = -through([name], wedge(material(name), millimetres), beam).signal[0].double().log().numpy() / t
    assert (np.diff(found) < 0).all()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_hardened_water_lies_near_what_deepdrrs_spectrum_gives():
    found = through(
        ["water"], wedge(material("water"), [50.0, 100.0, 200.0, 300.0]), Spectrum.tube(90.0, aluminium=4.0)
    )
    effective = -found.signal[0].log() / torch.tensor([50.0, 100.0, 200.0, 300.0])
    torch.testing.assert_close(effective, torch.tensor([0.023176, 0.022621, 0.021913, 0.021457]), rtol=0.02, atol=0)


def test_one_energy_has_a_variance_that_is_its_signal():
    mass = torch.rand(2, 1, 5, 7, generator=torch.Generator().manual_seed(0)) * 10
    found = through(["water"], mass, Spectrum.mono(60.0))
    torch.testing.assert_close(found.variance, found.signal)


def test_variance_is_that_of_the_energy_photons_leave_in_the_panel():
    beam, panel = Spectrum.tube(80.0), Panel(scintillator=material("caesium_iodide"), thickness=0.3)
    rng = np.random.default_rng(3)
    energies, photons = beam.energies.numpy(), beam.photons.numpy()
    absorbed = panel.response(beam.energies).numpy() / energies
    water = np.exp(-material("water").attenuation(beam.energies).numpy() * 15)
    photon = rng.choice(len(energies), size=2_000_000, p=photons)
    left = energies[photon] * (rng.random(len(photon)) < absorbed[photon] * water[photon])
    found = through(["water"], torch.full((1, 1, 1), 15.0), beam, panel)
    open_field = (photons * absorbed * energies).sum()
    assert found.signal.item() == pytest.approx(left.mean() / open_field, rel=0.02)
    assert found.variance.item() == pytest.approx((left**2).mean() / open_field**2, rel=0.02)


def test_nothing_in_the_beam_is_the_open_field():
    found = through(["water", "cortical_bone"], torch.zeros(3, 2, 4, 4), Spectrum.tube(90.0), Panel.flat())
    torch.testing.assert_close(found.signal, torch.ones(3, 4, 4), rtol=1e-6, atol=0)


def test_a_batch_is_its_views_and_chunks_leave_no_seam(monkeypatch):
    mass = torch.rand(3, 2, 16, 24, generator=torch.Generator().manual_seed(0)) * 8
    names, beam = ["muscle", "cortical_bone"], Spectrum.tube(90.0)
    whole = through(names, mass, beam)
    monkeypatch.setattr("skiagraph.physics.transmit.CHUNK", 3000)
    for view in range(3):
        single = through(names, mass[view], beam)
        torch.testing.assert_close(whole.signal[view], single.signal, rtol=1e-5, atol=0)
        torch.testing.assert_close(whole.variance[view], single.variance, rtol=1e-5, atol=0)


def test_single_precision_agrees_with_double_through_thick_bodies():
    mass = torch.linspace(0, 60, 50, dtype=torch.float64).reshape(1, 5, 10) * torch.tensor([[[1.0]], [[0.2]]]).double()
    names, beam = ["muscle", "cortical_bone"], Spectrum.tube(120.0)
    double, single = through(names, mass, beam), through(names, mass.float(), beam)
    torch.testing.assert_close(single.signal.double(), double.signal, rtol=2e-5, atol=0)


def test_its_gradient_is_that_of_finite_differences():
    mass = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    names, beam = ["muscle", "cortical_bone"], Spectrum.tube(90.0)
    assert torch.autograd.gradcheck(lambda a: through(names, a, beam).signal, (mass,), fast_mode=True)


def test_a_big_panel_takes_no_second():
    mass = torch.rand(3, 768, 768) * torch.tensor([10.0, 20.0, 2.0])[:, None, None]
    beam = Spectrum.tube(150.0)
    start = time.process_time()
    through(["adipose", "muscle", "cortical_bone"], mass, beam)
    assert time.process_time() - start < 4.0  # processor seconds, on machines far slower than ours


def test_masses_and_materials_must_match():
    with pytest.raises(DataError, match="2 materials"):
        through(["water"], torch.zeros(2, 4, 4), Spectrum.mono(60.0))


def test_thin_solids_and_thick_gases_of_one_mass_are_one():
    water = material("water")
    steam = replace(water, name="steam", density=0.001)
    mass = torch.full((1, 2, 2), 7.0)
    beam = Spectrum.tube(70.0)
    a, b = (transmit(mass, [one], beam, beam.energies).signal for one in (water, steam))
    assert torch.equal(a, b)
