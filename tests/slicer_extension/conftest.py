"""Tests of the Slicer module: they need slicer-core and PySide6, which `make test-slicer` installs apart."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "slicer_extension" / "VirtualCArm"
HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def screen() -> Iterator[str]:
    """A display; one of its own where there is none."""
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        yield os.environ.get("DISPLAY", "")
        return
    if shutil.which("Xvfb") is None:
        pytest.skip("no display and no Xvfb; make test-slicer installs it as root")
    ours, theirs = os.pipe()
    command = [
        "Xvfb",
        "-displayfd",
        str(theirs),
        "-screen",
        "0",
        "1700x1100x24",
        "+extension",
        "GLX",
        "-nolisten",
        "tcp",
    ]
    server = subprocess.Popen(command, pass_fds=[theirs], stderr=subprocess.DEVNULL)
    os.close(theirs)
    with os.fdopen(ours) as told:
        os.environ["DISPLAY"] = f":{told.readline().strip()}"
    yield os.environ["DISPLAY"]
    del os.environ["DISPLAY"]
    server.terminate()
    server.wait()


@pytest.fixture(scope="session")
def application(screen: str) -> object:
    """Slicer's core with our stand-in for the rest of it."""
    for package in ("slicer_core", "PySide6"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"no {package}; make test-slicer runs these tests in an environment that has it")
    sys.path[:0] = [str(HERE), str(MODULE)]
    from slicer_standin.application import install

    return install()


@pytest.fixture(scope="session")
def shell(application: object) -> ModuleType:
    """The module's file, as Slicer loads it."""
    import VirtualCArm

    return VirtualCArm


@pytest.fixture
def scene(application: object) -> Iterator[object]:
    """Slicer's scene, empty before and after; no slot may have raised."""
    import slicer
    from slicer_standin import application as standin
    from slicer_standin.pythonqt import FileDialog, raised

    slicer.mrmlScene.Clear(1)
    application.furnish()
    raised.clear()
    standin.asked.clear()
    standin.answers.clear()
    FileDialog.chosen = ""
    yield slicer.mrmlScene
    application.layoutManager().forget()
    slicer.mrmlScene.Clear(1)
    assert not raised, raised[0]


@pytest.fixture
def widget(shell: ModuleType, scene: object) -> Iterator[object]:
    """The panel, set up in an empty scene; taken down without leaving an observer."""
    import slicer
    from slicer_standin.pythonqt import wrap
    from slicer_standin.widgets import qMRMLWidget

    home = wrap(qMRMLWidget())
    made = shell.VirtualCArmWidget(home)
    made.setup()
    made.enter()
    yield made
    made.cleanup()
    assert made.runner.state == "idle"
    made.ui.VirtualCArm.setMRMLScene(None)
    home.deleteLater()
    slicer.app.processEvents()


def settle(until: object = None, seconds: float = 60.0) -> None:
    """Let events happen until something is so."""
    import slicer

    end = time.monotonic() + seconds
    while True:
        slicer.app.processEvents()
        if until is None or until():
            return
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(name="settle", scope="session")
def _settle() -> object:
    return settle


@pytest.fixture
def picture(widget: object) -> Iterator[object]:
    """`picture(name)` keeps a screenshot of panel and views, where SKIAGRAPH_SCREENSHOTS names a folder."""
    folder = os.environ.get("SKIAGRAPH_SCREENSHOTS")
    if not folder:
        yield lambda name, **how: None
        return
    from slicer_standin.views import Window

    window = Window(widget.parent)
    yield lambda name, **how: window.take(Path(folder) / f"{name}.png", **how)
    window.close()
