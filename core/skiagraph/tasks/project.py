"""`skiagraph project`: points and labels of a CT, in the geometry of an X-ray that already exists."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

from skiagraph.anatomy import STRUCTURE_NAMES
from skiagraph.drr.project import project_labels
from skiagraph.errors import DataError
from skiagraph.geometry import View, float64
from skiagraph.io.dicom_xray import read_view
from skiagraph.io.files import suffix_of
from skiagraph.io.markups import read_landmarks
from skiagraph.io.pictures import read_xray
from skiagraph.io.records import Record, read_record
from skiagraph.io.volumes import read_labels
from skiagraph.tasks.sheet import Panel, write_sheet
from skiagraph.tasks.shot import beside, save_labels
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
        report(0, 2, "reading")
        view = self.view()
        landmarks = read_landmarks(self.landmarks) if self.landmarks else Landmarks.of({})
        labels = read_labels(self.labels) if self.labels else None
        report(1, 2, "projecting")
        projection = None
        if labels is not None:
            known = list(labels.names.values())
            ours = [name for name in STRUCTURE_NAMES if name in known]
            projection = project_labels(labels, view, ours or known)
        record = Record.of(view, landmarks, projected_into=str(self.xray))
        files = save_labels(record, projection, self.output)
        if suffix_of(self.xray) != ".json":
            files.append(beside(self.output, "_overlay.png"))
            image = read_xray(self.xray).pixels
            image = (image - image.min()) / (image.max() - image.min()).clamp(min=1e-9)
            masks = None if projection is None else projection.masks
            write_sheet(files[-1], [Panel(image, self.xray.name, record.keypoints, masks)])
        report(2, 2, "done")
        return files

    def view(self) -> View:
        """The X-ray's geometry."""
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
