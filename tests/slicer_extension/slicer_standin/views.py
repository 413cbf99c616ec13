"""Slicer's own 3D and slice views beside a panel: real MRML displayable managers in a Qt window, to be looked at."""

from pathlib import Path

import slicer
import vtk
from PySide6 import QtCore, QtWidgets
from PySide6.QtGui import QImage, QPixmap
from vtkmodules.util.numpy_support import vtk_to_numpy

THREE_D = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLLinearTransformsDisplayableManager",
)
SLICE = ("vtkMRMLModelSliceDisplayableManager", "vtkMRMLMarkupsDisplayableManager")


class Canvas(QtWidgets.QLabel):
    """A place in a window, and the off-screen render window whose frames are shown in it."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setMinimumSize(100, 100)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Ignored)
        self.renderer = vtk.vtkRenderer()
        self.target = vtk.vtkOSOpenGLRenderWindow()  # contexts of Xvfb's GLX get in each other's way
        self.target.SetOffScreenRendering(True)
        self.target.SetMultiSamples(0)
        self.target.AddRenderer(self.renderer)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self.target)
        self._interactor.Initialize()

    def fit(self):
        """As large as its place; the size."""
        size = (max(100, self.width()), max(100, self.height()))
        self.target.SetSize(*size)
        return size

    def draw(self):
        """Render, and show the frame."""
        self.target.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.target)
        grab.ShouldRerenderOff()
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _ = image.GetDimensions()
        pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1].tobytes()
        self.setPixmap(QPixmap.fromImage(QImage(pixels, width, height, 3 * width, QImage.Format.Format_RGB888).copy()))


def managed(names, factory, canvas, node, logic):
    """Displayable managers of a view, drawing into a canvas."""
    factory.SetMRMLApplicationLogic(logic)
    for name in names:
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)
    group = slicer.vtkMRMLDisplayableManagerGroup()
    group.Initialize(factory, canvas.renderer)
    group.SetMRMLDisplayableNode(node)
    return group


class ThreeD:
    """A 3D view."""

    def __init__(self, node, scene, logic):
        self.canvas = Canvas()
        self.canvas.renderer.GradientBackgroundOn()
        self.canvas.renderer.SetBackground(0.75, 0.77, 0.89)
        self.canvas.renderer.SetBackground2(0.45, 0.47, 0.75)
        node.SetBoxVisible(False)
        node.SetAxisLabelsVisible(False)
        self._view = slicer.vtkMRMLViewLogic()
        self._view.SetMRMLScene(scene)
        self._group = managed(
            THREE_D, slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), self.canvas, node, logic
        )

    def look(self, direction):
        """From a side, at all there is."""
        self.canvas.fit()
        self.canvas.target.Render()
        camera = self.canvas.renderer.GetActiveCamera()
        camera.SetFocalPoint(0.0, 0.0, 0.0)
        camera.SetPosition(*direction)
        camera.SetViewUp(0.0, 0.0, 1.0)
        self.canvas.renderer.ResetCamera()
        camera.Zoom(1.5)
        self.canvas.renderer.ResetCameraClippingRange()

    def draw(self):
        self.canvas.fit()
        self.canvas.draw()


class Slice:
    """A slice view: the picture of a slice logic, and what the displayable managers put over it."""

    def __init__(self, slices, logic):
        self.canvas, self._slices = Canvas(), slices
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._mapper)
        self.canvas.renderer.AddViewProp(self._actor)
        self.canvas.renderer.SetBackground(0.0, 0.0, 0.0)
        node = slices.GetSliceNode()
        self._group = managed(
            SLICE, slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), self.canvas, node, logic
        )

    def draw(self):
        size, node = self.canvas.fit(), self._slices.GetSliceNode()
        if tuple(node.GetDimensions()[:2]) != tuple(size):
            node.SetDimensions(size[0], size[1], 1)
            self._slices.ResizeSliceNode(size[0], size[1])
            self._slices.FitSliceToAll()
        connection = self._slices.GetImageDataConnection()
        self._mapper.SetInputConnection(connection)
        self._actor.SetVisibility(connection is not None)
        self.canvas.draw()


class Plot:
    """A plot view: the chart of the layout's plot node."""

    def __init__(self):
        self.canvas = Canvas()
        self.canvas.renderer.SetBackground(1, 1, 1)
        self._chart = vtk.vtkChartXY()
        place = vtk.vtkContextActor()
        place.GetScene().AddItem(self._chart)
        place.GetScene().SetRenderer(self.canvas.renderer)
        self.canvas.renderer.AddViewProp(place)

    def draw(self):
        node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotViewNode")
        chart = None if node is None else node.GetPlotChartNode()
        self._chart.ClearPlots()
        for number in range(chart.GetNumberOfPlotSeriesNodes() if chart is not None else 0):
            self._add(chart.GetNthPlotSeriesNode(number))
        if chart is not None:
            self._chart.SetTitle(chart.GetTitle())
            self._chart.GetAxis(vtk.vtkAxis.BOTTOM).SetTitle(chart.GetXAxisTitle())
            self._chart.GetAxis(vtk.vtkAxis.LEFT).SetTitle(chart.GetYAxisTitle())
        self.canvas.fit()
        self.canvas.draw()

    def _add(self, series):
        table = series.GetTableNode().GetTable()
        if table.GetNumberOfRows() < 1:
            return
        line = series.GetLineStyle() != series.LineStyleNone and table.GetNumberOfRows() > 1
        plot = self._chart.AddPlot(vtk.vtkChart.LINE if line else vtk.vtkChart.POINTS)
        plot.SetInputData(table, series.GetXColumnName(), series.GetYColumnName())
        plot.SetColorF(*series.GetColor())
        plot.SetWidth(2.0)
        if not line:
            plot.SetMarkerStyle(vtk.vtkPlotPoints.DIAMOND if series.GetMarkerSize() > 10 else vtk.vtkPlotPoints.CIRCLE)
            plot.SetMarkerSize(series.GetMarkerSize())


