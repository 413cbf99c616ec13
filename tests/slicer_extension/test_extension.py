"""The extension as the index takes it: its catalogue entry, its build, and what a user gets installed."""

import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ENTRY = ROOT / "slicer_extension" / "VirtualCArm.json"
CMAKE = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
KEYS = {
    "$schema", "category", "scm_url", "scm_revision", "scm_type", "build_dependencies", "dicom_support_rule",
    "build_subdirectory", "enabled", "tier",
}  # fmt: skip
CATEGORIES = {"Simulation", "Image Synthesis", "Planning", "IGT", "Active Learning"}


def variable(name: str) -> str:
    found = re.search(rf'set\({name}\s+"([^"]*)"\)', CMAKE)
    assert found, f"CMakeLists.txt sets {name}"
    return found[1]


def test_the_catalogue_entry_keeps_the_rules_of_the_index():
    content = ENTRY.read_bytes()
    assert b"\r" not in content and content.endswith(b"\n")
    entry = json.loads(content)
    assert {"$schema", "category", "scm_url"} <= set(entry) <= KEYS
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert entry["category"] in CATEGORIES and entry["tier"] in (1, 2, 3, 4, 5)
    assert entry["scm_type"] in ("git", "local")
    assert re.fullmatch(r"https://.+/Slicer[A-Z_-][^/]*\.git", entry["scm_url"]), (
        "a repository's name begins with Slicer"
    )
    project = re.search(r"project\((\w+)", CMAKE)
    assert project and project[1] == ENTRY.stem and not ENTRY.stem.startswith("Slicer")
    assert entry["build_dependencies"] == variable("EXTENSION_DEPENDS").split()
    assert (ROOT / "LICENSE").is_file()


def test_icon_and_screenshots_are_files_of_the_repository_and_pictures():
    addresses = [variable("EXTENSION_ICONURL"), *variable("EXTENSION_SCREENSHOTURLS").split()]
    home = json.loads(ENTRY.read_text(encoding="utf-8"))["scm_url"].removesuffix(".git").split("github.com/")[1]
    for address in addresses:
        head = f"https://raw.githubusercontent.com/{home}/main/"
        assert address.startswith(head)
        picture = ROOT / address.removeprefix(head)
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert picture.stat().st_size <= 400_000


def test_every_address_is_that_of_the_catalogue_entry():
    """So that where the repository is published is changed in all places, or in none: README.md lists them."""
    home = json.loads(ENTRY.read_text(encoding="utf-8"))["scm_url"].removesuffix(".git")
    places = ["CMakeLists.txt", "slicer_extension/VirtualCArm/VirtualCArm.py"]
    readme = (ROOT / "slicer_extension" / "README.md").read_text(encoding="utf-8")
    for place in places:
        text = (ROOT / place).read_text(encoding="utf-8")
        found = re.findall(r"https://(?:raw\.githubusercontent|github)\.com/([\w-]+/[\w-]+)", text)
        assert found and set(found) == {home.removeprefix("https://github.com/")}, place
        assert f"`{place}`" in readme
    assert "`slicer_extension/VirtualCArm.json`" in readme and variable("EXTENSION_HOMEPAGE") == home


def test_the_icon_is_square():
    icon = ROOT / "slicer_extension/VirtualCArm/Resources/Icons/VirtualCArm.png"
    width, height = struct.unpack(">II", icon.read_bytes()[16:24])
    assert width == height == 128


def test_the_packages_to_install_are_those_of_the_core():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[(.*?)\]", text, re.DOTALL | re.MULTILINE)
    assert block
    core = [one for one in re.findall(r'"([^"]+)"', block[1]) if not one.startswith(("torch", "numpy", "SimpleITK"))]
    lines = (ROOT / "slicer_extension/VirtualCArm/Resources/requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == core


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """Configured, built and installed against a Slicer that puts files where Slicer does: qt-scripted-modules."""
    if shutil.which("cmake") is None:
        pytest.skip("no cmake")
    build, place = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("install")
    flags = [f"-DSlicer_DIR={HERE / 'cmake'}", "-DVirtualCArm_BUILD_NATIVE=OFF", "-DBUILD_TESTING=ON"]
    for command in (
        ["cmake", "-S", ROOT, "-B", build, *flags],
        ["cmake", "--build", build],
        ["cmake", "--install", build, "--prefix", place],
    ):
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
    tests = subprocess.run(["ctest", "-N"], cwd=build, check=True, capture_output=True, encoding="utf-8").stdout
    assert "py_VirtualCArm" in tests and "qSlicerVirtualCArmModuleGenericTest" in tests
    return place / "lib" / "Slicer-5.12" / "qt-scripted-modules"


def test_all_of_the_module_and_all_of_the_core_are_installed(installed):
    module = ROOT / "slicer_extension" / "VirtualCArm"
    wanted = {path.relative_to(module) for path in module.rglob("*") if path.suffix in (".py", ".ui", ".png")}
    core = ROOT / "core"
    held = (".py", ".cu", ".html", ".npz")
    wanted |= {
        Path("VirtualCArmLib/core") / path.relative_to(core)
        for path in (core / "skiagraph").rglob("*")
        if path.suffix in held
    }
    there = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    missing = wanted - there
    assert not {path for path in missing if path.parts[0] != "Testing" and "__pycache__" not in path.parts}
    assert Path("VirtualCArmLib/core/skiagraph/bodies/hip_readings.json") in there
    assert Path("VirtualCArmLib/core/skiagraph/models/hip_landmark_detector/configs/metadata.json") in there
    assert Path("VirtualCArmLib/core/monailabel_app/client.py") in there
    assert {path.name for path in installed.glob("*.py")} == {"VirtualCArm.py"}, (
        "every file there is taken for a module"
    )


BARE = """
import sys, os
sys.path[:0] = [{here!r}, {installed!r}]
from slicer_standin import application
app = application.install()
import VirtualCArm
assert "torch" not in sys.modules
from slicer_standin.pythonqt import wrap, raised
from slicer_standin.widgets import qMRMLWidget
app.furnish()
widget = VirtualCArm.VirtualCArmWidget(wrap(qMRMLWidget()))
widget.setup()
assert not widget.ui.tabs.enabled
words = widget.ui.installLabel.text
assert "torch" in words and "jaxtyping" in words, words
widget._install()
assert "PyTorch extension" in widget.ui.messageLabel.text, widget.ui.messageLabel.text
widget.cleanup()
assert not raised, raised
print("offered:", words)
"""


def test_in_a_slicer_without_torch_the_module_loads_and_offers_to_install_it(installed, screen):
    """Python 3.12 as in 5.10 and 5.12, with slicer-core and nothing else of what the core needs."""
    python = os.environ.get("SKIAGRAPH_BARE_PYTHON")
    if not python:
        pytest.skip("no bare Python 3.12 with slicer-core; make test-slicer makes one where it finds a Python 3.12")
    code = BARE.format(here=str(HERE), installed=str(installed))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [python, "-c", code], capture_output=True, encoding="utf-8", env=clean, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "offered: " in done.stdout
