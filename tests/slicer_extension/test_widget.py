"""The panel: what it shows, what it allows, and what it survives."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture
def ct(scene):
    """A small CT: a ball of bone in a ball of water in air."""
    import slicer

    z, y, x = np.mgrid[-20:20, -20:20, -20:20]
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "ball")
    node.SetSpacing(5.0, 5.0, 5.0)
    node.SetOrigin(-100.0, -100.0, -100.0)
    off = x**2 + y**2 + z**2
    slicer.util.updateVolumeFromArray(node, np.where(off < 64, 900, np.where(off < 360, 0, -1000)).astype(np.int16))
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
    again = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "again")
    again.CopyContent(ct)
    with_ct.ui.ctSelector.setCurrentNode(again)
    settle(lambda: not bad(with_ct))


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


def named(scene, kind, name):
    nodes = [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
    return [node for node in nodes if node.GetName().startswith(name)]


def test_a_scene_that_is_opened_has_one_c_arm_and_the_panel_follows_it(with_ct, settle, scene, tmp_path):
    """Between the closing of the old scene and the end of the new one, the panel makes nothing."""
    go(with_ct, settle, 1)
    with_ct.logic.aim(primary=35.0)
    settle()
    scene.SetURL(str(tmp_path / "saved.mrml"))
    assert scene.Commit()
    with_ct.logic.aim(primary=-10.0)
    assert scene.Connect()
    settle()
    assert len(named(scene, "vtkMRMLModelNode", "C-arm body")) == 1
    assert len(named(scene, "vtkMRMLLinearTransformNode", "C-arm")) == 1
    assert with_ct.ui.primarySlider.value == 35.0
    with_ct.ui.primarySlider.value = 20.0
    assert with_ct.logic.reading().primary == pytest.approx(20.0)


def test_a_scene_closed_while_the_user_is_elsewhere_stays_empty_until_he_comes(with_ct, settle, scene):
    go(with_ct, settle, 1)
    with_ct.exit()
    scene.Clear(0)
    settle()
    assert with_ct.parameters is None and not named(scene, "vtkMRMLTransformNode", "C-arm")
    with_ct.enter()
    settle()
    assert with_ct.parameters is not None and named(scene, "vtkMRMLTransformNode", "C-arm")


def test_turning_one_angle_leaves_the_others_to_the_tenth(with_ct, settle):
    """The sliders show whole degrees, and the isocentre whole millimetres; the C-arm stands where it stands."""
    go(with_ct, settle, 1)
    logic, ui = with_ct.logic, with_ct.ui
    logic.aim(primary=12.4, secondary=-7.6, roll=3.3, isocenter=(1.4, 2.4, 3.4))
    settle()
    ui.primarySlider.value = 20.0
    settle()
    now = logic.reading()
    assert (now.primary, now.secondary, now.roll) == pytest.approx((20.0, -7.6, 3.3), abs=1e-4)
    ui.anteriorSpin.value = 9.0
    settle()
    assert logic.reading().isocenter == pytest.approx((1.4, 9.0, 3.4), abs=1e-4)


def test_a_live_x_ray_begins_at_the_patient_and_says_when_it_leaves_him(with_ct, ct, settle):
    ct.SetOrigin(-100.0, -100.0, -1500.0)  # as scanners count
    go(with_ct, settle, 1)
    with_ct.ui.liveBox.checked = True
    settle(lambda: "px" in with_ct.ui.speedLabel.text)
    assert not with_ct.logic.misses() and not bad(with_ct)
    with_ct.ui.superiorSpin.value = 1000.0
    settle()
    assert "misses the CT" in bad(with_ct)
    with_ct.panels[1]._buttons["ap"].click()
    settle(lambda: not bad(with_ct))


def test_a_live_x_ray_follows_the_landmarks_and_the_patient_too(with_ct, ct, settle, scene):
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
    points.AddControlPoint([10.0, 0.0, 10.0], "left_femoral_head")
    with_ct.ui.landmarksSelector.setCurrentNode(points)
    go(with_ct, settle, 1)
    with_ct.ui.liveBox.checked = True
    settle(lambda: "px" in with_ct.ui.speedLabel.text)
    shown = with_ct.logic.home().GetNodeReference("live.landmarks")

    def at():
        place = [0.0] * 3
        shown.GetNthControlPointPositionWorld(0, place)
        return np.array(place)

    before = at()
    points.SetNthControlPointPosition(0, 10.0, 0.0, 40.0)
    settle(lambda: np.linalg.norm(at() - before) > 30)
    go(with_ct, settle, 0)
    bed = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "bed")
    points.SetAndObserveTransformNodeID(bed.GetID())
    between, down = at(), np.eye(4)
    down[2, 3] = -25.0
    import slicer

    bed.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(down))
    settle(lambda: np.linalg.norm(at() - between) > 25)


def test_zoom_and_pan_of_the_x_ray_stay_while_it_follows(with_ct, settle):
    import slicer
    import vtk

    go(with_ct, settle, 1)
    with_ct.ui.liveBox.checked = True
    settle(lambda: with_ct.ui.speedLabel.text.startswith("768"))
    node = with_ct.views.slice("XRay").GetSliceNode()
    wide, high, deep = node.GetFieldOfView()
    node.SetFieldOfView(wide / 3, high / 3, deep)
    to_ras = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
    away = to_ras.copy()
    away[:3, 3] += 20.0 * to_ras[:3, 0] + 55.0 * to_ras[:3, 2]  # dragged sideways, and the wheel was turned
    slicer.util.updateVTKMatrixFromArray(node.GetSliceToRAS(), away)
    node.UpdateMatrices()
    with_ct.ui.primarySlider.value = 30.0
    settle(lambda: with_ct.ui.speedLabel.text.startswith("768"))
    assert node.GetFieldOfView()[0] == pytest.approx(wide / 3)
    image = with_ct.logic.home().GetNodeReference("live")
    columns, rows, _ = image.GetImageData().GetDimensions()
    ijk = vtk.vtkMatrix4x4()
    image.GetIJKToRASMatrix(ijk)
    middle = slicer.util.arrayFromVTKMatrix(ijk) @ [(columns - 1) / 2, (rows - 1) / 2, 0.0, 1.0]
    now = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
    off = np.linalg.inv(now) @ middle
    np.testing.assert_allclose(off[:3], [-20.0, 0.0, 0.0], atol=1e-6)


def test_the_x_ray_is_brought_into_sight_where_another_layout_hides_it(with_ct, settle):
    import slicer

    manager = slicer.app.layoutManager()
    go(with_ct, settle, 1)
    with_ct.ui.liveBox.checked = True
    with_ct.ui.liveBox.checked = False
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    assert not with_ct.views.shown("XRay")
    with_ct.ui.liveBox.checked = True
    assert with_ct.views.shown("XRay") and manager.layout == 9701


def test_a_line_that_was_just_made_is_placed_where_a_click_is_a_place_in_the_body(with_ct, ct, settle):
    import slicer
    from slicer_standin import application as standin

    go(with_ct, settle, 1)
    with_ct.ui.layoutButton.click()
    go(with_ct, settle, 2)
    line = with_ct.ui.corridorSelector.addNode()
    settle()
    assert ("place", line.GetName()) in standin.asked
    manager = slicer.app.layoutManager()
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    assert manager.sliceWidget("Red").sliceLogic().GetSliceCompositeNode().GetBackgroundVolumeID() == ct.GetID()


def test_landmarks_to_place_are_those_that_are_missing_and_the_notes_follow(with_ct, settle, scene):
    from slicer_standin import application as standin

    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "six")
    points.AddControlPoint([10.0, 0.0, 10.0], "left_femoral_head")
    with_ct.ui.landmarksSelector.setCurrentNode(points)
    settle()
    with_ct.ui.placeLandmarksButton.click()
    assert ("place", "six") in standin.asked and "Click 13 landmarks" in with_ct.ui.messageLabel.text
    settle()
    assert "13 landmarks of the hip are not known" in with_ct.ui.patientNotes.text
    points.SetNthControlPointPosition(5, 5.0, 5.0, 5.0)
    settle()
    assert "12 landmarks of the hip are not known" in with_ct.ui.patientNotes.text


def test_the_s_curve_is_drawn_in_the_modules_own_layout(with_ct, settle, scene):
    import slicer

    go(with_ct, settle, 2)
    plane = scene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode", "rim")
    plane.SetCenterWorld([0.0, 0.0, 0.0])
    plane.SetNormalWorld([0.6, 0.0, 0.8])
    with_ct.ui.targetSelector.setCurrentNode(plane)
    settle()
    with_ct.ui.edgeButton.click()
    assert not bad(with_ct) and slicer.app.layoutManager().layout == 9702
    chart = scene.GetSingletonNode("SCurve", "vtkMRMLPlotViewNode").GetPlotChartNode()
    assert chart.GetNumberOfPlotSeriesNodes() == 3
    assert slicer.vtkSlicerPlotsLogic.GetLayoutWithPlot(9702) != 9702, "which is why the plots module is not asked"


def test_a_double_click_on_a_planned_views_name_edits_it(with_ct, settle):
    from PySide6.QtWidgets import QLineEdit

    go(with_ct, settle, 2)
    with_ct.logic.add_planned("one")
    with_ct.refresh()
    table = with_ct.ui.plannedTable
    table.cellDoubleClicked(0, 0)
    (editor,) = table._it.findChildren(QLineEdit)
    with_ct.refresh()
    assert table._it.findChildren(QLineEdit) == [editor], "showing how things are does not end it"
    table.item(0, 0).setText("two")
    settle()
    assert with_ct.logic.planned()[0].name == "two"


def test_a_bug_is_told_to_the_user_and_stays_a_bug(with_ct, settle, monkeypatch):
    from slicer_standin.pythonqt import raised

    go(with_ct, settle, 2)
    monkeypatch.setattr(with_ct.logic, "add_planned", lambda: 1 / 0)
    with_ct.ui.addViewButton.click()
    assert "should not have happened: division by zero" in bad(with_ct)
    assert "ZeroDivisionError" in raised.pop()


def test_shots_are_deleted_and_files_replaced_only_after_asking(with_ct, settle, tmp_path):
    from slicer_standin import application as standin
    from slicer_standin.pythonqt import FileDialog

    go(with_ct, settle, 3)
    with_ct.ui.columnsSpin.value = 128
    with_ct.ui.shootButton.click()
    settle()
    standin.answers.append(False)
    with_ct.ui.deleteShotButton.click()
    assert "cannot be undone" in standin.asked[-1][1] and len(with_ct.logic.shots()) == 1
    (tmp_path / "mine.mrk.json").write_text("mine", encoding="utf-8")
    FileDialog.chosen = str(tmp_path / "mine.png")
    standin.answers.append(False)
    with_ct.ui.exportShotButton.click()
    assert "mine.mrk.json" in standin.asked[-1][1]
    assert [file.name for file in tmp_path.iterdir()] == ["mine.mrk.json"]
    with_ct.ui.exportShotButton.click()
    assert (tmp_path / "mine.png").is_file()
    with_ct.ui.deleteShotButton.click()
    assert not with_ct.logic.shots()


def test_of_a_batch_that_is_cancelled_the_x_rays_that_were_taken_are_kept(with_ct, settle, tmp_path, monkeypatch):
    from slicer_standin.pythonqt import FileDialog

    for angle in (0.0, 20.0):
        with_ct.logic.aim(primary=angle)
        with_ct.logic.add_planned()
    go(with_ct, settle, 3)
    with_ct.ui.columnsSpin.value = 128
    FileDialog.chosen, asked = str(tmp_path), []
    monkeypatch.setattr(with_ct.runner, "start", asked.extend)
    settle()
    with_ct.ui.batchButton.click()
    assert len(asked) == 2
    with_ct.logic.run(asked[0])
    with_ct._work_cancelled()
    assert "1 of 2 X-rays were taken" in with_ct.ui.messageLabel.text and "Cancelled" in with_ct.ui.messageLabel.text
    assert len(with_ct.logic.shots()) == 1


def test_each_radiograph_shows_its_own_bone(with_ct, ct, settle, tmp_path):
    from PIL import Image

    go(with_ct, settle, 4)
    Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(40, 30)).save(tmp_path / "x.png")
    dark, bright = (with_ct.logic.load_xray(tmp_path / "x.png", bone) for bone in ("dark", "bright"))
    for node, ticked in ((dark, True), (bright, False), (dark, True), (ct, True)):
        with_ct.ui.xraySelector.setCurrentNode(node)
        settle()
        assert with_ct.ui.boneBox.checked is ticked
    with_ct.ui.boneBox.checked = False
    assert with_ct.logic.bone_of(ct) is None and with_ct.logic.bone_of(dark) == "dark"


def test_its_layouts_are_known_before_anybody_sees_the_module(shell, scene):
    import slicer
    from VirtualCArmLib.layouts import LAYOUTS

    shell.VirtualCArm(SimpleNamespace())
    slicer.app.started.pop()()
    node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    assert all(node.IsLayoutDescription(number) for number in LAYOUTS)
    scene.Clear(0)
    assert all(node.IsLayoutDescription(number) for number in LAYOUTS)


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
