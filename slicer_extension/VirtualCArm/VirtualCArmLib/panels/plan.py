"""Plan: the best view of a line or a plane, the S-curve of its equals, and the list of planned views."""

from math import isfinite

import slicer
import vtk
from slicer.i18n import tr as _

from ..layouts import PLAN
from .panel import Panel, exists, fill

CURVE = "curve"
"""The role of the S-curve's chart on the module's node."""


class PlanPanel(Panel):
    """The third tab."""

    def connect(self):
        """The finders and the list."""
        ui = self.ui
        self._suggestion, self._curve, self._planned = None, None, []
        self.on(ui.alongButton, self._along)
        self.on(ui.faceButton, lambda: self._at_plane("face"))
        self.on(ui.edgeButton, lambda: self._at_plane("edge"))
        self.on(ui.takeButton, self._take)
        self.on(ui.curveButton, self._plot)
        self.on(ui.addViewButton, lambda: self.logic.add_planned())
        self.on(ui.jumpViewButton, lambda: self._jump(ui.plannedTable.currentRow()))
        self.on(ui.upViewButton, lambda: self._move(-1))
        self.on(ui.downViewButton, lambda: self._move(1))
        self.on(ui.removeViewButton, lambda: self.logic.remove_planned(ui.plannedTable.currentRow()))
        self.on(ui.importPlanButton, self._import)
        self.on(ui.exportPlanButton, self._export)
        for selector in (ui.corridorSelector, ui.targetSelector):
            selector.connect("nodeAddedByUser(vtkMRMLNode*)", self._made)
        ui.plannedTable.connect("cellDoubleClicked(int,int)", self._double)
        ui.plannedTable.connect("cellChanged(int,int)", self._renamed)
        ui.plannedTable.connect("itemSelectionChanged()", lambda: self._buttons(ui.plannedTable.currentRow()))

    def refresh(self):
        """What can be found, what was, and the plan."""
        ui, p = self.ui, self.widget.parameters
        self._planned = self.logic.planned()
        fill(
            ui.plannedTable,
            [_("Name"), _("Angles"), _("Device")],
            [(one.name, one.words, one.device) for one in self._planned],
        )
        allow = self.widget.allow
        allow(
            ui.alongButton,
            "" if p.corridor else _("Draw a line along the corridor first: choose Create new in the list."),
        )
        no_plane = "" if p.target else _("Put a plane on the target first: choose Create new in the list.")
        allow(ui.faceButton, no_plane)
        allow(ui.edgeButton, no_plane)
        allow(ui.takeButton, "" if self._suggestion else _("Find a view first."))
        allow(ui.curveButton, "" if self._curve else _("Look at a plane first: the S-curve belongs to it."))
        allow(ui.exportPlanButton, "" if self._planned else _("The plan is empty."))
        self._buttons(ui.plannedTable.currentRow())
        if ui.fieldList.count == 0:
            ui.fieldList.addItems([name.replace("_", " ") for name in self.logic.landmark_names()])

    def let_go(self):
        """What was found belonged to the scene."""
        self._suggestion, self._curve = None, None
        self.ui.suggestionLabel.text = _("No view is suggested yet.")
        fill(self.ui.plannedTable, [_("Name"), _("Angles"), _("Device")], [])

    def _made(self, node):
        """A line or a plane that was just made has no points: the user comes to place them."""
        if self.widget.parameters is not None:
            self.widget.place(node)
            self.widget.say(_("Click the points of {name} in the views.").format(name=node.GetName()))

    def _along(self):
        self._found(self.logic.see_along(self.widget.parameters.corridor))

    def _at_plane(self, how):
        self._curve = self.logic.see_facing(self.widget.parameters.target)
        self._found(getattr(self._curve, how))
        self._plot()

    def _found(self, suggestion):
        names = [item.text().replace(" ", "_") for item in self.ui.fieldList.selectedItems()]
        self._suggestion = self.logic.see_field(suggestion, names) if names else suggestion
        one = self._suggestion
        words = [f"{one.words}, " + (_("in reach") if one.in_reach else _("out of reach, so the nearest"))]
        if one.off > 0.5:
            words.append(_("{off}° from what was asked").format(off=round(one.off)))
        if one.outside:
            words.append(
                _("outside the field: {names}").format(names=", ".join(name.replace("_", " ") for name in one.outside))
            )
        self.ui.suggestionLabel.text = "; ".join(words)

    def _take(self):
        self.logic.take(self._suggestion)
        self.widget.panels[1].went()

    def _jump(self, row):
        self.logic.jump(row)
        self.widget.panels[1].went()

    def _double(self, row, column):
        if column == 0:
            self.ui.plannedTable.editItem(self.ui.plannedTable.item(row, column))
            return
        with self.widget.telling():
            self._jump(row)

    def _renamed(self, row, column):
        if column == 0:
            with self.widget.telling():
                self.logic.rename_planned(row, self.ui.plannedTable.item(row, column).text())
            self.widget.later()

    def _move(self, by):
        row = self.ui.plannedTable.currentRow()
        self.logic.move_planned(row, row + by)
        self.ui.plannedTable.setCurrentCell(row + by, 0)

    def _buttons(self, row):
        nothing = "" if 0 <= row < len(self._planned) else _("Pick a planned view first.")
        allow = self.widget.allow
        for button in (self.ui.jumpViewButton, self.ui.removeViewButton):
            allow(button, nothing)
        allow(self.ui.upViewButton, nothing or ("" if row > 0 else _("It is the first.")))
        allow(self.ui.downViewButton, nothing or ("" if row < len(self._planned) - 1 else _("It is the last.")))

    def _import(self):
        path = self.widget.file_to_open(_("Planned views"), _("Planned views (*.json)"))
        if path is not None:
            self.logic.import_plan(path)

    def _export(self):
        kinds = _("Planned views (*.json *.csv);;Folder of poses for skiagraph make-samples (*)")
        path = self.widget.file_to_save(_("Planned views"), kinds)
        if path is not None:
            files = self.logic.export_plan(path)
            self.widget.say(_("{count} written: {path}").format(count=len(files), path=path))

    def _plot(self):
        chart = plotted(self.logic.home(), self._curve, self._suggestion)
        self.widget.views.arrange(PLAN)
        self.widget.views.plot(chart)


