import numpy as np
import pytest

from skiagraph.errors import DataError
from skiagraph.evaluate.conformal import Circles, radius
from skiagraph.evaluate.landmarks import Table


def table(errors: np.ndarray) -> Table:
    cases, landmarks = errors.shape
    nothing, all_of_it = np.zeros(errors.shape, dtype=bool), np.ones(errors.shape, dtype=bool)
    names = tuple(f"left_{n}" for n in range(landmarks))
    return Table(names, tuple(map(str, range(cases))), errors, nothing, all_of_it, np.ones(errors.shape), nothing)


def test_the_radius_is_the_rank_of_angelopoulos_and_bates():
    errors = np.arange(1.0, 20.0)  # 19 of them: the 18th is the 0.9 quantile of 20
    assert radius(errors, 0.9) == 18.0 and radius(errors[::-1], 0.9) == 18.0


def test_too_few_errors_bound_nothing():
    assert radius(np.arange(8.0), 0.9) == np.inf and radius(np.zeros(0), 0.5) == np.inf


def test_on_new_pictures_of_the_same_kind_circles_hold_what_they_should():
    rng = np.random.default_rng(0)
    held = [
        Circles.of(table(rng.rayleigh([1.0, 4.0], (60, 2))), 0.8).covered(table(rng.rayleigh([1.0, 4.0], (60, 2))))
        for _ in range(300)
    ]
    assert np.mean(held) + 0.005 >= 0.8 and np.mean(held) < 0.8 + 1 / 61 + 0.01


def test_each_landmark_has_its_own_circle_and_coverage():
    errors = np.stack([np.linspace(0, 1, 99), np.linspace(0, 10, 99)], axis=1)
    circles = Circles.of(table(errors), 0.9)
    assert circles.radii["left_1"] == pytest.approx(10 * circles.radii["left_0"])
    assert circles.coverage(table(2 * errors))["left_0"] == pytest.approx(0.45, abs=0.02)


@pytest.mark.parametrize("share", [0.0, 1.0, 90.0])
def test_shares_that_are_none_are_refused(share):
    with pytest.raises(DataError, match="between 0 and 1"):
        Circles.of(table(np.ones((3, 1))), share)
