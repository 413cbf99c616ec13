import json
import math

import pytest
import torch

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.carm import GENERIC
from skiagraph.errors import DataError
from skiagraph.geometry import float64
from skiagraph.io.markups import read_keypoints, read_landmarks, write_keypoints, write_landmarks
from skiagraph.io.records import Record, write_record
from skiagraph.volume import Keypoints, Landmarks

KINDS = ["a.mrk.json", "a.fcsv", "a.json"]


@pytest.fixture
def landmarks() -> Landmarks:
    rng = torch.Generator().manual_seed(0)
    return Landmarks(LANDMARK_NAMES, 200 * torch.randn(14, 3, generator=rng, dtype=torch.float64))


@pytest.fixture
def keypoints() -> Keypoints:
    uv = float64([1.25, 2.5, 60.0, 40.0, -90.0, 3.0]).reshape(3, 2)
    return Keypoints(("left_femur", "a,b", "beside"), uv, torch.tensor([True, True, False]))


@pytest.mark.parametrize("name", KINDS)
def test_landmarks_come_back_as_they_were(tmp_path, landmarks, name):
    write_landmarks(tmp_path / name, landmarks)
    back = read_landmarks(tmp_path / name)
    assert back.names == landmarks.names
    assert torch.equal(back.points, landmarks.points)


@pytest.mark.parametrize("name", ["a.mrk.json", "a.fcsv"])
def test_what_is_said_of_a_landmark_is_its_description_and_one_only_spoken_of_is_nowhere(tmp_path, landmarks, name):
    some = landmarks.subset(LANDMARK_NAMES[:2])
    write_landmarks(tmp_path / name, some, {LANDMARK_NAMES[0]: "surely", LANDMARK_NAMES[5]: "out of sight"})
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert "surely" in text and "out of sight" in text
    assert read_landmarks(tmp_path / name).names == LANDMARK_NAMES[:2]


def _markup(system, **changes):
    points = [
        {"label": "FH-l", "position": [1, 2, 3]},
        {"label": "x", "position": [0, 0, 0], "positionStatus": "undefined"},
    ]
    return {"markups": [{"type": "Fiducial", "coordinateSystem": system, "controlPoints": points} | changes]}


@pytest.mark.parametrize(("system", "sign"), [("LPS", 1), ("1", 1), (1, 1), ("RAS", -1), ("0", -1), (0, -1)])
def test_slicers_coordinate_systems_meet_in_lps(tmp_path, system, sign):
    (tmp_path / "a.mrk.json").write_text(json.dumps(_markup(system)))
    rows = "# Markups fiducial file version = 4.6\n# CoordinateSystem = {}\n# columns = "
    rows += "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
    row = "vtkMRMLMarkupsFiducialNode_0,1,2,3,0,0,0,1,1,1,0,FH-l,,\n"
    (tmp_path / "a.fcsv").write_text(rows.format(system) + row)
    for name in ("a.mrk.json", "a.fcsv"):
        found = read_landmarks(tmp_path / name)
        assert found.names == ("left_femoral_head",)
        assert found.points[0].tolist() == [sign * 1, sign * 2, 3]


@pytest.mark.parametrize(
    "content",
    [
        {"FH-l": [1, 2, 3], "other": None, "_note": "by hand"},
        {"landmarks": [{"name": "FH-l", "position": [1, 2, 3]}]},
        {"landmarks": [{"name": "FH-l", "xyz": [1, 2, 3]}, {"name": "b", "xyz": None}]},
        {"landmarks": {"FH-l": [1, 2, 3]}},
    ],
)
def test_plain_json_is_read_in_every_layout(tmp_path, content):
    (tmp_path / "a.json").write_text(json.dumps(content))
    found = read_landmarks(tmp_path / "a.json")
    assert found.names == ("left_femoral_head",)
    assert found.points.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", '{"FH-l": [1, 2, 3], "left_femoral_head": [1, 2, 3]}', "two points are called"),
        ("a.json", '{"a": [1, 2]}', "3 finite numbers"),
        ("a.json", '{"a": [1, 2, NaN]}', "3 finite numbers"),
        ("a.json", '{"a": "here"}', "3 finite numbers"),
        ("a.json", '{"landmarks": [{"xyz": [1, 2, 3]}]}', "without name"),
        ("a.json", "{", "cannot read"),
        ("a.mrk.json", '{"markups": []}', "no list of points"),
        ("a.mrk.json", '{"markups": [{"type": "Line"}]}', "Line but no list"),
        ("a.mrk.json", '{"markups": 3}', "no list of markups"),
        ("a.mrk.json", json.dumps(_markup("IJK")), "LPS or RAS"),
        ("a.mrk.json", json.dumps(_markup(None)), "LPS or RAS"),
        ("a.mrk.json", json.dumps(_markup("LPS", coordinateUnits="m")), "in mm"),
        ("a.fcsv", "1,2,3\n", "CoordinateSystem"),
        ("a.fcsv", "# CoordinateSystem = 2\n", "LPS or RAS"),
        ("a.fcsv", "# CoordinateSystem = LPS\n1,2,3\n", "cut short"),
        ("a.fcsv", "# CoordinateSystem = LPS\n1,a,2,3,0,0,0,1,1,1,0,x,,\n", "cannot read"),
        ("a.txt", "hello", "not a kind"),
    ],
)
def test_points_that_cannot_be_used_are_refused_with_the_reason(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said):
        read_landmarks(tmp_path / name)


