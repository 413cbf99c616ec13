"""X-rays as DICOM: any projection image in, an X-Ray Angiographic image out that no one can take for a patient's.

Written files hold the usual geometry elements, to the 16 characters DICOM allows a number, and a private block
(group 0071, creator SKIAGRAPH) with the view exactly.
"""

import json
import math
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DSfloat
from torch import Tensor

from skiagraph.carm import CArm, view_angles
from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import Point, View, float64
from skiagraph.io.dicom import has, named, numbers, quiet, read_dicom, stored_pixels
from skiagraph.io.files import decoding, writing
from skiagraph.io.records import Record, as_json, from_json
from skiagraph.io.xray import Bone, XrayImage

XA_IMAGE = "1.2.840.10008.5.1.4.1.1.12.1"
CREATOR = "SKIAGRAPH"
WANTED = "an X-ray: DICOM of modality XA, RF, DX or CR"

_GROUP = 0x0071
_MATRIX, _SPACING, _DEVICE, _RECORD, _VIEW, _BONE = range(0x01, 0x07)
_MODALITIES = ("XA", "RF", "DX", "CR", "DR", "RG", "MG", "IO", "PX", "OT", "SC")
_LETTERS = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}


def read_xray_dicom(path: Path, frame: int = 0) -> XrayImage:
    """One frame of a DICOM X-ray as a screen shows it: modality and VOI transforms done, MONOCHROME1 turned over."""
    dataset = read_dicom(path, WANTED)
    modality = str(dataset.get("Modality", "")) or "no modality"
    if modality not in _MODALITIES:
        raise DataError(f"{path} is {modality}; give {WANTED}")
    stored, frames = _frame(dataset, path, frame)
    turned = (
        dataset.get("PhotometricInterpretation") == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE"
    )
    with quiet(), decoding(path, "an X-ray whose LUTs are whole"):
        shown = _shown(stored, dataset)
    spacing, calibration = _spacing(dataset, path)
    return XrayImage(
        torch.from_numpy((1 - shown if turned else shown).astype(np.float32)),
        bone=_bone(dataset, turned),
        pixel_spacing=spacing,
        calibration=calibration,
        relationship=str(dataset.PixelIntensityRelationship) if has(dataset, "PixelIntensityRelationship") else None,
        view=_exact_view(dataset),
        frames=frames,
        source=f"{path} ({modality})",
    )


def read_view(path: Path | Dataset, isocenter: Point | None = None) -> View | None:
    """Where a DICOM X-ray was taken from; None if it says nothing of it.

    Our own files say it exactly. Others give angles and distances: the view is then that of a C-arm whose
    isocentre is at `isocenter` (the world's origin if not given) and lies in the middle of the image.
    Raises DataError naming the elements that are missing if it says only half.
    """
    dataset = path if isinstance(path, Dataset) else read_dicom(path, WANTED)
    found = _exact_view(dataset)
    return found if found is not None else _view_from_elements(dataset, isocenter)


def read_dicom_record(path: Path | Dataset) -> Record | None:
    """The record we wrote into a DICOM X-ray, None if there is none."""
    dataset = path if isinstance(path, Dataset) else read_dicom(path, WANTED)
    text = _own(dataset, _RECORD)
    if text is None:
        return None
    name = "the record in a DICOM file"
    with decoding(name, "a file as skiagraph wrote it"):
        return from_json(json.loads(str(text)), name)


def write_xray_dicom(
    path: Path,
    image: Float[Tensor, "v u"],
    view: View,
    *,
    carm: CArm | None = None,
    bone: Bone = "bright",
    linear: bool = False,
    kvp: float | None = None,
    record: Record | None = None,
    seed: str | None = None,
) -> None:
    """An image (0 to 1, as shown) as an X-Ray Angiographic image, marked as synthetic.

    `linear` says that pixels are proportional to the intensity on the panel, so bone is dark. `carm` gives the
    distance of the isocentre. The same `seed` gives the same UIDs; without one they are random.
    """
    if tuple(image.shape) != view.size or view.source.ndim != 1:
        raise GeometryError(
            f"an image of {tuple(image.shape)} pixels with a view of {view.size}; give the view of this image"
        )
    if not bool(torch.isfinite(image).all()):
        raise DataError(f"the image for {path.name} holds NaN or infinity; give 0 to 1")
    dataset = _synthetic(seed)
    _add_pixels(dataset, image, linear)
    _add_geometry(dataset, view, carm, kvp)
    _add_own(dataset, view, carm, "dark" if linear else bone, record)
    with writing(path) as part:
        dataset.save_as(part, enforce_file_format=True)


