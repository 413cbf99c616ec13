"""The panel: what it shows, what it allows, and what it survives."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture
def ct(scene):
    """A small CT: a ball of bone in water."""
    import slicer

    z, y, x = np.mgrid[-20:20, -20:20, -20:20]
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "ball")
    node.SetSpacing(5.0, 5.0, 5.0)
    node.SetOrigin(-100.0, -100.0, -100.0)
    slicer.util.updateVolumeFromArray(node, np.where(x**2 + y**2 + z**2 < 64, 900, 0).astype(np.int16))
    node.CreateDefaultDisplayNodes()
    return node


@pytest.fixture
def with_ct(widget, ct, settle):
    widget.ui.ctSelector.setCurrentNode(ct)
    settle()
    return widget


def go(widget, settle, number):
    widget.ui.tabs.currentIndex = number
    settle()


def bad(widget):
    """The message, if it is one of something wrong."""
    label = widget.ui.messageLabel
    return label.text if not label.isHidden() and "#b3261e" in label.styleSheet else ""


def test_an_empty_scene_says_what_to_do_first(widget):
    assert "Pick a CT" in widget.ui.patientNotes.text
    assert not widget.ui.findLandmarksButton.enabled
    assert "CT" in widget.ui.findLandmarksButton.toolTip


def test_every_button_that_cannot_be_pressed_says_why(widget, settle):
    for number in range(5):
        go(widget, settle, number)
    buttons = [one for one in vars(widget.ui).values() if one.className() == "QPushButton"]
    tips = {button.name: (button.enabled, button.toolTip) for button in buttons}
    disabled = {name: tip for name, (enabled, tip) in tips.items() if not enabled}
    assert {"findLandmarksButton", "alongButton", "shootButton", "registerButton", "nextButton"} <= set(disabled)
    assert all(tip.endswith(".") for tip in disabled.values())


def test_a_ct_without_landmarks_is_said_to_have_none_and_is_aimed_at_all_the_same(with_ct, settle):
    assert "landmarks" in with_ct.ui.patientNotes.text
    go(with_ct, settle, 1)
    with_ct.ui.liveBox.checked = True
    settle(lambda: "px" in with_ct.ui.speedLabel.text)
    assert not bad(with_ct)


def test_sliders_turn_the_c_arm_and_the_c_arm_turns_the_sliders(with_ct, settle):
    import vtk

    go(with_ct, settle, 1)
    ui, logic = with_ct.ui, with_ct.logic
    ui.primarySlider.value, ui.secondarySlider.value = -25.0, 15.0
    settle()
    assert ui.readingLabel.text == "RAO 25 CRA 15"
    node, by_hand = logic.carm_node(), vtk.vtkMatrix4x4()
    logic.aim(primary=40.0, secondary=0.0)
    node.GetMatrixTransformToParent(by_hand)
    logic.aim(primary=0.0)
    settle()
    node.SetMatrixTransformToParent(by_hand)  # as handles in the 3D view do
    settle()
    assert ui.primarySlider.value == pytest.approx(40.0)
    assert ui.readingLabel.text == "LAO 40"
    ui.superiorSpin.value = 35.0
    settle()
    assert logic.reading().isocenter[2] == pytest.approx(35.0)


def test_angles_out_of_reach_are_shown_and_the_nearest_named(with_ct, settle):
    go(with_ct, settle, 1)
    ui = with_ct.ui
    ui.deviceSelector.currentIndex = ui.deviceSelector.findData("loop-x")
    ui.secondarySlider.value = 60.0
    settle()
    assert "out of reach; nearest" in ui.limitsLabel.text
    assert "#b3261e" in ui.readingLabel.styleSheet


def test_bad_markups_are_a_message_and_not_the_end(with_ct, settle, scene):
    go(with_ct, settle, 2)
    line = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "one point")
    line.AddControlPoint([0.0, 0.0, 0.0])
    with_ct.ui.corridorSelector.setCurrentNode(line)
    settle()
    with_ct.ui.alongButton.click()
    assert bad(with_ct)
    line.AddControlPoint([0.0, 0.0, 0.0])
    with_ct.ui.alongButton.click()
    assert bad(with_ct)
    line.SetNthControlPointPosition(1, 0.0, 80.0, 0.0)
    with_ct.ui.alongButton.click()
    assert not bad(with_ct)
    assert "reach" in with_ct.ui.suggestionLabel.text


def test_a_live_x_ray_survives_the_loss_of_its_ct(with_ct, ct, settle, scene):
    go(with_ct, settle, 1)
    with_ct.ui.liveBox.checked = True
    settle(lambda: "px" in with_ct.ui.speedLabel.text)
    scene.RemoveNode(ct)
    settle()
    with_ct.ui.primarySlider.value = 10.0
    settle()
    assert "CT" in bad(with_ct)
    assert not with_ct.ui.liveBox.enabled or "CT" in with_ct.ui.liveBox.toolTip


def test_a_c_arm_that_is_deleted_is_made_anew(with_ct, settle, scene):
    go(with_ct, settle, 1)
    scene.RemoveNode(with_ct.logic.carm_node())
    settle()
    with_ct.ui.primarySlider.value = 20.0
    settle()
    assert with_ct.ui.readingLabel.text == "LAO 20"


def test_a_closed_scene_leaves_an_empty_panel_that_works(with_ct, settle, scene):
    import slicer

    go(with_ct, settle, 1)
    carm = with_ct.logic.carm_node()
    with_ct.ui.liveBox.checked = True
    settle(lambda: "px" in with_ct.ui.speedLabel.text)
    scene.Clear(0)
    settle()
    assert not carm.HasObserver(slicer.vtkMRMLTransformNode.TransformModifiedEvent)
    assert not with_ct.ui.liveBox.checked
    assert with_ct.parameters.ct is None
    go(with_ct, settle, 0)
    assert "Pick a CT" in with_ct.ui.patientNotes.text


def test_a_panel_taken_down_follows_nothing(with_ct, settle):
    go(with_ct, settle, 1)
    with_ct.cleanup()
    assert not list(with_ct.Observations)
    with_ct.logic.aim(primary=33.0)
    with_ct.logic.home().SetParameter("kvp", "50.0")
    settle()
    assert with_ct.ui.readingLabel.text == "AP 0"
    assert with_ct.ui.kvpSpin.value == 90.0


def test_a_scene_closed_while_work_runs_ends_the_work(with_ct, settle, scene, monkeypatch):
    told = []
    monkeypatch.setattr(with_ct.runner, "abandon", lambda: told.append("ended"))
    scene.Clear(0)
    assert told == ["ended"]


def test_settings_are_kept_in_the_scene_and_mean_what_they_say(with_ct, settle):
    go(with_ct, settle, 3)
    ui, panel = with_ct.ui, with_ct.panels[3]
    ui.kvpSpin.value = 70.0
    ui.exposureBox.checked = False
    ui.photonsSpin.value = 500.0
    ui.leftSpin.value = 25.0
    settle()
    settings = panel.settings()
    assert (settings.kvp, settings.photons, settings.collimation) == (70.0, 500.0, (0.0, 0.0, 25.0, 0.0))
    ui.fidelitySelector.setCurrentText("naive")
    settle()
    assert panel.settings().kvp is None and panel.settings().photons is None
    assert not ui.kvpSpin.enabled and "realistic" in ui.kvpSpin.toolTip


def test_an_x_ray_without_pixel_spacing_is_asked_for_one(with_ct, settle, tmp_path):
    from PIL import Image
    from slicer_standin.pythonqt import FileDialog

    Image.fromarray(np.full((40, 30), 90, np.uint8)).save(tmp_path / "x.png")
    FileDialog.chosen = str(tmp_path / "x.png")
    go(with_ct, settle, 4)
    with_ct.ui.loadXrayButton.click()
    settle()
    assert not bad(with_ct)
    with_ct.ui.geometryButton.click()
    assert "how large a pixel is" in bad(with_ct)
    with_ct.ui.pixelSpin.value = 2.0
    with_ct.ui.geometryButton.click()
    settle()
    assert not bad(with_ct)


def test_no_file_is_no_error(with_ct, settle):
    go(with_ct, settle, 4)
    with_ct.ui.loadXrayButton.click()
    assert with_ct.ui.messageLabel.isHidden()


SERVER = """
import json
from http.server import BaseHTTPRequestHandler, HTTPServer

