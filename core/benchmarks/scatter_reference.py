"""The scatter that `skiagraph.physics.scatter` is fitted to and held against, by our Monte Carlo: `scatter.npz`.

Water slabs about the isocentre and a synthetic pelvis, each with a beam collimated to the panel. First the Monte
Carlo is held against AAPM's Task Group 195, case 2. Run it as a script, with the dev extra; about six minutes of
one core.
"""

import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from photons import COMPOSITION, Tally, shoot
from torch import Tensor

from skiagraph.bodies import Person, build
from skiagraph.carm import CIOS_FUSION, GENERIC, CArm
from skiagraph.drr.render import REALISTIC
from skiagraph.geometry import Grid, View
from skiagraph.io.files import writing
from skiagraph.physics.materials import Material, material
from skiagraph.physics.panel import Panel
from skiagraph.physics.phantom import Phantom
from skiagraph.physics.spectrum import Spectrum
from skiagraph.physics.transmit import Exposure, transmit

REFERENCE = Path(__file__).with_name("scatter.npz")
PIXELS = 16
"""Along each side of the reference's panels."""
PHOTONS = 10_000_000

CIOS = replace(CIOS_FUSION, lateral_offset=0.0)
"""The Cios Fusion with its isocentre in its beam: 388 mm before the panel, the generic C-arm's is 200 mm."""


@dataclass(frozen=True)
class Case:
    """One exposure of water or of the pelvis, at the isocentre of a C-arm."""

    name: str
    water: float = 0.0
    """Millimetres; 0 is the pelvis."""
    primary: float = 0.0
    """Degrees."""
    carm: CArm = GENERIC
    kvp: float = 90.0

    @property
    def gap(self) -> float:
        """Millimetres from isocentre to panel."""
        return self.carm.source_to_panel - self.carm.source_to_isocenter

    def view(self, pixels: int) -> View:
        return self.carm.with_pixels(pixels).view(self.phantom().grid.center, self.primary)

    def phantom(self) -> Phantom:
        if not self.water:
            return pelvis()
        grid = Grid.centred((1, 1, 1), (600.0, self.water, 600.0))
        return Phantom(torch.ones(1, 1, 1, 1), (material("water"),), grid)

    def exposure(self, pixels: int) -> Exposure:
        """The primary, in open fields, in double precision."""
        view, spectrum = self.view(pixels), Spectrum.tube(self.kvp)
        if self.water:
            mass, materials = (self.water / 10 / _cosine(view))[None], (material("water"),)
        else:
            found, materials = REALISTIC.masses([self.phantom()], view)
            mass = found.double()
        return transmit(mass, materials, spectrum, Panel.flat().response(spectrum.energies))

    def tally(self, photons: int, rng: torch.Generator) -> Tally:
        return shoot(self.phantom(), self.view(PIXELS), Spectrum.tube(self.kvp), Panel.flat(), photons, rng)


CASES = (
    *(Case(f"water {mm} mm", water=float(mm)) for mm in (50, 100, 150, 200, 250, 300)),
    Case("pelvis, AP"),
    Case("pelvis, lateral", primary=90.0),
    Case("water 200 mm, Cios Fusion", water=200.0, carm=CIOS),
    Case("water 200 mm, 70 kV", water=200.0, kvp=70.0),
    Case("water 200 mm, 120 kV", water=200.0, kvp=120.0),
)


@dataclass(frozen=True, eq=False)
class Reference:
    """What the Monte Carlo found in one case; images [v u] in open fields."""

    scatter: Tensor
    error: Tensor
    """One standard deviation of `scatter`."""
    behind: Tensor
    """The scatter behind the anti-scatter grid, in open fields behind it."""
    behind_error: Tensor
    passed: tuple[float, float]
    """The shares of primary and of scatter that the anti-scatter grid lets pass."""
    thrown: float
    """Energy that left the body after scattering, over energy sent."""

    @classmethod
    def of(cls, case: Case, tally: Tally, photons: int) -> "Reference":
        spectrum, view = Spectrum.tube(case.kvp), case.view(PIXELS)
        absorbed = (spectrum.photons * Panel.flat().response(spectrum.energies)).sum()
        share = _cosine(view) ** 3
        field = photons * absorbed * share / share.sum()
        primary, scatter = (float(b.sum() / a.sum()) for a, b in _pairs(tally))
        return cls(
            tally.scatter / field,
            tally.scatter_squared.sqrt() / field,
            tally.scatter_behind / field / primary,
            tally.scatter_behind_squared.sqrt() / field / primary,
            (primary, scatter),
            float(tally.thrown / tally.sent),
        )


