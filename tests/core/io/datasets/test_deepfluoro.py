import h5py
import numpy as np
import pytest
import torch

from skiagraph.anatomy import canonical
from skiagraph.errors import DataError
from skiagraph.geometry import rotation
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

K = np.array([[-5257.7, 0, 767.5], [0, -5257.7, 767.5], [0, 0, 1]])
SIZE = (160, 164)
POINTS = {
    "FH-l": [45.0, 3.0, -20.0],
    "FH-r": [-45.0, 5.0, -18.0],
    "SPS-l": [2.0, -40.0, -30.0],
    "ASIS-r": [-400.0, 0, 0],
}


def k_small() -> np.ndarray:
    """The same panel with pixels 24 times as large, and fewer of them around its middle."""
    bin_factor = 24
    k = K.copy()
    k[:2, :2] /= bin_factor
    k[:2, 2] = [(SIZE[1] - 1) / 2 + 1.5, (SIZE[0] - 1) / 2 - 2.25]
    return k


def extrinsic() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = (rotation("x", 90) @ rotation("z", 3)).numpy()
    matrix[:3, 3] = [-20.0, -2.7, -631.8]
    return matrix


def camera_to_pelvis(turn: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = (rotation("z", turn) @ rotation("y", -turn / 2)).numpy()
    matrix[:3, 3] = [1.0, 2.0, -3.0]
    return matrix


def camera_to_femur(turn: float, side: str) -> np.ndarray:
    """A femur flexed and shifted against the pelvis."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation("x", 8.0 if side == "left" else -5.0).numpy()
    matrix[:3, 3] = [0.5, -1.5, 4.0]
    return matrix @ camera_to_pelvis(turn)


def landed(turn: float) -> dict[str, np.ndarray]:
    """K (R X + t), by hand: a femoral head by its femur's pose where that is good, all else by the pelvis's."""
    pixels = {}
    for name, point in POINTS.items():
        left = name == "FH-l"
        pose = camera_to_femur(turn, "left") if left else camera_to_pelvis(turn)
        camera_from_volume = extrinsic() @ np.linalg.inv(pose)
        x = k_small() @ (camera_from_volume @ [*point, 1.0])[:3]
        pixels[name] = x[:2] / x[2]
    return pixels


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "full.h5", "w") as file:
        device = file.create_group("proj-params")
        device["extrinsic"], device["intrinsic"] = extrinsic(), k_small()
        device["num-rows"], device["num-cols"] = SIZE
        device["pixel-row-spacing"] = device["pixel-col-spacing"] = 0.194 * 24
        for specimen in ("17-1882", "17-1905", "18-1109"):
            here = file.create_group(specimen)
            for name, pixels in (
                ("vol", rng.integers(-1000, 1500, (3, 4, 5)).astype(np.int16)),
                ("vol-seg/image", rng.integers(0, 8, (3, 4, 5)).astype(np.uint8)),
            ):
                group = here.create_group(name)
                group["pixels"], group["dir-mat"] = pixels, np.eye(3)
                group["origin"], group["spacing"] = np.array([[-90.0], [-100.0], [-1000.0]]), np.ones((3, 1))
            for number in range(1, 8):
                here[f"vol-seg/labels-def/{number}"] = f"Structure {number}"
            for name, point in POINTS.items():
                here[f"vol-landmarks/{name}"] = np.array(point)[:, None]
            for number, turn in enumerate((0.0, 25.0)):
                shot = here.create_group(f"projections/{number:03d}")
                shot["image/pixels"] = rng.integers(0, 60000, SIZE).astype(np.uint16)
                shot["gt-seg/pixels"] = rng.integers(0, 7, SIZE).astype(np.uint8)
                shot["gt-poses/cam-to-pelvis-vol"] = camera_to_pelvis(turn)
                for side in ("left", "right"):
                    shot[f"gt-poses/cam-to-{side}-femur-vol"] = camera_to_femur(turn, side)
                    shot[f"gt-poses/{side}-femur-good-fov"] = int(side == "left")
                shot["rot-180-for-up"] = number
                for name, uv in landed(turn).items():
                    shot[f"gt-landmarks/{name}"] = uv.astype(np.float32)[:, None]
    return tmp_path / "full.h5"


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
