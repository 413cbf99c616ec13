"""Imports point one way: the line is read off the architecture page."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "core" / "skiagraph"
LINE = re.search(r"^`(errors <.*)`$", (ROOT / "core/docs/architecture.md").read_text(encoding="utf-8"), re.MULTILINE)


def ranks() -> dict[str, tuple[int, str]]:
    """Each name's place on the line; names in braces share a place and leave each other alone."""
    assert LINE is not None, "core/docs/architecture.md shows the line of imports"
    found = {}
    for rank, part in enumerate(LINE[1].split("<")):
        for name in part.strip(" {}").split(","):
            found[name.strip()] = (rank, name.strip())
    return found


def unit(path: Path) -> str:
    inside = path.relative_to(PACKAGE).parts[0]
    return inside.removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("skiagraph.") and len(name.split(".")) > 1}


def test_imports_point_one_way():
    order, wrong = ranks(), []
    for path in sorted(PACKAGE.rglob("*.py")):
        here = unit(path)
        if here == "__init__":
            continue
        assert here in order, f"{here} has no place on the line of core/docs/architecture.md"
        for there in imported(path) & set(order):
            if there != here and order[there][0] >= order[here][0]:
                wrong.append(f"{path.relative_to(ROOT)} imports {there}")
    assert not wrong


def test_importing_the_package_needs_numpy_torch_and_jaxtyping_only():
    heavy = [
        "scipy",
        "pydicom",
        "SimpleITK",
        "tyro",
        "rich",
        "matplotlib",
        "h5py",
        "PIL",
        "pydantic",
        "monai",
        "diffusers",
    ]
    code = f"import sys, skiagraph; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "core")
    assert done.stdout.strip() == "[]"