class Window:
    """The panel at the left, the views of a layout beside it."""

    def __init__(self, panel, size=(1500, 900)):
        self._window = QtWidgets.QWidget()
        self._window.resize(*size)
        self._row = QtWidgets.QHBoxLayout(self._window)
        self._row.setContentsMargins(2, 2, 2, 2)
        panel._it.setFixedWidth(430)
        self._row.addWidget(panel._it)
        self._views, self._layout = {}, 0
        self._area = None
        self._window.show()

    def arrange(self):
        """The views that the layout manager has been told to show."""
        manager = slicer.app.layoutManager()
        names = list(manager.sliceViewNames())
        wanted = (manager.layout, tuple(names))
        if wanted == self._layout:
            return
        self._layout = wanted
        if self._area is not None:
            self._area.setParent(None)
        self._area = QtWidgets.QSplitter(QtCore.Qt.Orientation.Horizontal)
        self._views = {}
        scene, logic = slicer.mrmlScene, slicer.app.applicationLogic()
        three = scene.GetFirstNodeByClass("vtkMRMLViewNode")
        if three is not None:
            self._views["3D"] = ThreeD(three, scene, logic)
            self._area.addWidget(self._views["3D"].canvas)
        column = QtWidgets.QSplitter(QtCore.Qt.Orientation.Vertical)
        xml = manager.layoutLogic().GetLayoutNode().GetLayoutDescription(manager.layout) if manager.layout else ""
        for name in names:
            if f'"{name}"' in xml:
                self._views[name] = Slice(manager.sliceWidget(name).sliceLogic(), logic)
                column.addWidget(self._views[name].canvas)
        if "vtkMRMLPlotViewNode" in xml:
            self._views["plot"] = Plot()
            column.addWidget(self._views["plot"].canvas)
        self._area.addWidget(column)
        self._row.addWidget(self._area, 1)
        self._area.setSizes([1, 1])

    def take(self, path, direction=(1.0, 0.9, 0.35)):
        """A picture of all of it."""
        self.arrange()
        for _ in range(3):
            slicer.app.processEvents()
        if "3D" in self._views:
            self._views["3D"].look(direction)
        for view in self._views.values():
            view.draw()
        slicer.app.processEvents()
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._window.grab().save(str(path))

    def close(self):
        """Let go of the views."""
        self._views.clear()
        self._window.close()
