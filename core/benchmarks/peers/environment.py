"""An environment of their own for the peers, so that what they want never touches ours."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ITK = (
    "itk-core==5.4.7", "itk-filtering==5.4.7", "itk-io==5.4.7", "itk-numerics==5.4.7", "itk-registration==5.4.7",
    "itk-segmentation==5.4.7", "numpy==2.4.6",
)  # fmt: skip

TORCHIO = (
    "torchio==1.2.1", "annotated-doc==0.0.7", "click==8.5.1", "deprecated==1.3.1", "einops==0.8.2", "humanize==4.17.0",
    "jaxtyping==0.3.11", "markdown-it-py==4.3.0", "mdurl==0.1.2", "nibabel==5.4.2", "numpy==2.4.6", "packaging==26.3",
    "pygments==2.21.0", "rich==15.0.0", "roma==1.8.0", "scipy==1.17.1", "shellingham==1.5.4", "simpleitk==2.5.7",
    "tqdm==4.70.1", "typer==0.29.2", "wadler-lindig==0.1.8", "wrapt==2.5.2",
)  # fmt: skip
"""With all that it imports, as nothing is resolved."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and the torch that is put into it first."""

    folder: Path
    torch: str

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"


@cache
def install(environment: Environment, packages: tuple[str, ...]) -> str:
    """See that packages are in an environment; the empty string, or why they are not.

    Torch comes first and everything else without its dependencies: resolved, they would bring torchvision, which
    breaks the CPU build, and another torch with gigabytes of CUDA.
    """
    if not environment.python.exists():
        failure = run([sys.executable, "-m", "venv", str(environment.folder)])
        if failure:
            return f"not installed: {failure}"
    pip = [str(environment.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    failure = run([*pip, environment.torch]) or run([*pip, "--no-deps", *packages])
    return f"not installed: {failure}" if failure else ""


@cache
def install_program(name: str) -> str:
    """See that a Debian package's program is there, which only root can do; the empty string, or why it is not."""
    if shutil.which(name):
        return ""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return f"not installed: apt install {name}"
    failure = run(["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", name])
    return f"not installed: {failure}" if failure else ""


def run(command: list[str]) -> str:
    """Run a command; the empty string, or the last line it said when it failed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[-1][:200] if lines else f"{command[0]} exited with {done.returncode}"
