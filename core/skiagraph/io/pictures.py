"""X-rays as pictures: every kind of file one comes in, and the ones we write."""

import warnings
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import tifffile
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import View
from skiagraph.io.dicom_xray import read_xray_dicom
from skiagraph.io.files import decoding, read_json, stem_of, suffix_of, there, writing
from skiagraph.io.itk import check_size, opened, save_itk
from skiagraph.io.nifti import check_numbers
from skiagraph.io.records import from_json
from skiagraph.io.xray import XrayImage as XrayImage

WANTED = "an X-ray: DICOM, PNG, JPEG, TIFF, NIfTI, NRRD or MetaImage"
MOST_PIXELS = 100_000_000

_PILLOW = (".png", ".jpg", ".jpeg", ".bmp")
_TIFF = (".tif", ".tiff")
_ITK = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_PLACED = (".nrrd", ".nii", ".nii.gz", ".mha")


def read_xray(path: Path, frame: int = 0) -> XrayImage:
    """An X-ray as a screen shows it: rows and columns as in the file, 0 (black) to 1 (white).

    Floats and signed numbers, which name no range, keep their values. The view comes from our own DICOM or from
    the record (`<stem>.json`) beside a picture; else it is None.
    """
    there(path, WANTED)
    if path.is_dir():
        raise DataError(f"{path} is a folder; give {WANTED}")
    kind = suffix_of(path)
    if kind in _PILLOW:
        return _image(_from_pillow(path, frame), path)
    if kind in _TIFF:
        values, frames = _from_tiff(path, frame)
        return _image(values, path, frames=frames)
    if kind in _ITK:
        values, spacing = _from_itk(path, frame)
        return _image(values, path, spacing=spacing)
    if kind in (".dcm", ".ima", ".dicom") or _is_dicom(path):
        return read_xray_dicom(path, frame)
    raise DataError(f"{path.name} is not a kind of file an X-ray comes in; give {WANTED}")


def write_picture(path: Path, image: Float[Tensor, "v u"]) -> None:
    """An image from 0 (black) to 1 (white) as 16 bits: .png or .tiff."""
    _check_finite(image, path)
    values = (image.detach().cpu().double().clamp(0, 1) * 65535).round().to(torch.int32).numpy().astype(np.uint16)
    if suffix_of(path) == ".png":
        with writing(path) as part:
            Image.fromarray(values).save(part)
    elif suffix_of(path) in _TIFF:
        with writing(path) as part:
            tifffile.imwrite(part, values, photometric="minisblack")
    else:
        raise DataError(f"cannot write a picture as {path.name}; give a name that ends in .png or .tiff")


def write_transmission(path: Path, transmission: Float[Tensor, "v u"], view: View | None = None) -> None:
    """What is left of the rays, 0 to 1, as float32: .nrrd, .nii.gz and .mha lie on the view's panel, .tiff anywhere."""
    _check_finite(transmission, path)
    values = transmission.detach().cpu().numpy().astype(np.float32)
    if suffix_of(path) in _TIFF:
        with writing(path) as part:
            tifffile.imwrite(part, values, photometric="minisblack")
        return
    if suffix_of(path) not in _PLACED:
        raise DataError(f"cannot write floats as {path.name}; give a name that ends in {', '.join(_PLACED)} or .tiff")
    image = sitk.GetImageFromArray(values[None])
    if view is not None:
        _place(image, view, values.shape)
    with writing(path) as part:
        save_itk(image, part, path)


def write_mask(path: Path, mask: Bool[Tensor, "v u"]) -> None:
    """A mask as an 8-bit .png: 255 where it is, 0 elsewhere."""
    if suffix_of(path) != ".png":
        raise DataError(f"cannot write a mask as {path.name}; give a name that ends in .png")
    with writing(path) as part:
        Image.fromarray(mask.detach().cpu().numpy().astype(np.uint8) * 255).save(part)


def read_mask(path: Path) -> Bool[Tensor, "v u"]:
    """Where a mask's picture is not black."""
    return read_xray(path).pixels > 0


