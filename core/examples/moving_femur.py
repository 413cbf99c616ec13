"""A hip that flexes before the C-arm: the femur turns about its own head, and takes label and landmark along."""

import torch

import skiagraph as sg
from skiagraph.bodies import Person, build
from skiagraph.drr.project import project_labels
from skiagraph.drr.scene import articulated
from skiagraph.geometry import rigid

body = build(Person(), spacing=4.0)
view = sg.GENERIC.with_pixels(192).aimed_at(body.landmarks["left_femoral_head"])
for abduction in (0.0, 15.0, 30.0):
    turn = rigid(sg.rotation("y", -abduction), about=body.landmarks["left_femoral_head"])
    scene = articulated(body, sg.REALISTIC.decompose, {"left_femur": turn})
    xray = sg.REALISTIC(scene.phantoms, view, torch.Generator().manual_seed(0))
    shadow = project_labels(scene.labels, view, ["left_femur"])
    print(f"{abduction:4.0f}°: femur's shadow {shadow.areas[0] / 100:.0f} cm², mean transmission {xray.mean():.3f}")
