"""`slicer.app`, `slicer.modules`, the base classes of scripted modules and what else a panel finds in Slicer.

Messages and questions go to `asked`, and are answered with `answers`; nothing waits for a click.
"""

import sys
import tempfile
import unittest
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from xml.etree import ElementTree

import slicer
import vtk
from PySide6 import QtWidgets

from . import parameter_node
from .pythonqt import Qt, class_for, wrap
from .widgets import qMRMLNodeComboBox, qMRMLWidget

asked: list[tuple[str, str]] = []
"""What the user was told or asked: (kind, text)."""
answers: list[bool] = []
"""What he says to the next questions; yes once they are used up."""


FOUR_UP = '<layout type="vertical">' + "".join(
    f'<item><view class="vtkMRMLSliceNode" singletontag="{name}"/></item>' for name in ("Red", "Green", "Yellow")
) + '<item><view class="vtkMRMLViewNode" singletontag="1"/></item></layout>'  # fmt: skip
"""The application's own arrangement."""


class Settings:
    """The user's settings, forgotten at the end."""

    def __init__(self):
        self._kept = {}

    def value(self, key, default=None):
        return self._kept.get(key, default)

    def setValue(self, key, value):
        self._kept[key] = value


class SliceWidget:
    def __init__(self, logic):
        self._logic = logic

    def sliceLogic(self):
        return self._logic

    def mrmlSliceNode(self):
        return self._logic.GetSliceNode()


class LayoutManager:
    """Makes the view nodes of the layouts that are asked for."""

    def __init__(self, scene, logic):
        self._scene, self._logic = scene, logic
        self._slices = {}
        self.layout = 0

    def layoutLogic(self):
        return SimpleNamespace(GetLayoutNode=lambda: self._node())

    def _node(self):
        return self._scene.GetFirstNodeByClass("vtkMRMLLayoutNode")

    def setLayout(self, number):
        if not self._node().IsLayoutDescription(number):
            raise ValueError(f"no layout {number}")
        self.layout = number
        self._node().SetViewArrangement(number)
        for view in ElementTree.fromstring(self._node().GetLayoutDescription(number)).iter("view"):
            kind, tag = view.get("class"), view.get("singletontag")
            if kind == "vtkMRMLSliceNode":
                self._slice(tag, view)
            elif kind == "vtkMRMLViewNode" and self._scene.GetSingletonNode(tag, kind) is None:
                self._single(slicer.vtkMRMLViewNode(), tag)
            elif kind == "vtkMRMLPlotViewNode" and self._scene.GetSingletonNode(tag, kind) is None:
                self._single(slicer.vtkMRMLPlotViewNode(), tag)

    def _single(self, node, tag):
        node.SetSingletonTag(tag)
        node.SetName(tag)
        node.SetLayoutName(tag)
        return self._scene.AddNode(node)

    def _slice(self, tag, view):
        known = self._slices.get(tag)
        if known is not None and known.GetSliceNode() is self._scene.GetSingletonNode(tag, "vtkMRMLSliceNode"):
            return
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLScene(self._scene)
        logic.SetMRMLApplicationLogic(self._logic)
        node = logic.AddSliceNode(tag)
        node.SetDimensions(400, 400, 1)
        if logic.GetSliceModelNode() is None:
            logic.CreateSliceModel()
        self._slices[tag] = logic
        self._logic.GetSliceLogics().AddItem(logic)

    def sliceViewNames(self):
        return list(self._slices)

    def sliceWidget(self, name):
        return SliceWidget(self._slices[name]) if name in self._slices else None

    @property
    def threeDViewCount(self):
        return self._scene.GetNumberOfNodesByClass("vtkMRMLViewNode")

    def threeDWidget(self, number):
        return SimpleNamespace(
            threeDView=lambda: SimpleNamespace(resetFocalPoint=lambda: None, resetCamera=lambda: None)
        )

    def forget(self):
        """The views go; their logics follow the scene no more."""
        for logic in self._slices.values():
            logic.SetMRMLScene(None)
        self._logic.GetSliceLogics().RemoveAllItems()
        self._slices.clear()
        self.layout = 0


