import numpy as np
import pytest
import torch

from skiagraph.errors import DataError, GeometryError
from skiagraph.factory.subjects import stored
from skiagraph.geometry import Grid
from skiagraph.io.datasets.ctpelvic1k import DATASET
from skiagraph.io.itk import write_itk
from skiagraph.io.volumes import write_volume

MASK = "CTPelvic1K_dataset6_Anonymized_mask/inner/dataset6_CLINIC_0001_mask_4label.nii.gz"


def mask(boxes, first_left: bool) -> np.ndarray:
    index = np.zeros((12, 14, 20), dtype=np.uint8)
    for number, name in ((1, "sacrum"), (2, "left" if first_left else "right"), (3, "right" if first_left else "left"),
                         (4, "spine")):  # fmt: skip
        index[boxes[name]] = number
    return index


@pytest.fixture
def folder(tmp_path, ct, boxes):
    data, masks = tmp_path / "CTPelvic1K_dataset6_data", tmp_path / "CTPelvic1K_dataset6_Anonymized_mask" / "inner"
    for number, first_left in ((1, True), (2, False)):
        write_volume(data / f"dataset6_CLINIC_{number:04d}_data.nii.gz", ct)
        write_itk(masks / f"dataset6_CLINIC_{number:04d}_mask_4label.nii.gz", mask(boxes, first_left), ct.grid)
    write_volume(tmp_path / "seven" / "dataset7_CLINIC_metal_0007_data.nii.gz", ct)
    write_volume(tmp_path / "seven" / "dataset7_CLINIC_metal_0008_data.nii.gz", ct)
    write_itk(tmp_path / "seven" / "CLINIC_metal_0007_mask_4label.nii.gz", mask(boxes, True), ct.grid)
    return tmp_path


def test_a_ct_is_found_with_its_mask_wherever_they_lie(folder):
    found = DATASET.find(folder)
    assert [subject.name for subject in found.subjects] == ["CLINIC_0001", "CLINIC_0002", "CLINIC_metal_0007"]
    assert not found.wrong
    assert "1 CTs with metal have no mask" in found.notes[0]
    assert [subject.name for subject in stored(folder)] == [subject.name for subject in found.subjects]


def test_a_hip_is_left_or_right_by_where_it_lies_whatever_its_number(folder, boxes):
    for subject in DATASET.find(folder).subjects:
        labels = subject.load().labels
        for name, box in (("left_hemipelvis", "left"), ("right_hemipelvis", "right"), ("upper_sacrum", "sacrum"),
                          ("vertebrae", "spine")):  # fmt: skip
            assert bool(labels.mask(name)[boxes[box]].all()), f"{subject.name}: {name}"


def test_one_hip_alone_is_told_by_the_sacrum(folder, ct, boxes):
    index = mask(boxes, True)
    index[index == 2] = 0
    write_itk(folder / MASK, index, ct.grid)
    names = DATASET.find(folder).subjects[0].load().labels.names
    assert names == {1: "upper_sacrum", 3: "right_hemipelvis", 4: "vertebrae"}


def test_what_is_not_as_published_is_said(folder, ct, boxes):
    path = folder / MASK
    index = mask(boxes, True)
    write_itk(path, index + 7 * (index == 4).astype(np.uint8), ct.grid)
    with pytest.raises(DataError, match=r"labels \[11\]"):
        DATASET.find(folder).subjects[0].load()
    write_itk(path, index, Grid(ct.grid.shape, ct.grid.world_from_ijk + torch.eye(4, dtype=torch.float64)))
    with pytest.raises(GeometryError, match="do not lie on the CT"):
        DATASET.find(folder).subjects[0].load()
    path.unlink()
    assert "dataset6_CLINIC_0001_data.nii.gz" in DATASET.find(folder).wrong[0]
    with pytest.raises(DataError, match=r"no pair.*zenodo.*licence"):
        DATASET.find(folder / "CTPelvic1K_dataset6_data")
