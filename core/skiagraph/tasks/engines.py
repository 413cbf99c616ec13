"""`skiagraph engines`: who can compute line integrals on this machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.console import Console
from rich.table import Column, Table

from skiagraph.drr.engines import ENGINES
from skiagraph.errors import BackendError
from skiagraph.io.files import write_json
from skiagraph.tasks.shot import beside
from skiagraph.tasks.task import Report, silent


@dataclass(frozen=True)
class Engines:
    """List the engines, which of them this machine can run, and why not the others."""

    command: ClassVar[str] = "engines"

    output: Path | None = None
    """Where the same goes as JSON, for programs to read."""

    @property
    def record(self) -> Path | None:
        """Beside the JSON, if any."""
        return None if self.output is None else beside(self.output, ".run.json")

    def run(self, report: Report = silent) -> list[Path]:
        """Print the table; the file written."""
        table = Table(Column("engine", no_wrap=True), "what it is", "here")
        said = []
        for number, one in enumerate(ENGINES.values()):
            report(number, len(ENGINES), f"asking {one.name}")
            try:
                runs, here = True, one.runs_on()
            except BackendError as error:
                runs, here = False, str(error)
            table.add_row(one.name, one.what, f"{'yes' if runs else 'no'}: {here}")
            said.append({"name": one.name, "what": one.what, "runs": runs, "here": here})
        Console().print(table, markup=False)
        if self.output is None:
            return []
        write_json(self.output, {"engines": said})
        return [self.output]
