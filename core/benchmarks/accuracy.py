"""The figures of the README's accuracy table. Run with `make bench-accuracy`; needs the dev extra, 4 GB and minutes."""

from dataclasses import replace

import line_integrals
import torch
import xraylib
from rich.console import Console
from rich.table import Table

from skiagraph.carm import GENERIC
from skiagraph.drr import native
from skiagraph.drr.render import NAIVE
from skiagraph.geometry import Grid, View, float64
from skiagraph.physics.materials import material
from skiagraph.physics.panel import Panel
from skiagraph.physics.phantom import Phantom
from skiagraph.physics.spectrum import Spectrum
from skiagraph.physics.transmit import Exposure

ANGLES = [(p, s) for p in range(-180, 180, 24) for s in (-80, -40, -10, 0, 25, 60, 89)]


def reprojection(rng: torch.Generator) -> tuple[float, float]:
    """Worst pixels between `project` and K [R|t], and worst millimetres after a matrix round trip."""
    worst = trip = 0.0
    for angles in ANGLES:
        view = GENERIC.aimed_at(float64([10.0, -20.0, -900.0]), *angles, roll=5.0)
        points = float64([10.0, -20.0, -900.0]) + 250 * (torch.rand(200, 3, generator=rng, dtype=torch.float64) - 0.5)
        k, r, t = view.krt()
        pixel = (points @ r.T + t) @ k.T
        worst = max(worst, float((view.project(points) - pixel[:, :2] / pixel[:, 2:]).abs().max()))
        twin = View.from_matrix(view.matrix(), view.size, view.pixel_spacing[1])
        trip = max(trip, float((twin.source - view.source).abs().max()), float((twin.origin - view.origin).abs().max()))
    return worst, trip


def centroid() -> float:
    """Worst pixels between a blob's centroid in its picture and its projected centre."""
    grid = Grid.centred((61, 61, 61), (1.0, 1.0, 1.0), (30.0, -20.0, -900.0))
    center = float64([33.3, -17.6, -903.8])
    field = torch.exp(-0.5 * ((grid.centers() - center) ** 2).sum(-1) / 4.0**2).float()[None]
    worst = 0.0
    for angles in ANGLES:
        view = GENERIC.with_pixels(512).aimed_at(float64([40.0, -25.0, -890.0]), *angles)
        picture = native.integrate(field, grid, view)[0].double()
        v, u = (torch.arange(n, dtype=torch.float64) for n in view.size)
        found = torch.stack([(picture.sum(0) * u).sum(), (picture.sum(1) * v).sum()]) / picture.sum()
        worst = max(worst, float((found - view.project(center[None])[0]).abs().max()))
    return worst


def wedges() -> float:
    """Worst relative difference of -ln T and xraylib's CS_Total for steps of aluminium, water and titanium."""
    grid = Grid.centred((8, 40, 8), (1.0, 1.0, 1.0))
    view = GENERIC.with_pixels(512).aimed_at(grid.center).cropped(slice(255, 257), slice(255, 257))
    worst = 0.0
    for name, parts, energies in (
        ("aluminium", {13: 1.0}, (30.0, 60.0, 100.0)),
        ("titanium", {22: 1.0}, (60.0, 100.0)),
        ("water", {1: 0.111894, 8: 0.888106}, (40.0, 70.0)),  # mass fractions of NIST
    ):
        stuff = material(name)
        phantom = Phantom(torch.full((1, 8, 40, 8), stuff.density), (stuff,), grid)
        for energy in energies:
            mass, materials = replace(NAIVE, spectrum=Spectrum.mono(energy)).masses([phantom], view)
            ours = float((mass[0] * materials[0].attenuation(float64([energy]))).mean())
            theirs = sum(w * xraylib.CS_Total(z, energy) for z, w in parts.items()) * stuff.density * 4.0
            path = float((view.pixels()[0, 0] - view.source).norm() / view.source_to_panel)
            worst = max(worst, abs(ours / path / theirs - 1))
    return worst


def noise() -> float:
    """Slope of variance over mean for flat fields of 10² to 10⁵ photons."""
    means, variances = [], []
    for photons in (1e2, 1e3, 1e4, 1e5):
        flat = torch.full((1000, 1000), 1.0)
        image = Panel(photons=photons).expose(Exposure(flat, flat), 0.3, torch.Generator().manual_seed(1)) * photons
        means.append(image.double().mean().item())
        variances.append(image.double().var().item())
    return float((float64(variances) / float64(means)).mean())


def main() -> None:
    table = Table("what", "measured")
    worst, trip = reprojection(torch.Generator().manual_seed(0))
    table.add_row("reprojection against K [R|t], 200 points x 105 views, worst", f"{worst:.1e} px")
    table.add_row("source and panel after a matrix round trip, worst", f"{trip:.1e} mm")
    table.add_row("centroid of a 4 mm blob against its projection, 105 views, worst", f"{centroid():.4f} px")
    table.add_row("step wedges of Al, Ti and water against xraylib, worst", f"{wedges():.1e}")
    for aluminium in (2.5, 4.0):
        value = Spectrum.tube(90.0, aluminium=aluminium).half_value_layer()
        table.add_row(f"half-value layer at 90 kV, {aluminium} mm Al", f"{value:.3f} mm Al")
    table.add_row("variance over mean of flat fields, 10² to 10⁵ photons", f"{noise():.4f}")
    Console().print(table)
    line_integrals.main()


if __name__ == "__main__":
    main()
