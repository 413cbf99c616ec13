"""What leaves the tube: photons by energy.

Tungsten spectra from 40 to 150 kVp come from SpekPy (MIT; Poludniowski, Omar, Bujila & Andreo 2021, 12 degree
anode, model spekpy-v2-casim) before any filter, in 1 keV bins from 5 keV; every filter is applied here.
"""

import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from skiagraph.errors import DataError
from skiagraph.geometry import float64
from skiagraph.physics.materials import Material, air_kerma, material


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The photons of a beam by energy."""

    energies: Float64[Tensor, "e"]
    """keV: the middles of the bins."""
    photons: Float64[Tensor, "e"]
    """Fractions of their number; they sum to 1."""

    def __post_init__(self) -> None:
        if not (len(self.energies) and bool((self.energies > 0).all()) and bool((self.photons >= 0).all())):
            raise DataError("a spectrum needs positive energies, and fractions of photons that are not negative")
        if abs(self.photons.sum().item() - 1) > 1e-6:
            raise DataError(f"the spectrum's photons sum to {self.photons.sum().item():g}; give fractions of 1")

    @classmethod
    def mono(cls, energy: float) -> "Spectrum":
        """All photons at one energy, in keV."""
        return cls(float64([energy]), float64([1.0]))

    @classmethod
    def tube(cls, kvp: float = 90.0, aluminium: float = 4.0, copper: float = 0.0) -> "Spectrum":
        """A tungsten tube at a voltage behind its total filtration, in millimetres.

        Between the tabled voltages, one a kilovolt, the spectra are mixed.
        """
        low, high = 40.0, 150.0
        if not low <= kvp <= high:
            raise DataError(f"no spectrum at {kvp:g} kVp; give {low:g} to {high:g} kVp")
        energies, table = _tables()
        row = min(int(kvp - low), len(table) - 2)
        part = kvp - low - row
        photons = torch.lerp(table[row], table[row + 1], part)
        bare = cls(energies, photons / photons.sum())
        filtered = bare.filtered(material("aluminium"), aluminium).filtered(material("copper"), copper)
        reached = filtered.photons > 0
        return cls(filtered.energies[reached], filtered.photons[reached])

    def filtered(self, sheet: Material, thickness: float) -> "Spectrum":
        """The same beam behind millimetres of a solid material."""
        if not (thickness >= 0 and math.isfinite(thickness)):
            raise DataError(f"a filter of {thickness:g} mm; give zero or more millimetres")
        if thickness == 0:
            return self
        depth = sheet.attenuation(self.energies) * sheet.density * thickness / 10
        photons = self.photons * (depth.min() - depth).exp()
        return Spectrum(self.energies, photons / photons.sum())

    def half_value_layer(self, of: str = "aluminium") -> float:
        """Millimetres of a material, by its name, that halve the air kerma."""
        mu = material(of).attenuation(self.energies) * material(of).density / 10
        kerma = self.photons * air_kerma(self.energies)
        low, high = 0.0, (math.log(2) / mu.min()).item()
        for _ in range(60):
            middle = (low + high) / 2
            left = (kerma * (-mu * middle).exp()).sum() / kerma.sum()
            low, high = (middle, high) if left > 0.5 else (low, middle)
        return (low + high) / 2

    @property
    def mean_energy(self) -> float:
        """keV, over the photons."""
        return (self.energies * self.photons).sum().item()

    @property
    def highest_energy(self) -> float:
        """keV: the middle of the last bin that holds photons, half a bin below the tube's peak voltage."""
        return self.energies[self.photons > 0].max().item()


@cache
def _tables() -> tuple[Tensor, Tensor]:
    with files("skiagraph.physics").joinpath("data/spectra.npz").open("rb") as file, np.load(file) as table:
        return torch.from_numpy(table["energies"]), torch.from_numpy(table["photons"]).double()


SPECTRA: dict[str, Spectrum] = {
    "60kv_al35": Spectrum.tube(60.0, aluminium=3.5),
    "90kv_al40": Spectrum.tube(90.0, aluminium=4.0),
    "120kv_al43": Spectrum.tube(120.0, aluminium=4.3),
}
"""The voltages and filters of DeepDRR's three spectra. These are SpekPy's, not MC-GPU's: their half-value
layers are 2.50, 3.99 and 5.49 mm Al, those of MC-GPU's 2.55, 4.18 and 5.80."""
