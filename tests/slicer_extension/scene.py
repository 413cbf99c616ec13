"""Scenes of the real Slicer core, without the application: what they need so that bundles are written and read."""

import tempfile
from pathlib import Path

import slicer

LOGICS = (
    "vtkMRMLColorLogic",
    "vtkSlicerVolumesLogic",
    "vtkSlicerMarkupsLogic",
    "vtkSlicerTransformLogic",
    "vtkSlicerModelsLogic",
    "vtkSlicerTablesLogic",
    "vtkSlicerSegmentationsModuleLogic",
    "vtkSlicerSubjectHierarchyModuleLogic",
)
"""They register the nodes and file formats of their modules."""


class Stage:
    """A scene with the logics around it, which live as long as it does."""

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self._application = slicer.vtkMRMLApplicationLogic()
        self._application.SetMRMLScene(self.scene)
        self._remote = slicer.vtkMRMLRemoteIOLogic()
        self._cache = tempfile.TemporaryDirectory()
        self._remote.SetMRMLScene(self.scene)
        self._remote.GetCacheManager().SetRemoteCacheDirectory(self._cache.name)
        self._remote.AddDataIOToScene()
        self._data = slicer.vtkDataIOManagerLogic()
        self._data.SetMRMLApplicationLogic(self._application)
        self._data.SetAndObserveDataIOManager(self._remote.GetDataIOManager())
        self._logics = []
        for kind in LOGICS:
            logic = getattr(slicer, kind)()
            logic.SetMRMLApplicationLogic(self._application)
            logic.SetMRMLScene(self.scene)
            self._logics.append(logic)

    def saved(self, path: Path) -> Path:
        """The scene as a bundle."""
        assert self.scene.WriteToMRB(str(path), None)
        return path

    def opened(self, path: Path) -> "Stage":
        """This stage with a bundle's scene instead of its own."""
        assert self.scene.ReadFromMRB(str(path), True, None)
        return self

    def closed(self) -> None:
        """Let go of everything, in the order it does not mind."""
        for logic in reversed(self._logics):
            logic.SetMRMLScene(None)
        self._data.SetAndObserveDataIOManager(None)
        self._remote.RemoveDataIOFromScene()
        self._application.SetMRMLScene(None)
        self._cache.cleanup()
