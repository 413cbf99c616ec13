"""Long work in a process of its own: requests of the core one after another, with progress, and an end when asked.

Slicer's Python gets no time while its window waits for events, so threads are no way; a QProcess is.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import qt
from slicer.i18n import tr as _

IDLE, RUNNING, CANCELLING = "idle", "running", "cancelling"
PATIENCE = 8000
"""Milliseconds from the wish to end to the end by force."""
TAIL = 4000
"""Characters kept of what went to the standard error."""


class Runner:
    """Runs requests. Tells `progress(part, words)`, at the end one of `done(files)`, `failed(why)`, `cancelled()`."""

    def __init__(self, core, progress, done, failed, cancelled):
        """`core` is the folder the core is imported from where it is not installed."""
        self.state = IDLE
        self._core = str(core)
        self._progress, self._done, self._failed, self._cancelled = progress, done, failed, cancelled
        self._process = self._before = None
        self._abandoned = False
        self._force = qt.QTimer()
        self._force.setSingleShot(True)
        self._force.setInterval(PATIENCE)
        self._force.connect("timeout()", self._end_by_force)

    def start(self, requests):
        """Run requests, dictionaries as `skiagraph run` takes them, one after another."""
        if self.state != IDLE:
            raise RuntimeError("one thing at a time: the runner is busy")
        self._waiting, self._all, self._files = list(requests), len(requests), []
        self.state, self._abandoned = RUNNING, False
        self._progress(0.0, _("starting"))
        self._next()

    def cancel(self):
        """End what runs and forget what waits; `cancelled` is told when nothing of it runs any more."""
        if self.state != RUNNING:
            return
        self.state = CANCELLING
        self._progress(None, _("ending"))
        self._process.closeWriteChannel()
        self._force.start()

    def abandon(self):
        """End it now and tell nobody: the scene or the application is going."""
        if self.state == IDLE:
            return
        self.state, self._abandoned = CANCELLING, True
        self._process.closeWriteChannel()
        if not self._process.waitForFinished(PATIENCE // 4):
            self._end_by_force()
            self._process.waitForFinished(PATIENCE // 4)

    def _next(self):
        handle, self._request = tempfile.mkstemp(prefix="carm-", suffix=".json")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(self._waiting.pop(0), file, default=str)
        self._out, self._said, self._group = b"", "", 0
        self._before = self._process  # which may be telling us that it ended
        self._process = qt.QProcess()
        self._process.connect("readyReadStandardOutput()", self._read)
        self._process.connect("readyReadStandardError()", self._hear)
        self._process.connect("finished(int,QProcess::ExitStatus)", self._ended)
        self._process.connect("errorOccurred(QProcess::ProcessError)", self._broke)
        worker = str(Path(__file__).with_name("worker.py"))
        self._process.start(python(), ["-u", worker, self._core, self._request])

    def _read(self):
        self._out += _bytes(self._process.readAllStandardOutput())
        *lines, self._out = self._out.split(b"\n")
        for line in lines:
            try:
                told = json.loads(line)
            except ValueError:
                continue  # a library's own words
            if "process" in told:
                self._group = told["process"]
            elif "files" in told:
                self._files += told["files"]
            elif "done" in told and self.state == RUNNING:
                before = self._all - len(self._waiting) - 1
                here = told["done"] / max(1, told["total"])
                words = str(told["doing"])
                if self._all > 1:
                    words = _("{number} of {all}: {doing}").format(number=before + 1, all=self._all, doing=words)
                self._progress((before + here) / self._all, words)

    def _hear(self):
        self._said = (self._said + _bytes(self._process.readAllStandardError()).decode("utf-8", "replace"))[-TAIL:]

    def _broke(self, error):
        if error == qt.QProcess.FailedToStart:
            self._finish(
                self._failed, _("cannot start {python}; is Slicer's installation complete?").format(python=python())
            )

    def _ended(self, code, status):
        self._read()
        self._hear()
        self._end_group()
        if self.state == CANCELLING:
            self._finish(self._cancelled)
        elif code != 0 or status != qt.QProcess.NormalExit:
            self._finish(self._failed, _why(self._said, code))
        elif self._waiting:
            Path(self._request).unlink(missing_ok=True)
            self._next()
        else:
            self._finish(self._done, [Path(file) for file in self._files])

    def _finish(self, tell, *what):
        self._force.stop()
        Path(self._request).unlink(missing_ok=True)
        self.state, self._waiting = IDLE, []
        if not self._abandoned:
            tell(*what)

    def _end_by_force(self):
        self._end_group()
        self._process.kill()

    def _end_group(self):
        """Children whose parent has gone: the worker leads a group of its own, and said its number."""
        if os.name != "nt" and self._group:
            with suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGKILL)


def python():
    """Slicer's Python, which knows where Slicer's libraries are."""
    return shutil.which("PythonSlicer") or sys.executable


def _bytes(array):
    """What a QByteArray holds; some versions of PythonQt give a text."""
    content = array.data()
    return content if isinstance(content, bytes) else content.encode("utf-8")


def _why(said, code):
    """What the core said in its last line, as it says what the user can put right in one."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("skiagraph: ") and not line.startswith("skiagraph: note: ")]
    if ours:
        return ours[-1][len("skiagraph: ") :]
    last = lines[-1] if lines else _("it said nothing")
    return _("the work ended with code {code}: {last}").format(code=code, last=last)