def plotted(home, curve, suggestion):
    """The chart of an S-curve: all its angles, those in reach, and the suggestion; the same chart each time."""
    chart = home.GetNodeReference(CURVE)
    if not exists(chart):
        chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", "S-curve")
        home.SetNodeReferenceID(CURVE, chart.GetID())
        chart.SetTitle(_("Views of the plane"))
        chart.SetXAxisTitle(_("RAO < 0 < LAO, degrees"))
        chart.SetYAxisTitle(_("CAU < 0 < CRA, degrees"))
        for name, shape in (("all", "line"), ("in reach", "points"), ("suggested", "star")):
            series = _series(name, shape)
            chart.AddAndObservePlotSeriesNodeID(series.GetID())
    marked = [(p, s, reached) for p, s, reached in zip(curve.primary, curve.secondary, curve.in_reach) if isfinite(s)]
    parts = (
        [(p, s) for p, s, _reached in marked],
        [(p, s) for p, s, reached in marked if reached],
        [(suggestion.primary, suggestion.secondary)],
    )
    for number, part in enumerate(parts):
        _tell(chart.GetNthPlotSeriesNode(number).GetTableNode(), part)
    return chart


def _series(name, shape):
    kind = slicer.vtkMRMLPlotSeriesNode
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", f"S-curve, {name}")
    _tell(table, [])
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("primary")
    series.SetYColumnName("secondary")
    series.SetPlotType(kind.PlotTypeScatter)
    series.SetMarkerStyle(
        {"line": kind.MarkerStyleNone, "points": kind.MarkerStyleCircle, "star": kind.MarkerStyleDiamond}[shape]
    )
    series.SetLineStyle(kind.LineStyleSolid if shape == "line" else kind.LineStyleNone)
    series.SetMarkerSize({"line": 1, "points": 5, "star": 14}[shape])
    series.SetColor({"line": (0.6, 0.6, 0.6), "points": (0.2, 0.5, 0.75), "star": (0.85, 0.35, 0.1)}[shape])
    return series


def _tell(node, points):
    """The angles of a series, as two columns of its table."""
    table = vtk.vtkTable()
    for column, name in enumerate(("primary", "secondary")):
        array = vtk.vtkDoubleArray()
        array.SetName(name)
        for point in points:
            array.InsertNextValue(float(point[column]))
        table.AddColumn(array)
    node.SetAndObserveTable(table)