class Application:
    """`slicer.app`."""

    majorVersion, minorVersion = 5, 12

    def __init__(self):
        self.qt = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
        self._logic = slicer.vtkMRMLApplicationLogic()
        self._logic.SetMRMLScene(slicer.mrmlScene)
        slices = vtk.vtkCollection()
        self._logic.SetSliceLogics(slices)
        self._logic.GetSliceLogics = lambda: slices
        self._markups = slicer.vtkSlicerMarkupsLogic()
        self._colors = slicer.vtkMRMLColorLogic()
        for name, logic in (("Markups", self._markups), ("Colors", self._colors)):
            logic.SetMRMLApplicationLogic(self._logic)
            logic.SetMRMLScene(slicer.mrmlScene)
            self._logic.SetModuleLogic(name, logic)
        self._logic.SetColorLogic(self._colors)
        converters = slicer.vtkSegmentationConverterFactory.GetInstance()
        converters.RegisterConverterRule(slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule())
        self._layouts = LayoutManager(slicer.mrmlScene, self._logic)
        self._settings = Settings()
        self._folder = tempfile.TemporaryDirectory(prefix="Slicer-")
        self.temporaryPath = self._folder.name
        self.started = []

    def furnish(self):
        """The nodes that an application's scene has from the beginning."""
        for kind in ("vtkMRMLInteractionNode", "vtkMRMLSelectionNode", "vtkMRMLLayoutNode"):
            if slicer.mrmlScene.GetFirstNodeByClass(kind) is None:
                slicer.mrmlScene.AddNewNodeByClass(kind)
        self._colors.AddDefaultColorNodes()
        self._layouts.forget()
        layouts, four_up = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode"), 3
        if not layouts.IsLayoutDescription(four_up):
            layouts.AddLayoutDescription(four_up, FOUR_UP)

    def processEvents(self):
        self.qt.processEvents()

    def layoutManager(self):
        return self._layouts

    def applicationLogic(self):
        return self._logic

    def userSettings(self):
        return self._settings

    def connect(self, signature, slot):
        if signature != "startupCompleted()":
            raise ValueError(f"slicer.app has no signal {signature} here")
        self.started.append(slot)

    def testingEnabled(self):
        return True


class ScriptedLoadableModule:
    """As Slicer's: what a module says of itself is kept in its `parent`."""

    def __init__(self, parent):
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title = parent.name = self.moduleName

    def getDefaultModuleDocumentationLink(self, docPage=None):
        return ""


class ScriptedLoadableModuleWidget:
    """As Slicer's: a panel in a layout of a parent."""

    def __init__(self, parent=None):
        self.parent = parent or wrap(qMRMLWidget())
        if self.parent._it.layout() is None:
            QtWidgets.QVBoxLayout(self.parent._it)
        self.layout = wrap(self.parent._it.layout())
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False

    def setup(self):
        pass

    def cleanup(self):
        pass

    def resourcePath(self, name):
        return str(Path(sys.modules[type(self).__module__].__file__).parent / "Resources" / name)


class ScriptedLoadableModuleLogic:
    """As Slicer's: one parameter node a scene, by its attribute."""

    def __init__(self, parent=None):
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self):
        for number in range(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode")):
            node = slicer.mrmlScene.GetNthNodeByClass(number, "vtkMRMLScriptedModuleNode")
            if node.GetAttribute("ModuleName") == self.moduleName:
                return node
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(self.moduleName)
        node.SetModuleName(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return slicer.mrmlScene.AddNode(node)


class ScriptedLoadableModuleTest(unittest.TestCase):
    def __init__(self, *given):
        super().__init__(*given)

    def delayDisplay(self, message, *given, **named):
        asked.append(("display", message))

    def runTest(self):
        pass


def install():
    """Put `qt`, `ctk` and what `slicer` lacks in their places; the application."""
    sys.modules["qt"] = Qt("qt")
    ctk = ModuleType("ctk")
    sys.modules["ctk"] = ctk
    slicer.mrmlScene = slicer.mrmlScene if hasattr(slicer, "mrmlScene") else slicer.vtkMRMLScene()
    slicer.app = Application()
    slicer.modules = SimpleNamespace(markups=SimpleNamespace(logic=lambda: Markups()))
    slicer.qMRMLNodeComboBox, slicer.qMRMLWidget = class_for(qMRMLNodeComboBox), class_for(qMRMLWidget)
    _module(
        "ScriptedLoadableModule", **{kind.__name__: kind for kind in BASES}, __all__=[kind.__name__ for kind in BASES]
    )
    _module("i18n", tr=lambda text: text, translate=lambda context, text: text)
    names = ("parameterNodeWrapper", "WithinRange", "Choice", "Default")
    _module("parameterNodeWrapper", **{name: getattr(parameter_node, name) for name in names})
    util = import_module("slicer.util")
    for kind, answer in (("errorDisplay", None), ("infoDisplay", None), ("warningDisplay", None)):
        setattr(util, kind, lambda text, *given, _kind=kind, _answer=answer, **named: asked.append((_kind, text)))
    for kind in ("confirmOkCancelDisplay", "confirmYesNoDisplay"):
        setattr(util, kind, lambda text, *given, _kind=kind, **named: _ask(_kind, text))
    util.mainWindow = lambda: None
    util.tempDirectory = lambda *given, **named: tempfile.mkdtemp(prefix="Slicer-")
    return slicer.app


BASES = (ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic, ScriptedLoadableModuleTest)


class Markups:
    """The logic of the markups module: what is placed next is kept to be looked at."""

    placing = None

    def SetActiveList(self, node):
        Markups.placing = node

    def StartPlaceMode(self, persistent):
        asked.append(("place", Markups.placing.GetName()))


def _ask(kind, text):
    asked.append((kind, text))
    return answers.pop(0) if answers else True


def _module(name, **content):
    made = ModuleType(f"slicer.{name}")
    for key, value in content.items():
        setattr(made, key, value)
    sys.modules[f"slicer.{name}"] = made
    setattr(slicer, name, made)
