import numpy as np
import pytest

from skiagraph.errors import DataError
from skiagraph.evaluate.fidelity import ENOUGH, frechet_distance, kernel_distance, overlap, told


def drawn(count: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, scale, size=(count, 4))


def test_sets_drawn_alike_are_at_no_kernel_distance():
    found = kernel_distance(drawn(400, 0), drawn(400, 1), subset=200)
    assert abs(found.distance) < 0.05 and found.subset == 200


def test_the_kernel_distance_grows_with_the_gap_and_does_not_hang_on_how_many_there_are():
    near, far = (kernel_distance(drawn(300, 0), drawn(300, 1, shift), 100).distance for shift in (0.5, 1.0))
    assert 0.1 < near < far
    few, many = (kernel_distance(drawn(600, 2), drawn(600, 3, 0.5), subset, 300) for subset in (40, 300))
    assert few.distance == pytest.approx(many.distance, abs=4 * few.error + 4 * many.error)


def test_the_frechet_distance_of_two_normal_distributions():
    ours, real = drawn(20_000, 0), drawn(20_000, 1, 0.5, 2.0)
    assert frechet_distance(ours, real) == pytest.approx(4 * (0.5**2 + (2 - 1) ** 2), rel=0.05)


def test_a_frechet_distance_of_few_is_refused():
    with pytest.raises(DataError, match=f"takes {ENOUGH}"):
        frechet_distance(drawn(100, 0), drawn(5000, 1))


def test_sets_drawn_alike_cover_each_other():
    found = overlap(drawn(500, 0), drawn(500, 1))
    assert found.precision > 0.85 and found.recall > 0.85 and found.coverage > 0.85
    assert found.density == pytest.approx(1.0, abs=0.15)


def test_a_generator_of_one_thing_is_precise_and_covers_nothing():
    real = drawn(500, 1)
    found = overlap(0.01 * drawn(500, 0), real)
    assert found.precision == 1.0 and found.recall < 0.05 and found.coverage < 0.35


def test_one_that_scatters_is_not_precise():
    found = overlap(drawn(500, 0, 0.0, 4.0), drawn(500, 1))
    assert found.precision < 0.3 and found.recall > 0.9


def test_sets_drawn_alike_are_told_to_be_near_and_to_cover_each_other():
    draw = np.random.default_rng(0)
    one, other = draw.normal(size=(60, 4)), draw.normal(size=(50, 4))
    *_, line = told({"alike": (one, other)}, 40)
    cells = line.strip("| ").split(" | ")
    assert cells[0] == "alike" and cells[-1] == "60, 50"
    assert abs(float(cells[1])) < 0.5 and float(cells[3]) > 0.5
