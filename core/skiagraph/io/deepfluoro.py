"""The full-resolution file of the DeepFluoro data (Grupp 2020): six pelves, 366 real X-rays, poses and landmarks.

A projection's camera looks along -z: z runs from panel to source, x along columns, y along rows, and the focal
lengths of its K are negative. Landmarks and CTs are in LPS millimetres.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from skiagraph.anatomy import STRUCTURE_INDEX, canonical
from skiagraph.errors import DataError
from skiagraph.geometry import Grid, View, float64
from skiagraph.io.files import decoding, there
from skiagraph.volume import Body, Keypoints, Labels, Landmarks, Volume

WANTED = "DeepFluoro's full-resolution HDF5, ipcai_2020_full_res_data.h5"

PAPER_ORDER: tuple[str, ...] = ("17-1882", "18-1109", "18-0725", "18-2799", "18-2800", "17-1905")
"""The specimens 1 to 6 of the papers; the groups of the file are in another order."""


@dataclass(frozen=True, eq=False)
class Projection:
    """One real X-ray with all that is known of it."""

    image: Float[Tensor, "v u"]
    """As the panel read it: bone is dark, larger is more intensity."""
    view: View
    keypoints: Keypoints
    masks: Shaped[Tensor, "v u"]
    """The structure each pixel shows, by its number."""
    upside_down: bool
    """Whether the head is down, so that half a turn brings it up."""


def specimens(path: Path) -> tuple[str, ...]:
    """The specimens in the file, in the papers' order, others after them."""
    with _opened(path) as file:
        found = [name for name, group in file.items() if isinstance(group, h5py.Group) and "vol" in group]
    if not found:
        raise DataError(f"{path} holds no specimens; give {WANTED}")
    return tuple(sorted(found, key=lambda name: (PAPER_ORDER.index(name) if name in PAPER_ORDER else 99, name)))


def projections(path: Path, specimen: str) -> tuple[str, ...]:
    """The X-rays of a specimen."""
    with _opened(path) as file:
        return tuple(sorted(_group(file, f"{specimen}/projections", path)))


def read_specimen(path: Path, specimen: str) -> Body:
    """A specimen's CT, labels and landmarks."""
    with _opened(path) as file:
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
    with _opened(path) as file:
        here = f"{specimen}/projections/{projection}"
        image = _array(file, f"{here}/image/pixels", path)
        named = _group(file, f"{here}/gt-landmarks", path)
        uv = {canonical(name): _array(named, name, path).astype(np.float64).reshape(2).tolist() for name in named}
        masks = _array(file, f"{here}/gt-seg/pixels", path)
        upside_down = bool(_array(file, f"{here}/rot-180-for-up", path).reshape(-1)[0])
        view = _view(file, here, image.shape, path)
    points = torch.tensor(list(uv.values()), dtype=torch.float64).reshape(-1, 2)
    rows, columns = view.size
    inside = ((points >= -0.5) & (points <= float64([columns, rows]) - 0.5)).all(dim=-1)  # NaN compares as outside
    return Projection(
        torch.from_numpy(image.astype(np.float32)),
        view,
        Keypoints(tuple(uv), points, inside),
        torch.from_numpy(masks.astype(np.uint8)),
        upside_down,
    )


def _view(file: h5py.File, here: str, shape: tuple[int, ...], path: Path) -> View:
    device = _group(file, "proj-params", path)
    camera_from_volume = _array(device, "extrinsic", path).astype(np.float64) @ np.linalg.inv(
        _array(file, f"{here}/gt-poses/cam-to-pelvis-vol", path).astype(np.float64)
    )
    rows, columns = (int(_array(device, name, path).reshape(-1)[0]) for name in ("num-rows", "num-cols"))
    if shape != (rows, columns):
        raise DataError(f"{path}: {here} has {shape} pixels, the file says {rows} x {columns}; give {WANTED}")
    return View.from_krt(
        torch.from_numpy(_array(device, "intrinsic", path).astype(np.float64)),
        torch.from_numpy(camera_from_volume[:3, :3].copy()),
        torch.from_numpy(camera_from_volume[:3, 3].copy()),
        (rows, columns),
        float(_array(device, "pixel-col-spacing", path).reshape(-1)[0]),
    )


def _lattice(file: h5py.File, here: str, path: Path) -> tuple[np.ndarray, Grid]:
    group = _group(file, here, path)
    pixels = _array(group, "pixels", path)
    if pixels.ndim != 3:
        raise DataError(f"{path}: {here} has {pixels.ndim} axes; give {WANTED}")
    spacing, origin = (
        _array(group, name, path).astype(np.float64).reshape(3).tolist() for name in ("spacing", "origin")
    )
    direction = torch.from_numpy(_array(group, "dir-mat", path).astype(np.float64).reshape(3, 3))
    k, j, i = pixels.shape
    return pixels, Grid.of((k, j, i), spacing, origin, direction)


def _names(file: h5py.File, specimen: str) -> dict[int, str]:
    """The names the file gives; the hip task's where it gives none."""
    given = file.get(f"{specimen}/vol-seg/labels-def", {})
    said = {int(number): given[number][()] for number in given if number.isdigit()}
    texts = {number: text.decode() if isinstance(text, bytes) else str(text) for number, text in said.items()}
    return dict(STRUCTURE_INDEX) | {
        number: canonical(text) for number, text in texts.items() if number not in STRUCTURE_INDEX
    }


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    there(path, WANTED)
    with decoding(path, WANTED), h5py.File(path, "r") as file:
        yield file


def _group(file: h5py.Group, name: str, path: Path) -> h5py.Group:
    if not isinstance(file.get(name), h5py.Group):
        inside = name.split("/")[0]
        raise DataError(
            f"{path} has no {name}; it has {', '.join(file) if inside not in file else 'others'}; give {WANTED}"
        )
    return file[name]


def _array(file: h5py.Group, name: str, path: Path) -> np.ndarray:
    if not isinstance(file.get(name), h5py.Dataset):
        raise DataError(f"{path} has no {name} in {file.name}; give {WANTED}")
    return np.asarray(file[name][()])
