"""The full-resolution file of the DeepFluoro data (Grupp 2020): six pelves, 366 real X-rays, poses and landmarks.

A projection's camera looks along -z: z runs from panel to source, x along columns, y along rows, and the focal
lengths of its K are negative. Landmarks and CTs are in LPS millimetres. The pelvis and each femur have a pose of their
own: the world here is the pelvis's, the CT's own, and the femora move in it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from skiagraph.anatomy import STRUCTURE_INDEX, STRUCTURE_NAMES, canonical
from skiagraph.carm import CIOS_FUSION
from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import Grid, View, float64
from skiagraph.io.datasets.dataset import Dataset, Found, Origin, Picture, Radiograph, keypoints_in, masks_of
from skiagraph.io.files import decoding, suffix_of, there
from skiagraph.io.patient import Patient, Subject
from skiagraph.io.poses import Pose, Poses
from skiagraph.io.xray import XrayImage
from skiagraph.volume import Body, Keypoints, Labels, Landmarks, Volume

ORIGIN = Origin(
    "DeepFluoro, full resolution (Grupp et al. 2020)",
    "https://doi.org/10.7281/T1/IFSXNV",
    "CC BY-NC 4.0: not for commercial use",
    "ipcai_2020_full_res_data.h5",
)

PAPER_ORDER: tuple[str, ...] = ("17-1882", "18-1109", "18-0725", "18-2799", "18-2800", "17-1905")
"""The specimens 1 to 6 of the papers; the groups of the file are in another order."""

BORDER = 50
"""Pixels at every side that the published preprocessing cuts off: the collimator's shadow."""

FEMORA = {"left_femur": "left-femur", "right_femur": "right-femur"}
"""What the file calls the bones that have a pose of their own."""

ENDINGS = (".h5", ".hdf5")


@dataclass(frozen=True, eq=False)
class Projection:
    """One real X-ray with all that is known of it."""

    image: Float[Tensor, "v u"]
    """As the panel read it: bone is dark, larger is more intensity."""
    view: View
    """In the world of the CT, where the pelvis lies."""
    keypoints: Keypoints
    masks: Shaped[Tensor, "v u"]
    """The structure each pixel shows, by its number."""
    upside_down: bool
    """Whether the head is down, so that half a turn brings it up."""
    motions: Mapping[str, Float64[Tensor, "4 4"]]
    """How far each femur lay from where the CT has it, millimetres, where enough of it is seen to know."""

    def cropped(self, border: int = BORDER) -> "Projection":
        """The same without so many pixels at every side. Raises GeometryError if nothing is left."""
        rows, columns = self.view.size
        if 2 * border >= min(rows, columns):
            raise GeometryError(f"a border of {border} pixels of {rows} x {columns} leaves none; give a smaller one")
        inner = (slice(border, rows - border), slice(border, columns - border))
        view = self.view.cropped(*inner)
        points = keypoints_in(self.keypoints.names, self.keypoints.uv - border, view.size)
        return replace(self, image=self.image[inner], view=view, keypoints=points, masks=self.masks[inner])

    def head_up(self) -> "Projection":
        """The same with the head up."""
        if not self.upside_down:
            return self
        rows, columns = self.view.size
        return replace(
            self,
            image=self.image.flip(0, 1),
            view=self.view.half_turned(),
            keypoints=replace(self.keypoints, uv=float64([columns - 1, rows - 1]) - self.keypoints.uv),
            masks=self.masks.flip(0, 1),
            upside_down=False,
        )


def specimens(path: Path) -> tuple[str, ...]:
    """The specimens in the file, in the papers' order, others after them."""
    with opened(path, ORIGIN) as file:
        found = [name for name, group in file.items() if isinstance(group, h5py.Group) and "vol" in group]
    if not found:
        raise DataError(f"{path} holds no specimens; give {ORIGIN.wanted}")
    return tuple(sorted(found, key=lambda name: (PAPER_ORDER.index(name) if name in PAPER_ORDER else 99, name)))


def projections(path: Path, specimen: str) -> tuple[str, ...]:
    """The X-rays of a specimen."""
    with opened(path, ORIGIN) as file:
        return tuple(sorted(_group(file, f"{specimen}/projections", path)))