class Guarded(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.headers["Authorization"] != "Bearer right":
            return self.say(401, {"detail": "no such token"})
        if self.path.startswith("/whoami"):
            return self.say(200, {"name": "anna", "role": "annotator"})
        self.say(200, {"strategies": {"hybrid": {}, "random": {}}, "datastore": {"total": 3, "completed": 1}})

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.say(200, {})

    def say(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *given):
        pass

server = HTTPServer(("127.0.0.1", 0), Guarded)
print(server.server_port, flush=True)
server.serve_forever()
"""
"""A server that knows one token, and has no picture left to read. In a process: no thread may end Qt's objects here."""


@pytest.fixture(scope="module")
def server():
    one = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, encoding="utf-8")
    yield f"http://127.0.0.1:{one.stdout.readline().strip()}"
    one.kill()
    one.communicate()


def connect(widget, settle, server, token):
    go(widget, settle, 4)
    widget.ui.serverEdit.text = server
    widget.ui.tokenEdit.text = token
    settle()
    widget.ui.connectButton.click()
    settle()


def test_a_wrong_token_is_refused_in_words_and_the_right_one_signs_in(with_ct, settle, server):
    connect(with_ct, settle, server, "wrong")
    assert bad(with_ct)
    assert not with_ct.ui.nextButton.enabled
    connect(with_ct, settle, server, "right")
    assert not bad(with_ct)
    assert "anna" in with_ct.ui.messageLabel.text
    assert "1 of 3" in with_ct.ui.serverLabel.text
    with_ct.ui.nextButton.click()
    assert "No radiograph is left" in with_ct.ui.whyLabel.text


