"""*Generate CT* and *Find landmarks* as they are pressed: the real core in a process of its own, and how it may end."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from skiagraph.bodies import Person, build
from skiagraph.generate.autoencoder import Coder
from skiagraph.generate.bundle import DRIFT, write_generator
from skiagraph.generate.ct import CtGenerator, Drift
from skiagraph.generate.flow import Latents
from skiagraph.generate.frame import Frame, framed
from skiagraph.generate.quality import Norm, norms_of
from skiagraph.io.patient import Patient

FINE, COARSE = Frame(4.0, multiple=8), Frame(6.0, multiple=8)

DRAWS = """
import time
from pathlib import Path

import torch
from skiagraph.generate.ct import CtGenerator

HERE = Path(__file__).parent

def draw(self, traits, rng, progress, labels=None):
    for step in range(self.steps):
        progress(step, self.steps)
    while (HERE / "wait").exists():
        (HERE / "waiting").touch()
        time.sleep(0.05)
    return torch.load(HERE / "body.pt")

CtGenerator.__call__ = draw
"""
"""Stands in for the drawing alone: a network that draws whole bodies takes hours to train. Bundle and task are real."""


def written(folder: Path, frame: Frame, norms: Mapping[str, Norm]) -> Path:
    """The bundle of a generator that has learned nothing."""
    torch.manual_seed(0)
    coder, drift = Coder((8, 12), latent=4), Drift((16, 32), (False, True), context=16)
    spread = Latents((0.0,) * 4, (1.0,) * 4)
    made = CtGenerator(coder.build().eval(), drift.build(4).eval(), spread, frame, coder, norms, steps=2)
    write_generator(folder, made, drift)
    return folder


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Path:
    """A generator that draws no whole body, unless `sitecustomize.py` beside it draws for it."""
    body = framed(Patient.of(build(Person(), 4.0)), FINE)
    folder = tmp_path_factory.mktemp("generator")
    torch.save((body.hu, body.index), folder / "body.pt")
    (folder / "sitecustomize.py").write_text(DRAWS, encoding="utf-8")
    norms = norms_of([(body.hu, body.index), (body.hu + 30, body.index)], FINE)
    return written(folder / "bundle", FINE, norms)


@pytest.fixture
def asking(widget, bundle, monkeypatch):
    """The panel, whose *Generate CT* asks this generator."""
    monkeypatch.setattr(widget.logic, "generate_request", partial(widget.logic.generate_request, bundle=bundle))
    return widget


@pytest.fixture
def drawing(asking, bundle, monkeypatch):
    """The panel, with a generator that draws whole bodies, if nobody has it wait."""
    monkeypatch.setenv("PYTHONPATH", str(bundle.parent))
    yield asking
    for name in ("wait", "waiting"):
        (bundle.parent / name).unlink(missing_ok=True)


def press(widget, settle, name):
    """Press a button, wait for the end of the work; the message, and the steps that were told."""
    steps, told = [], widget.runner._progress
    widget.runner._progress = lambda part, words: (steps.append((part, words)), told(part, words))
    button = getattr(widget.ui, name)
    settle()
    assert button.enabled, button.toolTip
    button.click()
    settle(lambda: widget.runner.state == "idle", 300)
    settle()
    widget.runner._progress = told
    return widget.ui.messageLabel.text, steps


def bad(widget):
    return "#b3261e" in widget.ui.messageLabel.styleSheet


def leftovers():
    import slicer

    return list(Path(slicer.app.temporaryPath).iterdir())


def test_a_generated_ct_arrives_with_structures_and_landmarks(drawing, settle, scene):
    drawing.parameters.sex = "female"
    drawing.parameters.tiltAsked = True
    words, steps = press(drawing, settle, "generateButton")
    assert not bad(drawing) and "nobody's" in words, words
    nodes = drawing.logic.patient_nodes()
    assert nodes.landmarks.GetNumberOfDefinedControlPoints() == 14
    assert nodes.labels.GetSegmentation().GetNumberOfSegments() == 6
    assert drawing.ui.ctSelector.currentNode() is nodes.ct
    assert "All is there" in drawing.ui.patientNotes.text
    parts = [part for part, _ in steps]
    assert parts == sorted(parts) and parts[-1] == 1.0
    assert {"generating", "writing"} <= {doing for _, doing in steps}
    assert drawing.ui.progressBar.isHidden() and drawing.ui.cancelButton.isHidden()
    assert not leftovers()
    drawing.ui.tabs.currentIndex = 1
    drawing.ui.liveBox.checked = True
    settle(lambda: "px" in drawing.ui.speedLabel.text)
    assert not bad(drawing), drawing.ui.messageLabel.text


def test_the_generator_that_comes_along_brings_a_body(widget, settle, scene):
    words, _ = press(widget, settle, "generateButton")
    assert not bad(widget) and "nobody's" in words, words
    nodes = widget.logic.patient_nodes()
    assert nodes.landmarks.GetNumberOfDefinedControlPoints() >= 8
    assert nodes.labels.GetSegmentation().GetNumberOfSegments() == 6


def test_a_generator_that_draws_no_whole_body_says_so_and_leaves_the_scene_as_it_was(
    widget, settle, scene, tmp_path, monkeypatch
):
    asking, unlearned = widget, written(tmp_path / "unlearned", COARSE, {})
    monkeypatch.setattr(widget.logic, "generate_request", partial(widget.logic.generate_request, bundle=unlearned))
    before = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    words, _ = press(asking, settle, "generateButton")
    assert bad(asking) and "none of 5 bodies holds together" in words and "another seed" in words
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == before
    assert asking.ui.generateButton.enabled and not leftovers()


def test_a_generation_that_is_cancelled_ends_and_leaves_nothing(drawing, settle, scene, bundle):
    (bundle.parent / "wait").touch()
    drawing.ui.generateButton.click()
    settle(lambda: (bundle.parent / "waiting").exists(), 300)
    assert not drawing.ui.cancelButton.isHidden()
    drawing.ui.cancelButton.click()
    settle(lambda: drawing.runner.state == "idle", 60)
    settle()
    assert drawing.ui.messageLabel.text.startswith("Cancelled") and not bad(drawing)
    assert drawing.parameters.ct is None and not leftovers()


def test_a_scene_closed_while_a_ct_is_generated_stays_empty_and_the_next_one_arrives(drawing, settle, scene, bundle):
    (bundle.parent / "wait").touch()
    drawing.ui.generateButton.click()
    settle(lambda: (bundle.parent / "waiting").exists(), 300)
    scene.Clear(0)
    settle(lambda: drawing.runner.state == "idle", 60)
    settle()
    assert drawing.parameters.ct is None and not leftovers()
    (bundle.parent / "wait").unlink()
    words, steps = press(drawing, settle, "generateButton")
    assert drawing.parameters.ct is not None and steps, words


def test_a_bundle_that_is_none_is_named(widget, settle, tmp_path, monkeypatch):
    broken = written(tmp_path / "broken", COARSE, {})
    (broken / DRIFT).write_bytes(b"no weights")
    monkeypatch.setattr(widget.logic, "generate_request", partial(widget.logic.generate_request, bundle=broken))
    words, _ = press(widget, settle, "generateButton")
    assert bad(widget) and DRIFT.name in words


# Find landmarks


@pytest.fixture
def patient(widget, scene, settle):
    """A phantom in the panel, without landmarks."""
    from VirtualCArmLib import convert

    body = build(Person(), spacing=6.0)
    ct, labels = convert.show_volume(scene, body.volume, "CT"), convert.show_labels(scene, body.labels, "anatomy")
    widget.logic.set_patient(ct, None, labels)
    settle()
    return widget.logic.patient_nodes()


@pytest.fixture
def ended(widget, settle, monkeypatch):
    """`ended(then)` lets the work begin, does something, and has it end well; the real work is done here."""

    def so(then):
        asked = []
        monkeypatch.setattr(
            widget.runner,
            "start",
            lambda requests: (asked.extend(requests), setattr(widget.runner, "state", "running")),
        )
        widget.ui.findLandmarksButton.click()
        widget.logic.run(asked[0])
        then()
        settle()
        widget.runner.state = "idle"
        widget._work_done([])
        settle()

    return so


def test_landmarks_are_found_beside_slicer(widget, settle, patient):
    words, steps = press(widget, settle, "findLandmarksButton")
    assert not bad(widget) and "were found" in words, words
    assert widget.parameters.landmarks.GetNumberOfDefinedControlPoints() == 14
    assert steps and not leftovers()


def test_without_hip_bones_the_core_says_what_it_wants(widget, settle, patient):
    segmentation = patient.labels.GetSegmentation()
    for name in ("left_hemipelvis", "right_hemipelvis"):
        segmentation.RemoveSegment(segmentation.GetSegmentIdBySegmentName(name))
    settle()
    words, _ = press(widget, settle, "findLandmarksButton")
    assert bad(widget) and "hip" in words, words
    assert widget.parameters.landmarks is None and not leftovers()


def test_a_ct_with_holes_is_refused_before_anything_runs(widget, settle, patient):
    import slicer

    slicer.util.arrayFromVolume(patient.ct)[0, 0, 0] = np.nan
    slicer.util.arrayFromVolumeModified(patient.ct)
    settle()
    widget.ui.findLandmarksButton.click()
    assert bad(widget) and "NaN" in widget.ui.messageLabel.text
    assert widget.runner.state == "idle"
    widget.folder_for_work()
    assert len(leftovers()) == 1, "the folder of the work that never ran is gone"
    widget._sweep()


def test_a_ct_that_is_deleted_while_its_landmarks_are_looked_for_is_a_message(widget, scene, patient, ended):
    ended(lambda: scene.RemoveNode(patient.ct))
    assert bad(widget) and "was deleted while" in widget.ui.messageLabel.text
    assert not leftovers()


def test_landmarks_of_a_ct_that_is_no_longer_picked_are_kept_and_not_given_to_another(widget, scene, patient, ended):
    from VirtualCArmLib import convert

    other = convert.show_volume(scene, build(Person(), spacing=6.0).volume, "another")
    ended(lambda: setattr(widget.parameters, "ct", other))
    assert not bad(widget) and "Landmarks of CT were found" in widget.ui.messageLabel.text
    assert widget.parameters.landmarks is None
    assert scene.GetFirstNodeByName("CT landmarks").GetNumberOfDefinedControlPoints() == 14


def test_a_button_pressed_twice_does_its_work_once(widget, settle, patient, monkeypatch):
    started = []
    monkeypatch.setattr(
        widget.runner, "start", lambda requests: (started.append(requests), setattr(widget.runner, "state", "running"))
    )
    widget.ui.findLandmarksButton.click()
    folder, after = widget._folder, widget._after
    widget.ui.findLandmarksButton.click()
    assert len(started) == 1 and widget._folder == folder and widget._after is after
    assert folder.is_dir() and "beside Slicer" in widget.ui.messageLabel.text
    widget.runner.state = "idle"
    widget._work_cancelled()
