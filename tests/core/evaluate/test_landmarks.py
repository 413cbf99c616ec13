import numpy as np
import pytest
import torch

from skiagraph.detect.detector import Findings
from skiagraph.errors import DataError
from skiagraph.evaluate.landmarks import Case, Curve, Table, interval, reliability
from skiagraph.evaluate.masks import agreement
from skiagraph.volume import Keypoints

NAMES = ("left_femoral_head", "right_femoral_head", "left_greater_sciatic_notch")


def case(truth: list, found: list, visible=(True, True, True), said=(True, True, True), sure=(0.9, 0.5, 0.1),
         subject="a", millimetres=0.5) -> Case:  # fmt: skip
    points = [torch.tensor(one, dtype=torch.float64) for one in (truth, found)]
    nothing = torch.zeros(0, 8, 8, dtype=torch.bool)
    keypoints = Keypoints(NAMES, points[1], torch.tensor(said))
    seen = torch.tensor(visible) & points[0].isfinite().all(dim=-1)
    return Case("x", subject, Keypoints(NAMES, points[0], seen), Findings(keypoints, torch.tensor(sure), nothing, ()),
                millimetres)  # fmt: skip


TRUTH = [[10.0, 10.0], [90.0, 10.0], [30.0, 40.0]]


def test_errors_are_in_millimetres():
    table = Table.of([case(TRUTH, [[13.0, 14.0], [90.0, 10.0], [30.0, 50.0]])])
    assert table.error.tolist() == [[2.5, 0.0, 5.0]]
    assert table.within(2.5) == pytest.approx(2 / 3) and table.recall == 1.0


def test_a_landmark_not_found_is_a_miss_however_near_it_would_have_been():
    table = Table.of([case(TRUTH, TRUTH, said=(True, False, True))])
    assert table.recall == pytest.approx(2 / 3) and table.within(10) == pytest.approx(2 / 3)
    assert len(table.counted) == 2 and len(table.all_errors) == 3


def test_what_is_not_known_counts_neither_way_and_what_is_known_to_be_absent_counts_as_invented():
    nan = float("nan")
    table = Table.of([case([TRUTH[0], [nan, nan], [300.0, 40.0]], TRUTH, visible=(True, False, False))])
    assert table.present.tolist() == [[True, False, False]] and table.absent.tolist() == [[False, False, True]]
    assert table.false_activation == 1.0


def test_left_taken_for_right_is_a_swap():
    table = Table.of([case(TRUTH, [TRUTH[1], TRUTH[0], TRUTH[2]])])
    assert table.swapped.tolist() == [[True, True, False]] and table.swap_rate == 1.0


def test_the_curve_keeps_the_surest_first():
    curve = Curve.of(Table.of([case(TRUTH, [[10.0, 12.0], [90.0, 14.0], [30.0, 52.0]])]))
    np.testing.assert_allclose(curve.error, [1.0, 1.5, 3.0])
    assert curve.at(1.0) == pytest.approx(3.0)


def test_the_interval_holds_the_mean_and_shrinks_to_it_when_all_subjects_are_alike():
    same = [case(TRUTH, [[10.0, 12.0], [90.0, 12.0], [30.0, 42.0]], subject=str(n)) for n in range(5)]
    low, high = interval(Table.of(same))
    assert low == pytest.approx(1.0) and high == pytest.approx(1.0)
    other = case(TRUTH, [[10.0, 30.0], [90.0, 30.0], [30.0, 60.0]], subject="far")
    low, high = interval(Table.of([*same, other]))
    assert low < np.mean([1, 1, 1, 1, 1, 10]) < high


def test_confidences_that_are_shares_have_no_gap():
    found = [[10.0, 10.0], [190.0, 10.0], [30.0, 40.0]]
    right = [case(TRUTH, found, sure=(1.0, 0.0, 1.0)) for _ in range(4)]
    assert reliability(Table.of(right), radius=5.0, bins=3)[1] == pytest.approx(0.0)
    wrong = [case(TRUTH, found, sure=(0.0, 1.0, 0.0)) for _ in range(4)]
    assert reliability(Table.of(wrong), radius=5.0, bins=3)[1] == pytest.approx(1.0)


def test_no_cases_is_an_error():
    with pytest.raises(DataError, match="give pictures"):
        Table.of([])


# MONAI's metrics still use what numpy calls old.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_a_mask_moved_by_two_pixels_is_two_pixels_off_at_the_95th_percentile():
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[20:40, 20:40] = True
    same, moved = agreement(mask, mask, 0.5), agreement(mask.roll(2, 0), mask, 0.5)
    assert same.dice == 1 and same.hausdorff == 0 and same.surface == 1
    assert moved.hausdorff == pytest.approx(1.0) and moved.dice == pytest.approx(0.9)
    empty = torch.zeros_like(mask)
    assert agreement(empty, empty, 0.5).dice == 1 and agreement(empty, mask, 0.5).dice == 0
