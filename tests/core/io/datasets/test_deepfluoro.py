import h5py
import numpy as np
import pytest
import torch
from deepfluoro_file import POINTS, SIZE, landed, write_deepfluoro

from skiagraph.anatomy import canonical
from skiagraph.errors import DataError
from skiagraph.io.datasets.deepfluoro import (
    BORDER,
    DATASET,
    projections,
    read_poses,
    read_projection,
    read_radiograph,
    read_specimen,
    specimens,
)
from skiagraph.volume import Landmarks


@pytest.fixture
def path(tmp_path):
    return write_deepfluoro(tmp_path / "full.h5")


def test_specimens_come_in_the_papers_order(path):
    assert specimens(path) == ("17-1882", "18-1109", "17-1905")
    assert projections(path, "17-1882") == ("000", "001")


def test_a_specimen_is_a_body_in_its_own_lps_place(path):
    body = read_specimen(path, "17-1882")
    assert body.volume.grid.origin.tolist() == [-90, -100, -1000]
    body.labels.check_on(body.volume)
    assert body.labels.names[1] == "left_hemipelvis"
    assert body.labels.names[7] == "Structure 7"
    assert body.landmarks["left_femoral_head"].tolist() == POINTS["FH-l"]


TURNS = pytest.mark.parametrize(("projection", "turn"), [("000", 0.0), ("001", 25.0)])


def posed(path, shot):
    """The specimen's landmarks, the femora's carried along."""
    landmarks = read_specimen(path, "17-1882").landmarks
    motion = shot.motions["left_femur"]
    moved = landmarks.moved(motion)
    name = "left_femoral_head"
    points = torch.stack([(moved if one == name else landmarks)[one] for one in landmarks.names])
    return Landmarks(landmarks.names, points)


@TURNS
def test_landmarks_land_where_k_r_t_by_hand_puts_them(path, projection, turn):
    shot = read_projection(path, "17-1882", projection)
    seen = posed(path, shot).seen_from(shot.view)
    torch.testing.assert_close(seen.uv, shot.keypoints.uv, rtol=0, atol=0.01)
    for name, uv in landed(turn).items():
        np.testing.assert_allclose(seen.uv[seen.names.index(canonical(name))], uv, atol=1e-6)
    assert shot.keypoints.visible.tolist() == seen.visible.tolist()
    assert not shot.keypoints.visible[shot.keypoints.names.index("right_anterior_superior_iliac_spine")]
    assert shot.view.pixel_spacing[1] == pytest.approx(0.194 * 24)
    assert shot.view.source_to_panel.item() == pytest.approx(5257.7 / 24 * 0.194 * 24)


@TURNS
def test_without_its_border_and_head_up_landmarks_still_land_there(path, projection, turn):
    """Picture, landmarks, masks and view are cut and turned alike."""
    raw = read_projection(path, "17-1882", projection)
    shot = read_radiograph(path, "17-1882", projection)
    assert shot.picture.pixels.shape == (SIZE[0] - 2 * BORDER, SIZE[1] - 2 * BORDER)
    seen = posed(path, raw).seen_from(shot.picture.view)
    torch.testing.assert_close(seen.uv, shot.keypoints.uv, rtol=0, atol=0.01)
    u, v = 3, 7
    far = (SIZE[0] - 1 - BORDER - v, SIZE[1] - 1 - BORDER - u) if raw.upside_down else (BORDER + v, BORDER + u)
    assert shot.picture.pixels[v, u] == raw.image[far] / 65535
    assert [bool(mask[v, u]) for mask in shot.masks] == [int(raw.masks[far]) == n for n in range(1, 7)]
    on_panel = shot.picture.view.on_panel(torch.tensor([[float(u), float(v)]], dtype=torch.float64))
    there = raw.view.on_panel(torch.tensor([[float(far[1]), float(far[0])]], dtype=torch.float64))
    torch.testing.assert_close(on_panel, there)


def test_a_femur_whose_pose_is_not_good_stays_where_the_ct_has_it(path):
    assert set(read_projection(path, "17-1882", "000").motions) == {"left_femur"}


def test_poses_are_those_of_the_radiographs_in_order(path):
    given = read_poses(path)
    assert list(given.of) == list(specimens(path))
    assert given.device.name == "cios-fusion" and given.device.panel_pixels == (60, 64)
    for pose, projection in zip(given.of["18-1109"], projections(path, "18-1109"), strict=True):
        view = read_radiograph(path, "18-1109", projection).picture.view
        assert torch.equal(pose.view.matrix(), view.matrix()) and pose.view.size == view.size
        assert set(pose.motions) == {"left_femur"}


def test_everything_in_the_file_is_found_and_read_when_its_turn_comes(path):
    found = DATASET.find(path)
    assert DATASET.holds(path)
    assert [subject.name for subject in found.subjects] == ["17-1882", "18-1109", "17-1905"]
    assert "CC BY-NC" in found.subjects[0].source
    shots = list(found.radiographs())
    assert [shot.name for shot in shots][:3] == ["17-1882/000", "17-1882/001", "18-1109/000"]
    assert {shot.subject for shot in shots} == {"17-1882", "18-1109", "17-1905"}
    assert found.subjects[1].load().landmarks["left_femoral_head"].tolist() == POINTS["FH-l"]


def test_a_pose_that_is_no_rigid_motion_is_refused(path):
    with h5py.File(path, "r+") as file:
        file["17-1882/projections/000/gt-poses/cam-to-pelvis-vol"][0, 0] = 3.0
    with pytest.raises(DataError, match="no rigid motion"):
        read_projection(path, "17-1882", "000")


def test_a_projection_keeps_its_pixels_and_says_which_way_is_up(path):
    shot = read_projection(path, "17-1882", "001")
    assert shot.upside_down
    assert not read_projection(path, "17-1882", "000").upside_down
    with h5py.File(path) as file:
        assert np.array_equal(shot.image, file["17-1882/projections/001/image/pixels"])


def test_what_the_file_does_not_hold_is_named(path, tmp_path):
    with pytest.raises(DataError, match="has no 99-9999"):
        read_specimen(path, "99-9999")
    with pytest.raises(DataError, match="has no 17-1882/projections/007"):
        read_projection(path, "17-1882", "007")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = 1
    with pytest.raises(DataError, match="no specimens"):
        specimens(tmp_path / "other.h5")
