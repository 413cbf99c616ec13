"""Pelves placed from their landmarks."""

import numpy as np
import pytest
import torch

from skiagraph.anatomy import LANDMARK_NAMES, opposites
from skiagraph.bodies.shape import PelvisShape
from skiagraph.carm import GENERIC
from skiagraph.detect.pose import DISAGREES, FEWEST, Exposure, PelvisPose, pelvic_angles, pose_of
from skiagraph.geometry import float64, rigid, rotation
from skiagraph.planning import PelvicFrame
from skiagraph.volume import Keypoints, Landmarks

SIZE = (800, 1000)
SURE = torch.full((14,), 0.9)
FILM = Exposure.usual(SIZE, (0.43, 0.43), 1100.0)


@pytest.fixture(scope="module")
def mean() -> Landmarks:
    return PelvisShape.of(np.zeros(0)).landmarks.subset(LANDMARK_NAMES)


def lying(landmarks: Landmarks, turn: float, tilt: float, obliquity: float) -> Landmarks:
    turned = rotation("z", turn) @ rotation("x", tilt) @ rotation("y", obliquity)
    return landmarks.moved(rigid(turned, float64([0, 0, 0]), float64([9, -20, 14])))


def placed(keypoints: Keypoints, exposure: Exposure = FILM, sure: torch.Tensor = SURE) -> PelvisPose:
    found = pose_of(keypoints, sure, exposure)
    assert found is not None
    return found


def apart(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return max(abs((a - b + 180) % 360 - 180) for a, b in zip(one, other))


@pytest.mark.parametrize("pose", [(0, 0, 0), (14, 8, -5), (-30, -15, 6), (45, 0, 0)])
def test_the_mean_pelvis_is_found_as_it_lies(mean, pose):
    there = lying(mean, *pose)
    found = placed(there.seen_from(FILM.view))
    assert apart(found.angles, pelvic_angles(FILM.view, PelvicFrame.of(there))) < 1.0
    off = (found.landmarks.points - there.points).abs()
    # Along the beam a larger pelvis looks like a nearer one.
    assert off[:, [0, 2]].max() < 2.0 and off[:, 1].max() < 12.0
    assert found.rms < 0.5 and not found.disagreeing.any() and found.plausibility > 0.9


def test_an_ap_of_a_c_arm_and_an_ap_radiograph_are_at_zero_and_said_to_be_from_either_side(mean):
    behind = Exposure.known(GENERIC.with_pixels(500).aimed_at(float64([0.0, 0.0, 0.0])))
    before = placed(mean.seen_from(FILM.view))
    after = placed(mean.seen_from(behind.view), behind)
    assert apart(before.angles, (0, 0, 0)) < 1.0 and apart(after.angles, (0, 0, 0)) < 1.0
    assert before.from_front and not after.from_front


def test_the_size_of_pixels_is_found_from_the_pelvis(mean):
    there = lying(mean, 5, 5, 0)
    found = placed(there.seen_from(FILM.view), Exposure.usual(SIZE))
    assert found.pixel == pytest.approx(placed(there.seen_from(FILM.view)).pixel, rel=0.02)
    assert found.assumed and not Exposure.known(FILM.view).assumed


@pytest.mark.parametrize("wrong", [(0,), (2, 9), (3, 6, 13)])
def test_wrong_points_are_named_and_move_the_pelvis_little(mean, wrong, rng):
    there = lying(mean, 8, 10, 3)
    keypoints = there.seen_from(FILM.view)
    noise = 2.0 * torch.randn(14, 2, generator=rng, dtype=torch.float64)
    uv = keypoints.uv + noise
    for place in wrong:
        uv[place] += 150 * torch.nn.functional.normalize(torch.randn(2, generator=rng, dtype=torch.float64), dim=0)
    found = placed(Keypoints(keypoints.names, uv, keypoints.visible))
    assert found.disagreeing.nonzero()[:, 0].tolist() == list(wrong)
    assert apart(found.angles, pelvic_angles(FILM.view, PelvicFrame.of(there))) < 8.0
    assert found.plausibility == 0.0


def test_points_that_are_no_pelvis_are_not_plausible(rng):
    scattered = Keypoints(LANDMARK_NAMES, 700 * torch.rand(14, 2, generator=rng, dtype=torch.float64),
                          torch.ones(14, dtype=torch.bool))  # fmt: skip
    assert placed(scattered).plausibility == 0.0


def test_people_of_the_shape_model_are_plausible_and_their_angles_within_what_is_said(rng):
    off, plausible = [], []
    for _ in range(3):
        there = lying(
            PelvisShape.draw(rng).landmarks.subset(LANDMARK_NAMES), *(6 * torch.randn(3, generator=rng)).tolist()
        )
        keypoints = there.seen_from(FILM.view)
        uv = keypoints.uv + 5.0 * torch.randn(14, 2, generator=rng, dtype=torch.float64)
        found = placed(Keypoints(keypoints.names, uv, keypoints.visible), Exposure.usual(SIZE))
        true = pelvic_angles(FILM.view, PelvicFrame.of(there))
        off.append((np.array(found.angles) - true) / found.spread.numpy())
        plausible.append(found.plausibility)
    assert np.mean(np.abs(off) < 2) > 0.8 and min(plausible) > 0.01


def test_an_unsure_point_counts_for_less(mean):
    there = lying(mean, 0, 0, 0)
    keypoints = there.seen_from(FILM.view)
    uv = keypoints.uv.clone()
    uv[12, 0] += 20.0
    moved = Keypoints(keypoints.names, uv, keypoints.visible)
    unsure = SURE.clone()
    unsure[12] = 0.05
    true = pelvic_angles(FILM.view, PelvicFrame.of(there))
    assert apart(placed(moved, sure=unsure).angles, true) < apart(placed(moved).angles, true)


def test_a_mirrored_pelvis_is_seen_from_behind(mean):
    keypoints = mean.seen_from(FILM.view)
    swapped = Keypoints(keypoints.names, keypoints.uv[opposites(keypoints.names)], keypoints.visible)
    assert not placed(swapped).from_front


def test_the_matrix_takes_points_of_the_pelvis_to_the_picture(mean):
    there = lying(mean, 14, 8, -5)
    found = placed(there.seen_from(FILM.view))
    frame = found.frame
    inside = (found.landmarks.points - found.middle) @ frame.world_from_pelvis
    pixel = inside @ found.pixel_from_pelvis[:, :3].T + found.pixel_from_pelvis[:, 3]
    torch.testing.assert_close(pixel[:, :2] / pixel[:, 2:], found.view.project(found.landmarks.points))


def test_too_few_points_are_no_pose(mean):
    keypoints = mean.seen_from(FILM.view)
    few = torch.arange(14) < FEWEST - 1
    assert pose_of(Keypoints(keypoints.names, keypoints.uv, few), SURE, FILM) is None
    enough = placed(Keypoints(keypoints.names, keypoints.uv, torch.arange(14) < FEWEST))
    assert enough.residuals.isfinite().sum() == FEWEST and enough.residuals.nan_to_num().max() < DISAGREES