def read_specimen(path: Path, specimen: str) -> Body:
    """A specimen's CT, labels and landmarks."""
    with opened(path, ORIGIN) as file:
        hu, grid = _lattice(file, f"{specimen}/vol", path)
        index, label_grid = _lattice(file, f"{specimen}/vol-seg/image", path)
        landmarks = _group(file, f"{specimen}/vol-landmarks", path)
        points = {canonical(name): _array(landmarks, name, path).reshape(3) for name in landmarks}
        return Body(
            Volume(torch.from_numpy(hu.astype(np.float32)), grid),
            Labels(torch.from_numpy(index.astype(np.uint8)), label_grid, _names(file, specimen)),
            Landmarks.of({name: point.tolist() for name, point in points.items()}),
        )


def read_projection(path: Path, specimen: str, projection: str) -> Projection:
    """One X-ray, its view from the ground-truth pose of the pelvis, and its landmarks as annotated."""
    with opened(path, ORIGIN) as file:
        here = f"{specimen}/projections/{projection}"
        image = _array(file, f"{here}/image/pixels", path)
        named = _group(file, f"{here}/gt-landmarks", path)
        uv = {canonical(name): _array(named, name, path).astype(np.float64).reshape(2).tolist() for name in named}
        masks = _array(file, f"{here}/gt-seg/pixels", path)
        pose = _read_pose(file, here, path)
        upside_down = _upside_down(file, here, path)
    if image.shape != pose.view.size or masks.shape != image.shape:
        raise DataError(
            f"{path}: {here} has {image.shape} pixels and masks of {masks.shape}, the file says {pose.view.size}; "
            f"give {ORIGIN.wanted}"
        )
    points = torch.tensor(list(uv.values()), dtype=torch.float64).reshape(-1, 2)
    return Projection(
        torch.from_numpy(image.astype(np.float32)),
        pose.view,
        keypoints_in(tuple(uv), points, pose.view.size),
        torch.from_numpy(masks.astype(np.uint8)),
        upside_down,
        pose.motions,
    )


def read_radiograph(path: Path, specimen: str, projection: str) -> Radiograph:
    """One X-ray as the published experiments see it: without its border, head up; 0 to 1 of the panel's 16 bits."""
    shot = read_projection(path, specimen, projection).cropped().head_up()
    picture = XrayImage(
        shot.image / 65535,
        bone="dark",
        pixel_spacing=shot.view.pixel_spacing,
        calibration="panel",
        relationship="LIN",
        view=shot.view,
        source=f"{path}: {specimen}/{projection}",
    )
    return Radiograph(
        f"{specimen}/{projection}",
        specimen,
        picture,
        shot.keypoints,
        masks_of(shot.masks, STRUCTURE_INDEX),
        STRUCTURE_NAMES,
    )


def read_poses(path: Path) -> Poses:
    """Every X-ray's view, as `read_radiograph` has it, and how the femora lay."""
    of = {}
    with opened(path, ORIGIN) as file:
        for specimen in specimens(path):
            shots = sorted(_group(file, f"{specimen}/projections", path))
            of[specimen] = tuple(_pose_seen(file, f"{specimen}/projections/{shot}", path) for shot in shots)
    given = {name: poses for name, poses in of.items() if poses}
    if not given:
        raise DataError(f"{path} holds no projection; give {ORIGIN.wanted}")
    view = next(iter(given.values()))[0].view
    return Poses(replace(CIOS_FUSION, panel_pixels=view.size, pixel_spacing=view.pixel_spacing[1]), given)


def find(path: Path) -> Found:
    """The specimens, and all their X-rays."""
    names = specimens(path)
    return Found(
        tuple(Subject(name, ORIGIN.source, partial(_patient, path, name)) for name in names),
        tuple(
            Picture(f"{name}/{shot}", partial(read_radiograph, path, name, shot))
            for name in names
            for shot in projections(path, name)
        ),
    )


def holds(path: Path) -> bool:
    """Whether a path is such a file."""
    return is_hdf5(path) and "proj-params" in keys_of(path)


def is_hdf5(path: Path) -> bool:
    """Whether a path is a file whose name ends as HDF5's do."""
    return path.is_file() and suffix_of(path) in ENDINGS


def keys_of(path: Path) -> set[str]:
    """The names at the top of an HDF5 file."""
    with opened(path, ORIGIN) as file:
        return set(file)


@contextmanager
def opened(path: Path, origin: Origin) -> Iterator[h5py.File]:
    """An HDF5 file to read from."""
    there(path, origin.wanted)
    with decoding(path, origin.wanted), h5py.File(path, "r") as file:
        yield file


