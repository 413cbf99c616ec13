"""Few energies that stand for a whole spectrum: Gauss's quadrature, with the spectrum itself for its weight function.

A spectrum w behind masses A lets Σ w(E) exp(-Σ μ/ρ(E) A) through: an integral of something smooth in E over a rough
weight. The n nodes and weights of Gauss's quadrature for that weight come from Lanczos's three-term recurrence of the
polynomials orthogonal under w (Golub & Welsch 1969, Math. Comp. 23:221; Gautschi 2004, Orthogonal Polynomials, 2.2).
Attenuation at the nodes is that of ln μ/ρ projected on those polynomials, which levels the corners of the tables.
Weights are never negative, and the error falls about threefold with each node. At an absorption edge of a material
the spectrum is cut in two.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement, pairwise

import torch
from jaxtyping import Float64
from torch import Tensor

from skiagraph.physics.materials import Material
from skiagraph.physics.spectrum import Spectrum

PROMISED = 3e-5
"""How far ln of signal and variance may be off; behind thin bodies as little a part of ln of the signal itself."""

DARKEST = 1e-6
"""The transmission down to which that is seen to, for every mixture of the materials."""

NEGLIGIBLE = 1e-9
"""The part of the signal that the softest photons may bring and be left out."""


@dataclass(frozen=True, eq=False)
class Beam:
    """Energies and what each of them counts for, once it is through masses A: signal · exp(-attenuation A), summed."""

    signal: Float64[Tensor, "e"]
    """Share of the open field's signal."""
    variance: Float64[Tensor, "e"]
    """The same of its variance, if the open field is one photon a pixel: larger than 1 in all."""
    attenuation: Float64[Tensor, "e m"]
    """cm²/g of each material."""

    def __getitem__(self, part: slice) -> "Beam":
        return Beam(self.signal[part], self.variance[part], self.attenuation[part])

    def through(self, mass: Float64[Tensor, "p m"]) -> tuple[Float64[Tensor, "p"], Float64[Tensor, "p"]]:
        """Signal and variance behind masses, g/cm²."""
        passed = (-mass @ self.attenuation.T).exp()
        return passed @ self.signal, passed @ self.variance


def every_energy(materials: Sequence[Material], spectrum: Spectrum, response: Float64[Tensor, "e"]) -> Beam:
    """The spectrum bin by bin, for a panel that adds up energy: r keV of a photon in the mean.

    With p the photons, signal is p r / Σ p r and variance p E r / (Σ p r)².
    """
    return _every_energy(materials, spectrum, response)[1]


def few_energies(materials: Sequence[Material], spectrum: Spectrum, response: Float64[Tensor, "e"]) -> Beam:
    """As few energies as keep what is `PROMISED` behind any mixture of the materials; all of them if none do.

    Some ten between two absorption edges. Found once for a spectrum, a panel and materials, in some 10 ms.
    """
    return _few_energies(tuple(materials), spectrum, tuple(response.tolist()))


@lru_cache(maxsize=64)
def _few_energies(materials: tuple[Material, ...], spectrum: Spectrum, response: tuple[float, ...]) -> Beam:
    energies, whole = _every_energy(materials, spectrum, torch.tensor(response, dtype=torch.float64))
    mass = mixtures(whole)
    signal, variance = whole.through(mass)
    parts = _between_edges(whole)
    allowed = PROMISED / len(parts) * (-signal.log()).clamp(max=1.0)
    allowed *= 2 / 3  # for what lies between the mixtures tried

    def holds(few: Beam, part: slice) -> bool:
        all_of_it, it = whole[part].through(mass), few.through(mass)
        off = [(a - b).abs() / full for a, b, full in zip(all_of_it, it, (signal, variance), strict=True)]
        return bool((torch.stack(off) <= allowed).all())

    chosen = [
        next((few for few in _quadratures(energies[part], whole[part]) if holds(few, part)), whole[part])
        for part in parts
    ]
    return Beam(*(torch.cat([getattr(few, name) for few in chosen]) for name in ("signal", "variance", "attenuation")))


def mixtures(beam: Beam) -> Float64[Tensor, "p m"]:
    """Masses of every mixture of a beam's materials by quarters, from thin to `DARKEST`."""
    count = beam.attenuation.shape[1]
    quarters = torch.tensor([[four.count(m) for m in range(count)] for four in _fours(count)], dtype=torch.float64)
    direction = quarters / (beam.signal @ beam.attenuation)
    depth = direction @ beam.attenuation.T
    reach = torch.zeros(len(direction), dtype=torch.float64)
    for _ in range(20):  # Newton, from the left, on -ln of the signal, which is concave
        passed = beam.signal * (-reach[:, None] * depth).exp()
        signal = passed.sum(-1)
        reach += (signal.log() - math.log(DARKEST)) * signal / (passed * depth).sum(-1)
    levels = (torch.arange(1, 13, dtype=torch.float64) / 12) ** 3
    return (levels[:, None, None] * reach[:, None] * direction).reshape(-1, count)


def _fours(count: int) -> list[tuple[int, ...]]:
    return list(combinations_with_replacement(range(count), 4))


def _every_energy(materials: Sequence[Material], spectrum: Spectrum, response: Tensor) -> tuple[Tensor, Beam]:
    """Energies and what they count for, without the softest and the empty bins."""
    total = (spectrum.photons * response).sum()
    signal = spectrum.photons * response / total
    kept = (signal.cumsum(0) > NEGLIGIBLE) & (signal > 0)
    energies = spectrum.energies[kept]
    attenuation = torch.stack([one.attenuation(energies) for one in materials], dim=-1)
    return energies, Beam(signal[kept], signal[kept] * energies / total, attenuation)


def _between_edges(beam: Beam) -> list[slice]:
    """Runs of bins in which no material's attenuation rises with the energy."""
    rises = (beam.attenuation[1:] > 1.0001 * beam.attenuation[:-1]).any(-1)
    ends = [0, *(rises.nonzero().flatten() + 1).tolist(), len(beam.signal)]
    return [slice(low, high) for low, high in pairwise(ends)]


def _quadratures(energies: Tensor, beam: Beam) -> Iterator[Beam]:
    """Gauss's quadratures of 1, 2, ... nodes, as long as there are fewer nodes than energies."""
    scaled = (energies - energies.mean()) / (energies[-1] - energies[0]).clamp(min=1.0)
    total = beam.signal.sum()
    root = (beam.signal / total).sqrt()
    basis, logs = root[None], beam.attenuation.log() * root[:, None]
    spread = beam.variance / beam.signal * root
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    for _ in range(1, len(energies)):
        onward = scaled * basis[-1]
        diagonal.append(onward @ basis[-1])
        jacobi = torch.diag(torch.stack(diagonal))
        if beside:
            jacobi += torch.diag(torch.stack(beside), 1) + torch.diag(torch.stack(beside), -1)
        _, vectors = torch.linalg.eigh(jacobi)
        share = total * vectors[0] ** 2
        at_nodes = (vectors / vectors[0]).T @ basis  # takes √w times a function to its values at the nodes
        yield Beam(share, share * (at_nodes @ spread), (at_nodes @ logs).exp())
        for _ in range(2):  # twice is enough against rounding
            onward = onward - (basis @ onward) @ basis
        beside.append(onward.norm())
        basis = torch.cat([basis, onward[None] / beside[-1]])
