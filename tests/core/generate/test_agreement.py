import math

import pytest
import torch

from skiagraph.bodies import Person, build
from skiagraph.generate.agreement import edges_agree
from skiagraph.generate.frame import Frame, framed
from skiagraph.io.patient import Patient


@pytest.fixture(scope="module")
def body():
    return framed(Patient.of(build(Person(), 4.0)), Frame(4.0))


def test_labels_that_sit_on_bone_agree_and_those_moved_aside_do_less(body):
    right = edges_agree(body.hu, body.index)
    aside, further = (edges_agree(body.hu, torch.roll(body.index, voxels, 2)) for voxels in (2, 4))
    assert right > 0.75
    assert right - 0.15 > aside > further


def test_a_ball_of_bone_agrees_and_one_of_soft_tissue_does_not():
    grid = torch.stack(torch.meshgrid(*[torch.arange(20.0)] * 3, indexing="ij"))
    ball = ((grid - 9.5).norm(dim=0) < 6).to(torch.uint8)
    assert edges_agree(40 + 300.0 * ball, ball) == 1.0
    assert edges_agree(torch.full((20, 20, 20), 40.0), ball) == 0.0
    assert math.isnan(edges_agree(torch.zeros(20, 20, 20), torch.zeros_like(ball)))
