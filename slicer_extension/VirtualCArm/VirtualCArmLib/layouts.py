"""Where the views are: arrangements of the 3D view, the X-ray, the radiograph and the S-curve."""

import slicer

AIM, PLAN, RADIOGRAPH = 9701, 9702, 9703
"""Numbers of the arrangements; the application's own are below 1000."""
XRAY_VIEW, RADIOGRAPH_VIEW = "XRay", "Radiograph"

THREE_D = (
    '<item><view class="vtkMRMLViewNode" singletontag="1"><property name="viewlabel" action="default">1</property>'
    "</view></item>"
)
PLOT = (
    '<item><view class="vtkMRMLPlotViewNode" singletontag="SCurve">'
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


class Views:
    """The application's views; without a main window there are none, and nothing is shown."""

    def arrange(self, layout):
        """Take one of our arrangements."""
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        node = manager.layoutLogic().GetLayoutNode()
        if not node.IsLayoutDescription(layout):
            node.AddLayoutDescription(layout, LAYOUTS[layout])
        manager.setLayout(layout)

    def slice(self, name):
        """The logic of one of our slice views; None if it is not arranged."""
        manager = slicer.app.layoutManager()
        widget = manager.sliceWidget(name) if manager is not None and name in manager.sliceViewNames() else None
        return None if widget is None else widget.sliceLogic()

    def show(self, name, image, place, outlines=None, over=None, in_3d=False):
        """A picture in a slice view, as `place(slice_node, image)` turns it; the zoom stays if the picture does."""
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
        place(node, image)
        if new:
            logic.FitSliceToAll()

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
