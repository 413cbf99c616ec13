"""A CT from a folder of DICOM slices, or one enhanced multi-frame file, placed by its own positions.

The lattice is what the positions say: columns along the row and column cosines, and the mean step from slice to
slice, which a tilted gantry shears. `Grid` holds that exactly.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Shaped
from pydicom.dataset import Dataset

from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import Grid
from skiagraph.io.dicom import has, numbers, read_dicom, read_header, stored_pixels
from skiagraph.volume import Volume

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
WANTED = "a folder of one CT series, or a slice of it"

_KEYWORDS = (
    "SeriesInstanceUID",
    "SeriesDescription",
    "Modality",
    "ImageType",
    "Rows",
    "ImagePositionPatient",
    "ImageOrientationPatient",
)


@dataclass(frozen=True)
class Slice:
    """Where one slice lies, and its pixels."""

    position: Float64[np.ndarray, "3"]
    """LPS millimetres, the centre of the first pixel."""
    along_row: Float64[np.ndarray, "3"]
    along_column: Float64[np.ndarray, "3"]
    spacing: tuple[float, float]
    """Between rows, between columns."""
    hu: Shaped[np.ndarray, "j i"]

    @property
    def normal(self) -> Float64[np.ndarray, "3"]:
        """The direction in which slices of a right-handed volume follow each other."""
        return np.cross(self.along_row, self.along_column)


@dataclass(frozen=True)
class Series:
    """The files of one CT series."""

    uid: str
    title: str
    """Its description."""
    files: tuple[Path, ...]


def series_in(folder: Path) -> tuple[Series, ...]:
    """The CT series in a folder and the folders in it. Raises DataError if there is none."""
    found: dict[str, list[Path]] = {}
    titles: dict[str, str] = {}
    others: Counter[str] = Counter()
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        header = read_header(file, _KEYWORDS)
        if header is None:
            continue
        if not _is_slice(header):
            others[str(header.get("Modality", "?"))] += 1
            continue
        uid = str(header.get("SeriesInstanceUID", ""))
        found.setdefault(uid, []).append(file)
        titles[uid] = str(header.get("SeriesDescription", "")) or "no description"
    if not found:
        there = ", ".join(f"{count} {modality}" for modality, count in others.items()) or "no DICOM file"
        raise DataError(f"{folder} holds {there} but no CT slices; give {WANTED}")
    return tuple(Series(uid, titles[uid], tuple(files)) for uid, files in found.items())


def read_series(series: Series, path: Path) -> Volume:
    """The CT that a series makes up; `path` is named in errors."""
    header = read_header(series.files[0], _KEYWORDS)
    if header is not None and header.SOPClassUID in ENHANCED_CT:
        if len(series.files) > 1:
            raise DataError(f"{path} holds {len(series.files)} enhanced CT files of one series; give one of the files")
        return volume_of(_frames(series.files[0]), series.files[0])
    return volume_of([_slice(file) for file in series.files], path)


def read_ct_series(path: Path, series: str | None = None) -> Volume:
    """The CT of a series in a folder, of the series a file belongs to, or of an enhanced file.

    Raises DataError naming the series if a folder holds several and `series`, a Series Instance UID, picks none.
    """
    if path.is_file():
        header = read_header(path, _KEYWORDS)
        if header is None:
            raise DataError(f"{path} is not DICOM, or cut short; give {WANTED}")
        if header.SOPClassUID in ENHANCED_CT:
            return volume_of(_frames(path), path)
        if header.SOPClassUID != CT_IMAGE:
            raise DataError(f"{path} is {header.get('Modality', 'of no modality')}, not CT; give {WANTED}")
        return read_series(_chosen(path.parent, header.get("SeriesInstanceUID")), path.parent)
    return read_series(_chosen(path, series), path)


def volume_of(slices: Sequence[Slice], path: Path | str) -> Volume:
    """The CT that slices in any order make up. Raises if one is missing, there twice, or does not fit the others."""
    if len(slices) < 2:
        raise DataError(f"{path} holds one slice; a CT volume needs at least two, give the whole series")
    first = slices[0]
    _check_alike(slices, path)
    ordered = sorted(slices, key=lambda one: float(one.position @ first.normal))
    positions = np.stack([one.position for one in ordered])
    _check_steps(positions @ first.normal, path)
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    off = np.abs(positions - (positions[0] + np.arange(len(ordered))[:, None] * step)).max()
    if off > max(0.1 * np.linalg.norm(step), 0.1):
        raise GeometryError(f"{path}: its slices do not lie on one line (off by {off:.2g} mm); resample the series")
    matrix = np.eye(4)
    matrix[:3, 0] = first.along_row * first.spacing[1]
    matrix[:3, 1] = first.along_column * first.spacing[0]
    matrix[:3, 2] = step
    matrix[:3, 3] = positions[0]
    hu = np.stack([one.hu for one in ordered])
    return Volume(torch.from_numpy(hu), Grid(hu.shape, torch.from_numpy(matrix)))


def tilt(grid: Grid) -> float:
    """Degrees between a volume's slices and a stack square to them: the tilt of the gantry."""
    i, j, k = grid.direction.T
    return float(torch.rad2deg(torch.asin((torch.stack([i, j]) @ k).norm().clamp(max=1.0))))


