"""Taking an X-ray: decompose, integrate, transmit, expose. Three fidelities are three values of one machine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from skiagraph.drr.engines import Engine, fastest
from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import View, transform
from skiagraph.physics.materials import Material
from skiagraph.physics.panel import Panel
from skiagraph.physics.phantom import Decompose, Phantom, as_water, by_curve, by_threshold
from skiagraph.physics.spectrum import Spectrum
from skiagraph.physics.transmit import Exposure, transmit

MM_PER_CM = 10.0

NEAREST = 50.0
"""Millimetres: no body's middle is closer to the panel, as scatter goes."""


@dataclass(frozen=True)
class Renderer:
    """One way to take an X-ray. Change a part with `dataclasses.replace`."""

    decompose: Decompose
    """From Hounsfield units to materials."""
    spectrum: Spectrum
    """What leaves the tube."""
    panel: Panel
    """What the photons meet at the end."""
    engine: Engine = fastest
    """Who computes the line integrals."""

    def __call__(
        self, bodies: Phantom | Sequence[Phantom], view: View, rng: torch.Generator | None = None
    ) -> Float[Tensor, "*n v u"]:
        """The transmission 0...1 at every pixel, with noise drawn from `rng` if the panel makes any.

        Several bodies add up; let one displace another with `skiagraph.drr.scene`. Scatter spreads over the gap from
        the middle of the first one to the panel.
        """
        phantoms = [bodies] if isinstance(bodies, Phantom) else list(bodies)
        mass, materials = self.masses(phantoms, view)
        exposure = transmit(mass, materials, self.spectrum, self.panel.response(self.spectrum.energies))
        return self._exposed(exposure, phantoms[0], view, rng)

    def _exposed(self, exposure: Exposure, phantom: Phantom, view: View, rng: torch.Generator | None) -> Tensor:
        if view.source.ndim == 1:
            return _behind(self.panel, phantom, view).expose(exposure, view.pixel_spacing, rng)
        each = zip(exposure.signal, exposure.variance)
        return torch.stack([self._exposed(Exposure(*one), phantom, view[n], rng) for n, one in enumerate(each)])

    def masses(self, phantoms: Sequence[Phantom], view: View) -> tuple[Float[Tensor, "*n m v u"], tuple[Material, ...]]:
        """What each material puts in the way of each ray, in g/cm²."""
        if not phantoms:
            raise DataError("nothing to look through; give at least one body")
        total: dict[Material, Tensor] = {}
        for phantom in phantoms:
            refuse_inside(phantom, view)
            columns = self.engine(phantom.density, phantom.grid, view) / MM_PER_CM
            for material, column in zip(phantom.materials, columns.unbind(dim=-3)):
                total[material] = total[material] + column if material in total else column
        return torch.stack([column.clamp(min=0) for column in total.values()], dim=-3), tuple(total)


def _behind(panel: Panel, phantom: Phantom, view: View) -> Panel:
    """The panel as far from a body as it stands in a single view."""
    if panel.scatter is None:
        return panel
    gap = (view.source_to_panel - view.depth(phantom.grid.center[None])[0]).item()
    return replace(panel, scatter=replace(panel.scatter, gap=max(gap, NEAREST)))


def refuse_inside(phantom: Phantom, view: View) -> None:
    """Raise GeometryError if a source lies within the body's matter."""
    k, j, i = phantom.grid.shape
    voxels = transform(phantom.grid.ijk_from_world, view.source.reshape(-1, 3)).round().long()
    for voxel, source in zip(voxels.tolist(), view.source.reshape(-1, 3).tolist()):
        if 0 <= voxel[0] < i and 0 <= voxel[1] < j and 0 <= voxel[2] < k:
            here = phantom.density[:, voxel[2], voxel[1], voxel[0]].sum().item()
            if here > 0.1:
                where = ", ".join(f"{x:.0f}" for x in source)
                raise GeometryError(
                    f"the source at ({where}) mm lies inside the body; move it away, or raise the isocentre distance"
                )


NAIVE = Renderer(decompose=as_water, spectrum=Spectrum.mono(70.0), panel=Panel.ideal())
"""One material, one energy, no noise: a plain line integral."""

HEURISTIC = Renderer(
    decompose=by_threshold(-130.0), spectrum=Spectrum.mono(40.0), panel=replace(Panel.ideal(), photons=2000.0)
)
"""xReg's: 0.02683 / mm times (HU + 130) / 1000, no less than 0; Poisson noise of 2000 photons."""

REALISTIC = Renderer(decompose=by_curve, spectrum=Spectrum.tube(90.0), panel=Panel.flat())
"""Materials, a tube spectrum, and a flat panel with noise, blur and scatter."""

FIDELITIES: dict[str, Renderer] = {"naive": NAIVE, "heuristic": HEURISTIC, "realistic": REALISTIC}
