"""Images as ITK reads and writes them: LPS millimetres, NIfTI's RAS crossed on the way."""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import Grid
from skiagraph.io.files import decoding, one_line, suffix_of, there, writing
from skiagraph.io.metaimage import check_metaimage
from skiagraph.io.nifti import check_nifti, check_numbers

READABLE = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".seg.nrrd", ".mha", ".mhd")
WRITABLE = (".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha")
_NRRD_SPACES = ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior")
_MOST_VOXELS = 4_000_000_000
_MOST_PACKED = 1100
"""Voxels a byte of a file: what gzip reaches at best, on bytes that are all the same."""


def read_itk(path: Path, wanted: str) -> sitk.Image:
    """A 3D image of one number a voxel whose place in the body is known; 4D with a single time counts as 3D."""
    reader = opened(path, wanted)
    size = reader.GetSize()
    if reader.GetNumberOfComponents() != 1:
        raise DataError(f"{path} has {reader.GetNumberOfComponents()} numbers a voxel; give an image of one channel")
    if len(size) < 3 or min(size[:3]) < 2:
        raise DataError(f"{path} is a picture of {' x '.join(map(str, size))} voxels; give a 3D volume")
    if any(n > 1 for n in size[3:]):
        raise DataError(f"{path} has {' x '.join(map(str, size))} voxels, several volumes; give one 3D volume")
    check_size(path, size)
    if suffix_of(path) in (".nii", ".nii.gz"):
        check_nifti(path)
    if suffix_of(path) in (".nrrd", ".nhdr", ".seg.nrrd"):
        _check_space(reader, path)
    if len(size) > 3:
        reader.SetExtractSize([*size[:3], *[0] * (len(size) - 3)])
    with decoding(path, wanted):
        return reader.Execute()


def opened(path: Path, wanted: str) -> sitk.ImageFileReader:
    """A reader that has read the header, and nothing that ITK would not survive."""
    there(path, wanted)
    if suffix_of(path) in (".mha", ".mhd"):
        check_metaimage(path)
    reader = sitk.ImageFileReader()
    with decoding(path, wanted):
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
    return reader


def check_size(path: Path, size: tuple[int, ...]) -> None:
    """Raise DataError if a header claims more voxels than its file can hold, before memory is asked for."""
    voxels = math.prod(size)
    if voxels > _MOST_VOXELS:
        raise DataError(f"{path} says it has {' x '.join(map(str, size))} voxels; give at most {_MOST_VOXELS:g}")
    if suffix_of(path) not in (".mhd", ".nhdr") and voxels > _MOST_PACKED * path.stat().st_size:
        raise DataError(
            f"{path} says it has {' x '.join(map(str, size))} voxels, more than fit; it is broken, copy it again"
        )


def _check_space(reader: sitk.ImageFileReader, path: Path) -> None:
    space = reader.GetMetaData("NRRD_space") if reader.HasMetaDataKey("NRRD_space") else "none"
    if space not in _NRRD_SPACES:
        raise GeometryError(
            f"{path} does not say how its voxels lie in the body (NRRD space: {space}); give space "
            f"{_NRRD_SPACES[0]} and space directions"
        )


def grid_of(image: sitk.Image, path: Path) -> Grid:
    """The lattice of a 3D image, kept where the file says it is."""
    direction = np.reshape(image.GetDirection(), (3, 3))
    off = float(np.abs(direction.T @ direction - np.eye(3)).max())
    if not off <= 1e-3:
        raise GeometryError(
            f"{path}: its axes are not square to each other or not unit long (off by {off:.2g}); resample it"
        )
    spacing = image.GetSpacing()
    check_spacing(spacing, path)
    i, j, k = image.GetSize()
    return Grid.of((k, j, i), spacing, image.GetOrigin(), torch.from_numpy(direction.copy()))


def check_spacing(spacing: tuple[float, ...], path: Path) -> None:
    """Raise GeometryError unless voxels are as large as a CT's can be."""
    if not all(0.05 <= step <= 20.0 for step in spacing):
        found = " x ".join(f"{step:.4g}" for step in spacing)
        raise GeometryError(f"{path} has voxels of {found} mm; a CT has 0.05 to 20, give its spacing in millimetres")


def write_itk(path: Path, array: np.ndarray, grid: Grid) -> None:
    """An array [k, j, i] on a lattice, compressed where the format can."""
    if suffix_of(path) not in WRITABLE:
        raise DataError(f"cannot write {path.name} as a volume; give a name that ends in {', '.join(WRITABLE)}")
    direction = grid.direction
    if float((direction.T @ direction - torch.eye(3, dtype=torch.float64)).abs().max()) > 1e-3:
        raise GeometryError(
            f"the voxels of {path.name} are sheared (a tilted gantry?), which no file here holds; resample them"
        )
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin.tolist())
    image.SetDirection(_nearest_rotation(direction.numpy()).ravel().tolist())
    with writing(path) as part:
        save_itk(image, part, path)


def save_itk(image: sitk.Image, part: Path, path: Path) -> None:
    """An image on disk at `part`, in the format of its name; errors name `path`."""
    try:
        with _quiet():
            sitk.WriteImage(image, str(part), useCompression=True)
        if suffix_of(path) in (".nii", ".nii.gz"):
            check_numbers(part)  # on a full disk ITK's NIfTI writer stops without an error
    except (RuntimeError, DataError) as error:
        raise DataError(f"cannot write {path}: {one_line(error)}; is the disk full?") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """What ITK's writers print of a full disk stays away: our own error says it."""
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def _nearest_rotation(direction: np.ndarray) -> np.ndarray:
    u, _, vt = np.linalg.svd(direction)
    return np.asarray(u @ vt) if np.abs(direction.T @ direction - np.eye(3)).max() > 1e-6 else direction


def tensor_of(image: sitk.Image, path: Path) -> torch.Tensor:
    """The voxels [k, j, i] of an image: float32, or int64 if they are whole numbers in the file."""
    array = sitk.GetArrayFromImage(image)
    if np.iscomplexobj(array):
        raise DataError(f"{path} holds complex numbers; give real ones")
    if array.dtype.kind in "iu":
        return torch.from_numpy(array.astype(np.int32 if array.dtype.itemsize < 4 else np.int64))
    if not np.isfinite(array).all():
        raise DataError(f"{path} holds NaN or infinity; fill those voxels, with -1000 if they are outside the body")
    return torch.from_numpy(array.astype(np.float32))
