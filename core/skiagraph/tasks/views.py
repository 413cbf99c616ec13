"""`skiagraph views`: the standard views of one patient, worked out for one device."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import tyro
from rich.console import Console
from rich.table import Table

from skiagraph.carm import Side, device
from skiagraph.drr.display import picture
from skiagraph.drr.render import NAIVE
from skiagraph.io.files import write_json
from skiagraph.io.patient import Patient
from skiagraph.planning import Frame, PelvicFrame, PlannedView, plan_all
from skiagraph.tasks.sheet import Panel, write_sheet
from skiagraph.tasks.task import Report, silent

THUMBNAIL = 256
"""Columns of the small pictures."""


@dataclass(frozen=True)
class Views:
    """Plan the standard views of a patient: as a table, as JSON and as a picture."""

    command: ClassVar[str] = "views"

    volume: tyro.conf.Positional[Path]
    """CT: NIfTI, NRRD, MetaImage, a DICOM folder, or a folder made by `skiagraph body`."""
    output: tyro.conf.Positional[Path] = Path("out/views")
    """Folder for views.json and views.png."""
    labels: Path | None = None
    """Anatomy per voxel, to find the pelvis by if there are no landmarks."""
    landmarks: Path | None = None
    """Points of the CT; with them the angles are the pelvis's own."""
    device: Literal["generic", "cios-fusion", "loop-x"] = "generic"
    """The C-arm."""
    side: Side = "right"
    """Which side of the patient a mobile C-arm stands on."""
    frame: Frame = "pelvis"
    """Whether angles are the pelvis's own, or the table's."""

    @property
    def record(self) -> Path:
        """In the folder."""
        return self.output / "run.json"

    def run(self, report: Report = silent) -> list[Path]:
        """Plan, print and write; the files written."""
        carm = replace(device(self.device), side=self.side)
        patient = Patient.read(self.volume, self.labels, self.landmarks)
        planned = plan_all(carm, patient.landmarks, patient.center, self.frame)
        pelvis = PelvicFrame.if_known(patient.landmarks)
        phantom = NAIVE.decompose(patient.volume)
        panels = []
        for done, (name, view) in enumerate(planned.items()):
            report(done, len(planned), name)
            small = view.view.resized((THUMBNAIL, THUMBNAIL))
            caption = f"{view.standard.title}\n{view.words}" + ("" if view.in_reach else " (out of reach)")
            panels.append(Panel(picture(NAIVE(phantom, small)), caption, patient.landmarks.seen_from(small)))
        files = [self.output / "views.json", self.output / "views.png"]
        write_json(files[0], {"device": self.device, "pelvis": _angles(pelvis), "views": _as_plain(planned)})
        write_sheet(files[1], panels, title=f"{self.volume.name}: standard views on {self.device}")
        report(len(planned), len(planned), "done")
        Console().print(_table(planned, pelvis))
        return files


def _angles(pelvis: PelvicFrame | None) -> dict[str, float] | None:
    if pelvis is None:
        return None
    return {"tilt": round(pelvis.tilt, 3), "turn": round(pelvis.turn, 3), "obliquity": round(pelvis.obliquity, 3)}


def _as_plain(planned: Mapping[str, PlannedView]) -> list[dict[str, object]]:
    return [
        {
            "name": name,
            "title": view.standard.title,
            "primary": view.primary,
            "secondary": view.secondary,
            "words": view.words,
            "target": view.target.tolist(),
            "in_reach": view.in_reach,
            "nearest": list(view.nearest),
            "frame": view.frame,
            "approximate": view.approximate,
            "reference": view.standard.reference,
            "pixel_from_world": view.view.matrix().tolist(),
            "size": list(view.view.size),
        }
        for name, view in planned.items()
    ]


def _table(planned: Mapping[str, PlannedView], pelvis: PelvicFrame | None) -> Table:
    found = "no pelvic landmarks: angles are the table's"
    if pelvis is not None:
        found = f"pelvis: tilt {pelvis.tilt:.1f}°, turn {pelvis.turn:.1f}°, obliquity {pelvis.obliquity:.1f}°"
    table = Table("view", "primary", "secondary", "display", "aimed at (LPS mm)", "reach", caption=found)
    for name, view in planned.items():
        table.add_row(
            name + (" ≈" if view.approximate else ""),
            f"{view.primary:.1f}",
            f"{view.secondary:.1f}",
            view.words,
            ", ".join(f"{x:.0f}" for x in view.target.tolist()),
            "yes" if view.in_reach else "no; nearest {:.1f}, {:.1f}".format(*view.nearest),
        )
    return table
