import json

import pytest
import torch

from skiagraph.active.labels import Frame, Version, as_json, from_json, points_from
from skiagraph.errors import DataError
from skiagraph.io.markups import read_keypoints
from skiagraph.volume import Keypoints

FRAME = Frame((40, 60))
POINTS = Keypoints(
    ("left_femoral_head", "right_femoral_head"),
    torch.tensor([[40.5, 20.25], [float("nan")] * 2], dtype=torch.float64),
    torch.tensor([True, False]),
)
VERSION = Version(3, "saved", "final", "anna", "2026-01-01T00:00:00+00:00", POINTS, (40, 60), {"seconds": 4.5})


def test_a_version_comes_back_from_its_file_as_it_was():
    back = from_json(json.loads(json.dumps(as_json(VERSION, FRAME))))
    for name in ("number", "event", "tag", "author", "time", "size", "about"):
        assert getattr(back, name) == getattr(VERSION, name)
    assert back.keypoints.names == POINTS.names
    assert back.keypoints.uv[0].tolist() == [40.5, 20.25]
    assert back.keypoints.visible.tolist() == [True, False]


def test_the_file_of_a_version_opens_as_slicers_markups(tmp_path):
    path = tmp_path / "label.mrk.json"
    frame = Frame((40, 60), spacing=(0.5, 0.25))
    path.write_text(json.dumps(as_json(VERSION, frame)), encoding="utf-8")
    found = read_keypoints(path, spacing=(0.5, 0.25))
    assert found.names == POINTS.names
    torch.testing.assert_close(found.uv[0], POINTS.uv[0])
    assert not found.visible[1]


@pytest.mark.parametrize("spacing", [None, (0.3, 0.7)])
def test_points_moved_in_slicer_are_pixels_again(spacing):
    frame = Frame((40, 60), spacing)
    sent = json.dumps(as_json(VERSION, frame))
    found = points_from(sent, frame)
    torch.testing.assert_close(found.uv[0], POINTS.uv[0])


def test_ras_and_lps_name_the_same_pixel():
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "controlPoints": [{"label": "FH-l", "position": [5, 6, 0]}],
    }
    there = points_from(json.dumps({"markups": [markup]}), FRAME)
    markup |= {"coordinateSystem": "RAS", "controlPoints": [{"label": "FH-l", "position": [-5, -6, 0]}]}
    torch.testing.assert_close(points_from(json.dumps({"markups": [markup]}), FRAME).uv, there.uv)
    assert there.names == ("left_femoral_head",)


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("", "no JSON"),
        ("\x00\xff\x00", "no JSON"),
        ("[1, 2]", "JSON list"),
        ("{}", "no points"),
        ('{"left_femoral_head": [1, 2, 3]}', "2 finite numbers"),
        ('{"left_femoral_head": ["1", 2]}', "2 finite numbers"),
        ('{"left_femoral_head": [NaN, 2]}', "no JSON"),
        ('{"left_femoral_head": [1e999, 2]}', "2 finite numbers"),
        ('{"left_femoral_head": [true, 2]}', "2 finite numbers"),
        ('{"left_femoral_head": [-1, 2]}', "outside the picture"),
        ('{"left_femoral_head": [60, 2]}', "outside the picture"),
        ('{"left_ear": [1, 2]}', "left_ear"),
        ('{"left_femoral_head": [1, 2], "FH-l": [2, 3]}', "two points"),
        ('{"landmarks": [{"name": 5, "uv": [1, 2]}]}', "names as text"),
        ('{"landmarks": [{"name": "FH-l"}]}', "without name or uv"),
        ('{"markups": [{"type": "ROI"}]}', "Fiducial"),
        ('{"markups": [5]}', "Fiducial"),
        ('{"markups": [{"type": "Fiducial", "coordinateSystem": "XYZ", "controlPoints": []}]}', "LPS or RAS"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_what_is_no_label_is_refused_in_words(label, says):
    with pytest.raises(DataError, match=says):
        points_from(label, FRAME)
