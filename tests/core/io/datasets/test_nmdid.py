import numpy as np
import pytest
from slices import write_slice

from skiagraph.errors import DataError
from skiagraph.factory.subjects import stored
from skiagraph.io.datasets.nmdid import DATASET, torso
from skiagraph.io.markups import write_landmarks
from skiagraph.volume import Landmarks


def write_series(folder, uid, description, count, value):
    folder.mkdir(parents=True)
    for k in range(count):
        pixels = np.full((6, 8), value, dtype=np.int16)
        pixels[0] = 0
        write_slice(folder / f"{k:04d}.dcm", pixels, (-2.0, -2.0, float(k)), series=uid, SeriesDescription=description)


@pytest.fixture
def folder(tmp_path):
    case = tmp_path / "case-100114" / "omi-1"
    write_series(case / "STANDARD_HEAD", "1.1", "Head", 9, 1100)
    write_series(case / "THICK_TORSO", "1.2", "Torso 3.0", 4, 1200)
    write_series(case / "THIN_BONE_TORSO", "1.3", "Thorax", 6, 1300)
    write_series(case / "THIN_ST_TORSO", "1.4", "Thorax", 7, 1400)
    write_series(tmp_path / "case-100200" / "only", "2.1", "no name", 3, 1500)
    return tmp_path


def test_of_a_persons_series_the_torso_in_thin_slices_for_bone_is_taken(folder):
    assert torso(folder / "case-100114").uid == "1.3"
    patient = DATASET.find(folder).subjects[0].load()
    assert patient.volume.hu.shape == (6, 6, 8)
    assert patient.volume.hu.max() == 1300 - 1024
    assert patient.labels is None


def test_the_only_series_is_the_one(folder):
    assert DATASET.find(folder).subjects[1].load().volume.hu.shape[0] == 3


def test_people_are_found_by_their_folders_one_by_one_or_together(folder):
    assert [one.name for one in stored(folder)] == ["case-100114", "case-100200"]
    assert [one.name for one in stored(folder / "case-100200")] == ["case-100200"]
    assert "data use agreement" in stored(folder)[0].source


def test_landmarks_in_a_persons_folder_are_the_torsos(folder):
    write_landmarks(folder / "case-100114" / "landmarks.mrk.json", Landmarks.of({"left_femoral_head": [1.0, 0.0, 2.0]}))
    assert DATASET.find(folder).subjects[0].load().landmarks.names == ("left_femoral_head",)
    assert "1 of 2 people" in DATASET.find(folder).notes[0]


def test_several_series_of_which_none_is_a_torso_are_listed(tmp_path):
    write_series(tmp_path / "case-100300" / "a", "1.1", "Head", 3, 1100)
    write_series(tmp_path / "case-100300" / "b", "1.2", "Legs", 4, 1100)
    with pytest.raises(DataError, match=r"Head, 3 images; Legs, 4 images"):
        torso(tmp_path / "case-100300")
    (tmp_path / "case-100400").mkdir()
    assert DATASET.find(tmp_path).wrong == ("case-100400 is empty",)
