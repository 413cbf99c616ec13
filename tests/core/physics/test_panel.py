from dataclasses import replace

import pytest
import torch

from skiagraph.errors import DataError
from skiagraph.physics.materials import material
from skiagraph.physics.panel import Panel
from skiagraph.physics.scatter import Scatter
from skiagraph.physics.transmit import Exposure


def seed(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def field(signal: float, size: tuple[int, ...] = (512, 512), spread: float = 1.0) -> Exposure:
    """A flat field, its photons `spread` times as noisy as those of one energy."""
    flat = torch.full(size, signal)
    return Exposure(flat, flat * spread)


def ramp() -> Exposure:
    signal = torch.linspace(0.01, 1, 64 * 96).reshape(64, 96)
    return Exposure(signal, signal)


def test_an_ideal_panel_shows_the_signal_itself():
    assert torch.equal(Panel.ideal().expose(ramp(), 0.3), ramp().signal)
    assert torch.equal(Panel.ideal().expose(ramp(), (0.3, 0.2), seed()), ramp().signal)


@pytest.mark.parametrize(
    "off",
    [{"scatter": Scatter(amplitude=0.0)}, {"blur": 0.0}, {"readout": 0.0}, {"full_well": 1.0}, {"photons": torch.inf}],
    ids=lambda off: next(iter(off)),
)
def test_an_effect_that_is_off_leaves_every_bit(off):
    assert torch.equal(replace(Panel.ideal(), **off).expose(ramp(), 0.3), ramp().signal)
    noisy = Panel(photons=500.0)
    if "photons" not in off and "full_well" not in off:
        expected = noisy.expose(ramp(), 0.3, seed())
        assert torch.equal(replace(noisy, **off).expose(ramp(), 0.3, seed()), expected)


def test_variance_follows_the_mean_of_the_quanta():
    means, variances = [], []
    for photons in (1e2, 1e3, 1e4, 1e5):
        image = Panel(photons=photons).expose(field(1.0, (1024, 1024)), 0.3, seed(int(photons))).double() * photons
        means.append(image.mean().item())
        variances.append(image.var().item())
        assert variances[-1] / means[-1] == pytest.approx(1.0, abs=0.01)
        assert means[-1] == pytest.approx(photons, rel=1e-3)


def test_readout_is_the_intercept_of_variance_over_mean():
    panel = Panel(photons=1000.0, readout=20.0)
    levels = torch.tensor([0.1, 0.2, 0.4, 0.7, 1.0], dtype=torch.float64)
    images = [panel.expose(field(x, (2048, 2048)), 0.3, seed(k)).double() * 1000 for k, x in enumerate(levels.tolist())]
    mean, variance = (torch.stack([f(image) for image in images]) for f in (torch.mean, torch.var))
    slope, intercept = torch.linalg.lstsq(torch.stack([mean, torch.ones_like(mean)], -1), variance).solution.tolist()
    assert slope == pytest.approx(1.0, abs=0.01)
    assert intercept == pytest.approx(20.0**2, rel=0.02)


@pytest.mark.parametrize("count", [1.5, 6.0, 25.0])
def test_few_photons_are_poissons_to_the_fourth_moment(count):
    image = Panel(photons=100.0).expose(field(count / 100, (2048, 2048)), 0.3, seed(3)).double() * 100
    z = (image - image.mean()) / image.std()
    assert (z**3).mean().item() == pytest.approx(count**-0.5, abs=0.01)
    assert (z**4).mean().item() - 3 == pytest.approx(1 / count, abs=0.03)
    torch.testing.assert_close(image, image.round(), rtol=0, atol=1e-4)


def test_photons_of_many_energies_are_noisier_by_their_spread():
    image = Panel(photons=2000.0).expose(field(0.3, spread=1.4), 0.3, seed()).double()
    assert image.mean().item() == pytest.approx(0.3, rel=1e-3)
    assert image.var().item() == pytest.approx(0.3 * 1.4 / 2000, rel=0.02)


def test_where_nothing_arrives_nothing_is_counted():
    image = Panel(photons=100.0).expose(field(0.0, (8, 8)), 0.3, seed())
    assert torch.equal(image, torch.zeros(8, 8))


def test_saturation_is_exact():
    panel = Panel(photons=100.0, readout=3.0, full_well=0.9)
    image = panel.expose(field(1.0), 0.3, seed())
    assert image.max().item() == torch.tensor(0.9).item()
    assert (image == image.max()).float().mean() > 0.5
    assert image.min() >= 0


def test_the_converter_has_as_many_levels_as_bits():
    image = Panel(full_well=1.0, bits=4).expose(ramp(), 0.3)
    assert len(image.unique()) == 16
    assert (image - ramp().signal).abs().max() <= 0.5 / 15 + 1e-6


def test_a_seed_makes_one_image_on_any_number_of_threads():
    threads = torch.get_num_threads()
    panel = replace(Panel.flat(), bits=None)
    try:
        images = []
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            images.append(panel.expose(ramp(), 0.3, seed(7)))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(images[0], images[1])
    assert torch.equal(images[0], images[2])
    assert not torch.equal(images[0], panel.expose(ramp(), 0.3, seed(8)))


def test_noise_without_a_generator_is_refused():
    with pytest.raises(DataError, match=r"torch\.Generator"):
        Panel.flat().expose(ramp(), 0.3)


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.0])
def test_blur_spreads_a_point_by_its_sigma_in_millimetres_and_keeps_its_sum(sigma):
    point = torch.zeros(65, 65, dtype=torch.float64)
    point[32, 32] = 1.0
    rows, columns = 0.2, 0.3
    image = Panel(blur=sigma).expose(Exposure(point, point), (rows, columns))
    assert image.sum().item() == pytest.approx(1.0, abs=1e-9)
    x = torch.arange(65, dtype=torch.float64) - 32
    for step, profile in ((rows, image.sum(1)), (columns, image.sum(0))):
        found = ((x * step) ** 2 * profile).sum().item()
        if sigma >= step:
            assert found == pytest.approx(sigma**2 + step**2 / 12, rel=0.01)  # the pixel is a box
        else:
            assert found < sigma**2 + step**2 / 12


