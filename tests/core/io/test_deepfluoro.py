import h5py
import numpy as np
import pytest
import torch

from skiagraph.anatomy import canonical
from skiagraph.errors import DataError
from skiagraph.geometry import rotation
from skiagraph.io.deepfluoro import projections, read_projection, read_specimen, specimens

K = np.array([[-5257.7, 0, 767.5], [0, -5257.7, 767.5], [0, 0, 1]])
SIZE = (60, 64)
POINTS = {
    "FH-l": [45.0, 3.0, -20.0],
    "FH-r": [-45.0, 5.0, -18.0],
    "SPS-l": [2.0, -40.0, -30.0],
    "ASIS-r": [-400.0, 0, 0],
}


def k_small() -> np.ndarray:
    """The same panel binned so that 64 columns span it."""
    bin_factor = 1536 / 64
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


def landed(turn: float) -> dict[str, np.ndarray]:
    """K (R X + t), by hand."""
    camera_from_volume = extrinsic() @ np.linalg.inv(camera_to_pelvis(turn))
    pixels = {}
    for name, point in POINTS.items():
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


@pytest.mark.parametrize(("projection", "turn"), [("000", 0.0), ("001", 25.0)])
def test_landmarks_land_where_k_r_t_by_hand_puts_them(path, projection, turn):
    shot = read_projection(path, "17-1882", projection)
    body = read_specimen(path, "17-1882")
    seen = body.landmarks.seen_from(shot.view)
    torch.testing.assert_close(seen.uv, shot.keypoints.uv, rtol=0, atol=0.01)
    for name, uv in landed(turn).items():
        np.testing.assert_allclose(seen.uv[seen.names.index(canonical(name))], uv, atol=1e-6)
    assert shot.keypoints.visible.tolist() == seen.visible.tolist()
    assert not shot.keypoints.visible[shot.keypoints.names.index("right_anterior_superior_iliac_spine")]
    assert shot.view.pixel_spacing[1] == pytest.approx(0.194 * 24)
    assert shot.view.source_to_panel.item() == pytest.approx(5257.7 / 24 * 0.194 * 24)


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
