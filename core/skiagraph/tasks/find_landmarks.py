"""`skiagraph find-landmarks`: annotate a CT."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
import tyro

from skiagraph.anatomy import term
from skiagraph.bodies.annotation import HIPS, WANTED, Annotation, annotate
from skiagraph.carm import GENERIC
from skiagraph.drr.display import picture
from skiagraph.drr.project import project_labels
from skiagraph.drr.render import NAIVE
from skiagraph.errors import DataError
from skiagraph.io.files import suffix_of
from skiagraph.io.markups import write_landmarks
from skiagraph.io.patient import Patient
from skiagraph.tasks.sheet import Panel, write_sheet
from skiagraph.tasks.shot import beside
from skiagraph.tasks.task import Report, silent
from skiagraph.volume import Labels, Volume

log = logging.getLogger("skiagraph")

LOOKS = {"from the front": (0.0, 0.0), "from the left": (90.0, 0.0), "left oblique": (45.0, 0.0)}
"""The views of the picture: primary and secondary angle."""
PIXELS = 512
AIR = -1000.0
POINTS = (".mrk.json", ".fcsv", ".json")


@dataclass(frozen=True)
class FindLandmarks:
    """Find the 14 landmarks of the hip task in a CT by the pelvis atlas, and say how far each may be off."""

    command: ClassVar[str] = "find-landmarks"

    volume: tyro.conf.Positional[Path]
    """CT: NIfTI, NRRD, MetaImage, a DICOM folder, or a folder made by `skiagraph body`."""
    output: tyro.conf.Positional[Path]
    """Where the landmarks go: .mrk.json or .fcsv for Slicer, or .json."""
    labels: Path | None = None
    """Anatomy per voxel that names both hip bones, such as TotalSegmentator's file or folder."""
    picture: Path | None = None
    """Where a picture to check them by goes, .png."""

    @property
    def record(self) -> Path:
        """Beside the landmarks."""
        return beside(self.output, ".run.json")

    def run(self, report: Report = silent) -> list[Path]:
        """Find them; the files written."""
        if suffix_of(self.output) not in POINTS:
            raise DataError(f"cannot write points as {self.output.name}; end it in one of {' '.join(POINTS)}")
        if self.picture is not None and suffix_of(self.picture) != ".png":
            raise DataError(f"cannot draw {self.picture.name}; end it in .png")
        report(0, 3, "reading")
        patient = Patient.read(self.volume, self.labels)
        if patient.labels is None:
            raise DataError(f"landmarks are found on labelled hip bones, so --labels are needed; {WANTED}")
        report(1, 3, "fitting the atlas")
        found = annotate(patient.labels)
        lost = [name for name, seen in zip(found.landmarks.names, found.seen) if not seen]
        if lost:
            log.warning("no bone was seen about %s: placed nowhere", ", ".join(lost))
        report(2, 3, "writing")
        write_landmarks(self.output, found.supported, found.words)
        files = [self.output]
        if self.picture is not None:
            write_sheet(self.picture, panels(patient, found), self.volume.name, columns=len(LOOKS), across=5.6)
            files.append(self.picture)
        report(3, 3, "done")
        return files


def panels(patient: Patient, found: Annotation) -> Sequence[Panel]:
    """The CT with its hip bones outlined, and the hip bones alone, from several sides, with the landmarks."""
    assert patient.labels is not None
    hips, center = _only_hips(patient.volume, patient.labels), found.landmarks.points.mean(dim=0)
    shown = found.supported
    words = tuple(term(name).alias for name in shown.names)
    whole: list[Panel] = []
    alone: list[Panel] = []
    for title, (primary, secondary) in LOOKS.items():
        view = GENERIC.with_pixels(PIXELS).aimed_at(center, primary, secondary)
        masks, points = project_labels(patient.labels, view, HIPS).masks, shown.seen_from(view)
        for volume, row, outlines in ((patient.volume, whole, masks), (hips, alone, None)):
            row.append(Panel(picture(NAIVE(NAIVE.decompose(volume), view)), title, points, outlines, words))
    return [*whole, *alone]


def _only_hips(volume: Volume, labels: Labels) -> Volume:
    return Volume(torch.where(labels.mask(*HIPS), volume.hu, AIR), volume.grid)
