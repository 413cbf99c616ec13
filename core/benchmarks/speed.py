"""How fast X-rays are: the sliced engine and all that follows it, against the bundled ray-by-ray Joseph of one channel.

A body of 45 ellipsoids in 512 x 512 x 400 voxels of 0.8 mm (256 x 256 x 200 of 1.6 mm where memory is short), seen
by a C-arm. What counts is the ratio of process CPU times, measured turn by turn: wall time depends on who else is
at work. Errors are ||found - exact|| / ||exact|| against the closed form. The picture with all derivatives of its
pixels by the view is held against the picture alone. The same body decomposed by `by_curve` is then seen by the
realistic fidelity, with two of its materials (muscle and cortical bone) and with all it has. Run with
`make bench-quick`; exit 1 when a ratio that was promised is missed, or an error is more than 1.02 times Joseph's.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import torch
from analytic import Ellipsoids
from torch import Tensor

from skiagraph.carm import CIOS_FUSION
from skiagraph.drr import gradient, native, sliced
from skiagraph.drr.render import REALISTIC, Renderer
from skiagraph.geometry import Grid, View, float64
from skiagraph.physics import native as loops
from skiagraph.physics.blur import blur
from skiagraph.physics.phantom import Phantom, by_curve
from skiagraph.physics.transmit import transmit
from skiagraph.volume import Volume

T = TypeVar("T")

CARM = replace(CIOS_FUSION, source_to_isocenter=700.0, lateral_offset=0.0, orbital_range=(-180.0, 180.0))

PROMISED = {512: 30.0, 1536: 100.0}
"""CPU time of Joseph over ours, by the pixels along a side: the median over the views."""

VIEWS = {512: [(0.0, 0.0), (22.0, 5.0), (-45.0, 10.0), (-30.0, -10.0), (10.0, 5.0)], 1536: [(0.0, 0.0), (-30.0, 10.0)]}

REALISTIC_PROMISED = 18.0
"""The same for 512² of two materials with spectrum and noise: all of the realistic fidelity but scatter and blur."""

WATER = 0.02
"""What the ellipsoids' values are taken for in Hounsfield units: per mm."""

SLOPES = 2.5
"""CPU time of a 512² picture with its derivatives over that of the picture: no more than this."""

WORSE = 1.02
"""How much larger our error may be than Joseph's."""

ENOUGH = 4e9
"""Bytes of free memory for the large body."""


def main() -> int:
    began = time.perf_counter()
    torch.set_num_threads(1)
    phantom = body()
    grid = (
        Grid.centred((400, 512, 512), (0.8,) * 3)
        if free_memory() > ENOUGH
        else Grid.centred((200, 256, 256), (1.6,) * 3)
    )
    field = phantom.voxels(grid)[None]
    _, preparing = timed(lambda: sliced.integrate(field, grid, CARM.with_pixels(1536).aimed_at(grid.center)))
    k, j, i = grid.shape
    print(f"{i} x {j} x {k} voxels of {grid.spacing[0]:.1f} mm, one thread, {sliced.level()}")
    print(f"the body made ready in {preparing:.2f} CPU s, once")
    met = True
    summaries = []
    for pixels, promised in PROMISED.items():
        ratios, ours, theirs = [], [], []
        for angles in VIEWS[pixels]:
            view = CARM.with_pixels(pixels).aimed_at(grid.center, *angles)
            rows = [race(field, grid, view) for _ in range(2 if pixels < 1000 else 1)]
            ratios.append(statistics.median(slow / fast for fast, slow, _, _ in rows))
            fast, slow, found, expected = rows[-1]
            ours.append(fast)
            theirs.append(slow)
            line = f"{pixels:5d}² {angles!s:15} sliced {1e3 * fast:6.1f} ms  joseph {1e3 * slow:6.0f} ms"
            line += f"  {ratios[-1]:4.0f} x"
            if pixels < 1000:
                exact = phantom.integral(view)
                error, josephs = (float((x[0] - exact).norm() / exact.norm()) for x in (found, expected))
                met &= error <= WORSE * josephs
                line += f"  error {error:.5f}, joseph's {josephs:.5f}"
            print(line, flush=True)
        ratio = statistics.median(ratios)
        met &= ratio >= promised
        verdict = "ok" if ratio >= promised else "MISSED"
        summaries.append(
            f"{pixels}²: {1e3 * statistics.median(ours):.1f} CPU ms a view, {ratio:.0f} x the scalar Joseph's "
            f"{1e3 * statistics.median(theirs):.0f} ms (promised {promised:.0f} x): {verdict}"
        )
    ratio = statistics.median(
        derivatives_cost(field, grid, CARM.with_pixels(512).aimed_at(grid.center, *angles)) for angles in VIEWS[512]
    )
    met &= ratio <= SLOPES
    verdict = "ok" if ratio <= SLOPES else "MISSED"
    summaries.append(
        f"512² with all derivatives by the view: {ratio:.2f} x the picture (promised {SLOPES} x): {verdict}"
    )
    summary, kept = realistic(field, grid)
    met &= kept
    print("\n".join([*summaries, *summary]))
    print(f"{'all promises kept' if met else 'A PROMISE WAS MISSED'}, in {time.perf_counter() - began:.0f} s")
    return 0 if met else 1


