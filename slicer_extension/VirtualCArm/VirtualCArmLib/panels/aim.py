"""Aim: where the C-arm stands, by device, standard view, sliders or hand; and the X-ray that follows it."""

import time

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import CArmError
from ..layouts import AIM, XRAY_VIEW
from .panel import Follower, Panel, set_quietly, take_choices
from .shoot import show_points_of

REST = 350
"""Milliseconds of rest before the picture is taken in full quality."""
QUICK, FULL = 256, 768
"""Columns of the quick and the full picture."""
COLUMNS = 3
OUT_OF_REACH = "color: #b3261e;"
SIDES = ("right", "left")


class AimPanel(Panel):
    """The second tab."""

    def connect(self):
        """Sliders and buttons to the C-arm, and the C-arm back to them."""
        ui = self.ui
        self._buttons, self._shown, self._drawn = {}, (), None
        self._watched = Follower(self.widget, self._changed)
        self._moved, self._rest = self._timer(0, self._follow), self._timer(REST, self._still)
        ui.deviceSelector.connect("currentIndexChanged(int)", self._device)
        ui.sideSelector.connect("currentIndexChanged(int)", self._device)
        ui.primarySlider.connect("valueChanged(double)", lambda value: self._turn(primary=value))
        ui.secondarySlider.connect("valueChanged(double)", lambda value: self._turn(secondary=value))
        ui.rollSlider.connect("valueChanged(double)", lambda value: self._turn(roll=value))
        ui.rightSpin.connect("valueChanged(double)", lambda value: self._shift(0, value))
        ui.anteriorSpin.connect("valueChanged(double)", lambda value: self._shift(1, value))
        ui.superiorSpin.connect("valueChanged(double)", lambda value: self._shift(2, value))
        ui.liveBox.connect("toggled(bool)", self._live)
        ui.carmBox.connect("toggled(bool)", self._draw)
        ui.dragBox.connect("toggled(bool)", self._drag)
        for box in (ui.panelBox, ui.outlinesBox, ui.pointsBox, ui.namesBox):
            box.connect("toggled(bool)", self._again)
        self.on(ui.layoutButton, lambda: self.widget.views.arrange(AIM))
        ui.readingLabel.setStyleSheet("font-size: 17pt; font-weight: bold;")

    def refresh(self):
        """The device, the views it offers this patient, and where it stands."""
        self._watch()
        reading, devices = self.logic.reading(), self.logic.devices()
        take_choices(self.ui.deviceSelector, [(_title(one.name), one.name) for one in devices], reading.device)
        known = {one.name: one for one in devices}
        if reading.device in known:
            self.ui.deviceSelector.toolTip = f"{known[reading.device].reference}\n{known[reading.device].limits}"
        if self.ui.sideSelector.currentIndex != SIDES.index(reading.side):
            self.ui.sideSelector.blockSignals(True)
            self.ui.sideSelector.currentIndex = SIDES.index(reading.side)
            self.ui.sideSelector.blockSignals(False)
        self._show(reading)
        has_ct = self.widget.parameters.ct is not None
        self._offer(self.logic.standard_views() if has_ct else [])
        self.widget.allow(self.ui.liveBox, "" if has_ct else _("Pick a CT in the Patient tab first."))

    def follow(self):
        """The live X-ray follows in every tab."""
        if self.ui.liveBox.checked:
            self._watch()

    def let_go(self):
        """No picture follows a C-arm that is going."""
        self._moved.stop()
        self._rest.stop()
        self._watched.follow([])
        self._drawn = None
        for box in (self.ui.liveBox, self.ui.dragBox):
            box.blockSignals(True)
            box.checked = False
            box.blockSignals(False)
        self.ui.speedLabel.text = ""
        self.widget.views.clear(XRAY_VIEW)

    def went(self):
        """The C-arm was sent somewhere by another tab."""
        self._watch()
        self._moved.start()

    # From the hand to the C-arm

    def _turn(self, **angle):
        """Turn one angle; the sliders round the others, the C-arm does not."""
        with self.widget.telling():
            self.logic.aim(**angle)
            self.went()

    def _shift(self, axis, value):
        with self.widget.telling():
            isocenter = list(self.logic.reading().isocenter)
            isocenter[axis] = value
            self.logic.aim(isocenter=tuple(isocenter))
            self.went()

    def _device(self, number):
        if self.widget.parameters is None or self.ui.deviceSelector.currentIndex < 0:
            return
        with self.widget.telling():
            name = self.ui.deviceSelector.itemData(self.ui.deviceSelector.currentIndex)
            self.logic.set_device(name, SIDES[self.ui.sideSelector.currentIndex])
            self._draw(self.ui.carmBox.checked)
            self.went()
        self.widget.later()

    def _drag(self, wanted):
        if self.widget.parameters is None:
            return
        node = self.logic.carm_node()
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetEditorVisibility(wanted)
        display.SetEditorScalingEnabled(False)
        display.SetEditorTranslationEnabled(True)
        display.SetEditorRotationEnabled(True)

    def _draw(self, wanted):
        if self.widget.parameters is not None:
            with self.widget.telling("the C-arm"):
                self.logic.draw_carm(wanted)

    # From the C-arm to the eye

    def _watch(self):
        """Follow the C-arm and all that it sees."""
        carm, p = self.logic.carm_node(), self.widget.parameters
        moved = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        placed = slicer.vtkMRMLMarkupsNode.PointModifiedEvent
        seen = [(p.ct, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent), (p.landmarks, placed), (p.corridor, placed)]
        if self._watched.follow([(node, moved) for node in (carm, p.ct, p.landmarks, p.corridor)] + seen):
            self._moved.start()
        if carm is not self._drawn:
            self._drawn = carm
            self._draw(self.ui.carmBox.checked)

    def _changed(self, caller, event):
        self._moved.start()

    def _follow(self):
        if self.widget.parameters is None or self._drawn is None:
            return
        with self.widget.telling("the live X-ray"):
            self._show(self.logic.reading())
            if self.ui.liveBox.checked:
                self._picture(self.logic.fluoro, QUICK)
                self._rest.start()

    def _still(self):
        if self.widget.parameters is not None and self.ui.liveBox.checked:
            with self.widget.telling("the live X-ray"):
                self._picture(self.logic.still, FULL)

    def _picture(self, take, columns):
        if self.logic.misses():
            raise CArmError(_("The beam misses the CT; press a standard view to aim at the patient."))
        began = time.perf_counter()
        nodes = take(columns)
        for node in (nodes.landmarks, nodes.corridor):
            if node is not None and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(self.ui.pointsBox.checked)
                node.GetDisplayNode().SetPointLabelsVisibility(self.ui.namesBox.checked)
        outlines = nodes.outlines if self.ui.outlinesBox.checked else None
        in_3d = self.ui.panelBox.checked
        self.widget.views.show(XRAY_VIEW, nodes.image, self.logic.place_slice, outlines, in_3d=in_3d)
        took = time.perf_counter() - began
        self.ui.speedLabel.text = _("{columns} px · {ms} ms").format(columns=columns, ms=round(1000 * took))

    def _live(self, wanted):
        if self.widget.parameters is None:
            return
        with self.widget.telling():
            if wanted:
                self._watch()
                if not self.widget.views.shown(XRAY_VIEW):
                    self.widget.views.arrange(AIM)
                if self.logic.misses():  # it stands where it was made, or where another patient lay
                    self.logic.aim(view="ap")
                show_points_of(self.logic.shots(), None)
                self._follow()
            else:
                self._rest.stop()
                self.ui.speedLabel.text = ""
                self.widget.views.clear(XRAY_VIEW)
                self.logic.clear_live()

    def _again(self, wanted):
        if self.ui.liveBox.checked:
            self._rest.start()

    def _show(self, reading):
        ui = self.ui
        ui.readingLabel.text = reading.words
        ui.readingLabel.setStyleSheet(
            "font-size: 17pt; font-weight: bold;" + ("" if reading.in_reach else OUT_OF_REACH)
        )
        if reading.in_reach:
            ui.limitsLabel.text = _("within the device's reach")
        else:
            ui.limitsLabel.text = _("out of reach; nearest {words}").format(words=reading.nearest_words)
        set_quietly(ui.primarySlider, float(reading.primary))
        set_quietly(ui.secondarySlider, float(reading.secondary))
        set_quietly(ui.rollSlider, float(reading.roll))
        for spin, value in zip((ui.rightSpin, ui.anteriorSpin, ui.superiorSpin), reading.isocenter):
            set_quietly(spin, float(value))

    def _offer(self, choices):
        """A button for every standard view; those out of reach say where the device ends."""
        names = tuple(one.name for one in choices)
        if names != self._shown:
            for button in self._buttons.values():
                button.deleteLater()
            self._buttons, self._shown = {}, names
            grid = self.ui.viewsPanel.layout()
            for number, choice in enumerate(choices):
                button = qt.QPushButton(_short(choice.title))
                button.setStyleSheet("padding: 3px;")
                self.on(button, lambda name=choice.name: self._to(name))
                grid.addWidget(button, number // COLUMNS, number % COLUMNS)
                self._buttons[choice.name] = button
        for choice in choices:
            button = self._buttons[choice.name]
            about = (
                _("a rule of thumb, to be put right on the picture")
                if choice.approximate
                else _("planned from the pelvis")
            )
            button.toolTip = f"{choice.title}: {choice.words}, {about}"
            if not choice.in_reach:
                button.toolTip += "\n" + _("Out of this device's reach; it comes as near as {words}.").format(
                    words=choice.nearest_words
                )
            button.setStyleSheet("padding: 3px;" + ("" if choice.in_reach else "color: #9a6a66;"))

    def _to(self, name):
        self.logic.aim(view=name)
        self.went()

    def _timer(self, interval, action):
        timer = qt.QTimer()
        timer.setSingleShot(True)
        timer.setInterval(interval)
        timer.connect("timeout()", action)
        return timer


def _title(name):
    return name.replace("-", " ").replace("_", " ").capitalize()


def _short(title):
    """A view's title on a small button."""
    for long, short in (("Left ", "L "), ("Right ", "R "), ("Lateral, panel at the left", "Lateral L")):
        title = title.replace(long, short)
    return title.replace("Lateral, panel at the right", "Lateral R").replace(" (obturator outlet)", "")
