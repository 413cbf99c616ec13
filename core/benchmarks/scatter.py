"""`Scatter` fitted to the Monte Carlo of `scatter_reference.py` and held against it; draws docs/images/scatter.png.

Run with `make bench-scatter`; seconds. Exit 1 when what the package ships is not what the fit gives, or misses a
water slab by more than was promised.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path

import matplotlib
import numpy as np
import scipy.optimize
import torch
from rich.console import Console
from rich.table import Table
from scatter_reference import CASES, PIXELS, Case, Reference, references
from torch import Tensor

from skiagraph.io.files import writing
from skiagraph.physics.scatter import Scatter
from skiagraph.physics.transmit import Exposure

IMAGE = Path(__file__).parents[1] / "docs" / "images" / "scatter.png"

PROMISED = 0.10
"""How far the scatter in the middle of a water slab may be off, relatively, 10 to 30 cm at 90 kV."""
FITTED = CASES[:8]
"""Water and pelvis at 90 kV on the generic C-arm."""
MIDDLE = slice(PIXELS * 3 // 8, PIXELS * 5 // 8)
"""A quarter of the panel along each side."""
ROUNDED = 0.02
"""How far the shipped figures may be from the fit's, relatively."""


def main() -> int:
    torch.set_num_threads(1)
    found = references()
    exposures = {case.name: case.exposure(4 * PIXELS) for case in CASES}
    fits = {"behind the grid": (Scatter(), True), "without": (Scatter.without_grid(), False)}
    met = True
    for title, (shipped, grid) in fits.items():
        fitted = fit(shipped, found, exposures, grid)
        met &= np.allclose(astuple(fitted), astuple(shipped), rtol=ROUNDED)
        print(f"{title}\n  fitted  {fitted}\n  shipped {shipped}")
        columns = ("SPR, Monte Carlo", "± %", "middle off, %", "panel off, %", "RMS off, % (noise)")
        table = Table("case", *columns, title=title)
        for case in CASES:
            mc, error = images(found[case.name], grid)
            model, primary = predicted(shipped, case, exposures[case.name]), pooled(exposures[case.name].signal)
            middle, total = ratio(model[MIDDLE, MIDDLE], mc[MIDDLE, MIDDLE]), ratio(model, mc)
            met &= abs(middle) <= PROMISED or case not in FITTED or not case.water >= 100
            spr = float(mc[MIDDLE, MIDDLE].sum() / primary[MIDDLE, MIDDLE].sum())
            noise = float(error[MIDDLE, MIDDLE].square().sum().sqrt() / mc[MIDDLE, MIDDLE].sum())
            rms, least = (float(x.square().mean().sqrt() / mc.mean()) for x in (model - mc, error))
            figures = (f"{spr:.3f}", *(f"{100 * x:.1f}" for x in (noise, middle, total)))
            table.add_row(case.name, *figures, f"{100 * rms:.0f} ({100 * least:.0f})")
        Console(width=120).print(table)
    draw(found, exposures, fits)
    print("as promised" if met else "A PROMISE WAS MISSED, or the shipped figures are not the fit's")
    return 0 if met else 1


def fit(start: Scatter, found: Mapping[str, Reference], exposures: Mapping[str, Exposure], grid: bool) -> Scatter:
    """Least squares over pixels, each to 5 %, 2 % of the mean and its noise; the slabs' middles count most."""

    def with_values(values: Sequence[float]) -> Scatter:
        amplitude, power, shade, spread = (float(x) for x in values)
        return replace(start, amplitude=math.exp(amplitude), power=power, shade=shade, spread=spread)

    def residuals(values: Sequence[float]) -> np.ndarray:
        rows = []
        for case in FITTED:
            mc, error = images(found[case.name], grid)
            off = predicted(with_values(values), case, exposures[case.name]) - mc
            sigma = (error**2 + (0.05 * mc) ** 2 + (0.02 * mc.mean()) ** 2).sqrt()
            rows.append((off / sigma).flatten() / PIXELS)
            if case.water:
                rows.append(40 * (off[MIDDLE, MIDDLE].sum() / mc[MIDDLE, MIDDLE].sum())[None])
        return torch.cat(rows).numpy()

    first = [math.log(start.amplitude), start.power, start.shade, start.spread]
    bounds = ([-9.0, 0.0, 0.0, 0.05], [3.0, 3.0, 3.0, 3.0])
    return with_values(scipy.optimize.least_squares(residuals, first, x_scale=0.1, diff_step=1e-3, bounds=bounds).x)


def predicted(scatter: Scatter, case: Case, exposure: Exposure) -> Tensor:
    """The model's scatter on the reference's pixels, in open fields."""
    spacing = case.carm.panel_size[0] / exposure.signal.shape[-1]
    return pooled(replace(scatter, gap=case.gap)(exposure, (spacing, spacing)).signal - exposure.signal)


def pooled(image: Tensor) -> Tensor:
    return torch.nn.functional.adaptive_avg_pool2d(image[None], PIXELS)[0]


def images(reference: Reference, grid: bool) -> tuple[Tensor, Tensor]:
    """Scatter and its error, behind the grid or without."""
    return (reference.behind, reference.behind_error) if grid else (reference.scatter, reference.error)


def ratio(model: Tensor, mc: Tensor) -> float:
    return float(model.sum() / mc.sum()) - 1


def draw(
    found: Mapping[str, Reference],
    exposures: Mapping[str, Exposure],
    fits: Mapping[str, tuple[Scatter, bool]],
) -> None:
    """Scatter along the middle rows: points with bars are the Monte Carlo, lines the model."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [case for case in CASES if case.name in ("water 100 mm", "water 200 mm", "water 300 mm")] + list(CASES[6:9])
    figure, axes = pyplot.subplots(2, len(shown), figsize=(2.5 * len(shown), 5), layout="constrained")
    for row, (title, (scatter, grid)) in zip(axes, fits.items()):
        for axis, case in zip(row, shown):
            mc, error = images(found[case.name], grid)
            model = predicted(scatter, case, exposures[case.name])
            step = case.carm.panel_size[0] / PIXELS
            x = (np.arange(PIXELS) - (PIXELS - 1) / 2) * step
            bars = error[MIDDLE].square().sum(0).sqrt() / len(error[MIDDLE])
            axis.errorbar(x, mc[MIDDLE].mean(0), bars, fmt=".", color="black")
            axis.plot(x, model[MIDDLE].mean(0), color="tab:red")
            axis.plot(x, pooled(exposures[case.name].signal)[MIDDLE].mean(0), color="tab:gray", linewidth=0.8)
            axis.set_title(f"{case.name}\n{title}", fontsize=8)
            axis.set_ylim(0, 1.5 * float(mc[MIDDLE].mean(0).max()))
            axis.tick_params(labelsize=7)
    for axis in axes[-1]:
        axis.set_xlabel("mm on the panel", fontsize=8)
    with writing(IMAGE) as part:
        figure.savefig(part, dpi=110, format="png")


if __name__ == "__main__":
    sys.exit(main())
