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

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from skiagraph.errors import DataError
from skiagraph.geometry import float64

_SYMBOLS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr "
    "Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt "
    "Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U"
)
ELEMENTS = tuple(_SYMBOLS.split())
"""Symbols by atomic number, from 1."""


@dataclass(frozen=True, eq=False)
class Material:
    """A substance: its usual density, and its mass attenuation by energy."""

    name: str
    density: float
    """g/cm³ when solid; a phantom may hold it thinner or denser."""
    energies: Float64[Tensor, "e"]
    """keV, rising; an absorption edge is two points a billionth apart."""
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
    def mixture(cls, name: str, density: float, fractions: Mapping[str, float], reference: str = "") -> "Material":
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
    def compound(cls, name: str, density: float, atoms: Mapping[str, int], reference: str = "") -> "Material":
        """A material from counts of atoms, such as `{"Cs": 1, "I": 1}`."""
        return cls.mixture(name, density, _of_atoms(atoms), reference)

    @classmethod
    def constant(cls, name: str, mass_attenuation: float, density: float) -> "Material":
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
    knots, mu_en = torch.tensor(_AIR_MU_EN, dtype=torch.float64, device=energies.device).T
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


def _fractions(words: str) -> dict[str, float]:
    """Shares of elements written out: symbol, per cent, symbol, per cent."""
    parts = words.split()
    return {symbol: float(share) / 100 for symbol, share in zip(parts[::2], parts[1::2], strict=True)}


def _of_atoms(atoms: Mapping[str, int]) -> dict[str, float]:
    """Mass fractions from counts of atoms."""
    unknown = [symbol for symbol in atoms if symbol not in _ATOMIC_WEIGHTS]
    if unknown:
        raise DataError(f"no atomic weight of {', '.join(unknown)} here; give mass fractions to Material.mixture")
    mass = {symbol: count * _ATOMIC_WEIGHTS[symbol] for symbol, count in atoms.items()}
    return {symbol: part / sum(mass.values()) for symbol, part in mass.items()}


def _contrast() -> dict[str, float]:
    """Iohexol, 647 mg in 1.349 g of solution: 300 mg iodine a millilitre."""
    iohexol, water = _of_atoms({"C": 19, "H": 26, "I": 3, "N": 3, "O": 9}), _of_atoms({"H": 2, "O": 1})
    share = 0.647 / 1.349
    return {symbol: share * part + (1 - share) * water.get(symbol, 0.0) for symbol, part in iohexol.items()}


def _shipped() -> list[Material]:
    def mix(name: str, density: float, words: str, reference: str) -> Material:
        return Material.mixture(name, density, _fractions(words), reference)

    pure, tissue, bone = "NIST, table 1", "ICRU Report 44, NIST's table 2", "ICRU Report 46"
    alloy = "nominal; makers differ"
    return [
        mix("air", 1.205e-3, "C 0.0124 N 75.5268 O 23.1781 Ar 1.2827", tissue),
        mix("water", 1.0, "H 11.1898 O 88.8102", tissue),
        mix("adipose", 0.95, "H 11.4 C 59.8 N 0.7 O 27.8 Na 0.1 S 0.1 Cl 0.1", tissue),
        mix("soft_tissue", 1.06, "H 10.2 C 14.3 N 3.4 O 70.8 Na 0.2 P 0.3 S 0.3 Cl 0.2 K 0.3", tissue),
        mix("muscle", 1.05, "H 10.2 C 14.3 N 3.4 O 71.0 Na 0.1 P 0.2 S 0.3 Cl 0.1 K 0.4", tissue),
        mix("blood", 1.06, "H 10.2 C 11.0 N 3.3 O 74.5 Na 0.1 P 0.1 S 0.2 Cl 0.3 K 0.2 Fe 0.1", tissue),
        mix("lung", 1.05, "H 10.3 C 10.5 N 3.1 O 74.9 Na 0.2 P 0.2 S 0.3 Cl 0.3 K 0.2", tissue),
        mix("red_marrow", 1.03, "H 10.5 C 41.4 N 3.4 O 43.9 P 0.1 S 0.2 Cl 0.2 K 0.2 Fe 0.1", bone),
        mix("yellow_marrow", 0.98, "H 11.5 C 64.4 N 0.7 O 23.1 Na 0.1 S 0.1 Cl 0.1", bone),
        mix(
            "spongiosa",
            1.18,
            "H 8.5 C 40.4 N 2.8 O 36.7 Na 0.1 Mg 0.1 P 3.4 S 0.2 Cl 0.2 K 0.1 Ca 7.4 Fe 0.1",
            bone,
        ),
        mix("cortical_bone", 1.92, "H 3.4 C 15.5 N 4.2 O 43.5 Na 0.1 Mg 0.2 P 10.3 S 0.3 Ca 22.5", tissue),
        Material.compound("hydroxyapatite", 3.16, {"Ca": 10, "P": 6, "O": 26, "H": 2}, "Ca10(PO4)6(OH)2"),
        mix("aluminium", 2.699, "Al 100", pure),
        mix("copper", 8.96, "Cu 100", pure),
        mix("titanium", 4.54, "Ti 100", pure),
        mix("ti6al4v", 4.43, "Ti 90 Al 6 V 4", alloy),
        mix("steel_316l", 8.0, "Fe 65.5 Cr 17 Ni 12 Mo 2.5 Mn 2 Si 1", alloy),
        mix("cobalt_chrome", 8.3, "Co 65.5 Cr 28.5 Mo 6", f"ASTM F75, {alloy}"),
        mix("nitinol", 6.45, "Ni 55.8 Ti 44.2", alloy),
        mix("tantalum", 16.65, "Ta 100", pure),
        mix("tungsten", 19.3, "W 100", pure),
        mix("lead", 11.35, "Pb 100", pure),
        mix("iodine", 4.93, "I 100", pure),
        Material.mixture("iodine_contrast", 1.349, _contrast(), "iohexol, 300 mg iodine a millilitre"),
        Material.compound("barium_sulfate", 4.5, {"Ba": 1, "S": 1, "O": 4}, "BaSO4"),
        mix("pmma", 1.19, "H 8.0541 C 59.9846 O 31.9613", tissue),
        mix("polyethylene", 0.93, "H 14.3716 C 85.6284", tissue),
        Material.compound("caesium_iodide", 4.51, {"Cs": 1, "I": 1}, "CsI"),
        Material.compound("gadolinium_oxysulfide", 7.34, {"Gd": 2, "O": 2, "S": 1}, "Gd2O2S"),
    ]


MATERIALS: dict[str, Material] = {one.name: one for one in _shipped()}
"""Those we ship, by name."""
