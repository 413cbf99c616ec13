"""What every task is: fields a user fills in, and `run`. Flags, JSON requests and panels are read off the fields."""

import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import torch

from skiagraph.io.files import write_json

Report = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, what is being done)."""


def silent(done: int, total: int, doing: str) -> None:
    """Report to nobody."""


@runtime_checkable
class Task(Protocol):
    """Something a user can ask for: a frozen dataclass."""

    command: ClassVar[str]
    """What it is called on the command line and in requests."""

    @property
    def record(self) -> Path | None:
        """Where the run's own record goes, if it writes any files."""

    def run(self, report: Report = silent) -> list[Path]:
        """Do it; the files written."""


def perform(task: Task, report: Report = silent) -> list[Path]:
    """Run a task and leave a record of the run: request, versions, device, duration, files."""
    began = time.perf_counter()
    files = task.run(report)
    if task.record is not None:
        home = task.record.parent
        write_json(
            task.record,
            {
                "task": task.command,
                "request": {
                    name: str(value.resolve()) if isinstance(value, Path) else value
                    for name, value in asdict(task).items()  # type: ignore[call-overload]
                },
                "versions": {name: version(name) for name in ("skiagraph", "torch", "numpy")},
                "machine": {"python": platform.python_version(), "system": platform.platform(), "device": "cpu"},
                "threads": torch.get_num_threads(),
                "seconds": round(time.perf_counter() - began, 3),
                "files": [str(file.relative_to(home) if file.is_relative_to(home) else file) for file in files],
            },
        )
    return files