def orientation_letters(direction: Tensor) -> str:
    """A direction in DICOM's letters, the strongest first: `L`, `LA`, `HPR`."""
    x, y, z = (direction / direction.norm()).tolist()
    parts = sorted(((abs(x), "L" if x > 0 else "R"), (abs(y), "P" if y > 0 else "A"), (abs(z), "H" if z > 0 else "F")))
    return "".join(letter for size, letter in reversed(parts) if size > math.sin(math.radians(10)))


def _synthetic(seed: str | None) -> FileDataset:
    """Everything that does not depend on picture or view: patient, study, series, equipment, SOP common."""
    study, series, instance = (
        generate_uid(entropy_srcs=None if seed is None else [seed, part]) for part in ("study", "series", "instance")
    )
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(XA_IMAGE), instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = UID(XA_IMAGE), instance
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    for empty in ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"):
        setattr(dataset, empty, "")
    dataset.PatientName, dataset.PatientID = "SYNTHETIC^SKIAGRAPH", "SKIAGRAPH-SYNTHETIC"
    dataset.PatientBirthDate, dataset.PatientSex = "", ""
    dataset.PatientComments = "Computed from a CT. Not a patient's radiograph."
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "XA", 1, 1
    dataset.StudyDescription = dataset.SeriesDescription = "SYNTHETIC X-ray, not a patient"
    dataset.ImageType = ["DERIVED", "SECONDARY", "SINGLE PLANE", "SYNTHETIC"]
    dataset.DerivationDescription = (
        "Synthetic X-ray computed from a CT volume by Skiagraph; not an exposure of a patient"
    )
    dataset.Manufacturer, dataset.ManufacturerModelName = "Skiagraph", "Skiagraph virtual C-arm"
    dataset.SoftwareVersions = _version()
    maker, purpose = Dataset(), Dataset()
    maker.Manufacturer, maker.ManufacturerModelName = "Skiagraph", "Skiagraph virtual C-arm"
    maker.SoftwareVersions = _version()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = "109103", "DCM", "Modifying Equipment"
    maker.PurposeOfReferenceCodeSequence = [purpose]
    maker.ContributionDescription = "Made this SYNTHETIC image"
    dataset.ContributingEquipmentSequence = [maker]
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    return dataset


def _add_pixels(dataset: Dataset, image: Tensor, linear: bool) -> None:
    dataset.Rows, dataset.Columns = image.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelIntensityRelationship = "LIN" if linear else "DISP"
    dataset.WindowCenter, dataset.WindowWidth = "32768", "65536"
    stored = (image.detach().cpu().double().clamp(0, 1) * 65535).round().to(torch.int32).numpy().astype("<u2")
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"


def _add_geometry(dataset: Dataset, view: View, carm: CArm | None, kvp: float | None) -> None:
    primary, secondary = view_angles(view)
    to_panel = view.source_to_panel.item()
    dataset.PositionerType, dataset.PositionerMotion = "CARM", "STATIC"
    dataset.PositionerPrimaryAngle, dataset.PositionerSecondaryAngle = _ds(primary), _ds(secondary)
    dataset.DistanceSourceToDetector = _ds(to_panel)
    if carm is not None:
        dataset.DistanceSourceToPatient = _ds(carm.source_to_isocenter)
        dataset.EstimatedRadiographicMagnificationFactor = _ds(to_panel / carm.source_to_isocenter)
    dataset.ImagerPixelSpacing = [_ds(step) for step in view.pixel_spacing]
    dataset.FieldOfViewShape = "RECTANGLE"
    dataset.FieldOfViewDimensions = [max(1, round(n * step)) for n, step in zip(view.size, view.pixel_spacing)]
    dataset.PatientOrientation = [orientation_letters(view.u_step), orientation_letters(view.v_step)]
    dataset.RadiationSetting = "GR"
    dataset.KVP = None if kvp is None else _ds(kvp)
    dataset.XRayTubeCurrent = dataset.ExposureTime = dataset.Exposure = None


