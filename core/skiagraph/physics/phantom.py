"""A body made of materials, and the ways to see one in a CT."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import Grid, float64
from skiagraph.physics.materials import Material, material
from skiagraph.volume import Labels, Volume


@dataclass(frozen=True, eq=False)
class Phantom:
    """A body made of materials, ready for X-rays."""

    density: Float[Tensor, "m k j i"]
    """g/cm³ of each material. Air is left out: half a metre of it takes 1 % of a beam, with or without a patient."""
    materials: tuple[Material, ...]
    grid: Grid

    def __post_init__(self) -> None:
        if len(self.materials) != len(self.density):
            raise DataError(f"{len(self.density)} densities but {len(self.materials)} materials; give one a material")
        if tuple(self.density.shape[1:]) != self.grid.shape:
            raise GeometryError(
                f"{tuple(self.density.shape[1:])} voxels on a grid of {self.grid.shape}; give one shape"
            )

    def moved(self, world_from_world: Float64[Tensor, "4 4"]) -> "Phantom":
        """The same body after a rigid motion."""
        return Phantom(self.density, self.materials, self.grid.moved(world_from_world))


Decompose = Callable[[Volume], Phantom]
"""A way to tell materials from Hounsfield units."""

XREG_WATER = Material.constant("xreg_water", 0.2683, 1.0)
"""Water as xReg has it, whatever the energy: 0.02683 /mm."""

CT_ENERGY = 70.0
"""keV: where a CT at 120 kVp attenuates as its Hounsfield units say, about."""

METAL = 3071.0
"""HU: where 12-bit scanners stop counting."""


def as_water(volume: Volume) -> Phantom:
    """Everything is water of the density that attenuates as much: (HU + 1000) / 1000 g/cm³."""
    return _phantom(volume, (material("water"),), lambda hu: ((hu + 1000) / 1000).clamp(min=0)[None])


def by_threshold(hu_lower: float = -130.0) -> Decompose:
    """xReg's heuristic: μ = s · max(HU - hu_lower, 0), s = (0.02683 - 0.02485e-4) / 1000 per mm.

    Grupp's xReg, lib/image/xregHUToLinAtt; its synthetic fluoroscopy takes -130 HU, the library -1000.
    """
    mu_water, mu_air = 0.02683, 0.02485e-4
    slope = (mu_water - mu_air) / 1000 / mu_water

    def decompose(volume: Volume) -> Phantom:
        return _phantom(volume, (XREG_WATER,), lambda hu: ((hu - hu_lower).clamp(min=0) * slope)[None])

    return decompose


def by_density(volume: Volume) -> Phantom:
    """DeepDRR's thresholds: bone above 350 HU, else soft tissue, with its density line of two segments.

    ρ = max(min(0.001029 HU + 1.030, 0.0005886 HU + 1.03), 0) g/cm³ (Unberath et al. 2018). What DeepDRR calls air,
    up to -800 HU, keeps its mass and counts as soft tissue: gram for gram air attenuates 8 or 9 % less from 40 keV up.
    """

    def split(hu: Tensor) -> Tensor:
        density = torch.minimum(0.001029 * hu + 1.030, 0.0005886 * hu + 1.03).clamp(min=0)
        bone = hu > 350
        return torch.stack([density.masked_fill(bone, 0), density.masked_fill(~bone, 0)])

    return _phantom(volume, (material("soft_tissue"), material("cortical_bone")), split)


def by_curve(volume: Volume) -> Phantom:
    """Mixtures by volume along the Hounsfield scale: air, lung, adipose, muscle, cortical bone, and titanium.

    The anchors have the density and composition of ICRU 44, and lie where their attenuation at 70 keV puts them.
    Between two of them a voxel is partly one and partly the other, as in the stoichiometric calibration of Schneider,
    Pedroni & Lomax 1996 and Schneider, Bortfeld & Schlegel 2000. So nothing jumps at a threshold, and at 70 keV
    every voxel up to 3000 HU attenuates exactly as the CT says. Lung is thin muscle; bone denser than ICRU's goes on
    as more of it to 3000 HU; from 3071 HU, where many scanners stop counting, all is titanium.
    """
    knots, names, densities = curve()
    reached = densities[: int((knots < volume.hu.max().item()).sum()) + 1]
    channels = [c for c in range(len(names)) if bool((reached[:, c] > 0).any())] or [0]
    steps = densities[:, channels].diff(dim=0).tolist()
    edges = knots.tolist()

    def mix(hu: Tensor) -> Tensor:
        result = hu.new_zeros((len(channels), *hu.shape))
        for low, high, step in zip(edges[:-1], edges[1:], steps, strict=True):
            part = ((hu - low) / (high - low)).clamp(0, 1)
            for c, change in enumerate(step):
                if change:
                    result[c].add_(part, alpha=change)
        return result.clamp_(min=0)

    return _phantom(volume, tuple(material(names[c]) for c in channels), mix)


def curve() -> tuple[Float64[Tensor, "a"], tuple[str, ...], Float64[Tensor, "a m"]]:
    """The anchors of `by_curve`: their HU, the materials' names, and the density of each at each anchor."""
    names = ("adipose", "muscle", "cortical_bone", "titanium")
    at = float64([CT_ENERGY])
    water = material("water").attenuation(at).item()
    per_gram = {name: 1000 * material(name).attenuation(at).item() / water for name in names}
    rho = {name: material(name).density for name in names}
    anchors = [
        (-1000.0, None, 0.0),
        (per_gram["muscle"] * 0.26 - 1000, "muscle", 0.26),  # lung, breathed in: ICRP
        *((per_gram[name] * rho[name] - 1000, name, rho[name]) for name in names[:3]),
        (3000.0, "cortical_bone", 4000 / per_gram["cortical_bone"]),
        (METAL, "titanium", rho["titanium"]),
    ]
    densities = [[density if name == one else 0.0 for one in names] for _, name, density in anchors]
    return float64([hu for hu, _, _ in anchors]), names, torch.tensor(densities, dtype=torch.float64)


