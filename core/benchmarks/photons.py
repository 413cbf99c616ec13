"""Photons through a body, one by one: a small Monte Carlo to hold the estimates of `skiagraph.physics` against.

Photoelectric absorption, Klein and Nishina's scattering with the incoherent scattering function, Rayleigh's with the
form factor; cross sections, scattering functions and form factors from xraylib (BSD-3-Clause; Schoonjans et al. 2011).
Flights by delta tracking (Woodcock et al. 1965). Analog: no photon carries a weight, so energy is kept photon by
photon. Left out: fluorescence, electrons that travel, Doppler broadening, polarisation, and the interference between
molecules, which takes Rayleigh scattering away from the first few degrees.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import torch
import xraylib
from torch import Tensor

from skiagraph.geometry import View
from skiagraph.physics.materials import ELEMENTS, material
from skiagraph.physics.panel import Panel
from skiagraph.physics.phantom import Phantom
from skiagraph.physics.spectrum import Spectrum

COMPOSITION = {
    "water": "H 11.1898 O 88.8102",
    "adipose": "H 11.4 C 59.8 N 0.7 O 27.8 Na 0.1 S 0.1 Cl 0.1",
    "muscle": "H 10.2 C 14.3 N 3.4 O 71.0 Na 0.1 P 0.2 S 0.3 Cl 0.1 K 0.4",
    "soft_tissue_male": "H 10.5 C 25.6 N 2.7 O 60.2 Na 0.1 P 0.2 S 0.3 Cl 0.2 K 0.2",
    "cortical_bone": "H 3.4 C 15.5 N 4.2 O 43.5 Na 0.1 Mg 0.2 P 10.3 S 0.3 Ca 22.5",
    "titanium": "Ti 100",
    "air": "C 0.0124 N 75.5268 O 23.1781 Ar 1.2827",
}
"""Per cent by mass: those of `skiagraph.physics.materials`, and ICRU Report 44's average male soft tissue."""

LOWEST, STEP, BINS = 5.0, 0.5, 291
"""keV, keV and their number: the energies of the tables. Below the lowest a photon is absorbed where it is."""
QUANTILES = 1024
"""Of each table of angles."""
ELECTRON = 510.999
"""keV: an electron's rest energy."""
WAVELENGTH = 12.39842
"""keV Å: a photon's energy times its wavelength."""
RADIUS = 2.8179403e-13
"""cm: the classical radius of an electron."""
BATCH = 1 << 18
"""Photons in flight at once."""


@dataclass(frozen=True)
class Lamellae:
    """An anti-scatter grid of lead strips along the columns, focused on the source.

    A photon meets the strips wherever it happens to, as if they moved; the mean over it is what Day & Dance 1983
    (Phys. Med. Biol. 28:1429) integrate. The defaults are a common grid of ratio 10 with 40 lines a centimetre.
    """

    ratio: float = 10.0
    """Height of the strips over the width between them."""
    lines: float = 4.0
    """Strips a millimetre."""
    lead: float = 0.05
    """Millimetres: the thickness of a strip."""
    filling: float = 0.5
    """g/cm³ of fibre between the strips, counted as carbon."""

    def passed(self, way: Tensor, beam: Tensor, energy: Tensor, rng: torch.Generator) -> Tensor:
        """Which share of each photon passes, [n], that flies as `way` [n 3] where the beam flies as `beam` [n 3].

        Along the panel's rows, columns and normal.
        """
        pitch = 1 / self.lines
        height = self.ratio * (pitch - self.lead)
        aside = height * (way[:, 0] / way[:, 2] - beam[:, 0] / beam[:, 2]).abs().clamp(min=1e-4 * pitch / height)
        start = pitch * torch.rand(len(aside), generator=rng)
        leaded = (self._lead_until(start + aside, pitch) - self._lead_until(start, pitch)) / aside
        bins = _bin(energy)
        strips = material("lead").density * _elements("Pb")[0].sum(-1)[bins] * leaded
        fibre = self.filling * _elements("C")[0].sum(-1)[bins] * (1 - leaded)
        return (-(strips + fibre) * height / way[:, 2] / 10).exp()

    def _lead_until(self, x: Tensor, pitch: float) -> Tensor:
        """Millimetres of lead between 0 and x."""
        strips = (x / pitch).floor()
        return strips * self.lead + (x - strips * pitch).clamp(max=self.lead)


