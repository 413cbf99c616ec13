"""The stand-in refuses what PythonQt refuses, so that what passes here runs in Slicer."""

import pytest


@pytest.fixture
def label(application):
    import qt

    return qt.QLabel("one")


def test_properties_are_attributes_and_not_calls(label):
    assert label.text == "one"
    label.text = "two"
    assert label.text == "two"
    with pytest.raises(TypeError, match="not callable"):
        label.text()


def test_numpy_numbers_are_refused(application, label):
    import numpy as np
    import qt

    spin = qt.QDoubleSpinBox()
    for give in (lambda: setattr(spin, "value", np.float64(1)), lambda: spin.setValue(np.float32(1))):
        with pytest.raises(TypeError, match="numpy"):
            give()


def test_properties_keep_their_types(application, label):
    import qt

    box = qt.QCheckBox()
    with pytest.raises(TypeError, match="bool"):
        box.checked = 1
    with pytest.raises(TypeError, match="QString"):
        label.text = 5
    with pytest.raises(AttributeError, match="no new attributes"):
        label.mine = 5


def test_an_enumeration_is_no_number(application, label):
    import qt

    bar = qt.QSlider()
    with pytest.raises(TypeError, match="enumeration"):
        bar.orientation = 1
    bar.orientation = qt.Qt.Vertical


def test_only_signals_that_exist_are_connected_and_slots_get_what_they_take(application, label):
    import qt

    box, told = qt.QCheckBox(), []
    with pytest.raises(ValueError, match="no signal"):
        box.connect("ticked(bool)", told.append)
    with pytest.raises(ValueError, match="no signal"):
        box.connect("clicked", told.append)
    box.connect("toggled(bool)", lambda: told.append("called"))
    box.connect("toggled(bool)", told.append)
    box.checked = True
    assert told == ["called", True]
    assert box.disconnect("toggled(bool)", told.append)
    box.checked = False
    assert told == ["called", True, "called"]


def test_keywords_are_refused(application, label):
    with pytest.raises(TypeError, match="keyword"):
        label.setText(text="two")


def test_a_node_selector_follows_its_scene(scene):
    import slicer

    selector, told = slicer.qMRMLNodeComboBox(), []
    selector.nodeTypes = ["vtkMRMLMarkupsLineNode"]
    selector.noneEnabled = True
    selector.setMRMLScene(scene)
    selector.connect("currentNodeChanged(vtkMRMLNode*)", told.append)
    line = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "L")
    scene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode", "P")
    assert selector.currentNode() is None
    selector.setCurrentNode(line)
    assert selector.currentNode() is line
    scene.RemoveNode(line)
    assert selector.currentNode() is None
    assert told == [line, None]
    selector.setMRMLScene(None)


def test_parameters_are_typed_ranged_and_kept_in_the_scene(scene):
    import slicer
    from slicer.parameterNodeWrapper import parameterNodeWrapper
    from VirtualCArmLib.parameters import CArmParameters

    node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "home")
    here, there = CArmParameters(node), CArmParameters(node)
    here.kvp, here.fidelity = 70.0, "naive"
    assert (there.kvp, there.fidelity) == (70.0, "naive")
    with pytest.raises(ValueError, match="within"):
        here.kvp = 700.0
    with pytest.raises(ValueError, match="none of"):
        here.fidelity = "magic"
    with pytest.raises(TypeError, match="float"):
        here.kvp = 70
    with pytest.raises(TypeError, match="WithinRange"):

        @parameterNodeWrapper
        class _Loose:
            kvp: float = 1.0

    with pytest.raises(TypeError, match="vtkMRMLScalarVolumeNode"):
        here.ct = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode")
    here.ct = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert isinstance(there.ct, slicer.vtkMRMLScalarVolumeNode)
