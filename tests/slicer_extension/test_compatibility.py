"""What Slicer 5.8 to 5.12 have, and what their reviewers ask for: read off the sources, with nothing imported."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

MODULE = Path(__file__).parents[2] / "slicer_extension" / "VirtualCArm"
SOURCES = [MODULE / "VirtualCArm.py", *sorted((MODULE / "VirtualCArmLib").rglob("*.py"))]
IMPORTED_EVERYWHERE = {"slicer", "qt", "ctk", "vtk", "numpy", "VirtualCArmLib"}

# Names of Slicer 5.8.1, 5.10.0 and 5.12.3 alike; MRML classes are checked against slicer-core besides.
SLICER = {
    "slicer.app", "slicer.app.layoutManager", "slicer.app.temporaryPath", "slicer.app.userSettings", "slicer.mrmlScene",
    "slicer.modules.markups.logic", "slicer.util.WaitCursor", "slicer.util.loadUI", "slicer.app.connect",
    "slicer.util.childWidgetVariables", "slicer.util.confirmOkCancelDisplay", "slicer.util.pip_install",
    "slicer.util.arrayFromVolume", "slicer.util.arrayFromVolumeModified", "slicer.util.updateVolumeFromArray",
    "slicer.util.arrayFromSegmentBinaryLabelmap", "slicer.util.VTKObservationMixin",
}  # fmt: skip
SLICER_MODULES = {
    "slicer.i18n", "slicer.util", "slicer.parameterNodeWrapper", "slicer.ScriptedLoadableModule", "slicer.packaging",
}  # fmt: skip
SCENE = {"AddNewNodeByClass", "Clear", "GetFirstNodeByClass", "GetSingletonNode", "IsBatchProcessing"}
QT = {"QFileDialog", "QProcess", "QPushButton", "QTableWidgetItem", "QTimer"}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def names(tree: ast.Module, root: str) -> set[str]:
    """Every dotted name that begins with a root, at its longest."""
    found = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found = {name for name in found if name.split(".")[0] == root}
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(MODULE)))
def test_it_is_python_3_9(path):
    """Its syntax, and annotations that are evaluated: `X | None` and `list[int] | None` fail there."""
    for node in ast.walk(parsed(path)):
        hints = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for hint in (one for one in hints if one is not None):
            assert not any(isinstance(part, ast.BinOp) for part in ast.walk(hint)), f"{path.name}:{hint.lineno}"
        assert not isinstance(node, ast.Match), f"{path.name}:{node.lineno}"


def test_python_3_9_itself_compiles_it(tmp_path):
    homes = [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions", Path("/usr")]
    found = [python for home in homes for python in home.glob("3.9*/bin/python")] + list(
        Path("/usr/bin").glob("python3.9")
    )
    if not found:
        pytest.skip("no Python 3.9 here; its syntax is checked all the same")
    code = "import sys; [compile(open(path, encoding='utf-8').read(), path, 'exec') for path in sys.argv[1:]]"
    subprocess.run([str(found[0]), "-c", code, *map(str, SOURCES)], check=True)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(MODULE)))
def test_at_file_scope_nothing_is_done_and_nothing_foreign_imported(path):
    for node in parsed(path).body:
        if isinstance(node, ast.Import):
            roots = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots = set() if node.level else {(node.module or "").split(".")[0]}
        else:
            main = isinstance(node, ast.If) and "__main__" in ast.dump(node.test)
            words = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            kinds = (ast.ClassDef, ast.FunctionDef, ast.Assign, ast.AnnAssign)
            assert main or words or isinstance(node, kinds), f"{path.name}:{node.lineno} does something"
            continue
        assert roots <= IMPORTED_EVERYWHERE | set(sys.stdlib_module_names), f"{path.name}:{node.lineno} imports {roots}"


def test_only_names_are_used_that_every_supported_slicer_has():
    strange = set()
    for path in SOURCES:
        tree = parsed(path)
        for name in names(tree, "slicer") | names(tree, "qt"):
            root, first = name.split(".")[:2]
            known = (
                name in SLICER
                or name in SLICER_MODULES
                or first.startswith(("vtkMRML", "vtkSegmentation", "vtkOrientedImageData"))
            )
            known |= name.startswith("slicer.mrmlScene.") and name.split(".")[2] in SCENE
            known |= root == "qt" and first in QT
            if not known:
                strange.add(f"{path.name}: {name}")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("slicer."):
                assert node.module in SLICER_MODULES, f"{path.name} imports {node.module}"
    assert not strange


def test_its_mrml_classes_are_slicers(application):
    import slicer

    used = {part for path in SOURCES for name in names(parsed(path), "slicer") for part in [name.split(".")[1]]}
    absent = [name for name in used if name.startswith("vtk") and not hasattr(slicer, name)]
    assert not absent


def test_every_widget_is_known_and_every_selector_is_told_its_scene():
    tree = ElementTree.parse(MODULE / "Resources" / "UI" / "VirtualCArm.ui")
    kinds = {widget.get("class") for widget in tree.iter("widget")}
    foreign = {kind for kind in kinds if kind is not None and not kind.startswith("Q")}
    assert foreign == {"qMRMLWidget", "qMRMLNodeComboBox", "ctkSliderWidget", "ctkCollapsibleButton"}
    selectors = {widget.get("name") for widget in tree.iter("widget") if widget.get("class") == "qMRMLNodeComboBox"}
    told = {connection.findtext("receiver") for connection in tree.iter("connection")}
    assert told == selectors


def test_every_button_says_what_it_does():
    tree = ElementTree.parse(MODULE / "Resources" / "UI" / "VirtualCArm.ui")
    mute = []
    for widget in tree.iter("widget"):
        if widget.get("class") in (
            "QPushButton",
            "QCheckBox",
            "QComboBox",
            "ctkSliderWidget",
            "QDoubleSpinBox",
            "QSpinBox",
        ):
            tip = widget.find("property[@name='toolTip']/string")
            if tip is None or not tip.text:
                mute.append(widget.get("name"))
    assert not mute
