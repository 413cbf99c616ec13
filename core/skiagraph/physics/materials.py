"""What bodies, implants, filters and panels are made of, and how strongly it attenuates X-rays.

Total attenuation with coherent scattering, 5 to 150 keV, from the elements' tables in `data/attenuation.npz`
(xraylib's CS_Total, which agrees with NIST's XCOM to four digits; `core/benchmarks/physics_tables.py` makes them).
Compositions are by mass: ICRU Report 44 as tabled by NIST (Hubbell & Seltzer 2004, table 2), ICRU Report 46 for
marrow and spongiosa, and nominal ones for alloys, which differ from maker to maker.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Self

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from skiagraph.errors import DataError
from skiagraph.geometry import float64

ELEMENTS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr "
    "Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt "
    "Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U"
).split()
"""Symbols by atomic number, from 1."""


@dataclass(frozen=True, eq=False)
class Material:
    """A substance: its usual density, and its mass attenuation by energy."""

    name: str
    density: float
    """g/cm³ when solid; a phantom may hold it thinner or denser."""
    energies: Float64[Tensor, "e"]
    """keV, rising; an absorption edge is two points a millionth apart."""
    mass_attenuation: Float64[Tensor, "e"]
    """cm²/g, total with coherent scattering."""
    reference: str = ""
    """Where composition and density come from."""

    def __post_init__(self) -> None:
        if not (self.density > 0 and bool((self.mass_attenuation > 0).all())):
            raise DataError(f"{self.name} has a density or an attenuation that is not positive; give positive figures")
        if len(self.energies) < 2 or not bool((self.energies[1:] > self.energies[:-1]).all()):
            raise DataError(f"the energies of {self.name} do not rise; give at least two, in rising order")

    @classmethod
    def mixture(cls, name: str, density: float, fractions: Mapping[str, float], reference: str = "") -> Self:
        """A material from mass fractions of elements, such as `{"Ti": 0.9, "Al": 0.06, "V": 0.04}`."""
        unknown = [symbol for symbol in fractions if symbol not in ELEMENTS]
        if unknown:
            raise DataError(f"{name} holds {', '.join(unknown)}; give symbols of elements from H to U")
        if abs(sum(fractions.values()) - 1) > 2e-3:
            raise DataError(f"the mass fractions of {name} sum to {sum(fractions.values()):.4f}; give fractions of 1")
        tables = [_element(symbol) for symbol in fractions]
        energies = torch.cat([table[0] for table in tables]).unique()
        parts = [w * _log_log(energies, *table) for w, table in zip(fractions.values(), tables, strict=True)]
        return cls(name, density, energies, torch.stack(parts).sum(0), reference)

    @classmethod
    def compound(cls, name: str, density: float, atoms: Mapping[str, float], reference: str = "") -> Self:
        """A material from counts of atoms, such as `{"Cs": 1, "I": 1}`."""
        unknown = [symbol for symbol in atoms if symbol not in _ATOMIC_WEIGHTS]
        if unknown:
            raise DataError(f"no atomic weight of {', '.join(unknown)} here; give mass fractions to Material.mixture")
        mass = {symbol: count * _ATOMIC_WEIGHTS[symbol] for symbol, count in atoms.items()}
        total = sum(mass.values())
        return cls.mixture(name, density, {symbol: m / total for symbol, m in mass.items()}, reference)

    @classmethod
    def constant(cls, name: str, mass_attenuation: float, density: float) -> Self:
        """A material that attenuates every energy alike, in cm²/g, as simulators without a spectrum assume."""
        return cls(name, density, float64([1e-3, 1e6]), float64([mass_attenuation] * 2), "one figure for all energies")

    def attenuation(self, energies: Float64[Tensor, "*n"]) -> Float64[Tensor, "*n"]:
        """Total mass attenuation, cm²/g, at energies in keV: straight lines between the table's logarithms.

        Raises DataError beyond the table.
        """
        low, high = self.energies[0].item(), self.energies[-1].item()
        if energies.numel() and not (low <= energies.min().item() and energies.max().item() <= high):
            raise DataError(
                f"{self.name} is tabled from {low:g} to {high:g} keV, and {energies.min().item():g} to "
                f"{energies.max().item():g} keV were asked for; stay within the table"
            )
        return _log_log(energies, self.energies, self.mass_attenuation)


def material(name: str) -> Material:
    """One of `MATERIALS` by name. Raises DataError naming those there are."""
    if name not in MATERIALS:
        raise DataError(f"no material {name!r}; there are {', '.join(MATERIALS)}")
    return MATERIALS[name]


def air_kerma(energies: Float64[Tensor, "*n"]) -> Float64[Tensor, "*n"]:
    """Air kerma for each photon a cm², to a factor: E μen/ρ of dry air. NIST (Hubbell & Seltzer 2004), table 4."""
    knots, mu_en = float64(_AIR_MU_EN).T
    return energies * _log_log(energies, knots, mu_en)


# keV, cm²/g
_AIR_MU_EN = [
    (4.0, 76.36),
    (5.0, 39.31),
    (6.0, 22.70),
    (8.0, 9.446),
    (10.0, 4.742),
    (15.0, 1.334),
    (20.0, 0.5389),
    (30.0, 0.1537),
    (40.0, 0.06833),
    (50.0, 0.04098),
    (60.0, 0.03041),
    (80.0, 0.02407),
    (100.0, 0.02325),
    (150.0, 0.02496),
]

_ATOMIC_WEIGHTS = {
    "H": 1.008,
    "C": 12.011,
    "N": 14.007,
    "O": 15.999,
    "P": 30.974,
    "S": 32.06,
    "Ca": 40.078,
    "I": 126.904,
    "Cs": 132.905,
    "Ba": 137.327,
    "Gd": 157.25,
}


def _log_log(
    x: Float64[Tensor, "*n"], knots: Float64[Tensor, "k"], values: Float64[Tensor, "k"]
) -> Float64[Tensor, "*n"]:
    x, knots, values = x.log(), knots.log().to(x.device), values.log().to(x.device)
    right = torch.searchsorted(knots, x.contiguous()).clamp(1, len(knots) - 1)
    left = right - 1
    part = (x - knots[left]) / (knots[right] - knots[left])
    return (values[left] + part * (values[right] - values[left])).exp()


@cache
def _tables() -> dict[str, np.ndarray]:
    with files("skiagraph.physics").joinpath("data/attenuation.npz").open("rb") as file, np.load(file) as table:
        return {name: table[name] for name in ("energies", "mass_attenuation", "start")}


def _element(symbol: str) -> tuple[Tensor, Tensor]:
    table, z = _tables(), ELEMENTS.index(symbol)
    rows = slice(int(table["start"][z]), int(table["start"][z + 1]))
    return torch.from_numpy(table["energies"][rows]), torch.from_numpy(table["mass_attenuation"][rows]).double()


def _all() -> list[Material]:
    icru44, icru46, nist = "ICRU Report 44, from NIST's table 2", "ICRU Report 46", "NIST, table 1"
    nominal = "nominal"
    mix, compound = Material.mixture, Material.compound
    water = {"H": 0.111898, "O": 0.888102}
    iohexol = {"C": 0.277930, "H": 0.032190, "I": 0.463661, "N": 0.051178, "O": 0.175041}
    share = 0.647 / 1.349  # iohexol in a gram of contrast agent of 300 mg iodine a millilitre
    contrast = {symbol: share * iohexol.get(symbol, 0) + (1 - share) * water.get(symbol, 0) for symbol in iohexol}
    return [
        mix("air", 1.205e-3, {"C": 0.000124, "N": 0.755268, "O": 0.231781, "Ar": 0.012827}, nist),
        mix("water", 1.0, water, nist),
        mix(
            "adipose",
            0.95,
            {"H": 0.114, "C": 0.598, "N": 0.007, "O": 0.278, "Na": 0.001, "S": 0.001, "Cl": 0.001},
            icru44,
        ),
        mix(
            "soft_tissue",
            1.06,
            {
                "H": 0.102,
                "C": 0.143,
                "N": 0.034,
                "O": 0.708,
                "Na": 0.002,
                "P": 0.003,
                "S": 0.003,
                "Cl": 0.002,
                "K": 0.003,
            },
            icru44,
        ),
        mix(
            "muscle",
            1.05,
            {
                "H": 0.102,
                "C": 0.143,
                "N": 0.034,
                "O": 0.710,
                "Na": 0.001,
                "P": 0.002,
                "S": 0.003,
                "Cl": 0.001,
                "K": 0.004,
            },
            icru44,
        ),
        mix(
            "blood",
            1.06,
            {
                "H": 0.102,
                "C": 0.110,
                "N": 0.033,
                "O": 0.745,
                "Na": 0.001,
                "P": 0.001,
                "S": 0.002,
                "Cl": 0.003,
                "K": 0.002,
                "Fe": 0.001,
            },
            icru44,
        ),
        mix(
            "lung",
            1.05,
            {
                "H": 0.103,
                "C": 0.105,
                "N": 0.031,
                "O": 0.749,
                "Na": 0.002,
                "P": 0.002,
                "S": 0.003,
                "Cl": 0.003,
                "K": 0.002,
            },
            icru44,
        ),
        mix(
            "red_marrow",
            1.03,
            {
                "H": 0.105,
                "C": 0.414,
                "N": 0.034,
                "O": 0.439,
                "P": 0.001,
                "S": 0.002,
                "Cl": 0.002,
                "K": 0.002,
                "Fe": 0.001,
            },
            icru46,
        ),
        mix(
            "yellow_marrow",
            0.98,
            {"H": 0.115, "C": 0.644, "N": 0.007, "O": 0.231, "Na": 0.001, "S": 0.001, "Cl": 0.001},
            icru46,
        ),
        mix(
            "spongiosa",
            1.18,
            {
                "H": 0.085,
                "C": 0.404,
                "N": 0.028,
                "O": 0.367,
                "Na": 0.001,
                "Mg": 0.001,
                "P": 0.034,
                "S": 0.002,
                "Cl": 0.002,
                "K": 0.001,
                "Ca": 0.074,
                "Fe": 0.001,
            },
            icru46,
        ),
        mix(
            "cortical_bone",
            1.92,
            {
                "H": 0.034,
                "C": 0.155,
                "N": 0.042,
                "O": 0.435,
                "Na": 0.001,
                "Mg": 0.002,
                "P": 0.103,
                "S": 0.003,
                "Ca": 0.225,
            },
            icru44,
        ),
        compound("hydroxyapatite", 3.16, {"Ca": 10, "P": 6, "O": 26, "H": 2}, "Ca10(PO4)6(OH)2"),
        mix("aluminium", 2.699, {"Al": 1.0}, nist),
        mix("copper", 8.96, {"Cu": 1.0}, nist),
        mix("titanium", 4.54, {"Ti": 1.0}, nist),
        mix("ti6al4v", 4.43, {"Ti": 0.90, "Al": 0.06, "V": 0.04}, nominal),
        mix(
            "steel_316l",
            8.0,
            {"Fe": 0.655, "Cr": 0.17, "Ni": 0.12, "Mo": 0.025, "Mn": 0.02, "Si": 0.01},
            nominal,
        ),
        mix("cobalt_chrome", 8.3, {"Co": 0.655, "Cr": 0.285, "Mo": 0.06}, f"{nominal}, ASTM F75"),
        mix("nitinol", 6.45, {"Ni": 0.558, "Ti": 0.442}, nominal),
        mix("tantalum", 16.65, {"Ta": 1.0}, nist),
        mix("tungsten", 19.3, {"W": 1.0}, nist),
        mix("lead", 11.35, {"Pb": 1.0}, nist),
        mix("iodine", 4.93, {"I": 1.0}, nist),
        mix("iodine_contrast", 1.349, contrast, "iohexol in water, 300 mg iodine a millilitre"),
        compound("barium_sulfate", 4.5, {"Ba": 1, "S": 1, "O": 4}, "BaSO4"),
        mix("pmma", 1.19, {"H": 0.080541, "C": 0.599846, "O": 0.319613}, nist),
        mix("polyethylene", 0.93, {"H": 0.143716, "C": 0.856284}, nist),
        compound("caesium_iodide", 4.51, {"Cs": 1, "I": 1}, "CsI"),
        compound("gadolinium_oxysulfide", 7.34, {"Gd": 2, "O": 2, "S": 1}, "Gd2O2S"),
    ]


MATERIALS: dict[str, Material] = {one.name: one for one in _all()}
"""Those we ship, by name."""