@dataclass(frozen=True, eq=False)
class Matter:
    """What can happen to a photon in some materials."""

    attenuation: Tensor
    """[m e 3] cm²/g: photoelectric, Compton, Rayleigh."""
    cosines: Tensor
    """[2 m e q]: quantiles of the cosine of the angle, Compton's and Rayleigh's."""

    @classmethod
    def of(cls, names: Sequence[str]) -> "Matter":
        """By the names of `COMPOSITION`."""
        tables = [_elements(COMPOSITION[name]) for name in names]
        return cls(torch.stack([mu for mu, _ in tables]), torch.stack([cosines for _, cosines in tables], dim=1))


@dataclass(frozen=True, eq=False)
class Tally:
    """Where the photons' energy went, in keV."""

    sent: Tensor
    left: Tensor
    """Left the body, to the panel or elsewhere."""
    thrown: Tensor
    """Left it after scattering: all that could become scatter on a panel."""
    deposited: Tensor
    """By voxel, [k j i]."""
    primary: Tensor
    """Absorbed by the panel's pixels from photons that met nothing, [v u]."""
    scatter: Tensor
    """The same from photons that had scattered."""
    scatter_squared: Tensor
    """The same, each photon's squared: the variance of `scatter`."""
    primary_behind: Tensor
    """Behind the anti-scatter grid."""
    scatter_behind: Tensor
    scatter_behind_squared: Tensor

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Tally)))


def shoot(
    phantom: Phantom,
    view: View,
    spectrum: Spectrum,
    panel: Panel,
    photons: int,
    rng: torch.Generator,
    lamellae: Lamellae = Lamellae(),
) -> Tally:
    """Send photons evenly into the solid angle the panel takes: a beam collimated to it, and nothing but the body."""
    matter = Matter.of([one.name for one in phantom.materials])
    density = phantom.density.flatten(1).T.float().contiguous()
    majorant = torch.stack([(part @ matter.attenuation.sum(-1)).amax(0) for part in density.split(1 << 16)]).amax(0)
    sink = _Sink.of(view, panel, lamellae)
    total: Tally | None = None
    for start in range(0, photons, BATCH):
        beam = sink.beam(min(BATCH, photons - start), spectrum, rng)
        tally = _fly(beam, phantom, density, matter, majorant / 10, sink, rng)
        total = tally if total is None else total + tally
    assert total is not None
    return total


@dataclass(frozen=True, eq=False)
class _Photons:
    place: Tensor
    """[n 3] mm."""
    way: Tensor
    """[n 3], of length 1."""
    energy: Tensor
    """[n] keV."""
    met: Tensor
    """[n]: whether it has scattered."""

    def __getitem__(self, index: Tensor) -> "_Photons":
        return _Photons(*(getattr(self, one.name).index_select(0, index) for one in fields(_Photons)))


@dataclass(frozen=True, eq=False)
class _Sink:
    """The source and the panel, in single precision."""

    source: Tensor
    panel_from_world: Tensor
    """[3 3]: along the rows, along the columns, and the normal."""
    corner: Tensor
    """[3]: where pixel (0, 0) begins, seen from the source, in the panel's axes."""
    steps: Tensor
    """[2] mm, from one pixel to the next."""
    size: tuple[int, int]
    response: Tensor
    """[e] keV."""
    lamellae: Lamellae

    @classmethod
    def of(cls, view: View, panel: Panel, lamellae: Lamellae) -> "_Sink":
        u, v = view.u_step.norm(), view.v_step.norm()
        axes = torch.stack([view.u_step / u, view.v_step / v, view.normal])
        corner = axes @ (view.origin - (view.u_step + view.v_step) / 2 - view.source)
        response = panel.response(torch.from_numpy(_energies())).float()
        steps = torch.stack([u, v]).float()
        return cls(view.source.float(), axes.float(), corner.float(), steps, view.size, response, lamellae)

    def beam(self, count: int, spectrum: Spectrum, rng: torch.Generator) -> _Photons:
        rows, columns = self.size
        across = self.steps * torch.tensor([columns, rows])
        ways = torch.zeros(0, 3)
        while len(ways) < count:
            point = self.corner.expand(2 * count, 3).clone()
            point[:, :2] += across * torch.rand(2 * count, 2, generator=rng)
            way = point / point.norm(dim=1, keepdim=True)
            ways = torch.cat([ways, way[torch.rand(2 * count, generator=rng) < way[:, 2] ** 3]])
        drawn = torch.multinomial(spectrum.photons, count, replacement=True, generator=rng)
        way = ways[:count] @ self.panel_from_world
        return _Photons(
            self.source.expand(count, 3), way, spectrum.energies[drawn].float(), torch.zeros(count, dtype=torch.bool)
        )

    def score(self, photons: _Photons, scores: Tensor, rng: torch.Generator) -> None:
        """Add what the panel absorbs of photons on their way to `scores`, [6 pixels]."""
        place = (photons.place - self.source) @ self.panel_from_world.T
        way = photons.way @ self.panel_from_world.T
        ahead = way[:, 2] > 1e-3
        place = place + ((self.corner[2] - place[:, 2]) / way[:, 2].where(ahead, 1.0))[:, None] * way
        pixel = ((place - self.corner)[:, :2] / self.steps).floor()
        rows, columns = self.size
        hit = (ahead & (pixel >= 0).all(1) & (pixel < torch.tensor([columns, rows])).all(1)).nonzero()[:, 0]
        pixel, met, energy = pixel[hit].long(), photons.met[hit], photons.energy[hit]
        where = pixel[:, 1] * columns + pixel[:, 0]
        given = self.response[_bin(energy)].double()
        behind = given * self.lamellae.passed(way[hit], place[hit], energy, rng)
        for row, worth in enumerate((given, behind)):
            for column, part in enumerate((worth * ~met, worth * met, worth.square() * met)):
                scores[3 * row + column].index_add_(0, where, part)