DATASET = Dataset("deepfluoro", ORIGIN, holds, find)


def _patient(path: Path, specimen: str) -> Patient:
    return Patient.of(read_specimen(path, specimen))


def _upside_down(file: h5py.File, here: str, path: Path) -> bool:
    return bool(_array(file, f"{here}/rot-180-for-up", path).reshape(-1)[0])


def _pose_seen(file: h5py.File, here: str, path: Path) -> Pose:
    """The pose of an X-ray without its border and with the head up."""
    pose = _read_pose(file, here, path)
    rows, columns = pose.view.size
    view = pose.view.cropped(slice(BORDER, rows - BORDER), slice(BORDER, columns - BORDER))
    return replace(pose, view=view.half_turned() if _upside_down(file, here, path) else view)


def _read_pose(file: h5py.File, here: str, path: Path) -> Pose:
    device = _group(file, "proj-params", path)
    volume_from_world = _rigid(file, f"{here}/gt-poses/cam-to-pelvis-vol", path)
    camera_from_volume = _array(device, "extrinsic", path).astype(np.float64) @ np.linalg.inv(volume_from_world)
    rows, columns = (int(_array(device, name, path).reshape(-1)[0]) for name in ("num-rows", "num-cols"))
    view = View.from_krt(
        torch.from_numpy(_array(device, "intrinsic", path).astype(np.float64)),
        torch.from_numpy(camera_from_volume[:3, :3].copy()),
        torch.from_numpy(camera_from_volume[:3, 3].copy()),
        (rows, columns),
        float(_array(device, "pixel-col-spacing", path).reshape(-1)[0]),
    )
    motions = {}
    for name, called in FEMORA.items():
        good = file.get(f"{here}/gt-poses/{called}-good-fov")
        if good is not None and bool(np.asarray(good[()]).reshape(-1)[0]):
            femur_from_world = _rigid(file, f"{here}/gt-poses/cam-to-{called}-vol", path)
            motions[name] = torch.from_numpy(volume_from_world @ np.linalg.inv(femur_from_world))
    return Pose(view, motions)


def _rigid(file: h5py.File, name: str, path: Path) -> Float64[np.ndarray, "4 4"]:
    matrix = _array(file, name, path).astype(np.float64)
    turn = matrix[:3, :3] if matrix.shape == (4, 4) else np.zeros((3, 3))
    if not np.abs(turn @ turn.T - np.eye(3)).max() < 1e-3 or np.linalg.det(turn) < 0:
        raise DataError(f"{path}: {name} is no rigid motion; give {ORIGIN.wanted}")
    return matrix


def _lattice(file: h5py.File, here: str, path: Path) -> tuple[np.ndarray, Grid]:
    group = _group(file, here, path)
    pixels = _array(group, "pixels", path)
    if pixels.ndim != 3:
        raise DataError(f"{path}: {here} has {pixels.ndim} axes; give {ORIGIN.wanted}")
    spacing, origin = (
        _array(group, name, path).astype(np.float64).reshape(3).tolist() for name in ("spacing", "origin")
    )
    direction = torch.from_numpy(_array(group, "dir-mat", path).astype(np.float64).reshape(3, 3))
    k, j, i = pixels.shape
    return pixels, Grid.of((k, j, i), spacing, origin, direction)


def _names(file: h5py.File, specimen: str) -> dict[int, str]:
    """The hip task's names for 1 to 6, and those the file gives for others."""
    given = file.get(f"{specimen}/vol-seg/labels-def", {})
    said = {int(number): given[number][()] for number in given if number.isdigit()}
    texts = {number: text.decode() if isinstance(text, bytes) else str(text) for number, text in said.items()}
    return dict(STRUCTURE_INDEX) | {n: text for n, text in texts.items() if n not in STRUCTURE_INDEX}


def _group(file: h5py.Group, name: str, path: Path) -> h5py.Group:
    if not isinstance(file.get(name), h5py.Group):
        inside = name.split("/")[0]
        raise DataError(
            f"{path} has no {name}; it has {', '.join(file) if inside not in file else 'others'}; give {ORIGIN.wanted}"
        )
    return file[name]


def _array(file: h5py.Group, name: str, path: Path) -> np.ndarray:
    if not isinstance(file.get(name), h5py.Dataset):
        raise DataError(f"{path} has no {name} in {file.name}; give {ORIGIN.wanted}")
    return np.asarray(file[name][()])
