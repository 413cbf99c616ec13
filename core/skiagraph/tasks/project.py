"""`skiagraph project`: points and labels of a CT, in the geometry of an X-ray that already exists."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

from skiagraph.drr.project import project_labels
from skiagraph.errors import DataError
from skiagraph.io.files import suffix_of, writing_together
from skiagraph.io.markups import read_landmarks
from skiagraph.io.pictures import read_xray
from skiagraph.io.records import Record
from skiagraph.io.volumes import read_labels
from skiagraph.tasks.sheet import Panel, write_sheet
from skiagraph.tasks.shot import beside, refuse_own_labels, settle, structures_of, write_labels
from skiagraph.tasks.task import Report, silent
from skiagraph.tasks.xray import stretched, view_of
from skiagraph.volume import Landmarks


@dataclass(frozen=True)
class Project:
    """Project points and labels of a CT into the geometry of an existing X-ray."""

    command: ClassVar[str] = "project"

    xray: tyro.conf.Positional[Path]
    """The X-ray: a DICOM file that states its geometry, or a picture with its .json record beside it."""
    output: tyro.conf.Positional[Path]
    """Name of the results: their .json, .mrk.json, masks and an overlay .png all take its stem."""
    landmarks: Path | None = None
    """Points of the CT: .mrk.json, .fcsv or .json."""
    labels: Path | None = None
    """Anatomy per voxel."""
    isocenter: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where the isocentre of a DICOM X-ray lies in the CT, LPS millimetres; a DICOM file cannot say."""

    @property
    def record(self) -> Path:
        """Beside the results."""
        return beside(self.output, ".run.json")

    def run(self, report: Report = silent) -> list[Path]:
        """Project; the files written."""
        if self.landmarks is None and self.labels is None:
            raise DataError("nothing to project; give --landmarks, --labels or both")
        refuse_own_labels(self.output, self.xray)
        report(0, 2, "reading")
        view = view_of(self.xray, self.isocenter)
        image = None if suffix_of(self.xray) == ".json" else read_xray(self.xray).pixels
        landmarks = read_landmarks(self.landmarks) if self.landmarks else Landmarks.of({})
        labels = read_labels(self.labels) if self.labels else None
        report(1, 2, "projecting")
        projection = None if labels is None else project_labels(labels, view, structures_of([labels]))
        record = Record.of(view, landmarks, projected_into=str(self.xray))
        with writing_together(self.output.parent) as stage:
            staged = stage / self.output.name
            files = write_labels(record, projection, staged)
            if image is not None:
                files.append(beside(staged, "_overlay.png"))
                masks = None if projection is None else projection.masks
                write_sheet(files[-1], [Panel(stretched(image), self.xray.name, record.keypoints, masks)])
        report(2, 2, "done")
        return settle(self.output, [self.output.parent / file.relative_to(stage) for file in files])
