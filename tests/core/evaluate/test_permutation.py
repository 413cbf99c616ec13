import numpy as np
import pytest

from skiagraph.errors import DataError
from skiagraph.evaluate.landmarks import Table
from skiagraph.evaluate.permutation import EXACT, compared, paired


def table(errors: list[list[float]], subjects: tuple[str, ...]) -> Table:
    error = np.array(errors)
    there = np.isfinite(error)
    return Table(("a", "b"), subjects, error, ~there & False, there, there * 0.5, there & False)


def test_few_pairs_are_gone_through_one_by_one():
    assert paired(np.array([1.0])) == 1.0
    assert paired(np.array([1.0, 2.0, 3.0])) == 2 / 8
    assert paired(np.array([1.0, -2.0, 3.0])) == 6 / 8
    assert paired(np.ones(6)) == 2 / 64


def test_many_pairs_are_drawn_and_agree_with_all_of_them():
    few = np.random.default_rng(1).normal(0.4, 1.0, EXACT)
    nothing = np.append(few, 0.0)  # a pair without a difference changes nothing but the way of counting
    assert paired(nothing) == pytest.approx(paired(few), abs=0.01)


@pytest.mark.parametrize("count", [8, 20])
def test_p_is_uniform_where_there_is_no_difference(count):
    draw = np.random.default_rng(0)
    p = np.array([paired(draw.normal(0.0, 1.0, count), seed) for seed in range(150)])
    for level in (0.1, 0.25, 0.5, 0.75):
        assert (p <= level).mean() == pytest.approx(level, abs=0.1)


def test_a_subject_counts_once_however_many_landmarks_it_has():
    nan = float("nan")
    one = table([[1.0, 1.0], [5.0, nan], [5.0, nan]], ("x", "y", "z"))
    other = table([[2.0, 4.0], [6.0, nan], [8.0, nan]], ("x", "y", "z"))
    found = compared(one, other)
    assert found.difference == pytest.approx(-2.0) and found.subjects == 3 and found.p == 2 / 8
    assert compared(other, one).difference == pytest.approx(2.0)


def test_pictures_of_one_subject_are_taken_together():
    one = table([[1.0, 1.0], [3.0, 3.0]], ("x", "x"))
    other = table([[2.0, 2.0], [3.0, 3.0]], ("x", "x"))
    assert compared(one, other).subjects == 1


def test_other_subjects_cannot_be_compared():
    with pytest.raises(DataError, match="on the same"):
        compared(table([[1.0, 1.0]], ("x",)), table([[1.0, 1.0]], ("y",)))
    with pytest.raises(DataError, match="no pair"):
        paired(np.zeros(0))
