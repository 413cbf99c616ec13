"""The pictures of the README: run `.venv/bin/python core/docs/pictures.py`."""

from pathlib import Path

import torch

import skiagraph as sg
from skiagraph.bodies import Person, build
from skiagraph.drr.display import picture
from skiagraph.drr.project import project_labels
from skiagraph.drr.render import FIDELITIES
from skiagraph.factory.subjects import people
from skiagraph.planning import VIEWS
from skiagraph.tasks.sheet import Panel, write_sheet

IMAGES = Path(__file__).parent / "images"
SHOWN = ("ap", "inlet", "outlet", "left_obturator_oblique", "left_iliac_oblique", "left_lateral")


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def main() -> None:
    views_and_fidelities()
    generated_cts()


def views_and_fidelities() -> None:
    body = build(Person(), spacing=1.0)
    carm = sg.GENERIC.with_pixels(640)
    phantom = sg.REALISTIC.decompose(body.volume)
    panels = []
    for name in SHOWN:
        planned = sg.plan(VIEWS[name], carm, body.landmarks, body.volume.grid.center)
        shown = picture(sg.REALISTIC(phantom, planned.view, seeded()))
        masks = None if name == "ap" else project_labels(body.labels, planned.view).masks
        points = None if name == "ap" else body.landmarks.seen_from(planned.view)
        panels.append(Panel(shown, f"{planned.standard.title}: {planned.words}", points, masks))
    write_sheet(IMAGES / "views.jpg", panels, columns=3)
    view = sg.plan(VIEWS["ap"], carm, body.landmarks, body.volume.grid.center).view
    compared = [Panel(picture(r(r.decompose(body.volume), view, seeded())), name) for name, r in FIDELITIES.items()]
    write_sheet(IMAGES / "fidelities.jpg", compared, columns=3)


def generated_cts() -> None:
    """Standard views of CTs from noise, and of a phantom on as coarse a lattice."""
    carm, panels = sg.GENERIC.with_pixels(384), []
    for subject in [*people("generated:2", seed=4), *people("shape:1", seed=4, spacing=2.5)]:
        patient = subject.load()
        phantom = sg.REALISTIC.decompose(patient.volume)
        for name in ("ap", "inlet", "outlet", "left_obturator_oblique"):
            planned = sg.plan(VIEWS[name], carm, patient.landmarks, patient.center)
            shown = picture(sg.REALISTIC(phantom, planned.view, seeded()))
            points = patient.landmarks.seen_from(planned.view)
            panels.append(Panel(shown, f"{subject.name.split('-')[0]}: {planned.standard.title}", points))
    write_sheet(IMAGES / "generated_cts.jpg", panels, columns=4)


if __name__ == "__main__":
    main()
