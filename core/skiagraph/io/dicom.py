"""DICOM files, read so that what is wrong with them is said in one line."""

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from skiagraph.errors import DataError
from skiagraph.io.files import decoding, one_line, there


@contextmanager
def quiet() -> Iterator[None]:
    """pydicom warns of every small break of the standard in the files it is given; those are not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_dicom(path: Path, wanted: str = "a DICOM file") -> Dataset:
    """A DICOM file, whole."""
    there(path, wanted)
    with quiet(), decoding(path, wanted):
        dataset = _converted(pydicom.dcmread(path, force=_named_dicom(path)))
        if "SOPClassUID" not in dataset:
            raise DataError(f"{path} has no SOP Class UID (0008,0016); give {wanted}")
    return dataset


def read_header(path: Path, keywords: Sequence[str]) -> Dataset | None:
    """Some elements of a file, without its pixels; None if it is not DICOM or broken."""
    try:
        with quiet():
            dataset = pydicom.dcmread(
                path, force=_named_dicom(path), stop_before_pixels=True, specific_tags=[*keywords, "SOPClassUID"]
            )
            return _converted(dataset) if "SOPClassUID" in dataset else None
    except (InvalidDicomError, OSError, EOFError, ValueError, KeyError, AttributeError, NotImplementedError, TypeError):
        return None


def is_dicom(path: Path) -> bool:
    """Whether a path is a DICOM file that says what it holds."""
    return path.is_file() and read_header(path, ()) is not None


def stored_pixels(dataset: Dataset, path: Path) -> np.ndarray:
    """The numbers in the pixel data, before any rescaling: [row, column], or with frames or colours around."""
    wanted = "an image whose pixel data is whole, uncompressed if need be"
    with quiet(), decoding(path, wanted):
        if "PixelData" not in dataset:
            raise DataError(f"{path} holds no pixels; give an image")
        try:
            return np.asarray(dataset.pixel_array)
        except (NotImplementedError, RuntimeError, AttributeError) as error:
            return _decoded_by_gdcm(dataset, path, error)


def numbers(dataset: Dataset, keyword: str, count: int, path: Path | str) -> list[float]:
    """An element's numbers. Raises DataError if there are not `count` finite ones."""
    value = dataset.get(keyword)
    try:
        found = [
            float(x) for x in (value if isinstance(value, (list, tuple, pydicom.multival.MultiValue)) else [value])
        ]
    except (TypeError, ValueError):
        found = []
    if len(found) != count or not np.isfinite(found).all():
        raise DataError(f"{path}: {named(keyword)} is {value!r}; it should hold {count} numbers")
    return found


def has(dataset: Dataset, keyword: str) -> bool:
    """Whether an element is there and holds something."""
    return keyword in dataset and dataset[keyword].value not in (None, "", [])


def named(keyword: str) -> str:
    """A keyword with its tag, as people look it up."""
    tag = tag_for_keyword(keyword)
    return keyword if tag is None else f"{keyword_for_tag(tag)} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _converted(dataset: Dataset) -> Dataset:
    """The dataset without what cannot be read of it: pydicom converts, and fails, only when an element is asked for."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # as many kinds as there are value representations; the element counts as missing
            del dataset[tag]
            continue
        if element.VR == "SQ":
            for item in element.value:
                _converted(item)
    return dataset


def _named_dicom(path: Path) -> bool:
    return path.suffix.lower() in (".dcm", ".ima", ".dicom")


def _decoded_by_gdcm(dataset: Dataset, path: Path, error: Exception) -> np.ndarray:
    """GDCM, within SimpleITK, knows compressions that pydicom asks more packages for."""
    syntax = dataset.file_meta.TransferSyntaxUID if "TransferSyntaxUID" in getattr(dataset, "file_meta", {}) else None
    if syntax in (None, ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        raise error
    plain = Dataset()
    plain.file_meta = dataset.file_meta
    for keyword in _PIXEL_ELEMENTS:
        if keyword in dataset:
            plain[keyword] = dataset[keyword]
    if str(plain.get("PhotometricInterpretation", "")).startswith("MONOCHROME"):
        plain.PhotometricInterpretation = "MONOCHROME2"  # ITK would turn MONOCHROME1 over
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "frame.dcm"
        plain.save_as(copy, enforce_file_format=True)
        try:
            array: np.ndarray[Any, Any] = sitk.GetArrayFromImage(sitk.ReadImage(str(copy)))
        except RuntimeError:
            raise DataError(
                f"{path} is compressed as {syntax.name}, which cannot be read here ({one_line(error)}); "
                "save it uncompressed (dcmdjpeg, gdcmconv --raw)"
            ) from error
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    return array[0] if frames == 1 and array.shape[0] == 1 and array.ndim > 2 else array


_PIXEL_ELEMENTS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RedPaletteColorLookupTableDescriptor",
    "PixelData",
)
