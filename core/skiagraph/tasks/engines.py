"""`skiagraph engines`: who can compute line integrals on this machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from rich.console import Console
from rich.table import Column, Table

from skiagraph.drr import cuda, native, sliced
from skiagraph.errors import BackendError
from skiagraph.tasks.task import Report, silent


@dataclass(frozen=True)
class Engines:
    """List the engines, which of them this machine can run, and why not the others."""

    command: ClassVar[str] = "engines"

    @property
    def record(self) -> None:
        """Nothing is written."""

    def run(self, report: Report = silent) -> list[Path]:
        """Print the table."""
        missing = "no: not built; reinstall with a C++ compiler"
        built, cores = native.available(), f"{torch.get_num_threads()} threads"
        table = Table(Column("engine", no_wrap=True), "what it is", "here")
        table.add_row("reference", "torch, to read and to differentiate", f"yes, {cores}")
        table.add_row("native", "C++, ray by ray: the reference's plain twin", f"yes, {cores}" if built else missing)
        table.add_row(
            "sliced",
            "C++, slice by slice on 16-bit voxels: the fast one",
            f"yes, {cores}, {sliced.level()} of {', '.join(sliced.levels())}" if built else missing,
        )
        try:
            gpu = f"yes, {cuda.runs_on()}"
        except BackendError as error:
            gpu = f"no: {error}"
        table.add_row("cuda", "a GPU, all views of a batch at once", gpu)
        table.add_row("fastest", "cuda for fields on a GPU, sliced for plain pictures, reference for gradients", "yes")
        Console().print(table)
        return []
