import json

import pytest
import torch
from matplotlib.image import imread

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.bodies import PelvisShape, Person, build_around
from skiagraph.errors import DataError
from skiagraph.io.markups import read_landmarks
from skiagraph.io.patient import write_body
from skiagraph.io.volumes import write_labels, write_volume
from skiagraph.tasks.find_landmarks import FindLandmarks
from skiagraph.tasks.request import task_from
from skiagraph.tasks.task import perform
from skiagraph.volume import Body, Labels, Volume


@pytest.fixture(scope="module")
def made() -> Body:
    return build_around(PelvisShape.draw(torch.Generator().manual_seed(5)), Person(), 3.0)


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    home = tmp_path_factory.mktemp("body")
    write_body(home, made)
    return home


def test_a_ct_is_annotated_for_slicer_with_a_picture_to_check(made, folder, tmp_path):
    task = FindLandmarks(folder, tmp_path / "found.mrk.json", picture=tmp_path / "found.png")
    assert perform(task) == [tmp_path / "found.mrk.json", tmp_path / "found.png"]
    found = read_landmarks(tmp_path / "found.mrk.json")
    assert found.names == LANDMARK_NAMES
    assert (found.points - made.landmarks.points).norm(dim=-1).mean() < 2.5
    points = json.loads((tmp_path / "found.mrk.json").read_text(encoding="utf-8"))["markups"][0]["controlPoints"]
    assert all("95 % within" in point["description"] for point in points)
    assert imread(tmp_path / "found.png")[..., 0].std() > 0.05
    assert (tmp_path / "found.run.json").is_file()


def test_a_cut_ct_with_totalsegmentators_names_leaves_what_it_does_not_show_undefined(made, tmp_path):
    grid = made.volume.grid
    first = int((made.landmarks["left_femoral_head"][2] - 20.0 - grid.origin[2]) / grid.spacing[2])
    box = (slice(first, grid.shape[0]), slice(0, grid.shape[1]), slice(0, grid.shape[2]))
    part = grid.cropped(box)
    names = {1: "hip_left", 2: "hip_right"}
    write_volume(tmp_path / "ct.nii.gz", Volume(made.volume.hu[box].clone(), part))
    index = sum(number * made.labels.mask(name) for number, name in ((1, "left_hemipelvis"), (2, "right_hemipelvis")))
    write_labels(tmp_path / "seg.nii.gz", Labels(index[box].to(torch.uint8), part, names))
    output = tmp_path / "found.mrk.json"
    FindLandmarks(tmp_path / "ct.nii.gz", output, labels=tmp_path / "seg.nii.gz").run()
    points = json.loads(output.read_text(encoding="utf-8"))["markups"][0]["controlPoints"]
    nowhere = {point["label"]: point["description"] for point in points if point["positionStatus"] == "undefined"}
    assert len(points) == 14
    assert "left_inferior_obturator_foramen" in nowhere
    assert all("expects it at" in said for said in nowhere.values())
    assert set(read_landmarks(output).names) == set(LANDMARK_NAMES) - set(nowhere)


def test_a_ct_without_labels_is_refused_with_what_to_give(folder, tmp_path):
    with pytest.raises(DataError, match=r"--labels.*TotalSegmentator"):
        FindLandmarks(folder / "ct.nii.gz", tmp_path / "found.mrk.json").run()
    assert not list(tmp_path.iterdir())


def test_endings_are_looked_at_before_any_work(folder, tmp_path):
    with pytest.raises(DataError, match=r"found\.csv"):
        FindLandmarks(folder, tmp_path / "found.csv").run()
    with pytest.raises(DataError, match=r"found\.jpg"):
        FindLandmarks(folder, tmp_path / "found.json", picture=tmp_path / "found.jpg").run()


def test_a_request_can_ask_for_it(folder, tmp_path):
    asked = {"task": "find-landmarks", "volume": str(folder), "output": str(tmp_path / "found.json")}
    assert task_from(asked) == FindLandmarks(folder, tmp_path / "found.json")
