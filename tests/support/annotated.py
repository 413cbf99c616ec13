"""A reader's points for tests of labels."""

import torch

from skiagraph.active.labels import Frame
from skiagraph.volume import Keypoints

FRAME = Frame((40, 60))


def points(shift: float = 0.0) -> Keypoints:
    names = ("left_femoral_head", "right_femoral_head", "left_greater_sciatic_notch")
    uv = torch.tensor([[40.5 + shift, 20.25], [12.0 + shift, 21.0], [float("nan")] * 2], dtype=torch.float64)
    return Keypoints(names, uv, torch.tensor([True, True, False]))
