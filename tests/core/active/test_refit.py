import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from skiagraph.active.refit import refit
from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.bodies.shape import PelvisShape

HERE = np.zeros(14, dtype=bool)


def seen(seed: int, tilt: float = 8.0, turn: float = 6.0) -> np.ndarray:
    """The landmarks of somebody in an AP radiograph of 2 pixels a millimetre."""
    points = PelvisShape.draw(torch.Generator().manual_seed(seed)).landmarks.subset(LANDMARK_NAMES).points.numpy()
    points = Rotation.from_euler("xz", [tilt, turn], degrees=True).apply(points)
    return 2.0 * points[:, [0, 2]] * [1, -1] / (1 + points[:, 1:2] / 1000.0) + [500.0, 400.0]


@pytest.mark.parametrize("seed", range(4))
def test_a_pelvis_is_put_behind_its_own_landmarks(seed):
    uv = seen(seed)
    fitted = refit(uv, np.full(14, 2.0), ~HERE)
    off = np.linalg.norm(fitted.uv - uv, axis=1) / 2.0
    assert off.mean() < 4.0
    assert fitted.millimetre == pytest.approx(2.0, rel=0.15)


@pytest.mark.parametrize("seed", range(4))
def test_landmarks_left_out_are_where_the_others_say(seed):
    uv, sigma = seen(seed), np.full(14, 2.0)
    hidden = [2, 7, 12]
    sigma[hidden] = np.inf
    fitted = refit(uv, sigma, ~HERE)
    assert np.linalg.norm(fitted.uv - uv, axis=1)[hidden].mean() / 2.0 < 15.0


def test_one_point_far_off_does_not_pull_the_pelvis_away_but_makes_it_implausible():
    uv = seen(1)
    straight = refit(uv, np.full(14, 2.0), HERE)
    bent = uv.copy()
    bent[13] += [250.0, 100.0]
    fitted = refit(bent, np.full(14, 2.0), HERE)
    assert np.linalg.norm(fitted.uv[:13] - straight.uv[:13], axis=1).mean() < 8.0
    assert fitted.off > 2 * straight.off


def test_swapped_sides_are_less_plausible():
    uv = seen(2)
    swapped = uv.reshape(7, 2, 2)[:, ::-1].reshape(14, 2)
    assert refit(swapped, np.full(14, 2.0), HERE).off > 3 * refit(uv, np.full(14, 2.0), HERE).off


def test_two_points_suffice_and_one_does_not():
    uv, sigma = seen(3), np.full(14, np.inf)
    sigma[0] = 1.0
    assert refit(uv, sigma, ~HERE) is None
    sigma[1] = 1.0
    assert np.isfinite(refit(uv, sigma, ~HERE).uv).all()
