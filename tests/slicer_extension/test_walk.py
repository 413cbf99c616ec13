"""From an empty scene through every tab, on a phantom, as a user would go; with pictures of it if a folder is named."""

from pathlib import Path

import numpy as np
import pytest
import torch


def press(button):
    assert button.enabled, button.toolTip
    button.click()


def test_a_user_goes_through_it_all(widget, settle, picture, tmp_path):
    import slicer
    from slicer_standin.pythonqt import FileDialog

    ui, logic, scene = widget.ui, widget.logic, slicer.mrmlScene

    def go(number):
        ui.tabs.currentIndex = number
        settle()

    def fine():
        settle()
        assert "#b3261e" not in ui.messageLabel.styleSheet, ui.messageLabel.text

    # 1. Patient
    press(ui.layoutButton)
    widget.panels[0].show(logic.sample_body(spacing=2.5))
    settle()
    assert ui.landmarksSelector.currentNode().GetNumberOfDefinedControlPoints() == 14
    picture("1-patient")

    # 2. Aim
    go(1)
    ui.liveBox.checked = True
    settle(lambda: ui.speedLabel.text.startswith("768"), 120)
    buttons = widget.panels[1]._buttons
    press(buttons["inlet"])
    settle(lambda: "CRA" in ui.readingLabel.text)
    ui.primarySlider.value = 30.0
    settle(lambda: "LAO 30" in ui.readingLabel.text)
    assert logic.reading().primary == pytest.approx(30.0)
    settle(lambda: ui.speedLabel.text.startswith("768"), 120)
    fine()
    picture("2-aim", direction=(1.6, 1.0, 0.5))
    ui.deviceSelector.currentIndex = ui.deviceSelector.findData("loop-x")
    ui.secondarySlider.value = 60.0
    settle(lambda: "out of reach" in ui.limitsLabel.text)
    picture("2-aim-out-of-reach", direction=(1.6, 1.0, 0.5))
    press(buttons["ap"])
    ui.liveBox.checked = False
    fine()

    # 3. Plan
    go(2)
    points = slicer.util.arrayFromMarkupsControlPoints(ui.landmarksSelector.currentNode())
    names = logic.landmark_names()
    line = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "LC-2 corridor")
    for name in ("left_greater_sciatic_notch", "left_anterior_superior_iliac_spine"):
        line.AddControlPoint(points[names.index(name)])
    ui.corridorSelector.setCurrentNode(line)
    settle()
    press(ui.alongButton)
    fine()
    assert "suggested" not in ui.suggestionLabel.text
    press(ui.takeButton)
    press(ui.addViewButton)
    plane = scene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode", "Acetabulum")
    plane.SetCenterWorld(points[names.index("left_femoral_head")])
    plane.SetNormalWorld([-0.7, 0.5, -0.5])
    ui.targetSelector.setCurrentNode(plane)
    settle()
    press(ui.edgeButton)
    fine()
    press(ui.takeButton)
    press(ui.addViewButton)
    settle()
    assert ui.plannedTable.rowCount == 2
    ui.plannedTable.item(0, 0).setText("down LC-2")
    settle()
    ui.plannedTable.setCurrentCell(0, 0)
    press(ui.downViewButton)
    settle()
    assert [one.name for one in logic.planned()][1] == "down LC-2"
    press(ui.jumpViewButton)
    FileDialog.chosen = str(tmp_path / "plan.json")
    press(ui.exportPlanButton)
    fine()
    assert (tmp_path / "plan.json").is_file()
    go(1)
    ui.liveBox.checked = True
    settle(lambda: ui.speedLabel.text.startswith("768"), 120)
    go(2)
    press(ui.curveButton)
    fine()
    picture("3-plan", direction=(1.6, 1.0, 0.5))
    go(1)
    ui.liveBox.checked = False

    # 4. Shoot
    go(3)
    ui.columnsSpin.value = 512
    press(ui.shootButton)
    fine()
    assert ui.shotTable.rowCount == 1
    ui.toolKindSelector.setCurrentText("K-wire")
    settle()
    assert not ui.shootButton.enabled and "line" in ui.shootButton.toolTip
    ui.toolSelector.setCurrentNode(line)
    ui.shutterFold.collapsed = False
    ui.topSpin.value = 40.0
    settle()
    press(ui.shootButton)
    fine()
    assert ui.shotTable.rowCount == 2
    picture("4-shoot", direction=(1.6, 1.0, 0.5))
    FileDialog.chosen = str(tmp_path / "shot.dcm")
    ui.shotTable.setCurrentCell(0, 0)
    press(ui.exportShotButton)
    fine()
    assert (tmp_path / "shot.dcm").is_file()
    ui.toolKindSelector.setCurrentText("no tool")
    ui.topSpin.value = 0.0
    ui.columnsSpin.value = 128
    settle()
    FileDialog.chosen = str(tmp_path / "batch")
    press(ui.batchButton)
    settle(lambda: widget.runner.state == "idle", 300)
    fine()
    assert ui.shotTable.rowCount == 4, ui.messageLabel.text
    press(ui.deleteShotButton)
    settle()
    assert ui.shotTable.rowCount == 3

    # 5. Real X-rays
    go(4)
    FileDialog.chosen = str(tmp_path / "shot.dcm")
    press(ui.loadXrayButton)
    fine()
    press(ui.detectButton)
    fine()
    assert "landmarks were found" in ui.messageLabel.text
    press(ui.registerButton)
    fine()
    assert ui.registrationLabel.text
    picture("5-xrays", direction=(1.6, 1.0, 0.5))
    before = np.array(slicer.util.arrayFromVolume(widget.parameters.ct).shape)
    press(ui.applyButton)
    fine()
    assert (np.array(slicer.util.arrayFromVolume(widget.parameters.ct).shape) == before).all()


