"""`skiagraph register`: find where a CT lies in an X-ray."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
import tyro

from skiagraph.drr.display import picture
from skiagraph.drr.project import project_labels
from skiagraph.drr.render import HEURISTIC, NAIVE
from skiagraph.errors import DataError
from skiagraph.io.files import write_json, writing_together
from skiagraph.io.markups import read_keypoints
from skiagraph.io.patient import Patient
from skiagraph.io.records import Record
from skiagraph.io.xray import Bone
from skiagraph.register.image import register
from skiagraph.register.pose import Fit, pose_from_landmarks
from skiagraph.tasks.sheet import Panel, write_sheet
from skiagraph.tasks.shot import beside, refuse_own_labels, settle, structures_of, write_labels
from skiagraph.tasks.task import Report, silent
from skiagraph.tasks.xray import growing, stretched, view_of

log = logging.getLogger("skiagraph")


@dataclass(frozen=True)
class Register:
    """Find where a CT lies in an X-ray of known geometry: from landmarks if they are given, then from the images."""

    command: ClassVar[str] = "register"

    volume: tyro.conf.Positional[Path]
    """CT: NIfTI, NRRD, MetaImage, a DICOM folder, or a folder made by `skiagraph body`."""
    xray: tyro.conf.Positional[Path]
    """The X-ray: a DICOM file that states its geometry, or a picture with its .json record beside it."""
    output: tyro.conf.Positional[Path]
    """Name of the results: _pose.json, _overlay.png and the labels at the pose found all take its stem."""
    keypoints: Path | None = None
    """Points of the X-ray, .mrk.json or a record's .json; with --landmarks they give the pose to start from."""
    landmarks: Path | None = None
    """Points of the CT: .mrk.json, .fcsv or .json."""
    labels: Path | None = None
    """Anatomy per voxel, to be projected at the pose found."""
    isocenter: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where the isocentre of a DICOM X-ray lies in the CT, LPS millimetres, to begin with."""
    bone: Bone = "bright"
    """How the X-ray shows bone, if its file does not say."""

    @property
    def record(self) -> Path:
        """Beside the results."""
        return beside(self.output, ".run.json")

    def run(self, report: Report = silent) -> list[Path]:
        """Register; the files written."""
        refuse_own_labels(self.output, self.xray)
        report(0, 5, "reading")
        view, target = view_of(self.xray, self.isocenter), growing(self.xray, self.bone)
        patient = Patient.read(self.volume, self.labels, self.landmarks)
        fit = None
        if self.keypoints is not None:
            if not patient.landmarks.names:
                raise DataError("keypoints need the CT's points to compare with; give --landmarks")
            seen = read_keypoints(self.keypoints, view=view)
            fit = pose_from_landmarks(patient.landmarks, seen, view)
        start = None if fit is None else fit.world_from_body
        found = register(HEURISTIC.decompose(patient.volume), view, target, start, report=report)
        if not found.trusted:
            log.warning("the pictures do not agree (correlation %.2f): do not trust this pose", found.correlation)
        report(4, 5, "writing")
        moved, motion = patient.moved(found.world_from_body), found.world_from_body
        projection = None if moved.labels is None else project_labels(moved.labels, view, structures_of([moved.labels]))
        record = Record.of(view, moved.landmarks, registered_to=str(self.xray))
        drr = picture(NAIVE(NAIVE.decompose(moved.volume), view))
        masks = None if projection is None else projection.masks
        panels = [
            Panel(stretched(target), f"{self.xray.name} with the CT's labels", record.keypoints, masks),
            Panel(drr, f"the CT at the pose found, correlation {found.correlation:.2f}"),
        ]
        with writing_together(self.output.parent) as stage:
            staged = stage / self.output.name
            files = [
                *write_labels(record, projection, staged),
                beside(staged, "_pose.json"),
                beside(staged, "_overlay.png"),
            ]
            said = {
                "world_from_body": motion.tolist(),
                "trusted": found.trusted,
                "gradient_correlation": {"start": found.start, "end": found.correlation},
                "evaluations": found.evaluations,
                "landmarks": _fit(fit),
            }
            write_json(files[-2], said)
            write_sheet(files[-1], panels)
        report(5, 5, "done")
        return settle(self.output, [self.output.parent / file.relative_to(stage) for file in files])


def _fit(fit: Fit | None) -> dict[str, object] | None:
    """What the landmarks alone said, for the record."""
    if fit is None:
        return None
    return {
        "world_from_body": fit.world_from_body.tolist(),
        "rms_px": fit.rms,
        "used": int(fit.used.sum()),
        "spread_degrees_mm": torch.cat(
            [torch.rad2deg(fit.covariance.diagonal()[:3].sqrt()), fit.covariance.diagonal()[3:].sqrt()]
        ).tolist(),
    }
