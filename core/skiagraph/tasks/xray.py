"""An X-ray somebody else took, or we did before: where from, and what is on it."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from skiagraph.drr.display import attenuation
from skiagraph.errors import DataError
from skiagraph.geometry import View, float64
from skiagraph.io.dicom_xray import read_view
from skiagraph.io.files import suffix_of, there
from skiagraph.io.pictures import read_xray
from skiagraph.io.records import read_record
from skiagraph.io.xray import Bone, XrayImage
from skiagraph.tasks.shot import MEASUREMENTS, beside


def view_of(xray: Path, isocenter: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> View:
    """The geometry of an X-ray: its record's if there is one, else what its DICOM elements say."""
    there(xray, "an X-ray: DICOM, or a picture with its .json record beside it")
    if suffix_of(xray) == ".json":
        return read_record(xray).view
    if suffix_of(xray) != ".dcm" and beside(xray, ".json").is_file():
        return read_record(beside(xray, ".json")).view
    found = read_view(xray, float64(isocenter)) if suffix_of(xray) in (".dcm", "") else None
    if found is None:
        raise DataError(
            f"{xray} does not say where it was taken from; give a DICOM file with geometry or a .json record"
        )
    return found


def growing(xray: Path, bone: Bone) -> Float[Tensor, "v u"]:
    """An X-ray's pixels, larger where more was in the way: -log of a transmission, else as the picture shows bone."""
    return grown(read_xray(xray), suffix_of(xray), bone)


def grown(image: XrayImage, kind: str, bone: Bone) -> Float[Tensor, "v u"]:
    """As `growing`, of an image that was read from a file of this ending."""
    if kind in MEASUREMENTS and float(image.pixels.max()) <= 1.5 and float(image.pixels.min()) >= 0:
        return attenuation(image.pixels)
    return image.pixels if (image.bone or bone) == "bright" else -image.pixels


def stretched(image: Float[Tensor, "v u"]) -> Float[Tensor, "v u"]:
    """An image over 0...1."""
    low, high = image.min(), image.max()
    return torch.zeros_like(image) if high <= low else (image - low) / (high - low)