def test_landmarks_that_are_nowhere_are_not_written(tmp_path):
    with pytest.raises(DataError, match="NaN"):
        write_landmarks(tmp_path / "a.json", Landmarks.of({"a": [1, math.nan, 2]}))
    with pytest.raises(DataError, match="ends in"):
        write_landmarks(tmp_path / "a.csv", Landmarks.of({"a": [1, 1, 2]}))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("placed", ["on the panel", "on the picture", "unknown"])
def test_keypoints_come_back_and_those_not_visible_are_nowhere(tmp_path, keypoints, name, placed):
    view = GENERIC.with_pixels(128).view(float64([1.0, 2.0, 3.0]), 30.0, -20.0) if placed == "on the panel" else None
    spacing = (0.3, 0.2) if placed == "on the picture" else None
    write_keypoints(tmp_path / name, keypoints, view, spacing)
    back = read_keypoints(tmp_path / name, view, spacing)
    assert back.names == keypoints.names
    assert back.visible.tolist() == [True, True, False]
    torch.testing.assert_close(back.uv[:2], keypoints.uv[:2], rtol=0, atol=1e-9)
    assert back.uv[2].isnan().all()


def test_a_keypoint_lies_on_the_panel_where_the_ray_lands(tmp_path):
    view = GENERIC.with_pixels(128).view(float64([1.0, 2.0, 3.0]), 30.0, -20.0)
    seen = Landmarks.of({"a": [5.0, 20.0, -9.0]}).seen_from(view)
    write_keypoints(tmp_path / "a.mrk.json", seen, view)
    there = read_landmarks(tmp_path / "a.mrk.json").points[0] - view.source
    ray = float64([5.0, 20.0, -9.0]) - view.source
    torch.testing.assert_close(there / there.norm(), ray / ray.norm())


def test_without_a_view_a_keypoint_lies_where_slicer_loads_the_png(tmp_path, keypoints):
    sitk = pytest.importorskip("SimpleITK")
    from skiagraph.io.pictures import write_picture

    write_picture(tmp_path / "a.png", torch.rand(50, 70))
    write_keypoints(tmp_path / "a.mrk.json", keypoints)
    picture = sitk.ReadImage(str(tmp_path / "a.png"))
    point = read_landmarks(tmp_path / "a.mrk.json").points[0, :2].tolist()
    assert picture.TransformPhysicalPointToContinuousIndex(point) == pytest.approx((1.25, 2.5))


def test_an_absent_keypoint_keeps_its_name_in_slicers_file(tmp_path, keypoints):
    write_keypoints(tmp_path / "a.mrk.json", keypoints)
    point = json.loads((tmp_path / "a.mrk.json").read_text())["markups"][0]["controlPoints"][2]
    assert (point["label"], point["positionStatus"]) == ("beside", "undefined")


def test_keypoints_are_read_off_a_record(tmp_path):
    view = GENERIC.with_pixels(128).view(float64([1.0, 2.0, 3.0]))
    landmarks = Landmarks.of({"a": [5.0, 20.0, -9.0], "b": [900.0, 0.0, 0.0]})
    write_record(tmp_path / "x.json", Record.of(view, landmarks))
    found = read_keypoints(tmp_path / "x.json")
    assert torch.equal(found.uv, landmarks.seen_from(view).uv)
    assert found.visible.tolist() == [True, False]


def test_real_annotations_are_read(data):
    for path in sorted((data / "xray_pxr150_annotated").glob("*.json")):
        found = read_keypoints(path)
        assert set(found.names) == set(LANDMARK_NAMES)
        assert found.visible.sum() >= 6
