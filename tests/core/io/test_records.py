import json
import math

import pytest
import torch

from skiagraph.carm import GENERIC
from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import View, float64
from skiagraph.io.records import Record, read_record, write_record
from skiagraph.volume import Landmarks


@pytest.fixture
def view() -> View:
    return GENERIC.with_pixels(96).view(float64([3.0, -7.0, 911.1]), 22.5, -13.0)


@pytest.fixture
def landmarks(view) -> Landmarks:
    behind = (view.source - 50 * view.normal).tolist()
    return Landmarks.of({"left_femur": [3.0, -7.0, 911.1], "far": [900.0, 0.0, 911.0], "behind": behind})


def test_a_record_gives_back_the_view_to_the_last_bit(tmp_path, view, landmarks):
    write_record(tmp_path / "x.json", Record.of(view, landmarks, "cios-fusion", seed=3, files={"png": "x.png"}))
    back = read_record(tmp_path / "x.json")
    for part in ("source", "origin", "u_step", "v_step"):
        assert torch.equal(getattr(back.view, part), getattr(view, part))
    assert back.view.size == view.size
    assert (back.device, back.extra) == ("cios-fusion", {"seed": 3, "files": {"png": "x.png"}})
    assert (back.primary, back.secondary) == pytest.approx((22.5, -13.0))
    seen = landmarks.seen_from(view)
    assert back.keypoints.names == landmarks.names
    assert back.keypoints.visible.tolist() == seen.visible.tolist() == [True, False, False]
    assert torch.equal(back.keypoints.uv[:2], seen.uv[:2])


def test_a_landmark_behind_the_source_has_no_place_in_the_picture(tmp_path, view, landmarks):
    write_record(tmp_path / "x.json", Record.of(view, landmarks))
    marks = json.loads((tmp_path / "x.json").read_text())["landmarks"]
    assert marks[2] == {"name": "behind", "uv": None, "visible": False}
    assert math.isnan(read_record(tmp_path / "x.json").keypoints.uv[2, 0])


def test_the_matrix_in_a_record_projects_as_its_view_does(tmp_path, view, landmarks):
    write_record(tmp_path / "x.json", Record.of(view, landmarks))
    matrix = float64(json.loads((tmp_path / "x.json").read_text())["pixel_from_world"])
    pixel = matrix @ torch.cat([landmarks.points[0], float64([1.0])])
    torch.testing.assert_close(pixel[:2] / pixel[2], view.project(landmarks.points)[0])


def test_a_record_that_contradicts_itself_is_refused(tmp_path, view, landmarks):
    path = tmp_path / "x.json"
    write_record(path, Record.of(view, landmarks))
    content = json.loads(path.read_text())
    content["pixel_from_world"][0][3] += 5
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="two different views"):
        read_record(path)


@pytest.mark.parametrize(
    "change",
    [{"view": {}}, {"view": 3}, {"landmarks": [{}]}, {"landmarks": 1}, {"view": {"size": [1]}}, {"device": 3}],
)
def test_a_record_that_is_broken_is_a_data_error(tmp_path, view, landmarks, change):
    path = tmp_path / "x.json"
    write_record(path, Record.of(view, landmarks))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError):
        read_record(path)


def test_a_json_that_is_no_record_is_told_apart(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match="no view, landmarks"):
        read_record(tmp_path / "x.json")


def test_extra_fields_cannot_pass_for_the_records_own(tmp_path, view, landmarks):
    with pytest.raises(DataError, match="primary"):
        write_record(tmp_path / "x.json", Record(view, landmarks.seen_from(view), extra={"primary": 3}))


def test_a_record_is_of_one_view(tmp_path, view, landmarks):
    with pytest.raises(GeometryError, match="one view"):
        write_record(tmp_path / "x.json", Record(View.stack([view, view]), landmarks.seen_from(view)))