def test_the_token_is_kept_nowhere(with_ct, settle, server, scene):
    import slicer

    connect(with_ct, settle, server, "right")
    assert slicer.app.userSettings().value("VirtualCArm/Server").startswith("http://127.0.0.1")
    assert "right" not in [slicer.app.userSettings().value(key) for key in slicer.app.userSettings()._kept]
    home = with_ct.logic.home()
    assert "right" not in [home.GetParameter(name) for name in home.GetParameterNames()]


def test_a_server_that_goes_is_a_message_and_the_points_stay(with_ct, settle, server, scene):
    connect(with_ct, settle, server, "right")
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "x-ray")

    class Gone:
        def submit(self, sample):
            from skiagraph.errors import DataError

            raise DataError("no answer from the server")

    panel = with_ct.panels[4]
    panel._server, panel._sample = Gone(), SimpleNamespace(node=node, why="")
    with_ct.refresh()
    with_ct.ui.submitButton.click()
    assert "no answer" in bad(with_ct)
    assert panel._sample is not None, "what was read is still there to be submitted again"


def test_a_training_is_followed_until_it_ends(with_ct, settle, server, monkeypatch):
    connect(with_ct, settle, server, "right")
    said = [("RUNNING", "step 5 of 10", 0.5), ("DONE", "better by 1 px", 1.0)]

    class Trains:
        def train(self):
            return None

        def training(self):
            status, words, part = said.pop(0)
            return SimpleNamespace(status=status, words=words, part=part, running=status == "RUNNING")

        def status(self):
            return SimpleNamespace(finished=2, total=3)

    panel = with_ct.panels[4]
    panel._server = Trains()
    panel._asking.interval = 10
    with_ct.ui.trainButton.click()
    assert with_ct.ui.trainingBar.value == 50
    settle(lambda: with_ct.ui.trainingBar.value == 100)
    assert not panel._asking.active
    assert "2 of 3" in with_ct.ui.serverLabel.text


def test_the_modules_own_test_passes_here_as_it_does_in_slicer(shell, widget, settle):
    test = shell.VirtualCArmTest()
    test.runTest()
    settle()
