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
from .errors import CArmError, CoreMissing, user_errors
from .layouts import Views, register
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
        self._tips, self._about, self._folder, self._here = {}, "", None, False
        panel.setMRMLScene(slicer.mrmlScene)
        register()
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
        for event in (scene.EndImportEvent, scene.EndBatchProcessEvent):
            self.addObserver(scene, event, self._scene_is_there)
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
            self.addObserver(scene, event, self.later)
        self.begin()

    def come(self):
        """The user is here."""
        self._here = True
        self.begin()

    def leave(self):
        """The user goes elsewhere; the X-ray goes on following the C-arm."""
        self._here = False

    def begin(self):
        """Tie the panel to the scene's node, and show how things are."""
        self.ready = self._check_packages()
        if self.parameters is None and self.ready:
            self.parameters = CArmParameters(self.logic.getParameterNode())
            self._gui_tag = self.parameters.connectParametersToGui(self._tied())
            self.addObserver(self.parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self.later)
        self.refresh()

    def _tied(self):
        """The widgets that show a parameter, by its name; `connectGui` finds them too, but gives no tag to undo it."""
        named = [(widget.property("SlicerParameterName"), widget) for widget in vars(self.ui).values()]
        return {name: widget for name, widget in named if name}

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
        with self.telling("the panel"):
            for panel in self.panels:
                panel.follow()
            self.panels[self.ui.tabs.currentIndex].refresh()

    def say(self, words, bad=False, about=""):
        """A message below the tabs; none for empty words."""
        self._about = about
        self.ui.messageLabel.text = words
        self.ui.messageLabel.setStyleSheet(BAD if bad else GOOD)
        self.ui.messageLabel.visible = bool(words)

    @contextmanager
    def telling(self, about=""):
        """What the user can put right becomes a message; a bug becomes one too, and stays a bug.

        What the user does takes the last message away. What happens by itself is `about` something: it leaves messages,
        but when all is well again takes away its own.
        """
        if not about:
            self.say("")
        try:
            yield
        except CoreMissing as error:
            self.ready = self._check_packages()
            self.say(str(error), bad=True, about=about)
        except user_errors() as error:
            self.say(str(error), bad=True, about=about)
        except Exception as error:
            words = _("This should not have happened: {error}. View, Error Log tells more; please report it.")
            self.say(words.format(error=str(error) or type(error).__name__), bad=True, about=about)
            raise
        else:
            if about and about == self._about:
                self.say("")

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

    def run(self, requests, after, partly=str):
        """Run requests of the core in a process of their own; `after(files)` when they are done.

        `partly()`, when they were cancelled or failed, takes what was done till then and says so. Raises CArmError
        while other work runs.
        """
        self.must_be_idle()
        self._after, self._partly = after, partly
        self.ui.progressBar.value = 0
        for one in (self.ui.progressBar, self.ui.cancelButton):
            one.visible = True
        self.ui.cancelButton.enabled = True
        self.runner.start(requests)
        self.later()

    def folder_for_work(self):
        """A folder for files between the work and the scene; it goes when the work is over.

        Raises CArmError while other work runs, whose folder it would take.
        """
        self.must_be_idle()
        self._sweep()
        self._folder = Path(tempfile.mkdtemp(prefix="carm-", dir=str(slicer.app.temporaryPath)))
        return self._folder

    def must_be_idle(self):
        """Raise CArmError while other work runs."""
        if self.busy():  # a button pressed twice, before it could be disabled
            raise CArmError(self.busy())

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
        self._work_short(message, bad=True)

    def _work_cancelled(self):
        self._work_short(_("Cancelled; nothing half-written is left."), bad=False)

    def _work_short(self, words, bad):
        self._work_over()
        try:
            with self.telling(), slicer.util.WaitCursor():
                self.say(f"{words} {self._partly()}".strip(), bad)
        finally:
            self._sweep()
            self.later()

    def _work_over(self):
        for one in (self.ui.progressBar, self.ui.cancelButton):
            one.visible = False

    def _sweep(self):
        if self._folder is not None:
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
        self._scene_is_there()

    def _scene_is_there(self, caller=None, event=None):
        """Begin anew, but only with the whole scene: what is made in one that is being read would be there twice."""
        if self._here and self.parameters is None and not slicer.mrmlScene.IsBatchProcessing():
            self.begin()
        self.later()

    def place(self, node, persistent=False):
        """Have the user place a markup's points, in views where a click is a place in the body."""
        self.views.arrange_ct(self.parameters.ct)
        markups = slicer.modules.markups.logic()
        markups.SetActiveList(node)
        markups.StartPlaceMode(persistent)

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
