import math

import pytest
import torch

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.carm import GENERIC
from skiagraph.errors import DataError
from skiagraph.geometry import float64, rigid, rotation, transform
from skiagraph.register.pose import pose_from_landmarks, pose_from_points
from skiagraph.volume import Keypoints, Landmarks

PELVIS = {
    "left_femoral_head": (90, 0, 0), "right_femoral_head": (-90, 0, 0),
    "left_greater_sciatic_notch": (62, 44, 41), "right_greater_sciatic_notch": (-62, 44, 41),
    "left_inferior_obturator_foramen": (45, -17, -45), "right_inferior_obturator_foramen": (-45, -17, -45),
    "left_medial_obturator_foramen": (22, -33, -25), "right_medial_obturator_foramen": (-22, -33, -25),
    "left_superior_pubic_symphysis": (5, -44, -10), "right_superior_pubic_symphysis": (-5, -44, -10),
    "left_inferior_pubic_symphysis": (5, -30, -40), "right_inferior_pubic_symphysis": (-5, -30, -40),
    "left_anterior_superior_iliac_spine": (115, -48, 75), "right_anterior_superior_iliac_spine": (-115, -48, 75),
}  # fmt: skip


@pytest.fixture
def pelvis() -> Landmarks:
    return Landmarks.of(PELVIS)


def far_between(found: torch.Tensor, true: torch.Tensor, points: torch.Tensor) -> float:
    return float((transform(found, points) - transform(true, points)).norm(dim=1).max())


@pytest.mark.parametrize("angles", [(0.0, 0.0), (45.0, 10.0), (-30.0, -40.0), (90.0, 0.0), (160.0, 30.0)])
def test_a_body_that_was_turned_is_found_again(pelvis, angles):
    motion = rigid(
        rotation("z", 17) @ rotation("x", -12) @ rotation("y", 6), float64([0, 0, 0]), float64([30, 60, -20])
    )
    view = GENERIC.with_pixels(512).aimed_at(float64([10.0, 0.0, 10.0]), *angles)
    fit = pose_from_landmarks(pelvis, pelvis.moved(motion).seen_from(view), view)
    assert fit.rms < 1e-3
    assert far_between(fit.world_from_body, motion, pelvis.points) < 1e-2


def test_a_body_that_lies_on_its_face_is_found_from_other_starts(pelvis):
    motion = rigid(rotation("z", 175) @ rotation("x", 20), about=float64([0, 0, 0]))
    view = GENERIC.with_pixels(512).aimed_at(float64([0.0, 0.0, 0.0]))
    fit = pose_from_landmarks(pelvis, pelvis.moved(motion).seen_from(view), view)
    assert far_between(fit.world_from_body, motion, pelvis.points) < 1e-2


def test_points_that_are_wrong_are_left_out(pelvis):
    motion = rigid(rotation("z", 10), about=float64([0, 0, 0]))
    view = GENERIC.with_pixels(512).aimed_at(float64([0.0, 0.0, 0.0]))
    seen = pelvis.moved(motion).seen_from(view)
    wrong = seen.uv.clone()
    wrong[3] += float64([120.0, -90.0])
    wrong[8] -= float64([70.0, 30.0])
    fit = pose_from_landmarks(pelvis, Keypoints(seen.names, wrong, seen.visible), view)
    assert (~fit.used).nonzero()[:, 0].tolist() == [3, 8]
    assert far_between(fit.world_from_body, motion, pelvis.points) < 0.1


def test_the_covariance_foretells_the_spread(pelvis, rng):
    """In the shift along the beam, which one view sees worst, and in the turns, which it sees well."""
    view = GENERIC.with_pixels(512).aimed_at(float64([0.0, 0.0, 0.0]))
    exact, noise = pelvis.seen_from(view), 0.8
    shifts, foretold = [], []
    for _ in range(60):
        uv = exact.uv + noise * torch.randn(exact.uv.shape, generator=rng, dtype=torch.float64)
        fit = pose_from_points(pelvis.points, uv, view)
        middle = pelvis.points.mean(dim=0, keepdim=True)
        shifts.append((transform(fit.world_from_body, middle) - middle)[0])
        foretold.append(fit.covariance.diagonal()[3:])
    spread = torch.stack(shifts).var(dim=0).sqrt()
    expected = torch.stack(foretold).mean(dim=0).sqrt()
    assert spread[1] > 3 * spread[0], "depth is what one view sees worst"
    assert torch.allclose(spread, expected, rtol=0.35)


def test_too_few_points_are_refused(pelvis):
    view = GENERIC.aimed_at(float64([0.0, 0.0, 0.0]))
    seen = pelvis.subset(LANDMARK_NAMES[:3]).seen_from(view)
    with pytest.raises(DataError, match="needs 4"):
        pose_from_landmarks(pelvis, seen, view)
    assert math.isfinite(float(seen.uv.sum()))
