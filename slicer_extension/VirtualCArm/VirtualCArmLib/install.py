"""What the module needs and Slicer has not: torch, the core's other packages, and the core itself.

The core comes with the module, in `VirtualCArmLib/core`; one that is installed as a package, such as our wheel or a
developer's checkout, comes before it. Nothing is installed without being asked for.
"""

import importlib
import importlib.util
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from .errors import CArmError

CORE = Path(__file__).with_name("core")
OLDEST_PYTHON = (3, 11)
TORCH = ">=2.8"


def provide_core():
    """Let the core that comes with the module be found, after any that is installed."""
    if CORE.is_dir() and str(CORE) not in sys.path:
        sys.path.append(str(CORE))
        importlib.invalidate_caches()


def missing(requirements):
    """The packages of a requirements file that are not there, torch first, as pip would be asked for them."""
    lines = [line.split("#")[0].strip() for line in Path(requirements).read_text(encoding="utf-8").splitlines()]
    return [line for line in [f"torch{TORCH}", *lines] if line and not _there(line)]


def core_is_there():
    """Whether the core can be imported once its packages are there."""
    provide_core()
    return importlib.util.find_spec("skiagraph") is not None


def words(requirements):
    """What is to be said above the panel; empty if nothing is missing."""
    if sys.version_info < OLDEST_PYTHON:
        return _("The Virtual C-arm needs Slicer 5.10 or newer: this one has Python {old}.").format(
            old=".".join(str(part) for part in sys.version_info[:2])
        )
    if not core_is_there():
        return _(
            "The Virtual C-arm's core is not in this installation. Install the extension anew, or skiagraph's wheel."
        )
    gone = missing(requirements)
    if not gone:
        return ""
    names = ", ".join(_name(one) for one in gone)
    return _("To take X-rays, the Virtual C-arm needs Python packages that Slicer has not: {names}.").format(
        names=names
    )


def install(requirements):
    """Install what is missing after asking; whether everything is there now. Raises CArmError if torch cannot be."""
    gone = missing(requirements)
    if any(_name(one) == "torch" for one in gone):
        _torch()
    rest = [one for one in gone if _name(one) != "torch"]
    if rest:
        _packages(requirements, rest)
    importlib.invalidate_caches()
    return not missing(requirements)


def install_wheel(path):
    """Install our wheel, whose compiled engine makes the live X-ray fast; the user has chosen the file."""
    if not Path(path).name.startswith("skiagraph-") or Path(path).suffix != ".whl":
        raise CArmError(_("{name} is no wheel of skiagraph.").format(name=Path(path).name))
    slicer.util.pip_install(["--no-deps", "--upgrade", str(path)])
    importlib.invalidate_caches()


def _torch():
    """Only the PyTorch extension knows which torch suits this computer."""
    try:
        import PyTorchUtils
    except ModuleNotFoundError:
        raise CArmError(
            _("Torch is installed by the PyTorch extension, which is not here. Install it in the Extensions Manager, "
              "restart Slicer, and press Install again.")
        ) from None  # fmt: skip
    if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=TORCH) is None:
        raise CArmError(_("Torch was not installed; the PyTorch module's log says why."))


def _packages(requirements, packages):
    """By pip_ensure where this Slicer has it, which reads the file and asks by itself; else after asking."""
    refused = _("Nothing was installed; the Virtual C-arm waits for its packages.")
    try:
        from slicer.packaging import load_requirements, pip_ensure
    except ImportError:
        ask = _("Install these Python packages into Slicer?\n\n{names}").format(names="\n".join(packages))
        if not slicer.util.confirmOkCancelDisplay(ask):
            raise CArmError(refused) from None
        slicer.util.pip_install(packages)
        return
    try:
        pip_ensure(load_requirements(requirements), requester="VirtualCArm")
    except RuntimeError as error:  # he said no
        raise CArmError(refused) from error


def _there(requirement):
    try:
        found = version(_name(requirement))
    except PackageNotFoundError:
        return False
    wanted = requirement.partition(">=")[2]
    return not wanted or _numbers(found) >= _numbers(wanted)


def _name(requirement):
    return requirement.partition(">=")[0].strip()


def _numbers(text):
    parts = text.split("+")[0].split(".")[:3]
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in parts)
