"""`skiagraph render`: take an X-ray of a CT."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from skiagraph.carm import CArm, Side, clinical, device
from skiagraph.drr.engines import engine
from skiagraph.drr.render import FIDELITIES, Renderer
from skiagraph.drr.scene import Scene
from skiagraph.errors import GeometryError
from skiagraph.geometry import View, float64
from skiagraph.io.patient import Patient, generator
from skiagraph.io.xray import Bone
from skiagraph.physics.spectrum import Spectrum
from skiagraph.planning import Frame, plan, standard_view
from skiagraph.tasks.shot import beside, check_output, collimated, save, shoot, window_of
from skiagraph.tasks.task import Report, silent


@dataclass(frozen=True)
class Render:
    """Take an X-ray of a CT."""

    command: ClassVar[str] = "render"

    volume: tyro.conf.Positional[Path]
    """CT to look through: NIfTI, NRRD, MetaImage, a DICOM folder, or a folder made by `skiagraph body`."""
    output: tyro.conf.Positional[Path]
    """Where the X-ray goes: .png or .dcm to look at, .nrrd, .nii.gz, .mha or .tiff for transmission in float32."""
    view: str | None = None
    """A standard view, such as inlet or left-obturator-oblique; `skiagraph views` lists them."""
    primary: float = 0.0
    """Degrees, LAO positive; with no standard view."""
    secondary: float = 0.0
    """Degrees, cranial positive; with no standard view."""
    roll: float = 0.0
    """Degrees the image is turned in its plane; 0 is head up."""
    target: tuple[float, float, float] | None = None
    """What the beam is aimed at, LPS millimetres; the view's own target or the middle of the body if not given."""
    fidelity: Literal["naive", "heuristic", "realistic"] = "realistic"
    """How much of the physics to simulate."""
    device: Literal["generic", "cios-fusion", "loop-x"] = "generic"
    """The C-arm; `skiagraph devices` tells about them."""
    side: Side = "right"
    """Which side of the patient a mobile C-arm stands on."""
    size: int = 768
    """Columns of the image; the panel keeps its millimetres."""
    kvp: float | None = None
    """Tube voltage, with fidelity realistic; 90 if not given."""
    photons: float | None = None
    """Photons per pixel in the open field, fixed; the fidelity's own, or its exposure control's, if not given."""
    labels: Path | None = None
    """Anatomy per voxel on the CT's grid, to be projected to masks."""
    landmarks: Path | None = None
    """Points of the CT: .mrk.json, .fcsv or .json."""
    collimation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Millimetres of the panel that the collimator's leaves cover: top, bottom, left, right."""
    frame: Frame = "pelvis"
    """Whether a standard view's angles are the pelvis's own, or the table's."""
    bone: Bone = "bright"
    """How bone looks in .png and .dcm."""
    engine: Literal["fastest", "reference", "native", "sliced", "deepdrr"] = "fastest"
    """Who computes the line integrals."""
    seed: int = 0
    """Where the noise starts; the same seed makes the same picture."""

    @property
    def record(self) -> Path:
        """Beside the picture."""
        return beside(self.output, ".run.json")

    def run(self, report: Report = silent) -> list[Path]:
        """Take the X-ray; the files written."""
        check_output(self.output)
        carm = replace(device(self.device), side=self.side).with_pixels(self.size)
        renderer = self.renderer()
        report(0, 3, "reading the CT")
        patient = Patient.read(self.volume, self.labels, self.landmarks)
        view, said = self.aim(patient, carm)
        if not view.sees(patient.spread()).any():
            raise GeometryError(f"the beam at {said['target']} misses the CT; give a --target inside it")
        report(1, 3, "taking the X-ray")
        labels = () if patient.labels is None else (patient.labels,)
        scene = Scene((renderer.decompose(patient.volume),), labels, patient.landmarks)
        said |= {"fidelity": self.fidelity, "seed": self.seed, "panel": _panel(renderer)}
        window = window_of(view, self.collimation)
        shot = shoot(renderer, scene, view, carm, generator(self.seed), **said)
        shot = collimated(shot, window) if any(self.collimation) else shot
        report(2, 3, "writing")
        files = save(shot, self.output, self.bone, self.kvp or (90.0 if self.fidelity == "realistic" else None))
        report(3, 3, "done")
        return files

    def renderer(self) -> Renderer:
        """The fidelity with this request's changes."""
        renderer = replace(FIDELITIES[self.fidelity], engine=engine(self.engine))
        if self.kvp is not None:
            if self.fidelity != "realistic":
                raise GeometryError(f"kvp has no meaning with fidelity {self.fidelity}; leave it out or use realistic")
            renderer = replace(renderer, spectrum=Spectrum.tube(self.kvp))
        if self.photons is not None:
            renderer = replace(renderer, panel=replace(renderer.panel, photons=self.photons, aim=0.0))
        return renderer

    def aim(self, patient: Patient, carm: CArm) -> tuple[View, dict[str, object]]:
        """The view asked for, and what to say about it."""
        if self.view is None:
            target = patient.center if self.target is None else float64(self.target)
            view = carm.aimed_at(target, self.primary, self.secondary, self.roll)
            return view, {"words": clinical(self.primary, self.secondary), "target": target.tolist()}
        if self.primary or self.secondary:
            raise GeometryError(f"view {self.view} has angles of its own; give the view or the two angles, not both")
        planned = plan(standard_view(self.view), carm, patient.landmarks, patient.center, self.frame)
        target = planned.target if self.target is None else float64(self.target)
        view = carm.aimed_at(target, planned.primary, planned.secondary, self.roll)
        return view, {
            "standard_view": planned.standard.name,
            "words": planned.words,
            "frame": planned.frame,
            "approximate": planned.approximate,
            "target": target.tolist(),
        }


def _panel(renderer: Renderer) -> dict[str, float | None]:
    """What makes the noise, for the record; None for none."""
    panel = renderer.panel
    photons = panel.photons if panel.noisy else None
    return {"photons": photons, "aim": panel.aim or None, "readout": panel.readout, "blur_mm": panel.blur}
