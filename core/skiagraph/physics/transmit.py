"""The spectrum behind a body: Beer and Lambert's law, energy by energy."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from skiagraph.errors import DataError
from skiagraph.physics.materials import Material
from skiagraph.physics.spectrum import Spectrum

CHUNK = 1 << 21
"""Numbers, pixels times energies, in flight at once: 8 MB."""


@dataclass(frozen=True, eq=False)
class Exposure:
    """What reaches the panel, in the mean, and how much single photons make it vary."""

    signal: Float[Tensor, "*n v u"]
    """Energy absorbed, 0 to 1 of the open field's."""
    variance: Float[Tensor, "*n v u"]
    """Of the signal, if the open field is one photon a pixel; divide by the photons there are."""


def transmit(
    mass: Float[Tensor, "*n m v u"],
    materials: Sequence[Material],
    spectrum: Spectrum,
    response: Float64[Tensor, "e"],
) -> Exposure:
    """Send a spectrum through the masses on its way, g/cm² of each material, to a panel that adds up energy.

    With p the photons, T = exp(-Σ μ/ρ A) and r = E η the energy the panel absorbs of a photon in the mean, η of
    the photons leaving all of theirs:

        signal   = Σ p r T / Σ p r
        variance = Σ p E r T / (Σ p r)²     (for one energy and η = 1, both are T)
    """
    *batch, count, v, u = mass.shape
    if count != len(materials):
        raise DataError(f"masses of {count} materials, but {len(materials)} materials; give one mass a material")
    weight, spread, depth = _by_energy(materials, spectrum, response)
    weights = torch.stack([weight, spread], dim=-1).to(mass)
    lines = -depth.to(mass)
    flat = mass.reshape(-1, count, v * u)
    step = max(1, CHUNK // weights.shape[0])
    both = torch.cat(
        [torch.stack([(one.mT @ lines).exp() @ weights for one in part.unbind()]) for part in flat.split(step, dim=-1)],
        dim=-2,
    ).reshape(*batch, v, u, 2)
    return Exposure(both[..., 0].contiguous(), both[..., 1].contiguous())


def _by_energy(materials: Sequence[Material], spectrum: Spectrum, response: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights for signal [e] and variance [e], and μ/ρ [m e], without the softest bins: a billionth of the signal."""
    total = (spectrum.photons * response).sum()
    weight = spectrum.photons * response / total
    spread = weight * spectrum.energies / total
    kept = weight.cumsum(0) > 1e-9
    energies = spectrum.energies[kept]
    depth = torch.stack([one.attenuation(energies) for one in materials])
    return weight[kept], spread[kept], depth
