import pytest
import torch

from skiagraph.errors import DataError
from skiagraph.physics.materials import material
from skiagraph.physics.spectrum import SPECTRA, Spectrum

# IEC 61267: kVp, total filtration we need, first half-value layer, mm Al
RQR = [(70.0, 2.85, 2.58), (80.0, 2.98, 3.01), (90.0, 3.10, 3.48), (100.0, 3.25, 3.97), (120.0, 3.53, 5.00)]


@pytest.mark.parametrize(("aluminium", "expected"), [(2.5, 3.09), (4.0, 3.99)])
def test_the_half_value_layer_at_90_kv_is_spekpys(aluminium, expected):
    assert Spectrum.tube(90.0, aluminium).half_value_layer() == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(("kvp", "aluminium", "expected"), RQR)
def test_the_radiation_qualities_of_iec_61267_can_be_had(kvp, aluminium, expected):
    assert Spectrum.tube(kvp, aluminium).half_value_layer() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("kvp", "aluminium", "copper"), [(50.0, 2.5, 0.0), (77.0, 3.0, 0.1), (118.5, 4.0, 0.3)])
def test_spekpy_agrees_on_mean_energy_and_half_value_layer(kvp, aluminium, copper):
    spekpy = pytest.importorskip("spekpy")
    peer = spekpy.Spek(kvp=kvp, th=12, dk=0.5, mu_data_source="nist").filter("Al", aluminium).filter("Cu", copper)
    ours = Spectrum.tube(kvp, aluminium, copper)
    assert ours.half_value_layer() == pytest.approx(peer.get_hvl1(), rel=0.01)
    assert ours.mean_energy == pytest.approx(peer.get_emean(), rel=0.005)


def test_half_the_air_kerma_is_left_behind_a_half_value_layer_whatever_its_material():
    for name in ("aluminium", "copper"):
        beam = Spectrum.tube(100.0)
        half = beam.half_value_layer(name)
        again = beam.filtered(material(name), half)
        assert again.half_value_layer(name) > half > 0


def test_one_energy_has_the_half_value_layer_of_its_attenuation():
    mu = material("aluminium").attenuation(torch.tensor([60.0], dtype=torch.float64)).item() * 2.699 / 10
    assert Spectrum.mono(60.0).half_value_layer() == pytest.approx(0.6931471805599453 / mu, rel=1e-9)


def test_a_filter_hardens_the_beam_and_leaves_fractions_of_one():
    beam = Spectrum.tube(80.0)
    for thickness in (0.0, 0.1, 1.0, 30.0):
        filtered = beam.filtered(material("copper"), thickness)
        assert filtered.photons.sum().item() == pytest.approx(1.0, abs=1e-12)
        assert filtered.mean_energy >= beam.mean_energy
        beam = filtered


def test_two_filters_are_one_of_their_sum():
    aluminium = material("aluminium")
    twice = Spectrum.tube(70.0, 1.0).filtered(aluminium, 3.0)
    torch.testing.assert_close(twice.photons, Spectrum.tube(70.0, 4.0).photons, rtol=1e-10, atol=1e-15)


def test_a_higher_voltage_is_harder_and_no_photon_exceeds_it():
    means = []
    for kvp in (40.0, 40.5, 61.3, 89.9, 90.0, 90.1, 120.0, 149.5, 150.0):
        beam = Spectrum.tube(kvp)
        means.append(beam.mean_energy)
        assert kvp - 1.1 <= beam.highest_energy <= kvp + 0.5
    assert means == sorted(means)


def test_the_presets_are_a_little_softer_than_deepdrrs():
    found = {name: beam.half_value_layer() for name, beam in SPECTRA.items()}
    peers = {"60kv_al35": 2.55, "90kv_al40": 4.18, "120kv_al43": 5.80}
    assert all(0.93 * peers[name] < value < peers[name] for name, value in found.items())


@pytest.mark.parametrize("kvp", [39.0, 151.0, float("nan")])
def test_a_voltage_we_have_no_spectrum_for_is_refused(kvp):
    with pytest.raises(DataError, match="40 to 150"):
        Spectrum.tube(kvp)


def test_what_is_no_spectrum_is_refused():
    energies = torch.tensor([30.0, 60.0], dtype=torch.float64)
    with pytest.raises(DataError, match="sum to"):
        Spectrum(energies, torch.tensor([1.0, 1.0], dtype=torch.float64))
    with pytest.raises(DataError, match="negative"):
        Spectrum(energies, torch.tensor([1.5, -0.5], dtype=torch.float64))
    with pytest.raises(DataError, match="mm"):
        Spectrum.tube(90.0, aluminium=-1.0)
