"""Random numbers that belong to pixels: an image has the same noise on any device and any number of threads.

Numbers come from a counter and a key, by Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011, SC '11): the counter is the
pixel's, the key is drawn from the generator once for each exposure. What is made of a number is a quantile, so that
the compiled loops find the same counts but for rounding.
"""

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

QUANTA, READOUT = 0, 1
"""What numbers are used for: each use has numbers of its own."""

FEW = 16.0
"""Photons expected, up to which the Poisson distribution is added up term by term."""

MOST_OF_FEW = 64
"""No more come of them, but once in 10¹⁶ times."""


def draw_key(rng: torch.Generator) -> int:
    """A key for the noise of one exposure."""
    low, high = -(2**63), 2**63 - 1
    return int(torch.randint(low, high, (), generator=rng, device=rng.device, dtype=torch.int64).item())


def quanta(
    signal: Float[Tensor, "*n v u"], variance: Float[Tensor, "*n v u"], photons: Float[Tensor, "*n 1 1"], key: int
) -> Float[Tensor, "*n v u"]:
    """Poisson: as many equal quanta as have the signal's mean, and its variance over the photons there are."""
    tiny = torch.finfo(signal.dtype).tiny
    quantum = variance / signal.clamp(min=tiny) / photons
    mean = (signal / quantum.clamp(min=tiny)).detach()
    return poisson(mean, numbers(key, QUANTA, signal)).to(signal) * quantum


def read(
    image: Float[Tensor, "*n v u"],
    readout: Float[Tensor, "*n 1 1"],
    most: Float[Tensor, "*n 1 1"],
    levels: Float[Tensor, "*n 1 1"],
    key: int,
) -> Float[Tensor, "*n v u"]:
    """Electronic noise of `readout` root mean square, saturation, and a converter: `levels` of it in 1, 0 for none."""
    if bool((readout > 0).any()):
        image = image + readout * normal(numbers(key, READOUT, image)).to(image)
    image = image.clamp(min=0.0).minimum(most)
    return (image * levels).round() / levels if bool((levels > 0).all()) else image


def poisson(mean: Float[Tensor, "*s"], bits: Int64[Tensor, "*s"]) -> Float64[Tensor, "*s"]:
    """The Poisson quantile of 32-bit numbers: exact up to 16 photons expected.

    Beyond, whole numbers below Giles's expansion in the normal quantile (2016, ACM TOMS 42:7) to the order 1 / mean:
    of 10 000 counts two or fewer are one photon off.
    """
    mean = mean.double()
    z, many = normal(bits), mean.clamp(min=FEW)
    first, second, third = (2 + z**2) / 6, -(2 * z + z**3) / 72, (-16 + 7 * z**2 + 3 * z**4) / 810
    found = (many + many.sqrt() * z + first + second / many.sqrt() + third / many).floor().clamp(min=0)
    few = mean < FEW
    if bool(few.any()):
        found[few] = _few(mean[few], _uniform(bits[few]))
    return found


def normal(bits: Int64[Tensor, "*s"]) -> Float64[Tensor, "*s"]:
    """The normal quantile of 32-bit numbers; both tails reach 6.3 sigma."""
    z = torch.special.ndtri(_tail(bits))
    return torch.where(bits >> 31 > 0, -z, z)


def numbers(key: int, use: int, image: Float[Tensor, "*n v u"]) -> Int64[Tensor, "*n v u"]:
    """A 32-bit number for each pixel: in blocks of 64, pixel n takes number n // 16 of counter n % 16."""
    rows, columns = image.shape[-2:]
    images, pixels = image[..., 0, 0].numel(), rows * columns
    counter = torch.arange(-(-pixels // 64) * 16, device=image.device)
    which = torch.arange(images, device=image.device)[:, None]
    words = philox([counter & _WORD, counter >> 32, which, torch.full_like(counter, use)], key)
    blocks = torch.stack([word.expand(images, len(counter)).reshape(images, -1, 16) for word in words], dim=2)
    return blocks.reshape(images, -1)[:, :pixels].reshape(image.shape)


def philox(counter: list[Tensor], key: int) -> list[Tensor]:
    """Four 32-bit numbers for each counter of four 32-bit numbers, all of them held in 64."""
    c0, c1, c2, c3 = counter
    k0, k1 = key & _WORD, (key >> 32) & _WORD
    for _ in range(10):
        a, b = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (b >> 32) & _WORD ^ c1 ^ k0, b & _WORD, (a >> 32) & _WORD ^ c3 ^ k1, a & _WORD
        k0, k1 = (k0 + 0x9E3779B9) & _WORD, (k1 + 0xBB67AE85) & _WORD
    return [c0, c1, c2, c3]


_WORD = 0xFFFFFFFF


def _few(mean: Tensor, at: Tensor) -> Tensor:
    """How many terms of the distribution, added up, stay below `at`."""
    term = (-mean).exp()
    below, found = term, torch.zeros_like(mean)
    for k in range(1, MOST_OF_FEW + 1):
        more = at > below
        if not bool(more.any()):
            break
        found += more
        term = term * mean / k
        below = below + term
    return found


def _tail(bits: Tensor) -> Tensor:
    """How far a number lies from the nearer end of 0...1: its lower 31 bits; the highest says which end."""
    return ((bits & 0x7FFFFFFF).double() + 0.5) * 2.0**-32


def _uniform(bits: Tensor) -> Tensor:
    return torch.where(bits >> 31 > 0, 1 - _tail(bits), _tail(bits))
