"""What a Slicer of another age makes of the logic."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[3] / "slicer_extension" / "VirtualCArm" / "VirtualCArmLib"
LOGIC = (
    "annotate", "aim", "convert", "errors", "home", "live", "logic", "patient", "plan", "radiographs", "shots", "sight",
)  # fmt: skip
ALLOWED = {"slicer", "vtk", "numpy"}
OLD = Path.home() / ".pyenv" / "versions"


def trees():
    return {name: ast.parse((LIBRARY / f"{name}.py").read_text(encoding="utf-8"), name) for name in LOGIC}


def test_nothing_but_slicer_vtk_and_numpy_is_imported_when_a_file_is():
    for name, tree in trees().items():
        for node in tree.body:
            modules = []
            if isinstance(node, ast.Import):
                modules = [one.name for one in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            strange = {module.split(".")[0] for module in modules} - ALLOWED - sys.stdlib_module_names
            assert not strange, f"{name} imports {strange}"


def test_the_logic_observes_nothing_and_has_no_qt():
    for name in LOGIC:
        text = (LIBRARY / f"{name}.py").read_text(encoding="utf-8")
        assert "AddObserver" not in text and "import qt" not in text and "import ctk" not in text, name


def test_no_annotation_needs_a_python_newer_than_slicer_5_8s():
    """3.9 reads `X | None` as an expression, and fails."""
    for name, tree in trees().items():
        for node in ast.walk(tree):
            notes = []
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                notes = [one.annotation for one in ast.walk(node.args) if isinstance(one, ast.arg)] + [node.returns]
            elif isinstance(node, ast.AnnAssign):
                notes = [node.annotation]
            for note in filter(None, notes):
                assert not any(isinstance(part, ast.BinOp) for part in ast.walk(note)), f"{name}: {ast.unparse(note)}"
            assert not isinstance(node, ast.Match), name


def test_every_file_compiles_with_python_3_9():
    python = next(iter(sorted(OLD.glob("3.9*/bin/python"))), None)
    if python is None:
        pytest.skip("no Python 3.9 here; Slicer 5.8 has it")
    code = "import sys; [compile(open(name, encoding='utf-8').read(), name, 'exec') for name in sys.argv[1:]]"
    files = [str(LIBRARY / f"{name}.py") for name in LOGIC]
    subprocess.run([str(python), "-c", code, *files], check=True)


def test_without_torch_every_file_can_be_imported_and_the_core_is_asked_for(monkeypatch):
    pytest.importorskip("slicer_core", reason="no slicer-core; make test-slicer runs these tests")
    import slicer
    from VirtualCArmLib import errors
    from VirtualCArmLib.logic import CArmLogic

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "torch" else real(name, *a))
    logic = CArmLogic(slicer.vtkMRMLScene())
    for call in (logic.devices, logic.reading, logic.fluoro, logic.shoot, lambda: logic.load_xray("x.png")):
        with pytest.raises(errors.CoreMissing, match="torch is not installed"):
            call()
    assert errors.CArmError in errors.user_errors()


def test_the_files_import_where_torch_cannot_be():
    pytest.importorskip("slicer_core", reason="no slicer-core; make test-slicer runs these tests")
    code = (
        "import sys\n"
        "class No:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'skiagraph'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, No())\n"
        f"sys.path.insert(0, {str(LIBRARY.parent)!r})\n"
        "import VirtualCArmLib.logic\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
