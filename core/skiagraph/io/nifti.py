"""What a NIfTI header says that ITK keeps to itself: whether its place is known, its numbers are, what they mean."""

import gzip
import io
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from skiagraph.errors import DataError, GeometryError
from skiagraph.io.files import decoding

_FLOATS = {16: "f4", 64: "f8"}
_BLOCK = 1 << 24
_File = gzip.GzipFile | io.BufferedReader


@dataclass(frozen=True)
class Header:
    """The few fields of a NIfTI-1 or NIfTI-2 header that we look at ourselves."""

    order: str
    """`<` or `>`, as struct and numpy write the order of bytes."""
    shape: tuple[int, ...]
    """Voxels along i, j, k, ..."""
    datatype: int
    offset: int
    bits: int
    qform_code: int
    sform_code: int
    qform: Float64[np.ndarray, "4 4"]
    """RAS millimetres from (i, j, k, 1)."""
    sform: Float64[np.ndarray, "4 4"]


def check_nifti(path: Path) -> None:
    """Raise unless a NIfTI file says where its voxels are, once, and holds finite numbers and all of them.

    ITK puts a file without orientation somewhere, and turns NaN into 0, without a word.
    """
    with decoding(path, "a NIfTI file that is whole"), _open(path) as file:
        header = _header(file.read(544), path)
        _check_placed(header, path)
        _check_data(file, header, path)


def check_numbers(path: Path) -> None:
    """Raise unless a NIfTI file holds finite numbers and all of them."""
    with decoding(path, "a NIfTI file that is whole"), _open(path) as file:
        _check_data(file, _header(file.read(544), path), path)


def label_table(path: Path) -> dict[int, str]:
    """The names of a NIfTI file's numbers in the extension of its header that Caret and TotalSegmentator write.

    Nothing if it has none or is no NIfTI file.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return {}
    with decoding(path, "a NIfTI file that is whole"), _open(path) as file:
        header = _header(file.read(544), path)
        file.seek(0)
        said = file.read(header.offset).decode("utf-8", "ignore")
    rows = re.findall(r'<Label\b[^>]*\bKey="(\d+)"[^>]*>\s*<!\[CDATA\[(.*?)\]\]>', said, re.DOTALL)
    return {int(number): name for number, name in rows}


def _open(path: Path) -> _File:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")


def _header(start: bytes, path: Path) -> Header:
    for order in "<>":
        (size,) = struct.unpack(order + "i", start[:4])
        if size == 348:
            dim = struct.unpack(order + "8h", start[40:56])
            datatype, bits = struct.unpack(order + "2h", start[70:74])
            pixdim = struct.unpack(order + "8f", start[76:108])
            offset = int(struct.unpack(order + "f", start[108:112])[0])
            codes = struct.unpack(order + "2h", start[252:256])
            quaternion, rows = struct.unpack(order + "6f", start[256:280]), struct.unpack(order + "12f", start[280:328])
            break
        if size == 540:
            datatype, bits = struct.unpack(order + "2h", start[12:16])
            dim = struct.unpack(order + "8q", start[16:80])
            pixdim = struct.unpack(order + "8d", start[104:168])
            (offset,) = struct.unpack(order + "q", start[168:176])
            codes = struct.unpack(order + "2i", start[344:352])
            quaternion, rows = struct.unpack(order + "6d", start[352:400]), struct.unpack(order + "12d", start[400:496])
            break
    else:
        raise DataError(f"{path} does not begin as NIfTI does; give a NIfTI-1 or NIfTI-2 file")
    if not 1 <= dim[0] <= 7 or min(dim[1 : 1 + dim[0]]) < 1:
        raise DataError(f"{path} says it has axes of {dim[1 : 1 + max(0, min(7, dim[0]))]} voxels; the file is broken")
    sform = np.eye(4)
    sform[:3] = np.reshape(rows, (3, 4))
    shape = tuple(int(n) for n in dim[1 : 1 + dim[0]])
    return Header(order, shape, datatype, offset, bits, codes[0], codes[1], _qform(quaternion, pixdim), sform)


def _qform(quaternion: tuple[float, ...], pixdim: tuple[float, ...]) -> Float64[np.ndarray, "4 4"]:
    b, c, d, *origin = quaternion
    a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.array([pixdim[1], pixdim[2], (-1.0 if pixdim[0] < 0 else 1.0) * pixdim[3]])
    matrix[:3, 3] = origin
    return matrix


def _check_placed(header: Header, path: Path) -> None:
    if header.qform_code <= 0 and header.sform_code <= 0:
        raise GeometryError(f"{path} does not say how its voxels lie in the body (sform and qform codes 0); set one")
    if header.sform_code > 0:
        axes = header.sform[:3, :3]
        lengths = np.linalg.norm(axes, axis=0)
        if not np.isfinite(axes).all() or lengths.min() < 1e-6:
            raise GeometryError(f"{path} has an sform of zeros or NaN; set one that spans space")
        unit = axes / lengths
        off = float(np.abs(unit.T @ unit - np.eye(3)).max())
        if off > 1e-3:
            raise GeometryError(
                f"{path}: the axes of its sform are not square to each other (off by {off:.2g}); resample it"
            )
    if header.qform_code > 0 and header.sform_code > 0 and len(header.shape) >= 3:
        far = np.array(
            [[i, j, k, 1.0] for i in (0, header.shape[0]) for j in (0, header.shape[1]) for k in (0, header.shape[2])]
        )
        apart = float(np.abs(far @ (header.sform - header.qform).T).max())
        if not apart <= 1.0:
            raise GeometryError(
                f"{path}: its sform and qform place it {apart:.3g} mm apart; set both the same or one to 0"
            )


def _check_data(file: _File, header: Header, path: Path) -> None:
    wanted = int(np.prod([float(n) for n in header.shape])) * header.bits // 8
    file.seek(header.offset)
    found = 0
    dtype = np.dtype(header.order + _FLOATS[header.datatype]) if header.datatype in _FLOATS else None
    while block := file.read(min(_BLOCK, max(0, wanted - found))):
        found += len(block)
        if dtype is not None:
            numbers = np.frombuffer(block[: len(block) // dtype.itemsize * dtype.itemsize], dtype)
            if not np.isfinite(numbers).all():
                raise DataError(
                    f"{path} holds NaN or infinity; fill those voxels, with -1000 if they are outside the body"
                )
    file.read(1)  # a gzip file's own check of its sum comes at its end
    if found < wanted:
        raise DataError(f"{path} ends after {found} of {wanted} bytes of voxels; the file is cut short, copy it again")
