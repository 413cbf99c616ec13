"""`skiagraph detect`: landmarks and structures of an X-ray, how the pelvis lies, and all of it as DICOM."""

import math
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import tyro

from skiagraph.detect.averaged import Averaged, Consensus
from skiagraph.detect.bundle import read_bundle
from skiagraph.detect.detector import Findings
from skiagraph.detect.pose import Exposure, PelvisPose, pose_of
from skiagraph.errors import DataError
from skiagraph.io.bundles import that_comes
from skiagraph.io.dicom import has, is_dicom, numbers, read_header
from skiagraph.io.files import suffix_of, write_json
from skiagraph.io.markups import write_keypoints
from skiagraph.io.pictures import read_xray, write_mask
from skiagraph.io.xray import Bone, XrayImage
from skiagraph.tasks.overlay import write_overlay
from skiagraph.tasks.shot import beside
from skiagraph.tasks.task import Report, silent
from skiagraph.tasks.xray import growing

BUNDLE = "hip_landmark_detector"
DISTANCE = "DistanceSourceToDetector"


@dataclass(frozen=True)
class Detect:
    """Find landmarks and structures on an X-ray, and how the pelvis lies if they are its."""

    command: ClassVar[str] = "detect"

    xray: tyro.conf.Positional[Path]
    """The X-ray: DICOM, PNG, JPEG, TIFF, NIfTI, NRRD or MetaImage."""
    output: tyro.conf.Positional[Path]
    """Where the findings go: .json."""
    bundle: Path | None = None
    """A detector trained by `skiagraph train-detector`, or the name of one that comes with Skiagraph; the pelvis's,
    hip_landmark_detector, if not given."""
    bone: Bone = "bright"
    """How the X-ray shows bone, if its file does not say."""
    reach: float | None = None
    """Look for a landmark only so far from its own structure, as a part of the X-ray's longer side, such as 0.03."""
    average: bool = False
    """Look eight times, mirrored, shifted and scaled: points are means, and each says how far they spread (pixels)."""
    overlay: bool = True
    """Draw the findings over the X-ray: OUTPUT_overlay.png."""
    markups: bool = False
    """Write the points for Slicer as well: OUTPUT.mrk.json."""
    masks: bool = False
    """Write a mask of each structure: OUTPUT_STRUCTURE.png."""
    seg: Path | None = None
    """The structures as a DICOM Segmentation, .dcm; the X-ray has to be DICOM."""
    sr: Path | None = None
    """The landmarks as a DICOM Structured Report (TID 1500), .dcm; the X-ray has to be DICOM."""

    @property
    def record(self) -> Path:
        """Beside the findings."""
        return beside(self.output, ".run.json")

    def run(self, report: Report = silent) -> list[Path]:
        """Find, and write what was found."""
        if suffix_of(self.output) != ".json":
            raise DataError(f"findings go into a .json, not {self.output.name}; give a name that ends in .json")
        report(0, 3, "reading")
        source = None
        if self.seg is not None or self.sr is not None:
            from skiagraph.io import dicom_findings  # takes half a second to import

            source = dicom_findings.read_source(self.xray)
        folder = the_bundle(self.bundle)
        detector = read_bundle(folder)
        detector = replace(detector, reading=replace(detector.reading, reach=self.reach or detector.reading.reach))
        image = read_xray(self.xray)
        report(1, 3, "looking")
        picture = growing(self.xray, self.bone)
        consensus = Averaged(detector)(picture) if self.average else None
        found = detector(picture) if consensus is None else consensus.findings
        pose = pose_of(found.keypoints, found.confidence, exposure_of(self.xray, image))
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
        if source is not None:
            algorithm = dicom_findings.Algorithm(folder.resolve().name, version("skiagraph"))
            if self.seg is not None:
                files.append(self.seg)
                dicom_findings.write_segmentation(self.seg, source, found.masks, found.structures, algorithm)
            if self.sr is not None:
                files.append(self.sr)
                dicom_findings.write_report(self.sr, source, found.keypoints, found.confidence, algorithm)
        write_json(self.output, {
            "xray": str(self.xray),
            "size": list(picture.shape),
            "keypoints": keypoints_said(found, consensus, pose),
            "pose": None if pose is None else pose_said(pose, found.keypoints.names),
        })  # fmt: skip
        report(3, 3, "done")
        return files


def exposure_of(path: Path, image: XrayImage) -> Exposure:
    """What an X-ray's file says of how it was taken; the rest as is usual for an AP pelvis."""
    if image.view is not None:
        return Exposure.known(image.view)
    size = (int(image.pixels.shape[0]), int(image.pixels.shape[1]))
    spacing = image.pixel_spacing if image.calibration == "panel" else None
    header = read_header(path, (DISTANCE,)) if is_dicom(path) else None
    said = header is not None and has(header, DISTANCE)
    distance = numbers(header, DISTANCE, 1, path)[0] if header is not None and said else None
    return Exposure.usual(size, spacing, distance if distance and distance > 500 else None)


def keypoints_said(found: Findings, consensus: Consensus | None, pose: PelvisPose | None) -> list[dict[str, object]]:
    """The points found, for a file."""
    points = found.keypoints
    rows: list[dict[str, object]] = [
        {"name": name, "uv": uv, "confidence": round(confidence, 4), "visible": visible}
        for name, uv, confidence, visible in zip(
            points.names, points.uv.tolist(), found.confidence.tolist(), points.visible.tolist()
        )
    ]
    for row, spread in zip(rows, consensus.spread.tolist() if consensus is not None else ()):
        row["spread_px"] = round(spread, 2)
    for row, off in zip(rows, pose.residuals.tolist() if pose is not None else ()):
        row["from_pelvis_mm"] = round(off, 2) if math.isfinite(off) else None
    return rows


def pose_said(pose: PelvisPose, names: tuple[str, ...]) -> dict[str, object]:
    """How the pelvis lies, for a file: degrees and millimetres."""
    primary, secondary, roll = (round(angle, 2) for angle in pose.angles)
    frame = pose.frame
    return {
        "view": {
            "primary": primary,
            "secondary": secondary,
            "roll": roll,
            "spread": [round(one, 2) for one in pose.spread.tolist()],
            "tube": "before the pelvis" if pose.from_front else "behind the pelvis",
        },
        "pelvis": {
            "tilt": round(frame.tilt, 2),
            "turn": round(frame.turn, 2),
            "obliquity": round(frame.obliquity, 2),
        },
        "pixel_mm": round(pose.pixel, 4),
        "source_to_hips_mm": round(pose.to_hips, 1),
        "residual_mm": round(pose.rms, 2),
        "residual_of_width": round(pose.rms / pose.width, 4),
        "disagreeing": [name for name, off in zip(names, pose.disagreeing.tolist()) if off],
        "plausibility": round(pose.plausibility, 3),
        "assumed": pose.assumed or None,
        "pixel_from_pelvis": pose.pixel_from_pelvis.tolist(),
    }


def the_bundle(given: Path | None = None) -> Path:
    """The bundle that is given, or that comes with Skiagraph under its name; the pelvis's if none is.

    Raises DataError if it is not installed.
    """
    if given is not None and (given.exists() or given != Path(given.name)):
        return given
    return that_comes(BUNDLE if given is None else given.name, "train-detector")
