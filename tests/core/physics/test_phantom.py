import math
import os
from pathlib import Path

import pytest
import torch

from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import Grid
from skiagraph.physics.materials import material
from skiagraph.physics.phantom import (
    CT_ENERGY,
    as_water,
    by_curve,
    by_density,
    by_labels,
    by_threshold,
    curve,
)
from skiagraph.volume import Labels, Volume

DATA = Path(os.environ.get("SKIAGRAPH_DATA", Path(__file__).parents[4] / "shared" / "data"))
EVERY = {"water": as_water, "threshold": by_threshold(), "density": by_density, "curve": by_curve}


def ct(hu: torch.Tensor) -> Volume:
    """A CT of one column of voxels."""
    return Volume(hu.reshape(-1, 1, 1), Grid.of((hu.numel(), 1, 1), (1.0, 1.0, 1.0)))


def attenuation(phantom, energy: float = CT_ENERGY) -> torch.Tensor:
    """1/cm of every voxel."""
    mu = [one.attenuation(torch.tensor([energy], dtype=torch.float64)).item() for one in phantom.materials]
    return sum(m * channel.double() for m, channel in zip(mu, phantom.density, strict=True)).flatten()


@pytest.mark.parametrize("decompose", EVERY.values(), ids=EVERY)
def test_a_denser_voxel_never_attenuates_less(decompose):
    hu = torch.arange(-1100, 3500, dtype=torch.float32)
    if decompose is by_density:  # its bone is of other stuff than its soft tissue: monotone in mass at least
        assert (decompose(ct(hu)).density.sum(0).flatten().diff() >= -1e-6).all()
    for energy in (30.0, 50.0, 70.0, 120.0):
        assert (attenuation(decompose(ct(hu)), energy).diff() >= -1e-5).all()


@pytest.mark.parametrize("decompose", EVERY.values(), ids=EVERY)
def test_density_is_never_negative_and_vacuum_is_empty(decompose):
    phantom = decompose(ct(torch.tensor([-3024.0, -1024.0, 0.0, 400.0, 1200.0, 20000.0])))
    assert (phantom.density >= 0).all()
    assert (phantom.density[:, :2] == 0).all()
    assert phantom.density.dtype == torch.float32


def test_water_is_one_gram_and_air_none():
    phantom = as_water(ct(torch.tensor([-1000.0, -500.0, 0.0, 1000.0])))
    assert phantom.density.flatten().tolist() == [0.0, 0.5, 1.0, 2.0]
    assert phantom.materials == (material("water"),)


@pytest.mark.parametrize("hu_lower", [-130.0, -1000.0])
def test_the_threshold_is_xregs_formula_to_the_bit_or_nearly(hu_lower):
    hu = torch.linspace(-1100, 3100, 997, dtype=torch.float64)
    mu_water, mu_air = 0.02683, 0.02485e-4
    s = (mu_water - mu_air) / 1000
    mu_lower = hu_lower * s + mu_water
    expected = (hu * s + mu_water - mu_lower).clamp(min=0)
    phantom = by_threshold(hu_lower)(ct(hu))
    for energy in (40.0, 90.0):
        torch.testing.assert_close(attenuation(phantom, energy) / 10, expected, rtol=1e-12, atol=1e-16)


def test_deepdrrs_line_and_thresholds():
    hu = torch.tensor([-1024.0, -1000.0, -800.0, -100.0, 0.0, 350.0, 351.0, 1500.0])
    phantom = by_density(ct(hu))
    line = torch.minimum(0.001029 * hu + 1.030, 0.0005886 * hu + 1.03).clamp(min=0)
    assert [one.name for one in phantom.materials] == ["soft_tissue", "cortical_bone"]
    torch.testing.assert_close(phantom.density.sum(0).flatten(), line)
    assert (phantom.density[0].flatten() > 0).tolist() == [False, True, True, True, True, True, False, False]


def test_soft_tissue_attenuates_a_gram_like_the_air_it_stands_for():
    energies = torch.linspace(40, 150, 100, dtype=torch.float64)
    ratio = material("air").attenuation(energies) / material("soft_tissue").attenuation(energies)
    assert ((ratio > 0.90) & (ratio < 0.94)).all()


def test_the_curve_passes_through_icrus_tissues():
    hu, names, densities = curve()
    phantom = by_curve(ct(torch.cat([hu, hu[-1:] + 4000]).float()))
    assert tuple(one.name for one in phantom.materials) == names
    torch.testing.assert_close(phantom.density[:, :-1, 0, 0].T.double(), densities, rtol=1e-6, atol=1e-6)
    assert densities[2].tolist() == [0.95, 0.0, 0.0, 0.0]
    assert densities[3].tolist() == [0.0, 1.05, 0.0, 0.0]
    assert densities[4].tolist() == [0.0, 0.0, 1.92, 0.0]
    assert phantom.density[:, -1, 0, 0].tolist() == pytest.approx([0.0, 0.0, 0.0, material("titanium").density])