def realistic(field: Tensor, grid: Grid) -> tuple[list[str], bool]:
    """Lines on the realistic fidelity with two materials and with all, and whether its promise is kept.

    The field is turned into Hounsfield units where it stands, to save memory.
    """
    phantom = by_curve(Volume(field[0].mul_(1000 / WATER).sub_(1000), grid))
    del field
    both = [m for m, one in enumerate(phantom.materials) if one.name in ("muscle", "cortical_bone")]
    two = Phantom(phantom.density[both[0] : both[1] + 1], phantom.materials[both[0] : both[1] + 1], grid)
    noisy = replace(REALISTIC, panel=replace(REALISTIC.panel, scatter=None, blur=0.0))
    lines, kept = [], True
    for name, renderer, seen in (
        ("with spectrum and noise", noisy, two),
        ("with scatter and blur too", REALISTIC, two),
        ("with scatter and blur too", REALISTIC, phantom),
    ):
        seconds, ratio = turn_by_turn(renderer, seen)
        line = f"512² realistic, {len(seen.materials)} materials, {name}: {1e3 * seconds:.1f} CPU ms, {ratio:.0f} x"
        if renderer is noisy:
            kept = ratio >= REALISTIC_PROMISED
            line += f" (promised {REALISTIC_PROMISED:.0f} x): {'ok' if kept else 'MISSED'}"
        lines.append(line)
        if renderer is REALISTIC:
            lines.append(stages(seen, CARM.with_pixels(512).aimed_at(grid.center)))
    return lines, kept


def turn_by_turn(renderer: Renderer, phantom: Phantom) -> tuple[float, float]:
    """CPU seconds of one X-ray of 512², and of Joseph's line integrals of one channel over that: the medians."""
    fast, ratios, rng = [], [], torch.Generator().manual_seed(0)
    for angles in VIEWS[512][:3]:
        view = CARM.with_pixels(512).aimed_at(phantom.grid.center, *angles)
        take = partial(renderer, phantom, view, rng)
        take()  # what is made once
        fast.append(statistics.median(timed(take)[1] for _ in range(7)))
        slow = timed(partial(native.integrate, phantom.density[:1], phantom.grid, view))[1]
        ratios.append(slow / fast[-1])
    return statistics.median(fast), statistics.median(ratios)


def stages(phantom: Phantom, view: View) -> str:
    """What each step of a realistic X-ray costs."""
    panel, spectrum, key = REALISTIC.panel, REALISTIC.spectrum, 0
    mass, materials = REALISTIC.masses([phantom], view)
    exposure = transmit(mass, materials, spectrum, panel.response(spectrum.energies))
    one = torch.ones(1, 1)
    photons = panel.exposed(exposure.signal)
    pixel = view.pixel_spacing
    steps: dict[str, Callable[[], object]] = {
        "integrate": lambda: REALISTIC.masses([phantom], view),
        "transmit": lambda: transmit(mass, materials, spectrum, panel.response(spectrum.energies)),
        "scatter": lambda: panel.scatter and panel.scatter(exposure, pixel),
        "exposure control": lambda: panel.exposed(exposure.signal),
        "quanta": lambda: loops.quanta(exposure.signal, exposure.variance, photons, key),
        "blur": lambda: blur(exposure.signal, panel.blur / pixel[0], panel.blur / pixel[1]),
        "readout": lambda: loops.read(exposure.signal, panel.readout / photons, one, 65535 * one, key),
    }
    costs = {name: statistics.median(timed(step)[1] for _ in range(9)) for name, step in steps.items()}
    return "     of these " + ", ".join(f"{name} {1e3 * seconds:.1f}" for name, seconds in costs.items()) + " ms"


def body() -> Ellipsoids:
    """A trunk of soft tissue with 44 structures in it."""
    inside = Ellipsoids.draw(44, 100.0, torch.Generator().manual_seed(0))
    return Ellipsoids(
        torch.cat([float64([[0.0, 0.0, 0.0]]), inside.centers]),
        torch.cat([torch.diag(1 / float64([190.0, 120.0, 155.0]))[None], inside.unit_from_world]),
        torch.cat([float64([0.02]), inside.values / 2]),
    )


def race(field: Tensor, grid: Grid, view: View) -> tuple[float, float, Tensor, Tensor]:
    """CPU seconds of both engines, one after the other, and what they found; ours is the median of seven."""
    turns = [timed(lambda: sliced.integrate(field, grid, view)) for _ in range(7)]
    expected, slow = timed(lambda: native.integrate(field, grid, view))
    return statistics.median(seconds for _, seconds in turns), slow, turns[0][0], expected


def derivatives_cost(field: Tensor, grid: Grid, view: View) -> float:
    """CPU time of a picture with its derivatives over that of the picture, the median of seven turns."""
    ratios = []
    for _ in range(7):
        _, alone = timed(lambda: sliced.integrate(field, grid, view))
        _, both = timed(lambda: gradient.derivatives(field, grid, view).picture)
        ratios.append(both / alone)
    return statistics.median(ratios)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def free_memory() -> float:
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return 0.0


if __name__ == "__main__":
    sys.exit(main())
