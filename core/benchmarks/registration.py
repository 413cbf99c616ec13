"""How well a body is found again in a realistic X-ray of it: 20 poses about 15 mm off, body of 2 mm voxels.

The X-ray is ours (realistic, noise and scatter), what is compared with it is the heuristic picture of the same body:
no real patient, no other patient's CT. Run with `make bench-registration`; a minute.
"""

import time

import torch
from rich.console import Console
from rich.table import Table

import skiagraph as sg
from skiagraph.bodies import Person, build
from skiagraph.drr.display import attenuation
from skiagraph.geometry import float64, rigid, rotation, transform
from skiagraph.register.image import register

TRIALS = 20


def main() -> None:
    rng = torch.Generator().manual_seed(0)
    table = Table(
        "view",
        "n",
        "start, mm",
        "found: mean of landmarks, mm",
        "worst",
        "on the panel, px of 384",
        "trusted",
        "pictures",
        "CPU s",
    )
    for name in ("ap", "left_obturator_oblique"):
        body = build(Person.draw(rng), 2.0)
        center = body.volume.grid.center
        view = sg.plan(sg.standard_view(name), sg.GENERIC.with_pixels(384), body.landmarks, center).view
        phantom, real = sg.HEURISTIC.decompose(body.volume), sg.REALISTIC.decompose(body.volume)
        points = body.landmarks.points
        starts, ends, pixels, trusted, pictures, seconds = [], [], [], 0, 0, 0.0
        for _ in range(TRIALS // 2):
            draw = torch.randn(6, generator=rng, dtype=torch.float64)
            x, y, z = (3 * draw[:3]).tolist()
            turn = rotation("x", x) @ rotation("y", y) @ rotation("z", z)
            motion = rigid(turn, center, draw[3:] * float64([8.0, 12.0, 8.0]))
            xray = sg.REALISTIC(real, view.moved(torch.linalg.inv(motion)), rng)
            began = time.process_time()
            found = register(phantom, view, attenuation(xray))
            seconds += time.process_time() - began
            true, ours = transform(motion, points), transform(found.world_from_body, points)
            starts.append(float((points - true).norm(dim=1).mean()))
            ends.append(float((ours - true).norm(dim=1).mean()))
            pixels.append(float((view.project(ours) - view.project(true)).norm(dim=1).mean()))
            trusted += found.trusted
            pictures += found.evaluations
        n = len(ends)
        mean = [sum(values) / n for values in (starts, ends, pixels)]
        row = (f"{mean[0]:.1f}", f"{mean[1]:.2f}", f"{max(ends):.2f}", f"{mean[2]:.2f}", f"{trusted}")
        table.add_row(name, str(n), *row, f"{pictures / n:.0f}", f"{seconds / n:.1f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
