import h5py
import numpy as np
import pytest

from skiagraph.errors import DataError
from skiagraph.io.datasets.deepfluoro_small import DATASET
from skiagraph.io.datasets.registry import recognised

NAMES = ("FH-l", "FH-r", "GSN-l")


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "ipcai_2020_preprocessed_data_8x.h5", "w") as file:
        file["land-names/num-lands"] = len(NAMES)
        for number, name in enumerate(NAMES):
            file[f"land-names/land-{number:02d}"] = name
        for group in ("01", "02", "06"):
            file[f"{group}/projs"] = rng.random((2, 180, 180)).astype(np.float32)
            file[f"{group}/segs"] = rng.integers(0, 7, (2, 180, 180)).astype(np.uint8)
            lands = np.zeros((2, 2, 3), dtype=np.float32)
            lands[:, 0], lands[:, 1] = [10.0, 200.0, 30.0], [40.0, 50.0, 60.0]
            file[f"{group}/lands"] = lands
    return tmp_path / "ipcai_2020_preprocessed_data_8x.h5"


def test_groups_are_the_papers_specimens(path):
    assert recognised(path) is DATASET
    shots = list(DATASET.find(path).radiographs())
    assert [shot.subject for shot in shots] == ["17-1882"] * 2 + ["18-1109"] * 2 + ["17-1905"] * 2


def test_a_landmark_is_column_and_row_and_is_seen_if_it_lies_in_the_picture(path):
    shot = next(iter(DATASET.find(path).radiographs()))
    assert shot.keypoints.names == ("left_femoral_head", "right_femoral_head", "left_greater_sciatic_notch")
    assert shot.keypoints.uv.tolist() == [[10, 40], [200, 50], [30, 60]]
    assert shot.keypoints.visible.tolist() == [True, False, True]


def test_pixels_masks_and_spacing_are_the_files(path):
    shot = list(DATASET.find(path).radiographs())[3]
    with h5py.File(path) as file:
        assert np.array_equal(shot.picture.pixels, file["02/projs"][1])
        assert np.array_equal(shot.masks[4], file["02/segs"][1] == 5)
    assert shot.structures[4] == "left_femur" and shot.picture.bone == "bright"
    assert shot.picture.pixel_spacing == pytest.approx((8 * 0.194, 8 * 0.194))


def test_a_group_that_does_not_fit_together_is_said(path):
    with h5py.File(path, "r+") as file:
        del file["06/segs"]
    found = DATASET.find(path)
    assert len(found.pictures) == 4
    assert "group 06" in found.wrong[0]
    with h5py.File(path, "r+") as file:
        del file["01"], file["02"]
    with pytest.raises(DataError, match=r"no projections.*licence"):
        DATASET.find(path)
