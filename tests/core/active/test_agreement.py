import numpy as np
import pytest
import torch
from annotated import FRAME, points

from skiagraph.active.agreement import apart, between_readers, of_model, report
from skiagraph.volume import Keypoints


def at(u: float, v: float, seen: bool = True) -> Keypoints:
    return Keypoints(("left_femoral_head",), torch.tensor([[u, v]], dtype=torch.float64), torch.tensor([seen]))


def test_distances_are_parts_of_the_longer_side():
    (row,) = apart([(at(0, 0), at(3, 4), 100.0)])
    assert row.distances.tolist() == [0.05]


def test_the_error_of_one_reading_is_found_from_two():
    rng = np.random.default_rng(0)
    readings = rng.normal(scale=2.0, size=(4000, 2, 2)) + 50
    (row,) = apart([(at(*one), at(*other), 1.0) for one, other in readings])
    assert row.error == pytest.approx(2.0, rel=0.03)


def test_a_point_that_only_one_reader_sees_is_disputed_and_has_no_distance():
    (row,) = apart([(at(0, 0), at(3, 4, seen=False), 100.0), (at(0, 0, False), at(3, 4, False), 100.0)])
    assert (row.disputed, len(row.distances)) == (1, 0)
    assert report([row])["landmarks"][0] == {"name": "left_femoral_head", "pairs": 0, "disputed": 1}


def test_readers_of_one_picture_are_compared_and_the_model_with_each(store):
    store.save("one", points(), FRAME, "model", "original")
    store.save("one", points(3.0), FRAME, "anna")
    store.save("one", points(9.0), FRAME, "ben")
    store.save("two", points(), FRAME, "ben")
    readers = {row.name: row for row in between_readers(store)}
    assert readers["left_femoral_head"].distances.tolist() == pytest.approx([6 / 60])
    model = {row.name: row for row in of_model(store)}
    assert model["left_femoral_head"].distances.tolist() == pytest.approx([3 / 60, 9 / 60])
