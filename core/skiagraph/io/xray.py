"""An X-ray image that came from somewhere."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from skiagraph.errors import GeometryError
from skiagraph.geometry import View

Bone = Literal["bright", "dark"]


@dataclass(frozen=True, eq=False)
class XrayImage:
    """An X-ray as a screen shows it, and what its file says of it."""

    pixels: Float[Tensor, "v u"]
    """Larger is brighter; 0 to 1 over the range the file can hold; floats and signed numbers as stored."""
    bone: Bone | None = None
    """Whether bone is bright or dark, None if the file does not say."""
    pixel_spacing: tuple[float, float] | None = None
    """Millimetres between (rows, columns), None if unknown; see `calibration` for where."""
    calibration: str | None = None
    """What `pixel_spacing` holds for: `panel` at the panel, `GEOMETRY` or `FIDUCIAL` in the patient, `file` unsaid."""
    relationship: str | None = None
    """DICOM's Pixel Intensity Relationship: LIN, LOG or DISP."""
    view: View | None = None
    """Where it was taken from, if the file or the record beside it says exactly."""
    frames: int = 1
    """How many images the file holds."""
    source: str = ""
    """The file, and for DICOM its modality."""

    def __post_init__(self) -> None:
        if self.view is not None and self.view.size != tuple(self.pixels.shape):
            raise GeometryError(
                f"{self.source or 'an image'} of {tuple(self.pixels.shape)} pixels with a view of {self.view.size}; "
                "give the view of this image"
            )