def test_blur_leaves_a_flat_field_flat_to_its_border():
    torch.testing.assert_close(Panel(blur=0.5).expose(field(0.4, (40, 30)), 0.2), torch.full((40, 30), 0.4))


def test_blur_correlates_the_noise_of_quanta_but_not_of_readout():
    def neighbours(panel: Panel) -> float:
        image = panel.expose(field(0.5), 0.2, seed())
        image = image - image.mean()
        return ((image[:, 1:] * image[:, :-1]).mean() / image.var()).item()

    assert neighbours(Panel(photons=1000.0, blur=0.2)) > 0.3
    assert abs(neighbours(Panel(photons=1000.0))) < 0.01
    assert abs(neighbours(Panel(photons=1e8, readout=1e6, blur=0.2))) < 0.01


def test_a_scintillator_absorbs_most_and_less_of_hard_photons():
    panel = Panel(scintillator=material("caesium_iodide"), thickness=0.45)
    energies = torch.tensor([40.0, 60.0, 80.0, 120.0], dtype=torch.float64)
    absorbed = panel.response(energies) / energies
    assert (absorbed.diff() < 0).all()
    assert 0.9 < absorbed[0] < 1
    assert torch.equal(Panel.ideal().response(energies), energies)


def test_a_batch_is_exposed_view_by_view():
    signal = torch.rand(3, 20, 30, generator=seed())
    quiet = replace(Panel.flat(), photons=torch.inf, readout=0.0, bits=None)
    batch = quiet.expose(Exposure(signal, signal), 0.3)
    for view in range(3):
        torch.testing.assert_close(batch[view], quiet.expose(Exposure(signal[view], signal[view]), 0.3))


def test_gradients_pass_through_a_quiet_panel():
    signal = (0.2 + 0.5 * torch.rand(4, 5, generator=seed(), dtype=torch.float64)).requires_grad_()
    panel = Panel(blur=0.3, scatter=Scatter(gap=10.0))
    assert torch.autograd.gradcheck(lambda x: panel.expose(Exposure(x, x), 0.5), (signal,), fast_mode=True)


@pytest.mark.parametrize(
    "wrong",
    [{"photons": 0.0}, {"readout": 1.0}, {"blur": -1.0}, {"full_well": 0.0}, {"bits": 8}, {"photons": float("nan")}],
)
def test_panels_that_cannot_be_are_refused(wrong):
    with pytest.raises(DataError):
        Panel(**wrong)


def test_the_typical_panel_keeps_the_mean():
    panel = replace(Panel.flat(), scatter=None, full_well=2.0)
    assert panel.expose(field(0.3), 0.3, seed()).mean().item() == pytest.approx(0.3, rel=1e-3)


def test_exposure_control_brings_the_same_quanta_through_thick_and_thin():
    panel = Panel(photons=1e5, aim=1000.0)
    for transmission in (0.3, 0.05, 0.002):
        flat = torch.full((1, 200, 200), transmission)
        image = panel.expose(Exposure(flat, flat), 0.3, torch.Generator().manual_seed(0))
        noise = (image.std() / image.mean()).item()
        assert noise == pytest.approx(1000**-0.5, rel=0.05)
    dark = torch.full((1, 200, 200), 1e-6)
    assert panel.exposed(dark).item() == pytest.approx(1e5 * 100), "a tube gives what it can"
    assert Panel(photons=1e5).exposed(dark).item() == pytest.approx(1e5)


def test_an_exposure_raised_for_a_thick_patient_saturates_the_open_field():
    panel = Panel(photons=1e5, aim=1000.0, full_well=1.0)
    behind = torch.full((1, 40, 40), 0.001)
    behind[..., :5, :] = 1.0
    image = panel.expose(Exposure(behind, behind), 0.3, torch.Generator().manual_seed(0))
    assert torch.allclose(image[..., :5, :], torch.tensor(0.1)), "ten times the photons fill the wells at a tenth"
