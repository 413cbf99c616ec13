import numpy as np
import pytest

from skiagraph.errors import DataError, GeometryError
from skiagraph.factory.subjects import showing, stored
from skiagraph.geometry import Grid
from skiagraph.io.datasets.totalsegmentator import DATASET
from skiagraph.io.itk import write_itk
from skiagraph.io.volumes import write_volume

STRUCTURES = {"hip_left": "left", "hip_right": "right", "sacrum": "sacrum", "vertebrae_L5": "spine", "liver": None,
              "vertebrae_S1": None, "femur_left": None, "vertebrae_T12": None}  # fmt: skip


def write(folder, ct, boxes, empty=()):
    write_volume(folder / "ct.nii.gz", ct)
    for name, box in STRUCTURES.items():
        index = np.zeros(ct.grid.shape, dtype=np.uint8)
        if box is not None and name not in empty:
            index[boxes[box]] = 1
        write_itk(folder / "segmentations" / f"{name}.nii.gz", index, ct.grid)


@pytest.fixture
def folder(tmp_path, ct, boxes):
    write(tmp_path / "s0011", ct, boxes)
    write(tmp_path / "s0864", ct, boxes, empty=("hip_left", "hip_right", "sacrum"))
    header = "image_id;age;gender;institute;study_type;split\n"
    rows = "s0011;49;m;C;ct pelvis;train\ns0864;73;f;A;ct thorax;test\n"
    (tmp_path / "meta.csv").write_text("\ufeff" + header + rows, encoding="utf-8")
    return tmp_path


def test_a_subject_is_a_ct_with_the_bones_that_are_in_it(folder, boxes):
    first, second = (subject.load() for subject in DATASET.find(folder).subjects)
    assert set(first.labels.names.values()) == {"left_hemipelvis", "right_hemipelvis", "upper_sacrum", "vertebrae"}
    assert bool(first.labels.mask("left_hemipelvis")[boxes["left"]].all())
    assert set(second.labels.names.values()) == {"vertebrae"}
    assert first.volume.hu.max() == 40.0


def test_those_who_show_no_pelvis_are_left_out_of_a_set_of_hips(folder, caplog):
    subjects = stored(folder)
    assert [subject.name for subject in subjects] == ["s0011", "s0864"]
    assert [subject.name for subject in showing(subjects, ["left_hemipelvis", "vertebrae"])] == ["s0011"]
    assert "1 of 2 bodies" in caplog.text
    assert len(showing(subjects, ["lesion"])) == 2
    with pytest.raises(DataError, match="none of 1 bodies"):
        showing(subjects[1:], ["left_hemipelvis"])


def test_one_subjects_folder_is_enough(folder):
    assert [subject.name for subject in stored(folder / "s0011")] == ["s0011"]


def test_what_the_table_has_and_the_folder_has_not_is_said(folder):
    (folder / "s0864" / "ct.nii.gz").unlink()
    (folder / "meta.csv").write_text("image_id;age\ns0011;1\ns0864;1\ns0900;1\n", encoding="utf-8")
    found = DATASET.find(folder)
    assert len(found.subjects) == 1
    assert "s0864 has no ct.nii.gz" in found.wrong[0] and "s0900" in found.wrong[1]


def test_a_mask_of_another_ct_is_refused(folder, ct):
    grid = Grid.of((4, 4, 4), (1, 1, 1))
    write_itk(folder / "s0011/segmentations/hip_left.nii.gz", np.ones((4, 4, 4), dtype=np.uint8), grid)
    with pytest.raises(GeometryError, match=r"lies? on other voxels|do not lie on the CT"):
        stored(folder)[0].load()