def test_the_sample_body_is_made_beside_slicer_and_leaves_no_files(widget, settle):
    import slicer

    ui = widget.ui
    press(ui.sampleButton)
    settle()
    assert not ui.generateButton.enabled and "beside Slicer" in ui.generateButton.toolTip
    assert not ui.cancelButton.isHidden()
    settle(lambda: widget.runner.state == "idle", 300)
    settle()
    assert "phantom" in ui.messageLabel.text
    assert ui.landmarksSelector.currentNode().GetNumberOfDefinedControlPoints() == 14
    assert ui.generateButton.enabled
    assert not list(Path(slicer.app.temporaryPath).iterdir())


def test_a_user_goes_through_it_on_somebodys_ct(data, widget, settle, picture, tmp_path):
    """A CT cut below the hips, with a screw in one of them: of 14 landmarks those are found that it shows."""
    import slicer
    from slicer_standin.pythonqt import FileDialog
    from VirtualCArmLib import convert

    from skiagraph.io.volumes import read_labels, read_volume
    from skiagraph.volume import Labels

    folder, ui, logic = data / "ct_pelvis_totalseg_example", widget.ui, widget.logic
    if not folder.is_dir():
        pytest.skip(f"no {folder.name} in {data}")

    def fine():
        settle()
        assert "#b3261e" not in ui.messageLabel.styleSheet, ui.messageLabel.text

    # 1. Patient: the CT, its structures, and landmarks found beside Slicer
    press(ui.layoutButton)
    widget.parameters.ct = convert.show_volume(slicer.mrmlScene, read_volume(folder / "ct.nii.gz"), "ct")
    read = read_labels(folder / "seg117.nii.gz")
    known = {77: "left_hemipelvis", 78: "right_hemipelvis", 25: "upper_sacrum", 75: "left_femur", 76: "right_femur"}
    labels = Labels(torch.where(read.index >= 75, read.index, torch.where(read.index == 25, 25, 0)), read.grid, known)
    ui.labelsSelector.setCurrentNode(convert.show_labels(slicer.mrmlScene, labels, "anatomy"))
    settle()
    press(ui.findLandmarksButton)
    settle(lambda: widget.runner.state == "idle", 300)
    fine()
    found = ui.landmarksSelector.currentNode().GetNumberOfDefinedControlPoints()
    assert 6 <= found < 14
    assert f"{14 - found} landmarks of the hip are not known" in ui.patientNotes.text
    widget.panels[0].show(logic.patient_nodes())
    picture("ct-1-patient")

    # 2. Aim, 3. plan
    ui.tabs.currentIndex = 1
    ui.liveBox.checked = True
    for view in ("ap", "inlet"):
        press(widget.panels[1]._buttons[view])
        settle(lambda: ui.speedLabel.text.startswith("768"), 120)
        fine()
        logic.add_planned(view)
    picture("ct-2-aim", direction=(1.6, 1.0, 0.5))
    ui.liveBox.checked = False
    ui.tabs.currentIndex = 2
    settle()
    assert ui.plannedTable.rowCount == 2
    picture("ct-3-plan", direction=(1.6, 1.0, 0.5))

    # 4. Shoot, 5. read it back and bring the CT to it
    ui.tabs.currentIndex = 3
    ui.columnsSpin.value = 512
    press(ui.shootButton)
    fine()
    FileDialog.chosen = str(tmp_path / "shot.dcm")
    ui.shotTable.setCurrentCell(0, 0)
    press(ui.exportShotButton)
    picture("ct-4-shoot", direction=(1.6, 1.0, 0.5))
    ui.tabs.currentIndex = 4
    FileDialog.chosen = str(tmp_path / "shot.dcm")
    press(ui.loadXrayButton)
    fine()
    press(ui.detectButton)
    fine()
    press(ui.registerButton)
    settle()
    assert "correlation" in ui.registrationLabel.text
    picture("ct-5-xrays", direction=(1.6, 1.0, 0.5))
