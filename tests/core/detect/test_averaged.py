"""Several looks at one picture."""

from dataclasses import dataclass

import pytest
import torch

from skiagraph.detect.averaged import LOOKS, Averaged, Look
from skiagraph.detect.detector import Findings
from skiagraph.geometry import float64
from skiagraph.volume import Keypoints

NAMES, PARTS = ("left_femoral_head", "right_femoral_head"), ("left_femur", "right_femur")
SIZE = (60, 90)


@dataclass(frozen=True)
class OfTwoDots:
    """Says that the brighter dot is the left head if it lies to the right, as on a radiograph; and the other way."""

    wobble: float = 0.0

    def __call__(self, picture):
        half = picture.shape[1] // 2
        at = []
        for part, first in ((picture[:, half:], half), (picture[:, :half], 0)):
            weight = part.clamp(min=0.2) - 0.2
            v, u = torch.meshgrid(torch.arange(part.shape[0]), torch.arange(part.shape[1]) + first, indexing="ij")
            at.append([float((u * weight).sum() / weight.sum()), float((v * weight).sum() / weight.sum())])
        masks = torch.stack([picture > 0.2, picture > 0.2])
        masks[0, :, :half], masks[1, :, half:] = False, False
        uv = float64(at) + self.wobble * float(picture.sum() % 1)
        return Findings(Keypoints(NAMES, uv, torch.tensor([True, True])), torch.tensor([0.9, 0.8]), masks, PARTS)


@pytest.fixture
def picture() -> torch.Tensor:
    v, u = torch.meshgrid(torch.arange(SIZE[0]).float(), torch.arange(SIZE[1]).float(), indexing="ij")
    return torch.exp(-((u - 66) ** 2 + (v - 21) ** 2) / 50) + torch.exp(-((u - 22) ** 2 + (v - 37) ** 2) / 50)


@pytest.mark.parametrize("look", [*LOOKS, Look(0.8, 25.0, (0.05, -0.1), True)])
def test_points_come_back_from_every_look(look, rng):
    uv = 60 * torch.rand(7, 2, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(look.back(look.onto(uv, SIZE), SIZE), uv)


@pytest.mark.parametrize("look", LOOKS)
def test_pictures_go_where_their_points_go(look, picture):
    there = look.onto(float64([[66.0, 21.0]]), SIZE)[0]
    put = look.put(picture[None])[0]
    v, u = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    near = put * (((u - there[0]) ** 2 + (v - there[1]) ** 2) < 200)
    middle = torch.stack([(u * near).sum(), (v * near).sum()]) / near.sum()
    assert float((middle - there).norm()) < 0.3
    torch.testing.assert_close(look.taken_back(put[None])[0][15:45, 15:75], picture[15:45, 15:75], atol=0.03, rtol=0)


def test_left_stays_left_when_the_picture_is_mirrored(picture):
    found = Averaged(OfTwoDots())(picture)
    torch.testing.assert_close(found.findings.keypoints.uv, float64([[66.0, 21.0], [22.0, 37.0]]), atol=0.4, rtol=0)
    assert found.spread.max() < 0.7
    assert found.findings.masks[0, 21, 66] and not found.findings.masks[0, 37, 22]


def test_a_detector_that_wavers_spreads(picture):
    assert (Averaged(OfTwoDots(8.0))(picture).spread > Averaged(OfTwoDots())(picture).spread).all()