def _fly(
    photons: _Photons,
    phantom: Phantom,
    density: Tensor,
    matter: Matter,
    majorant: Tensor,
    sink: _Sink,
    rng: torch.Generator,
) -> Tally:
    """From the source until the last photon is gone. `majorant` [e] is per millimetre."""
    k, j, i = phantom.grid.shape
    ijk_from_world = phantom.grid.ijk_from_world.float()
    sent, left, thrown = photons.energy.double().sum(), torch.zeros((), dtype=torch.float64), 0.0
    deposited = torch.zeros(k * j * i, dtype=torch.float64)
    scores = torch.zeros(6, sink.size[0] * sink.size[1], dtype=torch.float64)
    photons = _entered(photons, phantom)
    while len(photons.energy):
        flight = -torch.rand(len(photons.energy), generator=rng).log() / majorant[_bin(photons.energy)]
        place = photons.place + flight[:, None] * photons.way
        ijk = (place @ ijk_from_world[:3, :3].T + ijk_from_world[:3, 3]).round().long()
        inside = ((ijk >= 0) & (ijk < torch.tensor([i, j, k]))).all(1)
        gone = photons[(~inside).nonzero()[:, 0]]
        sink.score(gone, scores, rng)
        left = left + gone.energy.double().sum()
        thrown = thrown + (gone.energy * gone.met).double().sum()
        stay = inside.nonzero()[:, 0]
        photons = _Photons(place, photons.way, photons.energy, photons.met)[stay]
        voxel = ijk.index_select(0, stay) @ torch.tensor([1, i, j * i])
        photons, lost = _met(photons, density.index_select(0, voxel), matter, majorant, rng)
        deposited.index_add_(0, voxel, lost.double())
        photons = photons[(photons.energy > 0).nonzero()[:, 0]]
    rows = [row.reshape(sink.size) for row in scores]
    return Tally(sent, left, thrown, deposited.reshape(k, j, i), *rows)


def _entered(photons: _Photons, phantom: Phantom) -> _Photons:
    """Moved on to where they meet the body's box; those that miss it come to lie beside it."""
    ijk_from_world = phantom.grid.ijk_from_world.float()
    k, j, i = phantom.grid.shape
    place = photons.place @ ijk_from_world[:3, :3].T + ijk_from_world[:3, 3] + 0.5
    way = photons.way @ ijk_from_world[:3, :3].T
    way = way.where(way.abs() > 1e-9, 1e-9)
    sides = torch.stack([-place / way, (torch.tensor([i, j, k]) - place) / way])
    near, far = sides.amin(0).amax(1), sides.amax(0).amin(1)
    flight = near.where(near < far, far).clamp(min=0)
    return _Photons(photons.place + flight[:, None] * photons.way, photons.way, photons.energy, photons.met)


