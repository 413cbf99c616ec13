"""The module's panel: five tabs over one logic, one place for messages, and one for work beside Slicer."""

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from . import install
from .errors import CoreMissing, user_errors
from .layouts import Views
from .panels.aim import AimPanel
from .panels.panel import exists
from .panels.patient import PatientPanel
from .panels.plan import PlanPanel
from .panels.shoot import ShootPanel
from .panels.xrays import XraysPanel
from .parameters import CArmParameters
from .runner import IDLE, Runner

BAD = "padding: 5px; border: 1px solid #b3261e; border-radius: 4px; background: #fbe9e7; color: #7a1712;"
GOOD = "padding: 5px; border: 1px solid #7d9d7d; border-radius: 4px; background: #eef6ee; color: #1d4620;"


class CArmWidget:
    """What is behind the panel; the shell adds ScriptedLoadableModuleWidget and VTKObservationMixin."""

    def set_up(self, logic):
        """Build the panel over a logic."""
        self.logic = logic
        panel = slicer.util.loadUI(self.resourcePath("UI/VirtualCArm.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        self._panel, self._after = panel, None
        self.parameters, self._gui_tag, self._parameters_tag = None, None, None
        self._tips = {}
        panel.setMRMLScene(slicer.mrmlScene)
        self.views = Views()
        self.runner = Runner(install.CORE, self._progress, self._work_done, self._work_failed, self._work_cancelled)
        self.panels = [kind(self) for kind in (PatientPanel, AimPanel, PlanPanel, ShootPanel, XraysPanel)]
        self._soon = qt.QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.connect("timeout()", self.refresh)
        self.ui.installButton.connect("clicked(bool)", self._install)
        self.ui.cancelButton.connect("clicked(bool)", self.runner.cancel)
        self.ui.tabs.connect("currentChanged(int)", self._tab_changed)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._scene_closes)
        self.addObserver(scene, scene.EndCloseEvent, self._scene_closed)
        self.addObserver(scene, scene.EndImportEvent, self.later)
        self.addObserver(scene, scene.NodeRemovedEvent, self.later)
        self.begin()

    def begin(self):
        """Tie the panel to the scene's node, and show how things are."""
        self.ready = self._check_packages()
        if self.parameters is None and self.ready:
            self.parameters = CArmParameters(self.logic.getParameterNode())
            self._gui_tag = self.parameters.connectGui(self.ui)
            self.addObserver(self.parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self.later)
        self.refresh()

    def let_go(self):
        """Undo `begin`: nothing of the panel follows the scene any more."""
        self._soon.stop()
        for panel in self.panels:
            panel.let_go()
        if self.parameters is not None:
            self.parameters.disconnectGui(self._gui_tag)
            self.removeObserver(self.parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self.later)
        self.parameters = None

    def take_down(self):
        """The panel is going for good."""
        self.runner.abandon()
        self.let_go()
        self.removeObservers()

    # What is shown

    def later(self, caller=None, event=None):
        """Show how things are once what is happening has happened."""
        if self.parameters is not None:
            self._soon.start()

    def refresh(self):
        """Show how things are, in the tab that is seen."""
        if self.parameters is None:
            return
        if not exists(self.parameters.parameterNode):  # somebody took the module's node out of the scene
            self.let_go()
            self.begin()
            return
        with self.telling(keep=True):
            self.panels[self.ui.tabs.currentIndex].refresh()

    def say(self, words, bad=False):
        """A message below the tabs; none for empty words."""
        self.ui.messageLabel.text = words
        self.ui.messageLabel.setStyleSheet(BAD if bad else GOOD)
        self.ui.messageLabel.visible = bool(words)

    @contextmanager
    def telling(self, keep=False):
        """What the user can put right becomes a message; what is a bug stays one. `keep` leaves an older message."""
        if not keep:
            self.say("")
        try:
            yield
        except CoreMissing as error:
            self.ready = self._check_packages()
            self.say(str(error), bad=True)
        except user_errors() as error:
            self.say(str(error), bad=True)

    def allow(self, button, why=""):
        """Let a button be pressed, or have its tooltip say why not."""
        tip = self._tips.setdefault(button.name, button.toolTip)
        button.enabled = not why
        button.toolTip = why or tip

    def busy(self):
        """Why nothing else can be started; empty if it can."""
        return "" if self.runner.state == IDLE else _("Wait until the work beside Slicer is done, or cancel it.")

    def _tab_changed(self, number):
        self.say("")
        self.refresh()

    # What runs beside Slicer

    def run(self, requests, after):
        """Run requests of the core in a process of their own; `after(files)` when they are done."""
        self._after = after
        self.ui.progressBar.value = 0
        for one in (self.ui.progressBar, self.ui.cancelButton):
            one.visible = True
        self.ui.cancelButton.enabled = True
        self.runner.start(requests)
        self.later()

    def folder_for_work(self):
        """A folder for files between the work and the scene; it goes when the work is over."""
        self._folder = Path(tempfile.mkdtemp(prefix="carm-", dir=str(slicer.app.temporaryPath)))
        return self._folder

    def _progress(self, part, words):
        if part is None:
            self.ui.cancelButton.enabled = False
        else:
            self.ui.progressBar.value = round(1000 * part)
        self.ui.progressBar.format = words

    def _work_done(self, files):
        self._work_over()
        try:
            with self.telling(), slicer.util.WaitCursor():
                self._after(files)
        finally:
            self._sweep()
            self.later()

    def _work_failed(self, message):
        self._work_over()
        self._sweep()
        self.say(message, bad=True)
        self.later()

    def _work_cancelled(self):
        self._work_over()
        self._sweep()
        self.say(_("Cancelled; nothing half-written is left."))
        self.later()

    def _work_over(self):
        for one in (self.ui.progressBar, self.ui.cancelButton):
            one.visible = False

    def _sweep(self):
        if getattr(self, "_folder", None) is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    # Packages

    def _check_packages(self):
        words = install.words(self.resourcePath("requirements.txt"))
        self.ui.installFrame.visible = bool(words)
        self.ui.installLabel.text = words
        self.ui.tabs.enabled = not words
        return not words

    def _install(self, pressed=False):
        with self.telling():
            if install.install(self.resourcePath("requirements.txt")):
                self.say(_("Everything is installed."))
            self.begin()

    # The scene

    def _scene_closes(self, caller, event):
        self.runner.abandon()
        self._work_over()
        self._sweep()
        self.let_go()
        self.logic.forget()

    def _scene_closed(self, caller, event):
        self.say("")
        self.begin()

    # Files

    def file_to_open(self, title, kinds):
        """A file the user picks, or None."""
        return _path(qt.QFileDialog.getOpenFileName(self._panel, title, "", kinds))

    def file_to_save(self, title, kinds):
        """Where the user wants a file, or None."""
        return _path(qt.QFileDialog.getSaveFileName(self._panel, title, "", kinds))

    def folder_to_save(self, title):
        """A folder the user picks, or None."""
        return _path(qt.QFileDialog.getExistingDirectory(self._panel, title, ""))


def _path(chosen):
    return Path(chosen) if chosen else None