def by_labels(
    labels: Labels,
    materials: Mapping[str, Material],
    density: Mapping[str, float] | None = None,
    rest: Decompose = by_curve,
) -> Decompose:
    """Structures are of the materials they are known to be of, whatever their HU; `rest` decomposes what is left.

    A structure keeps the density `rest` finds voxel by voxel, summed over its materials, unless `density` gives it
    one in g/cm³, as for metal, which a CT cannot measure: `density={"left_stem": titanium.density}`. Raises
    DataError for a structure the labels do not have, GeometryError if they do not lie on the CT's voxels.
    """
    fixed = dict(density or {})
    numbers = {name: labels.index_of(name) for name in materials}
    strangers = sorted(set(fixed) - set(materials))
    if strangers:
        raise DataError(f"a density but no material for {', '.join(strangers)}; give each a material too")

    def decompose(volume: Volume) -> Phantom:
        labels.check_on(volume)
        found = rest(volume)
        known = list(dict.fromkeys((*found.materials, *materials.values())))
        result = found.density.new_zeros((len(known), *volume.grid.shape))
        for k, index in enumerate(labels.index):
            result[: len(found.materials), k] = found.density[:, k]
            total = found.density[:, k].sum(0)
            for name, number in numbers.items():
                inside = index == number
                result[:, k] = result[:, k].masked_fill(inside, 0.0)
                channel = result[known.index(materials[name]), k]
                channel[inside] = fixed[name] if name in fixed else total[inside]
        return Phantom(result, tuple(known), volume.grid)

    return decompose


def _phantom(volume: Volume, materials: tuple[Material, ...], split: Callable[[Tensor], Tensor]) -> Phantom:
    """Decompose slice by slice, so that nothing but the result is as large as the CT."""
    low, high = (value.item() for value in volume.hu.aminmax())
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        raise DataError("the CT holds NaN or infinity; give finite Hounsfield units, such as -1024 outside the scan")
    density = volume.hu.new_empty((len(materials), *volume.hu.shape))
    for k, hu in enumerate(volume.hu):
        density[:, k] = split(hu)
    return Phantom(density, materials, volume.grid)
