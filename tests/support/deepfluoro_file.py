"""A file laid out as DeepFluoro's, with three specimens of nothing but noise and two X-rays of each."""

from pathlib import Path

import h5py
import numpy as np

from skiagraph.geometry import rotation

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


def write_deepfluoro(path: Path) -> Path:
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
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
    return path
