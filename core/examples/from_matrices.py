"""An X-ray from somebody else's K, R and t, and proof that points land where those say."""

import torch

import skiagraph as sg
from skiagraph.bodies import Person, build

body = build(Person(), spacing=4.0)
k = torch.tensor([[-5257.73 / 8, 0, 95.5], [0, -5257.73 / 8, 95.5], [0, 0, 1]], dtype=torch.float64)
r = sg.rotation("x", 90.0)
t = torch.tensor([0.0, 0.0, -700.0], dtype=torch.float64) - r @ body.volume.grid.center

view = sg.View.from_krt(k, r, t, size=(192, 192), pixel_spacing=0.194 * 8)
xray = sg.NAIVE(sg.NAIVE.decompose(body.volume), view)

by_hand = body.landmarks.points @ r.T + t
by_hand = (by_hand @ k.T)[:, :2] / by_hand[:, 2:]
assert (view.project(body.landmarks.points) - by_hand).abs().max() < 1e-6
print(f"{tuple(xray.shape)} pixels, transmission {xray.min():.4f} to {xray.max():.4f}")