def _met(
    photons: _Photons, density: Tensor, matter: Matter, majorant: Tensor, rng: torch.Generator
) -> tuple[_Photons, Tensor]:
    """The photons after what they may have met in voxels of `density` [n m] g/cm³, and what they lost there, keV.

    A photon that is absorbed is one without energy.
    """
    bins = _bin(photons.energy)
    count = matter.attenuation.shape[0]
    events = (density[:, :, None] * matter.attenuation[:, bins].transpose(0, 1) / 10).reshape(len(bins), 3 * count)
    drawn = torch.rand(len(bins), generator=rng) * majorant[bins]
    event = (drawn[:, None] >= events.cumsum(1)).sum(1)
    real = (event < 3 * count).nonzero()[:, 0]
    what, which, bins = event[real] % 3, event[real] // 3, bins[real]
    quantile = torch.rand(len(real), generator=rng) * (QUANTILES - 1)
    knot = quantile.floor().long().clamp(max=QUANTILES - 2)
    angles = matter.cosines.view(-1)
    at = (((what == 2).long() * count + which) * BINS + bins) * QUANTILES + knot
    cosine = torch.lerp(angles[at], angles[at + 1], quantile - knot)
    before = photons.energy[real]
    after = before.where(what == 2, before / (1 + before / ELECTRON * (1 - cosine)))
    after = after.where((what > 0) & (after > LOWEST), 0.0)
    way, energy, met = photons.way.clone(), photons.energy.clone(), photons.met.clone()
    way[real] = _turned(photons.way[real], cosine, 2 * math.pi * torch.rand(len(real), generator=rng))
    energy[real] = after
    met[real] = True
    return _Photons(photons.place, way, energy, met), photons.energy - energy


def _turned(way: Tensor, cosine: Tensor, around: Tensor) -> Tensor:
    """Directions [n 3] turned by an angle of this cosine, anywhere around."""
    x, y, z = way.unbind(1)
    sine = (1 - cosine.square()).clamp(min=0).sqrt()
    sign = torch.ones_like(z).copysign(z)
    a, b = -1 / (sign + z), -x * y / (sign + z)
    first = torch.stack([1 + sign * x * x * a, sign * b, -sign * x], dim=1)  # Duff et al. 2017
    second = torch.stack([b, sign + y * y * a, -y], dim=1)
    turned = (sine * around.cos())[:, None] * first + (sine * around.sin())[:, None] * second + cosine[:, None] * way
    return turned / turned.norm(dim=1, keepdim=True)


def _bin(energy: Tensor) -> Tensor:
    return ((energy - LOWEST) / STEP).round().long()


def _energies() -> np.ndarray:
    return LOWEST + STEP * np.arange(BINS)


@cache
def _elements(words: str) -> tuple[Tensor, Tensor]:
    """Attenuation [e 3] cm²/g and quantiles of cosines [2 e q] of elements and their shares, or of one alone."""
    parts = words.split()
    symbols, shares = parts[::2], [float(x) for x in parts[1::2]] or [100.0]
    weights = {ELEMENTS.index(symbol) + 1: share / sum(shares) for symbol, share in zip(symbols, shares, strict=True)}
    energies = _energies()
    kinds = (xraylib.CS_Photo, xraylib.CS_Compt, xraylib.CS_Rayl)
    mu = [[sum(w * cs(z, e) for z, w in weights.items()) for cs in kinds] for e in energies]
    backward = np.linspace(0, 1, 2001) ** 3
    cosine = 1 - 2 * backward
    momenta = np.geomspace(5e-3, energies[-1] / WAVELENGTH, 500)
    moles = {z: w / xraylib.AtomicWeight(z) for z, w in weights.items()}
    bound = sum(n * np.array([xraylib.SF_Compt(z, q) for q in momenta]) for z, n in moles.items())
    whole = sum(n * np.array([xraylib.FF_Rayl(z, q) for q in momenta]) ** 2 for z, n in moles.items())
    ratio = 1 / (1 + energies[:, None] / ELECTRON * (1 - cosine))
    momentum = energies[:, None] / WAVELENGTH * np.sqrt(backward)
    klein_nishina = ratio**2 * (ratio + 1 / ratio - 1 + cosine**2)
    compton = klein_nishina * np.interp(momentum, momenta, bound)
    rayleigh = (1 + cosine**2) * np.interp(momentum, momenta, whole)
    cosines = np.stack([[_quantiles(cosine, row) for row in table] for table in (compton, rayleigh)])
    return torch.tensor(mu, dtype=torch.float32), torch.from_numpy(cosines).float()


def _quantiles(x: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Of a density over falling x."""
    mass = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * -np.diff(x))])
    return np.interp(np.linspace(0, mass[-1], QUANTILES), mass, x)
