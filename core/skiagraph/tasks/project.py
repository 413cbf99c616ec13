"""`skiagraph project`: points and labels of a CT, in the geometry of an X-ray that already exists."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

from skiagraph.drr.project import project_labels
from skiagraph.errors import DataError
from skiagraph.geometry import View, float64
from skiagraph.io.dicom_xray import read_view
from skiagraph.io.files import stem_of, suffix_of, there, writing_together
from skiagraph.io.markups import read_landmarks
from skiagraph.io.pictures import read_xray
from skiagraph.io.records import Record, read_record
from skiagraph.io.volumes import read_labels
from skiagraph.tasks.sheet import Panel, write_sheet
from skiagraph.tasks.shot import beside, settle, structures_of, write_labels
from skiagraph.tasks.task import Report, silent
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
        if stem_of(self.output) == stem_of(self.xray) and self.output.parent.resolve() == self.xray.parent.resolve():
            raise DataError(f"{self.output} would take the place of the X-ray's own labels; give another name")
        report(0, 2, "reading")
        view = self.view()
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
                shown = (image - image.min()) / (image.max() - image.min()).clamp(min=1e-9)
                masks = None if projection is None else projection.masks
                write_sheet(files[-1], [Panel(shown, self.xray.name, record.keypoints, masks)])
        report(2, 2, "done")
        return settle(self.output, [self.output.parent / file.relative_to(stage) for file in files])

    def view(self) -> View:
        """The X-ray's geometry."""
        there(self.xray, "an X-ray: DICOM, or a picture with its .json record beside it")
        if suffix_of(self.xray) == ".json":
            return read_record(self.xray).view
        beside_it = beside(self.xray, ".json")
        if suffix_of(self.xray) != ".dcm" and beside_it.is_file():
            return read_record(beside_it).view
        found = read_view(self.xray, float64(self.isocenter)) if suffix_of(self.xray) in (".dcm", "") else None
        if found is None:
            raise DataError(
                f"{self.xray} does not say where it was taken from; give a DICOM file with geometry or a .json record"
            )
        return found