def _chosen(folder: Path, series: str | None) -> Series:
    found = {one.uid: one for one in series_in(folder)}
    if series is not None and series not in found:
        raise DataError(f"no series {series} in {folder}; there are {', '.join(found)}")
    if series is None and len(found) > 1:
        listed = "; ".join(f"{uid} ({one.title}, {len(one.files)} images)" for uid, one in found.items())
        largest = max(found, key=lambda uid: len(found[uid].files))
        raise DataError(f"{folder} holds {len(found)} CT series: {listed}; pick one, such as series={largest}")
    return found[next(iter(found)) if series is None else series]


def _is_slice(header: Dataset) -> bool:
    if header.SOPClassUID in ENHANCED_CT:
        return True
    localizer = "LOCALIZER" in [str(value).upper() for value in header.get("ImageType", None) or []]
    return header.SOPClassUID == CT_IMAGE and not localizer and "Rows" in header


def _slice(file: Path) -> Slice:
    dataset = read_dicom(file)
    missing = [k for k in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing") if not has(dataset, k)]
    if missing:
        raise DataError(f"{file} has no {', '.join(missing)}; without it no one knows where the slice lies")
    return _placed(
        numbers(dataset, "ImagePositionPatient", 3, file),
        numbers(dataset, "ImageOrientationPatient", 6, file),
        numbers(dataset, "PixelSpacing", 2, file),
        _rescaled(stored_pixels(dataset, file), dataset, file),
        file,
    )


def _frames(file: Path) -> list[Slice]:
    dataset = read_dicom(file)
    pixels = stored_pixels(dataset, file)
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if pixels.ndim != 3 or len(per_frame) != len(pixels):
        raise DataError(
            f"{file} places {len(per_frame)} frames and holds pixels of shape {pixels.shape}; give a whole file"
        )

    def group(frame: Dataset, keyword: str) -> Dataset:
        items = frame.get(keyword) or shared.get(keyword)
        if not items:
            raise DataError(f"{file} has no {keyword}; give an enhanced CT whose frames are placed")
        return items[0]

    return [
        _placed(
            numbers(group(frame, "PlanePositionSequence"), "ImagePositionPatient", 3, file),
            numbers(group(frame, "PlaneOrientationSequence"), "ImageOrientationPatient", 6, file),
            numbers(group(frame, "PixelMeasuresSequence"), "PixelSpacing", 2, file),
            _rescaled(pixels[number], group(frame, "PixelValueTransformationSequence"), file),
            file,
        )
        for number, frame in enumerate(per_frame)
    ]


def _rescaled(stored: np.ndarray, dataset: Dataset, file: Path) -> np.ndarray:
    if stored.ndim != 2:
        raise DataError(f"{file} holds pixels of shape {stored.shape}; a CT slice has rows and columns of one number")
    slope = numbers(dataset, "RescaleSlope", 1, file)[0] if has(dataset, "RescaleSlope") else 1.0
    intercept = numbers(dataset, "RescaleIntercept", 1, file)[0] if has(dataset, "RescaleIntercept") else 0.0
    return (stored * slope + intercept).astype(np.float32)


def _placed(position: list[float], cosines: list[float], spacing: list[float], hu: np.ndarray, file: Path) -> Slice:
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > 1e-2 or abs(float(row @ column)) > 1e-2:
        raise GeometryError(f"{file}: the image orientation {cosines} is not two unit vectors square to each other")
    if not all(0.05 <= step <= 20.0 for step in spacing):
        raise GeometryError(f"{file} has pixels of {spacing[0]:.4g} x {spacing[1]:.4g} mm; a CT has 0.05 to 20")
    return Slice(np.array(position), row / lengths[0], column / lengths[1], (spacing[0], spacing[1]), hu)


def _check_alike(slices: Sequence[Slice], path: Path | str) -> None:
    first = slices[0]
    for one in slices[1:]:
        if one.hu.shape != first.hu.shape:
            raise GeometryError(
                f"{path} holds slices of {first.hu.shape} and of {one.hu.shape} pixels; give one series"
            )
        if not np.allclose(one.spacing, first.spacing, rtol=1e-3):
            raise GeometryError(f"{path} holds pixels of {first.spacing} mm and of {one.spacing} mm; give one series")
        turned = max(np.abs(one.along_row - first.along_row).max(), np.abs(one.along_column - first.along_column).max())
        if turned > 1e-3:
            raise GeometryError(
                f"{path} holds slices that are turned against each other; give one series of one orientation"
            )


def _check_steps(along: Float64[np.ndarray, "k"], path: Path | str) -> None:
    steps = np.diff(along)
    usual = float(np.median(steps))
    if (twins := np.flatnonzero(steps < max(0.05 * usual, 1e-3))).size:
        raise GeometryError(
            f"{path}: {twins.size} of {len(along)} slices lie where another does (first at {along[twins[0]]:.2f} mm); "
            "give one acquisition"
        )
    if (gaps := np.flatnonzero(steps > 1.5 * usual)).size:
        lost = int(sum(round(float(steps[gap]) / usual) - 1 for gap in gaps))
        raise GeometryError(
            f"{path}: {lost} slices are missing, the first after {along[gaps[0]]:.2f} mm, in a gap of "
            f"{steps[gaps[0]]:.2f} mm where {usual:.2f} is usual; give the whole series"
        )
    if (uneven := float(np.abs(steps - usual).max())) > max(0.1 * usual, 0.05):
        raise GeometryError(
            f"{path}: its slices lie {usual:.2f} mm apart, some {uneven:.2f} mm off that; resample the series"
        )
