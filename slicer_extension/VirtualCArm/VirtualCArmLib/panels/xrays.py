"""Real X-rays: a radiograph's geometry, its landmarks, where the CT lies in it; and reading them for a server."""

import qt
import slicer
from slicer.i18n import tr as _

from ..layouts import RADIOGRAPH, RADIOGRAPH_VIEW
from .aim import SIDES
from .panel import Panel, exists, take_choices
from .shoot import show_points_of

SETTING = "VirtualCArm/Server"
ASKING = 2000
"""Milliseconds between questions how the training goes."""
RENEWING = 600000
"""Milliseconds after which a radiograph that is being read is asked for again; the server lends it for half an hour."""


class XraysPanel(Panel):
    """The fifth tab."""

    def connect(self):
        """Radiographs, and the server."""
        ui = self.ui
        self._registered, self._server, self._sample = None, None, None
        self.on(ui.loadXrayButton, self._load)
        self.on(ui.geometryButton, self._place)
        self.on(ui.detectButton, self._detect)
        self.on(ui.registerButton, self._register)
        self.on(ui.applyButton, self._apply)
        self.on(ui.authorityButton, self._authority)
        self.on(ui.connectButton, self._connect)
        self.on(ui.nextButton, self._next)
        self.on(ui.submitButton, self._submit)
        self.on(ui.skipButton, self._skip)
        self.on(ui.trainButton, self._train)
        self.on(ui.stopTrainButton, self._stop)
        ui.xraySelector.connect("currentNodeChanged(vtkMRMLNode*)", self._picked)
        ui.boneBox.connect("toggled(bool)", self._bone)
        ui.serverEdit.text = str(slicer.app.userSettings().value(SETTING, ""))
        for edit in (ui.serverEdit, ui.tokenEdit):
            edit.connect("textChanged(QString)", lambda text: self.widget.later())
        self._asking = qt.QTimer()
        self._asking.setInterval(ASKING)
        self._asking.connect("timeout()", self._ask)
        self._renewing = qt.QTimer()
        self._renewing.setInterval(RENEWING)
        self._renewing.connect("timeout()", self._renew)

    def refresh(self):
        """What can be done with the radiograph that is picked, and with the server."""
        ui, allow = self.ui, self.widget.allow
        devices = [(one.name.replace("-", " ").capitalize(), one.name) for one in self.logic.devices()]
        take_choices(ui.xrayDeviceSelector, devices, _value(ui.xrayDeviceSelector) or "generic")
        xray = ui.xraySelector.currentNode()
        known = None if xray is None else self.logic.bone_of(xray)
        if known is not None and ui.boneBox.checked != (known == "dark"):
            ui.boneBox.blockSignals(True)
            ui.boneBox.checked = known == "dark"
            ui.boneBox.blockSignals(False)
        no_xray = "" if xray else _("Load a radiograph first.")
        no_ct = "" if self.widget.parameters.ct else _("Pick a CT in the Patient tab first.")
        allow(ui.geometryButton, no_xray)
        allow(ui.detectButton, no_xray)
        allow(ui.registerButton, no_xray or no_ct)
        allow(ui.applyButton, "" if self._registered is not None else _("Register the CT first."))
        address = "" if ui.serverEdit.text and ui.tokenEdit.text else _("Give the server's address and your token.")
        allow(ui.connectButton, address)
        offline = "" if self._server is not None else _("Connect to a server first.")
        allow(ui.nextButton, offline)
        allow(ui.trainButton, offline)
        allow(ui.stopTrainButton, offline or ("" if self._asking.active else _("No training was started here.")))
        reading = (
            "" if self._sample is not None and exists(self._sample.node) else _("Ask for a radiograph with Next first.")
        )
        allow(ui.submitButton, offline or reading)
        allow(ui.skipButton, offline or reading)

    def let_go(self):
        """What was found, and the radiograph that is read, belonged to the scene; the server stays."""
        self._asking.stop()
        self._renewing.stop()
        self._registered, self._sample = None, None
        self.ui.registrationLabel.text = self.ui.whyLabel.text = ""
        self.widget.views.clear(RADIOGRAPH_VIEW)

    # A radiograph

    def _load(self):
        kinds = _("Radiographs (*.dcm *.png *.jpg *.jpeg *.tif *.tiff *.nrrd *.nii.gz *.mha);;All files (*)")
        path = self.widget.file_to_open(_("Radiograph"), kinds)
        if path is not None:
            self._show(self.logic.load_xray(path, "dark" if self.ui.boneBox.checked else "bright"))

    def _bone(self, dark):
        node = self.ui.xraySelector.currentNode()
        if self.widget.parameters is not None and node is not None and self.logic.bone_of(node) is not None:
            with self.widget.telling():
                self.logic.set_bone(node, "dark" if dark else "bright")

    def _picked(self, node):
        self._registered = None
        self.ui.registrationLabel.text = ""
        self.widget.later()

    def _show(self, node, over=None):
        self.ui.xraySelector.setCurrentNode(node)
        if not self.widget.views.shown(RADIOGRAPH_VIEW):
            self.widget.views.arrange(RADIOGRAPH)
        self.widget.views.show(RADIOGRAPH_VIEW, node, self.logic.place_slice, over=over, in_3d=True)
        show_points_of(self.logic.shots(), None)

    def _place(self):
        ui, node = self.ui, self.ui.xraySelector.currentNode()
        self.logic.set_xray_geometry(
            node,
            device=_value(ui.xrayDeviceSelector),
            side=SIDES[ui.xraySideSelector.currentIndex],
            primary=ui.xrayPrimarySpin.value,
            secondary=ui.xraySecondarySpin.value,
            source_to_panel=ui.distanceSpin.value or None,
            pixel_spacing=ui.pixelSpin.value or None,
            tube_in_front=ui.frontBox.checked,
        )
        self._show(node)

    def _detect(self):
        node = self.ui.xraySelector.currentNode()
        with slicer.util.WaitCursor():
            found = self.logic.detect(node)
        self._show(node)
        self.widget.say(
            _("{count} landmarks were found; drag those that are wrong.").format(
                count=found.GetNumberOfDefinedControlPoints()
            )
        )

    def _register(self):
        node = self.ui.xraySelector.currentNode()
        with slicer.util.WaitCursor():
            found = self.logic.register(node)
        self._registered = node
        self.ui.registrationLabel.text = found.words
        self._show(node, over=found.overlay)

    def _apply(self):
        self.logic.apply_registration(self._registered)
        self.widget.say(_("The CT, its landmarks and its structures are under the transform that was found."))

    # The server

    def _authority(self):
        path = self.widget.file_to_open(_("Certificate"), _("Certificates (*.pem *.crt)"))
        if path is not None:
            self.ui.authorityEdit.text = str(path)

    def _connect(self):
        ui = self.ui
        self._server = self._sample = None
        server = self.logic.annotator(ui.serverEdit.text, ui.tokenEdit.text, ui.authorityEdit.text or None)
        take_choices(ui.strategySelector, [(one, one) for one in server.status().strategies], "hybrid")
        self._server = server
        slicer.app.userSettings().setValue(SETTING, ui.serverEdit.text)
        self.widget.say(_("Signed in as {name}, {role}.").format(name=server.user, role=server.role))
        self._count()

    def _next(self):
        with slicer.util.WaitCursor():
            self._sample = self._server.next(_value(self.ui.strategySelector) or "hybrid")
        if self._sample is None:
            self.ui.whyLabel.text = _("No radiograph is left to read.")
            return
        self._renewing.start()
        self.ui.whyLabel.text = str(self._sample.why)
        self._show(self._sample.node)

    def _submit(self):
        version = self._server.submit(self._sample)
        self._sample = None
        self.ui.whyLabel.text = ""
        self.widget.say(_("Submitted, as version {version}.").format(version=version))
        self._count()

    def _skip(self):
        self._server.skip(self._sample)
        self._sample = None
        self.ui.whyLabel.text = ""

    def _renew(self):
        self._renewing.stop()
        if self._server is not None and self._sample is not None:
            with self.widget.telling("the server"):
                self._server.renew(self._sample)
                self._renewing.start()

    def _count(self):
        status = self._server.status()
        self.ui.serverLabel.text = _("{finished} of {total} radiographs are finished.").format(
            finished=status.finished, total=status.total
        )

    def _train(self):
        self._server.train()
        self._ask()

    def _stop(self):
        self._server.stop_training()

    def _ask(self):
        with self.widget.telling("the server"):
            self._asking.stop()  # an error is told once, not every two seconds
            training = self._server.training()
            self.ui.trainingBar.value = round(100 * (training.part or 0.0))
            self.ui.trainingBar.format = str(training.words)
            if training.running:
                self._asking.start()
            else:
                self._count()
            self.widget.later()


def _value(combo):
    return combo.itemData(combo.currentIndex) if combo.currentIndex >= 0 else None
