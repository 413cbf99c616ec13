import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from skiagraph.errors import DataError
from skiagraph.physics.materials import ELEMENTS, MATERIALS, Material, material

RECIPE = Path(__file__).parents[3] / "core" / "benchmarks" / "physics_tables.py"

# NIST tables 3 and 4 (Hubbell & Seltzer 2004): cm²/g with coherent scattering
NIST = [
    ("water", 30.0, 0.3756),
    ("water", 60.0, 0.2059),
    ("water", 100.0, 0.1707),
    ("air", 60.0, 0.1875),
    ("cortical_bone", 60.0, 0.3148),
    ("muscle", 60.0, 0.2048),
    ("adipose", 60.0, 0.1974),
    ("aluminium", 60.0, 0.2778),
    ("titanium", 60.0, 0.7661),
    ("copper", 100.0, 0.4584),
    ("lead", 100.0, 5.549),
]

COMPOSITIONS = {
    "water": {"H": 0.111898, "O": 0.888102},
    "cortical_bone": {
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
    "adipose": {"H": 0.114, "C": 0.598, "N": 0.007, "O": 0.278, "Na": 0.001, "S": 0.001, "Cl": 0.001},
    "aluminium": {"Al": 1.0},
    "ti6al4v": {"Ti": 0.90, "Al": 0.06, "V": 0.04},
    "steel_316l": {"Fe": 0.655, "Cr": 0.17, "Ni": 0.12, "Mo": 0.025, "Mn": 0.02, "Si": 0.01},
    "cobalt_chrome": {"Co": 0.655, "Cr": 0.285, "Mo": 0.06},
    "nitinol": {"Ni": 0.558, "Ti": 0.442},
    "iodine": {"I": 1.0},
    "tantalum": {"Ta": 1.0},
    "tungsten": {"W": 1.0},
    "lead": {"Pb": 1.0},
}


def xraylib_attenuation(fractions: dict[str, float], energies: torch.Tensor) -> torch.Tensor:
    xraylib = pytest.importorskip("xraylib")
    numbers = {symbol: ELEMENTS.index(symbol) + 1 for symbol in fractions}
    rows = [
        sum(share * xraylib.CS_Total(numbers[symbol], energy) for symbol, share in fractions.items())
        for energy in energies.tolist()
    ]
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(("name", "energy", "expected"), NIST)
def test_attenuation_is_what_nist_prints(name, energy, expected):
    found = material(name).attenuation(torch.tensor([energy], dtype=torch.float64)).item()
    assert found == pytest.approx(expected, rel=1.5e-3)


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_a_mixture_attenuates_as_xraylib_says_at_any_energy(name):
    rng = torch.Generator().manual_seed(1)
    energies = 10 + 140 * torch.rand(4000, generator=rng, dtype=torch.float64)
    expected = xraylib_attenuation(COMPOSITIONS[name], energies)
    torch.testing.assert_close(material(name).attenuation(energies), expected, rtol=1e-4, atol=0)


def test_every_element_attenuates_as_xraylib_says_at_any_energy():
    rng = torch.Generator().manual_seed(2)
    energies = 5 + 145 * torch.rand(100, generator=rng, dtype=torch.float64)
    for symbol in ELEMENTS:
        found = Material.mixture(symbol, 1.0, {symbol: 1.0}).attenuation(energies)
        torch.testing.assert_close(found, xraylib_attenuation({symbol: 1.0}, energies), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("name", "edge"), [("iodine", 33.17), ("tantalum", 67.42), ("tungsten", 69.525), ("lead", 88.0)]
)
def test_attenuation_jumps_at_the_k_edge_and_falls_on_either_side(name, edge):
    energies = torch.tensor([edge - 2, edge - 0.02, edge + 0.02, edge + 2], dtype=torch.float64)
    far_below, below, above, far_above = material(name).attenuation(energies).tolist()
    assert far_below > below
    assert above > 3 * below
    assert far_above < above


def test_a_compound_is_the_mixture_of_its_atoms():
    iodide = Material.mixture("CsI", 4.51, {"Cs": 0.511549, "I": 0.488451})
    energies = torch.linspace(10, 150, 50, dtype=torch.float64)
    torch.testing.assert_close(
        material("caesium_iodide").attenuation(energies), iodide.attenuation(energies), rtol=1e-5, atol=0
    )


def test_a_constant_material_attenuates_every_energy_alike():
    water = Material.constant("grey", 0.2683, 1.0)
    energies = torch.tensor([1.0, 40.0, 511.0], dtype=torch.float64)
    torch.testing.assert_close(water.attenuation(energies), torch.full_like(energies, 0.2683), rtol=1e-14, atol=0)


def test_materials_have_their_own_names_and_a_source():
    assert all(name == one.name and one.reference for name, one in MATERIALS.items())


def test_an_unknown_material_is_answered_with_the_known_ones():
    with pytest.raises(DataError, match=r"unobtainium.*cortical_bone"):
        material("unobtainium")


def test_energies_beyond_the_table_are_refused():
    with pytest.raises(DataError, match="150 keV"):
        material("water").attenuation(torch.tensor([200.0], dtype=torch.float64))


def test_fractions_that_do_not_sum_to_one_are_refused():
    with pytest.raises(DataError, match="sum to"):
        Material.mixture("steel", 8.0, {"Fe": 65.5, "Cr": 34.5})
    with pytest.raises(DataError, match="Xx"):
        Material.mixture("steel", 8.0, {"Xx": 1.0})


def test_what_is_shipped_is_what_the_recipe_makes():
    xraylib = pytest.importorskip("xraylib")
    spec = importlib.util.spec_from_file_location("physics_tables", RECIPE)
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    with np.load(recipe.DATA / "attenuation.npz") as shipped:
        for z in (1, 8, 20, 22, 53, 74):
            rows = slice(shipped["start"][z - 1], shipped["start"][z])
            energies, values = recipe.element(z)
            assert xraylib.AtomicNumberToSymbol(z) == ELEMENTS[z - 1]
            np.testing.assert_allclose(shipped["energies"][rows], energies, rtol=1e-12)
            np.testing.assert_allclose(shipped["mass_attenuation"][rows], values, rtol=1e-6)
    pytest.importorskip("spekpy")
    with np.load(recipe.DATA / "spectra.npz") as shipped:
        for kvp in (40, 90, 150):
            made = recipe.spectrum(float(kvp))
            np.testing.assert_allclose(shipped["photons"][kvp - 40], made, rtol=1e-6, atol=1e-3)
    assert sum(path.stat().st_size for path in recipe.DATA.iterdir()) < 500_000
