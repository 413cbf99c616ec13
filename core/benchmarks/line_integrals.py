"""How far line integrals are from the truth, at full size: acceptance test 1 of the projector.

45 ellipsoids in 512 x 512 x 400 voxels of 0.8 mm (and smooth blobs), nine views of 256² pixels, each engine's
||found - exact|| / ||exact|| and its bias. Run with `make bench-accuracy`; needs 4 GB and some minutes.
"""

import time

import torch
from analytic import Ellipsoids, Gaussians
from rich.console import Console
from rich.table import Table

from skiagraph.carm import GENERIC
from skiagraph.drr.engines import runnable
from skiagraph.geometry import Grid, float64

ANGLES = [(p, s) for p in (-45.0, 0.0, 45.0) for s in (-10.0, 0.0, 10.0)]


def main() -> None:
    grid = Grid.centred((400, 512, 512), (0.8, 0.8, 0.8))
    rng = torch.Generator().manual_seed(0)
    wide = Ellipsoids.draw(45, 150.0, rng)
    smooth = Gaussians(float64([[20.0, -15, 10], [-30, 25, -20]]), float64([25.0, 30.0]), float64([0.02, 0.015]))
    table = Table(
        "phantom", "engine", "relative RMSE, worst of 9 views", "mean", "bias of the sum, worst", "seconds a view"
    )
    carm = GENERIC.with_pixels(256)
    for name, phantom in (("45 ellipsoids", wide), ("smooth blobs", smooth)):
        field = phantom.voxels(grid)[None]
        for engine, integrate in runnable().items():
            if engine == "fastest":
                continue
            errors, biases, began = [], [], time.perf_counter()
            for angles in ANGLES:
                view = carm.aimed_at(grid.center, *angles)
                exact = phantom.integral(view)
                found = integrate(field, grid, view)[0].double()
                errors.append(float((found - exact).norm() / exact.norm()))
                biases.append(abs(float(found.sum() / exact.sum()) - 1))
            seconds = (time.perf_counter() - began) / len(ANGLES)
            row = (f"{max(errors):.2e}", f"{sum(errors) / len(errors):.2e}", f"{max(biases):.1e}", f"{seconds:.2f}")
            table.add_row(name, engine, *row)
    Console().print(table)


if __name__ == "__main__":
    main()
