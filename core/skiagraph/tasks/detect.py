"""`skiagraph detect`: landmarks and structures of an X-ray."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

from skiagraph.detect.bundle import read_bundle
from skiagraph.detect.detector import Findings
from skiagraph.errors import DataError
from skiagraph.io.files import suffix_of, write_json
from skiagraph.io.markups import write_keypoints
from skiagraph.io.pictures import read_xray, write_mask
from skiagraph.io.xray import Bone
from skiagraph.shipped import shipped
from skiagraph.tasks.overlay import write_overlay
from skiagraph.tasks.shot import beside
from skiagraph.tasks.task import Report, silent
from skiagraph.tasks.xray import growing

BUNDLE = "hip_landmark_detector"


@dataclass(frozen=True)
class Detect:
    """Find the landmarks and structures of the pelvis on an X-ray."""

    command: ClassVar[str] = "detect"

    xray: tyro.conf.Positional[Path]
    """The X-ray: DICOM, PNG, JPEG, TIFF, NIfTI, NRRD or MetaImage."""
    output: tyro.conf.Positional[Path]
    """Where the findings go: .json."""
    bundle: Path | None = None
    """A detector trained by `skiagraph train-detector`; the one that comes with Skiagraph if not given."""
    bone: Bone = "bright"
    """How the X-ray shows bone, if its file does not say."""
    overlay: bool = True
    """Draw the findings over the X-ray: OUTPUT_overlay.png."""
    markups: bool = False
    """Write the points for Slicer as well: OUTPUT.mrk.json."""
    masks: bool = False
    """Write a mask of each structure: OUTPUT_STRUCTURE.png."""

    @property
    def record(self) -> Path:
        """Beside the findings."""
        return beside(self.output, ".run.json")

    def run(self, report: Report = silent) -> list[Path]:
        """Find, and write what was found."""
        if suffix_of(self.output) != ".json":
            raise DataError(f"findings go into a .json, not {self.output.name}; give a name that ends in .json")
        report(0, 3, "reading")
        detector = read_bundle(self.bundle or the_bundle())
        image = read_xray(self.xray)
        report(1, 3, "looking")
        picture = growing(self.xray, self.bone)
        found = detector(picture)
        report(2, 3, "writing")
        files = [self.output]
        if self.overlay:
            files.append(beside(self.output, "_overlay.png"))
            write_overlay(files[-1], picture, found)
        if self.markups:
            files.append(beside(self.output, ".mrk.json"))
            write_keypoints(files[-1], found.keypoints, image.view, image.pixel_spacing)
        for name, mask in zip(found.structures, found.masks) if self.masks else ():
            files.append(beside(self.output, f"_{name}.png"))
            write_mask(files[-1], mask)
        write_json(self.output, {"xray": str(self.xray), "size": list(picture.shape), "keypoints": said(found)})
        report(3, 3, "done")
        return files


def said(found: Findings) -> list[dict[str, object]]:
    """The points found, for a file."""
    points = found.keypoints
    rows = zip(points.names, points.uv.tolist(), found.confidence.tolist(), points.visible.tolist())
    return [
        {"name": name, "uv": uv, "confidence": round(confidence, 4), "visible": visible}
        for name, uv, confidence, visible in rows
    ]


def the_bundle() -> Path:
    """The detector that comes with Skiagraph. Raises DataError if it is not installed."""
    found = shipped("detect", BUNDLE, source="models")
    if found is None:
        raise DataError("no detector was installed; give --bundle, or train one with `skiagraph train-detector`")
    return found
