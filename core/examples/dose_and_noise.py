"""A fidelity is a value: the same view at four doses, and the noise each leaves."""

from dataclasses import replace

import torch

import skiagraph as sg
from skiagraph.bodies import Person, build

body = build(Person(), spacing=4.0)
view = sg.GENERIC.with_pixels(192).aimed_at(body.volume.grid.center)
phantom = sg.REALISTIC.decompose(body.volume)
for photons in (1e3, 1e4, 1e5, 1e6):
    renderer = replace(sg.REALISTIC, panel=replace(sg.REALISTIC.panel, photons=photons, aim=0.0))
    first, second = (renderer(phantom, view, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    noise = (first - second).std() / 2**0.5 / first.mean()
    print(f"{photons:9.0f} photons a pixel: noise {100 * noise:.2f} % of the mean")
