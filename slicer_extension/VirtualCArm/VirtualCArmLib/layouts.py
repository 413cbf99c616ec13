"""Where the views are: arrangements of the 3D view, the X-ray, the radiograph and the S-curve."""

import slicer
import vtk

AIM, PLAN, RADIOGRAPH = 9701, 9702, 9703
"""Numbers of the arrangements; the application's own are below 1000."""
XRAY_VIEW, RADIOGRAPH_VIEW, CURVE_VIEW = "XRay", "Radiograph", "SCurve"

THREE_D = (
    '<item><view class="vtkMRMLViewNode" singletontag="1"><property name="viewlabel" action="default">1</property>'
    "</view></item>"
)
PLOT = (
    f'<item><view class="vtkMRMLPlotViewNode" singletontag="{CURVE_VIEW}">'
    '<property name="viewlabel" action="default">S</property></view></item>'
)


def _slice(tag, label, colour):
    return (
        f'<item><view class="vtkMRMLSliceNode" singletontag="{tag}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{label}</property>'
        f'<property name="viewcolor" action="default">{colour}</property></view></item>'
    )


XRAY = _slice(XRAY_VIEW, "X", "#4A90C2")
REAL = _slice(RADIOGRAPH_VIEW, "R", "#C2884A")


def _beside(*parts):
    return f'<layout type="horizontal" split="true">{"".join(parts)}</layout>'


def _below(*parts):
    return f'<item><layout type="vertical" split="true">{"".join(parts)}</layout></item>'


LAYOUTS = {
    AIM: _beside(THREE_D, XRAY),
    PLAN: _beside(THREE_D, _below(XRAY, PLOT)),
    RADIOGRAPH: _beside(REAL, _below(XRAY, THREE_D)),
}


def register():
    """Let the application know our arrangements; nothing without a main window."""
    manager = slicer.app.layoutManager()
    node = None if manager is None else manager.layoutLogic().GetLayoutNode()
    for number, description in LAYOUTS.items() if node is not None else ():
        if not node.IsLayoutDescription(number):
            node.AddLayoutDescription(number, description)


class Views:
    """The application's views; without a main window there are none, and nothing is shown."""

    def __init__(self):
        self._placed = {}

    def arrange(self, layout):
        """Take one of our arrangements."""
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        register()
        manager.setLayout(layout)

    def arrange_ct(self, ct):
        """The application's own slice views, if ours are shown, which have no CT to click in."""
        manager = slicer.app.layoutManager()
        if manager is not None and manager.layoutLogic().GetLayoutNode().GetViewArrangement() in LAYOUTS:
            manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
            if ct is not None:
                self.show_ct(ct)

    def shown(self, name):
        """Whether one of our slice views is in sight."""
        manager = slicer.app.layoutManager()
        if manager is None:
            return False
        described = manager.layoutLogic().GetLayoutNode().GetCurrentLayoutDescription()
        return f'singletontag="{name}"' in (described or "")

    def slice(self, name):
        """The logic of one of our slice views; None if there was none yet."""
        manager = slicer.app.layoutManager()
        widget = manager.sliceWidget(name) if manager is not None and name in manager.sliceViewNames() else None
        return None if widget is None else widget.sliceLogic()

    def show(self, name, image, place, outlines=None, over=None, in_3d=False):
        """A picture in a slice view, as `place(slice_node, image)` turns it; zoom and pan stay if the picture does."""
        logic = self.slice(name)
        if logic is None:
            return
        node, composite = logic.GetSliceNode(), logic.GetSliceCompositeNode()
        new = composite.GetBackgroundVolumeID() != image.GetID()
        composite.SetBackgroundVolumeID(image.GetID())
        composite.SetForegroundVolumeID(None if over is None else over.GetID())
        composite.SetForegroundOpacity(0.5)
        composite.SetLabelVolumeID(None if outlines is None else outlines.GetID())
        composite.SetLabelOpacity(0.8)
        node.SetUseLabelOutline(True)
        node.SetSliceVisible(in_3d)
        held = None if new else self._held(name, node, image)
        place(node, image)
        size = _size(image)
        self._placed[name] = (_copy(node.GetSliceToRAS()), size)
        if held is None:
            logic.FitSliceToAll()
            return
        field, pan = held
        node.SetFieldOfView(*field)
        vtk.vtkMatrix4x4.Multiply4x4(node.GetSliceToRAS(), pan, node.GetSliceToRAS())
        node.UpdateMatrices()

    def _held(self, name, node, image):
        """The field of view, and how far the user has shifted it from where the picture was; None for a new size."""
        before, size = self._placed.get(name, (None, None))
        if before is None or max(abs(a - b) for a, b in zip(size, _size(image))) > 0.5:
            return None
        pan, back = vtk.vtkMatrix4x4(), _copy(before)
        back.Invert()
        vtk.vtkMatrix4x4.Multiply4x4(back, node.GetSliceToRAS(), pan)
        only = vtk.vtkMatrix4x4()
        for axis in range(2):  # not out of the picture, as the mouse's wheel shifts it
            only.SetElement(axis, 3, pan.GetElement(axis, 3))
        return node.GetFieldOfView(), only

    def show_ct(self, node):
        """A CT in the application's own slice views."""
        manager = slicer.app.layoutManager()
        for name in () if manager is None else manager.sliceViewNames():
            if name not in (XRAY_VIEW, RADIOGRAPH_VIEW):
                logic = manager.sliceWidget(name).sliceLogic()
                logic.GetSliceCompositeNode().SetBackgroundVolumeID(node.GetID())
                logic.FitSliceToAll()

    def clear(self, name):
        """Nothing in a slice view."""
        logic = self.slice(name)
        if logic is not None:
            logic.GetSliceCompositeNode().SetBackgroundVolumeID(None)
            logic.GetSliceCompositeNode().SetLabelVolumeID(None)
            logic.GetSliceCompositeNode().SetForegroundVolumeID(None)
            logic.GetSliceNode().SetSliceVisible(False)

    def plot(self, chart):
        """A chart in the S-curve's view: the plots module would leave our arrangement for one of its own."""
        view = slicer.mrmlScene.GetSingletonNode(CURVE_VIEW, "vtkMRMLPlotViewNode")
        if view is not None:
            view.SetPlotChartNodeID(chart.GetID())


def _size(image):
    """A picture's width and height, millimetres."""
    spacing, pixels = image.GetSpacing(), image.GetImageData().GetDimensions()
    return [spacing[axis] * pixels[axis] for axis in range(2)]


def _copy(matrix):
    made = vtk.vtkMatrix4x4()
    made.DeepCopy(matrix)
    return made