def _add_own(dataset: Dataset, view: View, carm: CArm | None, bone: Bone, record: Record | None) -> None:
    block = dataset.private_block(_GROUP, CREATOR, create=True)
    block.add_new(_MATRIX, "FD", view.matrix().flatten().tolist())
    block.add_new(_SPACING, "FD", list(view.pixel_spacing))
    block.add_new(_DEVICE, "LO", ("unknown" if carm is None else carm.name)[:64])
    if record is not None:
        block.add_new(_RECORD, "UT", json.dumps(as_json(record), default=str))
    exact = torch.cat([view.source, view.origin, view.u_step, view.v_step])
    block.add_new(_VIEW, "FD", exact.tolist())
    block.add_new(_BONE, "CS", bone.upper())


def _version() -> str:
    try:
        return version("skiagraph")
    except PackageNotFoundError:
        return "unknown"


def _ds(value: float) -> DSfloat:
    return DSfloat(value, auto_format=True)


def _frame(dataset: Dataset, path: Path, frame: int) -> tuple[np.ndarray, int]:
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    if not 0 <= frame < frames:
        raise DataError(f"{path} has no frame {frame}; give 0 to {frames - 1}")
    stored = stored_pixels(dataset, path)
    if frames > 1:
        stored = stored[frame]
    with quiet(), decoding(path, WANTED):
        if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
            stored = apply_color_lut(stored, dataset)
    if stored.ndim == 3 and stored.shape[-1] in (3, 4):
        stored = stored[..., :3].mean(axis=-1)
    if stored.ndim != 2:
        raise DataError(f"{path} holds pixels of shape {stored.shape}; give {WANTED}")
    return stored, frames


def _shown(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Stored values as 0 (black) to 1 (white), before MONOCHROME1 is turned over."""
    bits = int(dataset.get("BitsStored", 8 * stored.dtype.itemsize))
    signed = int(dataset.get("PixelRepresentation", 0)) == 1
    ends = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1], dtype=np.float64)
    values = stored
    if has(dataset, "ModalityLUTSequence"):
        # In XA and RF this table leads back to linear intensity, not to the display (as PS3.17 FFF.2.3.1.3.4).
        if dataset.get("Modality") not in ("XA", "RF"):
            values = apply_modality_lut(stored, dataset)
            ends = np.array([0, 2.0 ** int(dataset.ModalityLUTSequence[0].LUTDescriptor[2]) - 1])
    elif has(dataset, "RescaleSlope"):
        slope, intercept = float(dataset.RescaleSlope), float(dataset.get("RescaleIntercept", 0) or 0)
        values, ends = stored * slope + intercept, np.sort(ends * slope + intercept)
    if has(dataset, "VOILUTSequence"):
        table = apply_voi(values.astype(np.int64), dataset)
        return table / (2.0 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    if has(dataset, "WindowCenter") and has(dataset, "WindowWidth"):
        return _windowed(values.astype(np.float64), dataset)
    return np.clip((values - ends[0]) / max(ends[1] - ends[0], 1e-12), 0, 1)


def _windowed(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    """The window functions of PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    center, width = (
        float(np.ravel(np.asarray(dataset[k].value, dtype=float))[0]) for k in ("WindowCenter", "WindowWidth")
    )
    function = str(dataset.get("VOILUTFunction", "LINEAR") or "LINEAR")
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(-4 * (values - center) / width)))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0, 1)
    if width <= 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def _bone(dataset: Dataset, turned: bool) -> Bone | None:
    own = _own(dataset, _BONE)
    if own is not None:
        return "bright" if own == "BRIGHT" else "dark"
    sign = dataset.get("PixelIntensityRelationshipSign")
    if sign in (1, -1):
        stored_bright = sign == -1
    elif dataset.get("Modality") in ("XA", "RF") and dataset.get("PixelIntensityRelationship") in ("LIN", "LOG"):
        stored_bright = False
    else:
        return None
    falling = has(dataset, "RescaleSlope") and float(dataset.RescaleSlope) < 0
    return "bright" if stored_bright != (turned != falling) else "dark"