def test_the_curve_attenuates_at_70_kev_as_the_ct_says():
    hu = torch.linspace(-1000, 3000, 4001, dtype=torch.float64)
    water = material("water").attenuation(torch.tensor([CT_ENERGY], dtype=torch.float64)).item()
    torch.testing.assert_close(attenuation(by_curve(ct(hu))), water * (1 + hu / 1000), rtol=1e-10, atol=1e-12)


def test_the_curve_has_no_jump():
    hu = torch.arange(-1100, 3000, 0.5, dtype=torch.float64)
    assert by_curve(ct(hu)).density.diff(dim=1).abs().max() < 0.005


def test_materials_that_are_not_there_cost_nothing():
    assert [one.name for one in by_curve(ct(torch.tensor([-1000.0, 30.0]))).materials] == ["adipose", "muscle"]
    assert len(by_curve(ct(torch.tensor([-1000.0, 1200.0]))).materials) == 3
    assert by_curve(ct(torch.tensor([-1000.0, -1024.0]))).density.sum() == 0


@pytest.mark.parametrize("decompose", EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_ct_with_holes_is_refused(decompose, bad):
    with pytest.raises(DataError, match="NaN or infinity"):
        decompose(ct(torch.tensor([0.0, bad, 40.0])))


def test_a_phantom_moves_with_its_body():
    motion = torch.eye(4, dtype=torch.float64)
    motion[0, 3] = 12.0
    phantom = by_curve(ct(torch.tensor([0.0, 40.0])))
    assert phantom.moved(motion).grid.origin.tolist() == [12.0, 0.0, 0.0]
    assert phantom.moved(motion).density is phantom.density


def labelled(hu: list[float], index: list[int]) -> tuple[Volume, Labels]:
    volume = ct(torch.tensor(hu))
    numbers = torch.tensor(index, dtype=torch.uint8).reshape(-1, 1, 1)
    return volume, Labels(numbers, volume.grid, {1: "left_femur", 2: "screw"})


def test_labels_name_the_material_and_metal_its_density():
    volume, labels = labelled([40.0, 100.0, 3071.0, -1000.0], [0, 1, 2, 2])
    steel, bone = material("steel_316l"), material("cortical_bone")
    materials = {"left_femur": bone, "screw": steel}
    phantom = by_labels(labels, materials, {"screw": steel.density})(volume)
    density = dict(zip((one.name for one in phantom.materials), phantom.density.flatten(1).tolist(), strict=True))
    plain = by_curve(volume).density.sum(0).flatten().tolist()
    assert density["steel_316l"] == pytest.approx([0.0, 0.0, 8.0, 8.0])
    assert density["cortical_bone"] == pytest.approx([0.0, plain[1], 0.0, 0.0])
    assert density["muscle"][0] > 1.0
    assert phantom.density.sum(0).flatten().tolist() == pytest.approx([plain[0], plain[1], 8.0, 8.0])


def test_no_labels_change_nothing():
    volume, labels = labelled([40.0, 100.0, -100.0], [0, 1, 2])
    assert torch.equal(by_labels(labels, {}, rest=by_density)(volume).density, by_density(volume).density)


def test_labels_of_another_body_or_structure_are_refused():
    _, labels = labelled([40.0, 100.0], [0, 1])
    with pytest.raises(DataError, match="spleen"):
        by_labels(labels, {"spleen": material("muscle")})
    with pytest.raises(DataError, match="screw"):
        by_labels(labels, {}, {"screw": 8.0})
    with pytest.raises(GeometryError, match="CT's"):
        by_labels(labels, {"screw": material("titanium")})(ct(torch.tensor([1.0, 2.0, 3.0])))


def test_a_real_pelvis_weighs_what_a_pelvis_weighs():
    path = DATA / "ct_pelvis_totalseg_example" / "ct.nii.gz"
    if not path.exists():
        pytest.skip(f"no {path}")
    itk = pytest.importorskip("SimpleITK")
    image = itk.ReadImage(str(path), itk.sitkFloat32)
    hu = torch.from_numpy(itk.GetArrayFromImage(image))
    volume = Volume(hu, Grid.of(tuple(hu.shape), image.GetSpacing()))
    litres = math.prod(volume.grid.spacing) / 1e6
    kilograms = {name: (f(volume).density.double().sum() * litres).item() for name, f in EVERY.items()}
    body = (volume.hu > -200).sum().item() * litres
    assert kilograms["curve"] == pytest.approx(body, rel=0.05)
    assert kilograms["density"] == pytest.approx(kilograms["curve"], rel=0.05)
    phantom = by_curve(volume)
    total = phantom.density.double().sum()
    shares = dict(
        zip((m.name for m in phantom.materials), phantom.density.double().sum((1, 2, 3)) / total, strict=True)
    )
    # a pelvis holds a few per cent of mineral; 3 mm slices smear the rest of its bone into muscle
    assert 0.01 < shares["cortical_bone"] < 0.1
