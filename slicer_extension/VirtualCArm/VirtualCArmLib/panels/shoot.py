"""Shoot: settings of the next X-ray, the shots there are, and whole plans beside Slicer."""

from pathlib import Path

import slicer
from slicer.i18n import tr as _

from ..layouts import AIM, XRAY_VIEW
from ..parameters import TOOLS
from .panel import Panel, fill


class ShootPanel(Panel):
    """The fourth tab."""

    def connect(self):
        """The button, the list of shots, the batch."""
        ui = self.ui
        self._shots = []
        self.role(ui.toolSelector, "tool")
        self.on(ui.shootButton, self._shoot)
        self.on(ui.showShotButton, lambda: self._show(self._chosen()))
        self.on(ui.jumpShotButton, self._jump)
        self.on(ui.exportShotButton, self._export)
        self.on(ui.deleteShotButton, self._delete)
        self.on(ui.batchButton, self._batch)
        ui.shotTable.connect("cellDoubleClicked(int,int)", self._double)
        ui.shotTable.connect("itemSelectionChanged()", lambda: self._buttons(ui.shotTable.currentRow()))

    def refresh(self):
        """What the settings mean, and the shots."""
        ui, p, busy = self.ui, self.widget.parameters, self.widget.busy()
        self.show_role(ui.toolSelector, "tool")
        realistic = p.fidelity == "realistic"
        self._only(ui.kvpSpin, realistic, _("Only realistic X-rays know a tube voltage."))
        noisy = p.fidelity != "naive"
        self._only(ui.exposureBox, noisy, _("Naive X-rays have no noise."))
        self._only(ui.photonsSpin, noisy and not p.exposureAutomatic, _("Take the tick off automatic to choose."))
        self._only(ui.noiseSeedSpin, noisy, _("Naive X-rays have no noise."))
        tool = p.toolKind != "no tool"
        self._only(ui.toolSelector, tool, _("Choose a tool first."))
        self._only(ui.diameterSpin, tool and p.toolKind != "model", _("A model brings its own size."))
        self._only(ui.bendSpin, p.toolKind == "continuum manipulator", _("Only the manipulator bends."))
        no_ct = "" if p.ct else _("Pick a CT in the Patient tab first.")
        no_line = (
            "" if not tool or ui.toolSelector.currentNode() else _("Choose the line or model the tool lies along.")
        )
        self.widget.allow(ui.shootButton, no_ct or no_line)
        empty = "" if self.logic.planned() else _("The plan is empty: add views in the Plan tab.")
        self.widget.allow(ui.batchButton, busy or no_ct or empty)
        self._shots = self.logic.shots()
        rows = [(one.name, one.fidelity, _kv(one.kvp), len(one.seen)) for one in self._shots]
        fill(ui.shotTable, _titles(), rows)
        self._buttons(ui.shotTable.currentRow())

    def let_go(self):
        """The shots go with the scene."""
        self._shots = []
        fill(self.ui.shotTable, _titles(), [])

    def settings(self):
        """The panel's settings as the logic takes them."""
        from ..shots import ShotSettings

        p = self.widget.parameters
        shutters = (p.shutterTop, p.shutterBottom, p.shutterLeft, p.shutterRight)
        tool = TOOLS[p.toolKind]
        return ShotSettings(
            fidelity=p.fidelity,
            kvp=p.kvp if p.fidelity == "realistic" else None,
            photons=None if p.exposureAutomatic or p.fidelity == "naive" else p.photons,
            seed=p.noiseSeed,
            columns=p.columns,
            collimation=shutters,
            tool=tool,
            diameter=None if tool in (None, "model") else p.diameter,
            bend=p.bend if tool == "manipulator" else 0.0,
        )

    def _shoot(self):
        with slicer.util.WaitCursor():
            node = self.logic.shoot(self.settings())
        self._show(node)
        self.refresh()
        if self._shots:
            self.ui.shotTable.setCurrentCell(len(self._shots) - 1, 0)

    def _show(self, node):
        views = self.widget.views
        if not views.shown(XRAY_VIEW):
            views.arrange(AIM)
        if self.ui.liveBox.checked:
            self.ui.liveBox.checked = False
        views.show(XRAY_VIEW, node, self.logic.place_slice, in_3d=True)
        show_points_of(self.logic.shots(), node, self.ui.namesBox.checked)

    def _chosen(self):
        return self._shots[self.ui.shotTable.currentRow()].node

    def _jump(self):
        self.logic.jump_to_shot(self._chosen())
        self.widget.panels[1].went()

    def _double(self, row, column):
        with self.widget.telling():
            self._show(self._shots[row].node)

    def _export(self):
        path = self.widget.file_to_save(_("X-ray"), _("X-ray (*.dcm *.png *.nrrd)"))
        if path is None:
            return
        there = ", ".join(file.name for file in self.logic.beside_shot(path))
        ask = _("Beside {name} this takes the place of {there}. Go on?").format(name=path.name, there=there)
        if there and not slicer.util.confirmOkCancelDisplay(ask):
            return
        files = self.logic.export_shot(self._chosen(), path)
        self.widget.say(_("{count} files written beside {path}").format(count=len(files), path=path))

    def _delete(self):
        node = self._chosen()
        if slicer.util.confirmOkCancelDisplay(_("Delete {name}? It cannot be undone.").format(name=node.GetName())):
            self.logic.delete_shot(node)

    def _batch(self):
        folder = self.widget.folder_to_save(_("Where the X-rays go"))
        if folder is None:
            return
        self.widget.must_be_idle()
        with slicer.util.WaitCursor():
            requests = self.logic.batch_requests(folder, self.settings())
        pictures = [Path(one["output"]) for one in requests]
        self.widget.run(
            requests, lambda files: self.widget.say(self._arrived(pictures)), lambda: self._arrived(pictures)
        )

    def _arrived(self, pictures):
        """Bring in the X-rays that were taken, all or some; what to say of it."""
        taken = [picture for picture in pictures if picture.is_file()]
        for picture in taken:
            self.logic.import_shot(picture)
        return _("{count} of {all} X-rays were taken; they are in {folder} and in the list.").format(
            count=len(taken), all=len(pictures), folder=pictures[0].parent
        )

    def _buttons(self, row):
        why = "" if 0 <= row < len(self._shots) else _("Pick a shot in the list first.")
        ui = self.ui
        for button in (ui.showShotButton, ui.jumpShotButton, ui.exportShotButton, ui.deleteShotButton):
            self.widget.allow(button, why)

    def _only(self, field, allowed, why):
        self.widget.allow(field, "" if allowed else why)


def show_points_of(shots, node, names=False):
    """The landmarks of one shot, or of none, and hide those of the others: they lie on their own panels."""
    for shot in shots:
        if shot.landmarks is not None and shot.landmarks.GetDisplayNode() is not None:
            shot.landmarks.GetDisplayNode().SetVisibility(shot.node is node)
            shot.landmarks.GetDisplayNode().SetPointLabelsVisibility(names)


def _titles():
    return [_("Name"), _("Fidelity"), _("kV"), _("Landmarks")]


def _kv(kvp):
    return "" if kvp is None else f"{kvp:g}"