def _spacing(dataset: Dataset, path: Path | str) -> tuple[tuple[float, float] | None, str | None]:
    """PixelSpacing is believed only if it says how it was calibrated; then it holds in the patient."""
    if has(dataset, "ImagerPixelSpacing"):
        rows, columns = numbers(dataset, "ImagerPixelSpacing", 2, path)
        kind = "panel"
    elif has(dataset, "PixelSpacing") and has(dataset, "PixelSpacingCalibrationType"):
        rows, columns = numbers(dataset, "PixelSpacing", 2, path)
        kind = str(dataset.PixelSpacingCalibrationType)
    else:
        return None, None
    if min(rows, columns) <= 0:
        raise DataError(f"{path} has pixels of {rows} x {columns} mm; give a positive spacing")
    return (rows, columns), kind


def _own(dataset: Dataset, element: int) -> object | None:
    try:
        block = dataset.private_block(_GROUP, CREATOR)
    except KeyError:
        return None
    return block[element].value if element in block else None


def _exact_view(dataset: Dataset) -> View | None:
    exact = _own(dataset, _VIEW)
    if exact is None or "Rows" not in dataset or "Columns" not in dataset:
        return None
    name = "the view in a DICOM file"
    with decoding(name, "a file as skiagraph wrote it"):
        parts = float64([float(x) for x in exact]).reshape(4, 3)  # type: ignore[attr-defined]
        return View(parts[0], parts[1], parts[2], parts[3], (int(dataset.Rows), int(dataset.Columns)))


def _view_from_elements(dataset: Dataset, isocenter: Point | None) -> View | None:
    angles = ("PositionerPrimaryAngle", "PositionerSecondaryAngle")
    if not any(has(dataset, k) for k in (*angles, "DistanceSourceToDetector", "DistanceSourceToPatient")):
        return None
    needed = [*angles, "DistanceSourceToDetector", "ImagerPixelSpacing", "Rows", "Columns"]
    if not has(dataset, "EstimatedRadiographicMagnificationFactor"):
        needed.append("DistanceSourceToPatient")
    missing = [named(keyword) for keyword in needed if not has(dataset, keyword)]
    if missing:
        raise DataError(
            f"the geometry of this DICOM X-ray is incomplete: no {', '.join(missing)}; give the view yourself"
        )
    name = "a DICOM X-ray"
    primary, secondary, to_panel = (numbers(dataset, keyword, 1, name)[0] for keyword in needed[:3])
    if has(dataset, "DistanceSourceToPatient"):
        to_isocenter = numbers(dataset, "DistanceSourceToPatient", 1, name)[0]
    else:
        to_isocenter = to_panel / numbers(dataset, "EstimatedRadiographicMagnificationFactor", 1, name)[0]
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    row_spacing, column_spacing = numbers(dataset, "ImagerPixelSpacing", 2, name)
    carm = CArm("dicom", to_panel, to_isocenter, (1, 1), 1.0)
    middle = carm.view(float64([0.0, 0.0, 0.0]) if isocenter is None else isocenter, primary, secondary)
    u, v = _as_oriented(middle.u_step, middle.v_step, dataset)
    u_step, v_step = column_spacing * u, row_spacing * v
    origin = middle.origin - (columns - 1) / 2 * u_step - (rows - 1) / 2 * v_step
    return View(middle.source, origin, u_step, v_step, (rows, columns))


def _as_oriented(right: Tensor, down: Tensor, dataset: Dataset) -> tuple[Tensor, Tensor]:
    """The quarter turn or mirror image of a head-up image that fits PatientOrientation best."""
    letters = [str(value).upper() for value in dataset.get("PatientOrientation", None) or []]
    if len(letters) != 2 or not all(text and set(text) <= set(_LETTERS) for text in letters):
        return right, down
    row, column = (_direction(text) for text in letters)
    turns = [
        (a * one, b * other) for one, other in ((right, down), (down, right)) for a, b in product((1.0, -1.0), repeat=2)
    ]
    return max(turns, key=lambda pair: float(pair[0] @ row + pair[1] @ column))


def _direction(letters: str) -> Tensor:
    """About where DICOM's letters point: the first counts most."""
    total = float64([0.0, 0.0, 0.0])
    for weight, letter in zip((1.0, 0.5, 0.25), letters):
        total = total + weight * float64([float(x) for x in _LETTERS[letter]])
    return total / total.norm().clamp(min=1e-12)
