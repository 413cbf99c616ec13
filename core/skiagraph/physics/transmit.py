"""The spectrum behind a body: Beer and Lambert's law, energy by energy."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from skiagraph.errors import DataError
from skiagraph.physics import native
from skiagraph.physics.materials import Material
from skiagraph.physics.quadrature import Beam, few_energies
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

    The sums are over few energies, which come as close as `quadrature.PROMISED` to those over all.
    """
    if mass.shape[-3] != len(materials):
        raise DataError(f"masses of {mass.shape[-3]} materials, but {len(materials)} materials; give one mass each")
    return through(mass, few_energies(materials, spectrum, response))


def through(mass: Float[Tensor, "*n m v u"], beam: Beam) -> Exposure:
    """Send a beam through the masses on its way, g/cm² of each material."""
    if native.serves(mass):
        return Exposure(*native.transmit(mass, beam))
    *batch, count, v, u = mass.shape
    weights = torch.stack([beam.signal, beam.variance], dim=-1).to(mass)
    lines = -beam.attenuation.T.to(mass)
    flat = mass.reshape(-1, count, v * u)
    step = max(1, CHUNK // weights.shape[0])
    both = torch.cat(
        [torch.stack([(one.mT @ lines).exp() @ weights for one in part.unbind()]) for part in flat.split(step, dim=-1)],
        dim=-2,
    ).reshape(*batch, v, u, 2)
    return Exposure(both[..., 0].contiguous(), both[..., 1].contiguous())
