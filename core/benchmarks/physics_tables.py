"""Make the tables of `skiagraph.physics` again: `python core/benchmarks/physics_tables.py`; under a minute.

Needs the `dev` extra. What it writes, and from what:

* `attenuation.npz`: total mass attenuation coefficients (with coherent scattering) of the elements, from xraylib
  (BSD-3-Clause; Schoonjans et al. 2011), whose CS_Total agrees with NIST's tables to four digits. xraylib's
  CS_Energy is not NIST's mu_en/rho and is not used; dry air's is typed into `skiagraph.physics.materials`.
* `spectra.npz`: tungsten spectra before any filter, from SpekPy (MIT; Poludniowski et al. 2021).
"""

from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np

DATA = Path(__file__).parents[1] / "skiagraph" / "physics" / "data"

ELEMENTS = 92
LOWEST, HIGHEST = 5.0, 150.0
"""keV."""
POINTS = 400
"""Of the grid all elements share: one point for each 0.85 %."""
STRAIGHT = 2e-5
"""How far a straight line between two points, in logarithms, may be off before a point is put between them."""
EDGE = 1e-9
"""How close, relatively, two points may come: the width an absorption edge is left with."""

ANODE_ANGLE = 12.0
"""Degrees."""
KVP = np.arange(40, 151)
BIN = 1.0
"""keV."""


def element(z: int) -> tuple[np.ndarray, np.ndarray]:
    """keV and cm²/g of an element: the shared grid, and more points where it bends or jumps."""
    import xraylib

    def total(energy: float) -> float:
        return xraylib.CS_Total(z, energy)

    def between(low: float, high: float, at_low: float, at_high: float) -> list[tuple[float, float]]:
        if high / low < 1 + EDGE:
            return []
        middle = float(np.sqrt(low * high))
        value = total(middle)
        quarters = [(low**0.75 * high**0.25, 0.75), (low**0.25 * high**0.75, 0.25)]
        off = abs(np.sqrt(at_low * at_high) / value - 1)
        off = max(off, *(abs(at_low**w * at_high ** (1 - w) / total(energy) - 1) for energy, w in quarters))
        if off < STRAIGHT:
            return []
        return [
            *between(low, middle, at_low, value),
            (middle, value),
            *between(middle, high, value, at_high),
        ]

    shared = np.geomspace(LOWEST, HIGHEST, POINTS)
    rows = [(float(shared[0]), total(shared[0]))]
    for low, high in pairwise(shared):
        at_high = total(high)
        rows += [*between(low, high, rows[-1][1], at_high), (float(high), at_high)]
    energies, values = np.array(rows).T
    return energies, values


def attenuation() -> dict[str, np.ndarray]:
    """The elements' tables one behind the other; element z is rows `start[z - 1]` to `start[z]`."""
    tables = [element(z) for z in range(1, ELEMENTS + 1)]
    return {
        "energies": np.concatenate([energies for energies, _ in tables]),
        "mass_attenuation": np.concatenate([values for _, values in tables]).astype(np.float32),
        "start": np.cumsum([0, *(len(energies) for energies, _ in tables)]),
        "source": np.array(f"xraylib {version('xraylib')} CS_Total"),
    }


def spectrum(kvp: float) -> np.ndarray:
    """Photons a cm² keV mAs at 1 m in the bins of the table, before any filter."""
    import spekpy

    tube = spekpy.Spek(kvp=kvp, th=ANODE_ANGLE, dk=BIN, targ="W")
    energies, fluence = tube.get_spectrum()
    inside = energies > LOWEST
    row = np.zeros(round((HIGHEST - LOWEST) / BIN))
    row[np.round((energies[inside] - LOWEST) / BIN - 0.5).astype(int)] = fluence[inside]
    return row


def spectra() -> dict[str, np.ndarray]:
    return {
        "kvp": KVP,
        "energies": np.arange(LOWEST + BIN / 2, HIGHEST, BIN),
        "photons": np.stack([spectrum(float(kvp)) for kvp in KVP]).astype(np.float32),
        "source": np.array(f"SpekPy {version('spekpy')}, tungsten, {ANODE_ANGLE:.0f} degrees, spekpy-v2-casim"),
    }


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    for name, table in (("attenuation", attenuation()), ("spectra", spectra())):
        np.savez_compressed(DATA / f"{name}.npz", **table)
        print(f"{name}.npz: {(DATA / name).with_suffix('.npz').stat().st_size / 1000:.0f} kB")
