"""`skiagraph demo`: from a body to standard views, X-rays, labels and a report, in one go."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from skiagraph.carm import GENERIC
from skiagraph.drr.render import FIDELITIES, REALISTIC
from skiagraph.drr.scene import Scene
from skiagraph.factory.subjects import people
from skiagraph.io.patient import Patient, generator, write_body
from skiagraph.planning import VIEWS, plan
from skiagraph.tasks.page import Exhibit, write_page
from skiagraph.tasks.sheet import Panel, write_sheet
from skiagraph.tasks.shot import Shot, save, shoot
from skiagraph.tasks.task import Report, silent

SHOWN = (
    "ap", "inlet", "outlet", "left_obturator_oblique", "right_obturator_oblique",
    "left_teardrop", "left_lateral", "left_hip_ap",
)  # fmt: skip
"""The views the demonstration takes."""


@dataclass(frozen=True)
class Demo:
    """From a body to labelled X-rays: plan the standard views, take them, project the labels, write a report."""

    command: ClassVar[str] = "demo"

    output: Path = Path("out/demo")
    """Folder for everything."""
    ct: Path | None = None
    """Your own CT; a body of nobody if not given."""
    labels: Path | None = None
    """Anatomy per voxel of your CT."""
    landmarks: Path | None = None
    """Points of your CT."""
    body: Literal["generated", "shape", "parametric"] = "generated"
    """Who is nobody: a CT generated from noise, or a phantom about a drawn or a parametric pelvis."""
    size: int = 768
    """Columns of each picture."""
    spacing: float = 1.25
    """Millimetres between voxels of a phantom."""
    seed: int = 0
    """Another seed is another body and other noise."""

    @property
    def record(self) -> Path:
        """In the folder."""
        return self.output / "run.json"

    def run(self, report: Report = silent) -> list[Path]:
        """Do it all; the files written."""
        steps = len(SHOWN) + 3
        report(0, steps, "reading the CT" if self.ct else f"a {self.body} body")
        files: list[Path] = []
        if self.ct is not None:
            patient = Patient.read(self.ct, self.labels, self.landmarks)
        else:
            (nobody,) = people(f"{self.body}:1", self.seed, self.spacing)
            patient = nobody.load()
            files += write_body(self.output / "body", patient)
        carm = GENERIC.with_pixels(self.size)
        labels = () if patient.labels is None else (patient.labels,)
        scene = Scene((REALISTIC.decompose(patient.volume),), labels, patient.landmarks)
        shots: dict[str, Shot] = {}
        for done, name in enumerate(SHOWN, start=1):
            planned = plan(VIEWS[name], carm, patient.landmarks, patient.center)
            report(done, steps, planned.standard.title)
            shots[name] = shoot(
                REALISTIC, scene, planned.view, carm, generator(self.seed + done),
                standard_view=name, title=planned.standard.title, words=planned.words, frame=planned.frame,
                approximate=planned.approximate, fidelity="realistic", seed=self.seed + done,
            )  # fmt: skip
            files += save(shots[name], self.output / f"{name}.png", kvp=90.0, also=(".dcm",))
        report(steps - 2, steps, "three fidelities")
        fidelities = self.fidelities(patient, shots["ap"])
        report(steps - 1, steps, "writing the report")
        files += [self.output / "contact_sheet.png", self.output / "report.html"]
        write_sheet(files[-2], [_panel(shot) for shot in shots.values()], "Skiagraph: standard views, labelled")
        exhibits = [Exhibit(name, shot) for name, shot in shots.items()]
        write_page(files[-1], exhibits, fidelities, patient, nobody.source if self.ct is None else str(self.ct))
        report(steps, steps, "done")
        return files

    def fidelities(self, patient: Patient, shot: Shot) -> dict[str, Shot]:
        """The same view at every fidelity, without labels."""
        small = shot.view.resized((384, 384))
        taken = {}
        for name, renderer in FIDELITIES.items():
            scene = Scene((renderer.decompose(patient.volume),), (), patient.landmarks)
            taken[name] = shoot(renderer, scene, small, shot.carm, generator(self.seed))
        return taken


def _panel(shot: Shot) -> Panel:
    title, words = shot.record.extra["title"], shot.record.extra["words"]
    masks = None if shot.projection is None else shot.projection.masks
    return Panel(shot.shown, f"{title}\n{words}", shot.record.keypoints, masks)
