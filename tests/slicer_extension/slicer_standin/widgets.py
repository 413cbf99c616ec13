"""CTK's and Slicer's own widgets, as much of them as panels use; properties and signals have their C++ names."""

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Qt, Signal, Slot

from .pythonqt import CUSTOM

HEADER = 24


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider and its number."""

    valueChanged = Signal(float)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(Qt.Orientation.Horizontal)
        self._number = QtWidgets.QDoubleSpinBox()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._number)
        self._number.setRange(0, 99)
        self._number.valueChanged.connect(self._moved)
        self._slider.valueChanged.connect(lambda steps: self._number.setValue(steps * self._number.singleStep()))
        self._scale()

    def _scale(self):
        step = self._number.singleStep()
        self._slider.blockSignals(True)
        self._slider.setRange(round(self._number.minimum() / step), round(self._number.maximum() / step))
        self._slider.setValue(round(self._number.value() / step))
        self._slider.blockSignals(False)

    def _moved(self, value):
        self._scale()
        self.valueChanged.emit(value)

    def _set(name):
        def setter(self, value):
            getattr(self._number, f"set{name[0].upper()}{name[1:]}")(value)
            self._scale()

        return setter

    def _get(name):
        return lambda self: getattr(self._number, name)()

    value = Property(float, _get("value"), _set("value"))
    minimum = Property(float, _get("minimum"), _set("minimum"))
    maximum = Property(float, _get("maximum"), _set("maximum"))
    singleStep = Property(float, _get("singleStep"), _set("singleStep"))
    pageStep = Property(float, lambda self: 10.0, lambda self, value: None)
    decimals = Property(int, _get("decimals"), _set("decimals"))
    suffix = Property(str, _get("suffix"), _set("suffix"))
    tracking = Property(bool, lambda self: True, lambda self, value: None)

    @Slot(float)
    def setValue(self, value):
        self._number.setValue(value)

    def setRange(self, low, high):
        self._number.setRange(low, high)
        self._scale()


class ctkCollapsibleButton(QtWidgets.QWidget):
    """A title that opens and closes what is below it."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._text, self._collapsed = "", False
        self.setContentsMargins(0, HEADER, 0, 0)

    def _fold(self, collapsed):
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        for child in self.findChildren(QtWidgets.QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
            child.setVisible(not collapsed)
        self.setMaximumHeight(HEADER if collapsed else 16777215)
        self.contentsCollapsed.emit(collapsed)

    def _name(self, text):
        self._text = text

    text = Property(str, lambda self: self._text, _name)
    collapsed = Property(bool, lambda self: self._collapsed, _fold)

    def mousePressEvent(self, event):
        if event.position().y() < HEADER:
            self._fold(not self._collapsed)

    def paintEvent(self, event):
        painter = QtGui.QPainter(self)
        bar = QtCore.QRect(0, 0, self.width(), HEADER - 3)
        painter.fillRect(bar, self.palette().midlight())
        painter.drawText(
            bar.adjusted(8, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, ("▸ " if self._collapsed else "▾ ") + self._text
        )


class qMRMLWidget(QtWidgets.QWidget):
    """A panel; its scene is told to the node selectors in it, as the .ui file's connections do in Slicer."""

    mrmlSceneChanged = Signal(object)

    @Slot(object)
    def setMRMLScene(self, scene):
        for selector in self.findChildren(qMRMLNodeComboBox):
            selector.setMRMLScene(scene)
        self.mrmlSceneChanged.emit(scene)


class qMRMLNodeComboBox(QtWidgets.QComboBox):
    """The nodes of a scene that are of some classes; it follows the scene."""

    currentNodeChanged = Signal(object)
    nodeAddedByUser = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene, self._tags, self._said = None, [], None
        self._kinds, self._flags = [], {"noneEnabled": False, "addEnabled": True}
        self.currentIndexChanged.connect(self._tell)

    def setMRMLScene(self, scene):
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        events = (
            slicer.vtkMRMLScene.NodeAddedEvent,
            slicer.vtkMRMLScene.NodeRemovedEvent,
            slicer.vtkMRMLScene.EndCloseEvent,
            slicer.vtkMRMLScene.EndImportEvent,
        )
        self._tags = [] if scene is None else [scene.AddObserver(event, lambda *_: self._fill()) for event in events]
        self._fill()

    def _fill(self):
        current = self.currentNodeID_()
        self.blockSignals(True)
        self.clear()
        if self._flags["noneEnabled"]:
            self.addItem("None", "")
        for node in self._nodes():
            self.addItem(node.GetName(), node.GetID())
        self.setCurrentIndex(max(0, self.findData(current)) if self._flags["noneEnabled"] else self.findData(current))
        self.blockSignals(False)
        if self.currentIndex() < 0 and self.count():  # as Slicer's: without "None" the first node is taken
            self.setCurrentIndex(0)
        self._tell()

    def _nodes(self):
        found = []
        for kind in self._kinds if self._scene is not None else []:
            for number in range(self._scene.GetNumberOfNodesByClass(kind)):
                node = self._scene.GetNthNodeByClass(number, kind)
                exact = node.GetClassName() == kind or self._flags.get("showChildNodeTypes", True)
                if exact and not node.GetHideFromEditors() and node not in found:
                    found.append(node)
        return found

    def _tell(self, *_):
        now = self.currentNodeID_()
        if now != self._said:
            self._said = now
            self.currentNodeChanged.emit(self.currentNode())

    def currentNodeID_(self):
        return self.currentData() or ""

    def currentNode(self):
        return (
            self._scene.GetNodeByID(self.currentNodeID_())
            if self._scene is not None and self.currentNodeID_()
            else None
        )

    def addNode(self):
        """What the entry *Create new* does."""
        node = self._scene.AddNewNodeByClass(self._kinds[0])
        self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def setCurrentNode(self, node):
        if node is not None and not isinstance(node, vtk.vtkObject):
            raise TypeError(f"a node, not {node!r}")
        self.setCurrentIndex(self.findData(node.GetID() if node else ""))

    def _kinds_set(self, kinds):
        self._kinds = list(kinds)

    def _flag(name):
        def setter(self, value):
            self._flags[name] = value

        return Property(bool, lambda self: self._flags.get(name, True), setter)

    nodeTypes = Property("QStringList", lambda self: self._kinds, _kinds_set)
    noneEnabled = _flag("noneEnabled")
    addEnabled = _flag("addEnabled")
    removeEnabled = _flag("removeEnabled")
    renameEnabled = _flag("renameEnabled")
    editEnabled = _flag("editEnabled")
    showHidden = _flag("showHidden")
    showChildNodeTypes = _flag("showChildNodeTypes")
    selectNodeUponCreation = _flag("selectNodeUponCreation")
    currentNodeID = Property(str, currentNodeID_)
    noneDisplay = Property(str, lambda self: "None", lambda self, value: None)
    baseName = Property(str, lambda self: "", lambda self, value: None)


CUSTOM.update({kind.__name__: kind for kind in (ctkSliderWidget, ctkCollapsibleButton, qMRMLWidget, qMRMLNodeComboBox)})