def _image(values: np.ndarray, path: Path, frames: int = 1, spacing: tuple[float, float] | None = None) -> XrayImage:
    if values.ndim == 3 and values.shape[-1] in (2, 3, 4):
        values = _gray(values, path)
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(f"{path} holds {' x '.join(map(str, values.shape))} numbers; give {WANTED}")
    if values.size > MOST_PIXELS:
        raise DataError(f"{path} has {values.size:g} pixels; give at most {MOST_PIXELS:g}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"{path} holds NaN or infinity; fill those pixels")
    top = {"bool": 1.0, "uint8": 255.0, "uint16": 65535.0}.get(values.dtype.name, 1.0)
    pixels = torch.from_numpy((values.astype(np.float64) / top).astype(np.float32))
    view = _view_beside(path)
    if view is not None and view.size != tuple(pixels.shape):
        raise GeometryError(
            f"{path} has {tuple(pixels.shape)} pixels but the record beside it is of {view.size}; remove the record"
        )
    kind = None if spacing is None else "file"
    return XrayImage(pixels, pixel_spacing=spacing, calibration=kind, view=view, frames=frames, source=str(path))


def _gray(values: np.ndarray, path: Path) -> np.ndarray:
    """One channel of those that say the same; alpha is dropped."""
    if values.shape[-1] == 2:
        return values[..., 0]
    colours = values[..., :3].astype(np.float64)
    spread = float((colours.max(-1) - colours.min(-1)).mean())
    top = (
        255.0
        if values.dtype == np.uint8
        else 65535.0
        if values.dtype == np.uint16
        else max(float(colours.max()), 1e-12)
    )
    if spread > 0.1 * top:
        raise DataError(f"{path} is a colour picture; give {WANTED} in gray")
    return values[..., 0] if spread == 0 else np.rint(colours @ [0.299, 0.587, 0.114]).astype(values.dtype)


def _from_pillow(path: Path, frame: int) -> np.ndarray:
    _check_frame(frame, 1, path)
    with decoding(path, WANTED), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise DataError(f"{path} has {image.width} x {image.height} pixels; give at most {MOST_PIXELS:g}")
            told = {"1": "L"}.get(image.mode, "RGB")
            plain = (
                image if image.mode.startswith(("L", "I", "F", "RGB")) and image.mode != "LAB" else image.convert(told)
            )
            values = np.array(plain)
    return values.astype(np.uint16) if values.dtype.kind in "iu" and values.dtype.itemsize > 1 else values


def _from_tiff(path: Path, frame: int) -> tuple[np.ndarray, int]:
    with decoding(path, WANTED), tifffile.TiffFile(path) as file:
        _check_frame(frame, len(file.pages), path)
        page = file.pages[frame].aspage()
        if np.prod([float(n) for n in page.shape]) > 4 * MOST_PIXELS:
            raise DataError(f"{path} has {' x '.join(map(str, page.shape))} pixels; give at most {MOST_PIXELS:g}")
        try:
            values = page.asarray()
        except (ValueError, ImportError):  # a compression that tifffile leaves to imagecodecs
            with Image.open(path) as image:
                image.seek(frame)
                values = np.array(image)
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and values.dtype.kind in "bu":
            values = ~values if values.dtype.kind == "b" else np.iinfo(values.dtype).max - values
        return values, len(file.pages)


def _from_itk(path: Path, frame: int) -> tuple[np.ndarray, tuple[float, float]]:
    _check_frame(frame, 1, path)
    reader = opened(path, WANTED)
    size = reader.GetSize()
    with decoding(path, WANTED):
        if any(n > 1 for n in size[2:]):
            raise DataError(f"{path} has {' x '.join(map(str, size))} voxels; give one picture, not a volume")
        check_size(path, size)
        if suffix_of(path) in (".nii", ".nii.gz"):
            check_numbers(path)
        image = reader.Execute()
    values = sitk.GetArrayFromImage(image)
    columns, rows = image.GetSpacing()[:2]
    return values.reshape(size[1], size[0], *values.shape[len(size) :]), (rows, columns)


def _place(image: sitk.Image, view: View, shape: tuple[int, ...]) -> None:
    if view.source.ndim != 1 or view.size != shape:
        raise GeometryError(f"a picture of {shape} pixels with a view of {view.size}; give the view of this picture")
    u, v = view.u_step / view.u_step.norm(), view.v_step / view.v_step.norm()
    if abs(float(u @ v)) > 1e-6:
        raise GeometryError("the panel's rows and columns are not square to each other; write a .png or .tiff")
    rows, columns = view.pixel_spacing
    image.SetOrigin(view.origin.tolist())
    image.SetSpacing([columns, rows, 1.0])
    image.SetDirection(torch.stack([u, v, torch.linalg.cross(u, v)], dim=1).flatten().tolist())


def _view_beside(path: Path) -> View | None:
    beside = path.with_name(stem_of(path) + ".json")
    if not beside.exists():
        return None
    content = read_json(beside)
    return from_json(content, beside).view if "view" in content and "landmarks" in content else None


def _check_frame(frame: int, frames: int, path: Path) -> None:
    if not 0 <= frame < frames:
        raise DataError(f"{path} has no frame {frame}; give 0 to {frames - 1}")


def _check_finite(image: Tensor, path: Path) -> None:
    if not bool(torch.isfinite(image).all()):
        raise DataError(f"the image for {path.name} holds NaN or infinity; give finite numbers")


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
