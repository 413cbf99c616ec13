import pytest
import torch

from skiagraph import compiled
from skiagraph.physics import native, noise

WAYS = ["torch", *compiled.LEVELS]


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """The laws in torch, and their compiled twins for each instruction set."""
    if request.param == "torch":
        return noise
    if not compiled.available() or request.param not in compiled.levels():
        pytest.skip(f"nothing compiled for {request.param} here")
    monkeypatch.setenv("SKIAGRAPH_LEVEL", request.param)
    return native


def one(value: float) -> torch.Tensor:
    return torch.full((1, 1), value)


def counts(way, mean: float, size: int = 512, key: int = 7) -> torch.Tensor:
    flat = torch.full((size, size), mean)
    return way.quanta(flat, flat, one(1.0), key).double()


def test_philox_answers_as_its_authors_say():
    # Random123 1.14, tests/kat_vectors
    words = [
        ([0, 0, 0, 0], 0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, -1, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            0x299F31D0_A4093822,
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ]
    for counter, key, expected in words:
        assert [int(word) for word in noise.philox([torch.tensor(word) for word in counter], key)] == expected


@pytest.mark.parametrize("mean", [0.02, 0.5, 4.0, 15.9, 16.1, 40.0])
def test_quanta_are_distributed_as_poisson_says(way, mean):
    stats = pytest.importorskip("scipy.stats")
    found = counts(way, mean).flatten()
    assert torch.equal(found, found.round())
    seen = torch.bincount(found.long()).double()
    expected = torch.tensor(stats.poisson.pmf(range(len(seen)), mean)) * found.numel()
    often = expected > 10
    chi2 = ((seen - expected) ** 2 / expected)[often].sum().item()
    assert stats.chi2.sf(chi2, int(often.sum())) > 1e-3


@pytest.mark.parametrize("mean", [0.3, 3.0, 15.9, 16.1, 100.0, 3e4, 1e7])
def test_their_moments_are_poissons(way, mean):
    z = (counts(way, mean) - mean) / mean**0.5
    assert z.mean().item() == pytest.approx(0.0, abs=8e-3)
    assert z.var().item() == pytest.approx(1.0, abs=0.016)
    assert (z**3).mean().item() == pytest.approx(mean**-0.5, rel=0.03, abs=0.02)
    assert (z**4).mean().item() == pytest.approx(3 + 1 / mean, rel=0.02, abs=0.05)


@pytest.mark.parametrize("mean", [0.02, 5.0, 15.0, 30.0, 1000.0])
def test_compiled_counts_are_those_of_torch_but_for_rounding(way, mean):
    off = (counts(way, mean) - counts(noise, mean)).abs()
    assert off.max() <= 1
    assert (off > 0).double().mean() < 2e-4


def test_no_light_no_quanta_and_blinding_light_no_overflow(way):
    assert torch.equal(counts(way, 0.0, 16), torch.zeros(16, 16).double())
    torch.testing.assert_close(counts(way, 1e12, 16), torch.full((16, 16), 1e12).double(), rtol=1e-5, atol=0)


def test_readout_noise_is_normal_to_both_tails(way):
    flat = torch.full((1024, 1024), 100.0)
    z = way.read(flat, one(1.0), one(torch.inf), one(0.0), 3).double() - 100
    assert z.mean().item() == pytest.approx(0.0, abs=4e-3)
    assert z.std().item() == pytest.approx(1.0, abs=3e-3)
    assert (z**3).mean().item() == pytest.approx(0.0, abs=0.012)
    assert (z**4).mean().item() == pytest.approx(3.0, abs=0.03)
    for sigma, share in ((1.0, 0.158655), (3.0, 1.349898e-3), (4.0, 3.167e-5)):
        for side in (z > sigma, z < -sigma):
            assert side.double().mean().item() == pytest.approx(share, abs=4 * (share / z.numel()) ** 0.5)


def test_reading_out_is_the_same_compiled_or_not(way):
    image = torch.linspace(-0.1, 1.2, 3 * 47 * 91).reshape(3, 47, 91)
    given = (torch.tensor([0.0, 0.02, 0.1]), torch.tensor([1.0, 0.5, 0.7]), torch.tensor([255.0, 510.0, 300.0]))
    found, expected = (one.read(image, *(x[:, None, None] for x in given), 11) for one in (way, noise))
    off = (found - expected).abs() * given[2][:, None, None]
    assert (off > 1e-3).double().mean() < 1e-3, "rounding tips few over to the next level"
    assert off.max() < 1.001


def test_neighbours_uses_images_and_keys_have_numbers_of_their_own(way):
    flat = torch.full((2, 512, 512), 1000.0)
    photons = torch.ones(2, 1, 1)
    first, second = way.quanta(flat, flat, photons, 1).double() - 1000
    (other, _) = way.quanta(flat, flat, photons, 2).double() - 1000
    (read, _) = way.read(flat, photons, torch.inf * photons, 0 * photons, 1).double() - 1000
    pairs = [(first, second), (first, other), (first, read), (first[1:], first[:-1]), (first[:, 1:], first[:, :-1])]
    pairs += [(first[:, step:], first[:, :-step]) for step in (4, 16, 64)]
    for a, b in pairs:
        assert abs(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()) < 0.008


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (9, 131), (70, 64)])
def test_a_pixel_keeps_its_number_whatever_the_image_ends_with(way, size):
    rows, columns = size
    flat = torch.full((2, 128, 64), 500.0)
    whole = way.quanta(flat, flat, torch.ones(2, 1, 1), 5).flatten(1)
    part = torch.full((2, *size), 500.0)
    found = way.quanta(part, part, torch.ones(2, 1, 1), 5).flatten(1)
    assert torch.equal(found, whole[:, : rows * columns])
