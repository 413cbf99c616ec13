import pytest
import torch

from skiagraph.evaluate.regions import Confusion


def test_the_six_figures_are_those_of_the_four_counts():
    true, found = torch.zeros(10, 10, dtype=torch.bool), torch.zeros(10, 10, dtype=torch.bool)
    true[:4] = True  # 40
    found[2:5] = True  # 20 right, 10 wrong
    one = Confusion.of(found, true)
    assert one.sensitivity == pytest.approx(0.5, abs=1e-4) and one.specificity == pytest.approx(50 / 60, abs=1e-4)
    assert one.precision == pytest.approx(2 / 3, abs=1e-4) and one.accuracy == pytest.approx(0.7, abs=1e-4)
    assert one.f1 == pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3), abs=1e-4)
    assert one.f2 == pytest.approx(5 * 0.5 * (2 / 3) / (4 * (2 / 3) + 0.5), abs=1e-4)


def test_nothing_found_where_nothing_is_is_right():
    nothing = torch.zeros(4, 4, dtype=torch.bool)
    one = Confusion.of(nothing, nothing)
    assert one.sensitivity == one.precision == one.f1 == one.accuracy == 1.0