def references() -> dict[str, Reference]:
    """Those in the file, by the case's name."""
    with np.load(REFERENCE) as table:
        rows = {name: (table[name], table[f"{name}: shares"].tolist()) for name in table if ":" not in name}
    return {
        name: Reference(*torch.from_numpy(images).double(), (shares[0], shares[1]), shares[2])
        for name, (images, shares) in rows.items()
    }


def tg195(photons: int, rng: torch.Generator) -> dict[str, tuple[float, float, float]]:
    """AAPM Report 195 (2015), case 2, radiography at 56.4 keV: eV a photon in the body and in cubes of 3 cm.

    Ours, its standard deviation, and the mean of the report's EGSnrc, MCNP and Penelope. Soft tissue of 39 x 39 x
    20 cm, its face 155 cm from the source, in air; a field of 39 x 39 cm at 180 cm. The cubes lie on the beam, 0, 3
    and 6 cm from the middle of the body, and in the middle plane, 15 cm aside, of which the report's four are alike.
    """
    shares = [float(x) for x in COMPOSITION["soft_tissue_male"].split()[1::2]]
    tissue = Material.mixture(
        "soft_tissue_male", 1.03, dict(zip(COMPOSITION["soft_tissue_male"].split()[::2], (x / 100 for x in shares)))
    )
    grid = Grid.centred((39, 352, 39), (10.0, 5.0, 10.0), (0.0, 730.0, 0.0))
    density = torch.zeros(2, *grid.shape)
    density[0] = material("air").density
    density[:, :, 10:50] = torch.tensor([0.0, 1.03])[:, None, None, None]
    phantom = Phantom(density, (material("air"), tissue), grid)
    carm = CArm("TG-195", 1800.0, 1650.0, (13, 13), 30.0)
    view = carm.view(torch.zeros(3, dtype=torch.float64))
    parts = []
    for _ in range(10):
        tally = shoot(phantom, view, Spectrum.mono(56.4), Panel.ideal(), photons // 10, rng)
        dose = tally.deposited[:, 10:50] * 1000 / (photons // 10)
        cubes = [dose[18:21, 17 + 6 * k : 23 + 6 * k, 18:21].sum() for k in (2, 1, 0, -1, -2)]
        aside = [dose[18 + k : 21 + k, 17:23, 18 + i : 21 + i].sum() for k, i in ((15, 0), (-15, 0), (0, 15), (0, -15))]
        parts.append(torch.stack([dose.sum(), *cubes, torch.stack(aside).mean()]))
    found = torch.stack(parts)
    published = (33160.1, 72.584, 53.588, 36.742, 23.843, 14.526, 26.981)
    names = ("body", "+6 cm", "+3 cm", "middle", "-3 cm", "-6 cm", "aside")
    deviation = found.std(0) / len(parts) ** 0.5
    return {row[0]: row[1:] for row in zip(names, found.mean(0).tolist(), deviation.tolist(), published)}


def main() -> None:
    torch.set_num_threads(1)
    for name, (ours, deviation, theirs) in tg195(PHOTONS // 5, torch.Generator().manual_seed(0)).items():
        print(f"TG-195 case 2, {name:7} {ours:9.2f} ± {deviation:.2f} eV a photon, published {theirs:.2f}", flush=True)
    table = {}
    for case in CASES:
        began = time.process_time()
        found = Reference.of(case, case.tally(PHOTONS, torch.Generator().manual_seed(1)), PHOTONS)
        images = torch.stack([found.scatter, found.error, found.behind, found.behind_error])
        table[case.name] = images.float().numpy()
        table[f"{case.name}: shares"] = np.array([*found.passed, found.thrown], dtype=np.float32)
        print(f"{case.name}: {time.process_time() - began:.0f} CPU s", flush=True)
    with writing(REFERENCE) as part, part.open("wb") as file:
        np.savez_compressed(file, **table)


@cache
def pelvis() -> Phantom:
    return REALISTIC.decompose(build(Person(), spacing=4.0).volume)


def _pairs(tally: Tally) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return (tally.primary, tally.primary_behind), (tally.scatter, tally.scatter_behind)


def _cosine(view: View) -> Tensor:
    """Of the angle between each pixel's ray and the panel's normal, [v u]."""
    v, u = (torch.arange(n, dtype=torch.float64) for n in view.size)
    rays = view.origin - view.source + u[:, None] * view.u_step + v[:, None, None] * view.v_step
    return view.source_to_panel / rays.norm(dim=-1)


if __name__ == "__main__":
    main()
