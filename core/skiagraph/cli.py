"""The command line: flags to tasks, errors to one line."""

import sys
from collections.abc import Sequence

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from skiagraph.errors import SkiagraphError
from skiagraph.tasks.request import TASKS, Run
from skiagraph.tasks.task import perform

USER_ERROR = 2
"""Exit code for what the user can put right."""
CANCELLED = 130
"""Exit code after Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Skiagraph, a virtual C-arm: labelled synthetic X-rays from CT."""
    task = tyro.extras.subcommand_cli_from_dict(
        {**TASKS, "run": Run}, prog="skiagraph", description=main.__doc__, args=arguments
    )
    console = Console(stderr=True)
    bar = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True)
    try:
        with bar:
            line = bar.add_task("starting")
            files = perform(
                task, lambda done, total, doing: bar.update(line, completed=done, total=total, description=doing)
            )
    except SkiagraphError as error:
        print(f"skiagraph: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(USER_ERROR) from None
    except KeyboardInterrupt:
        print("skiagraph: cancelled; nothing half-written is left", file=sys.stderr)
        raise SystemExit(CANCELLED) from None
    for file in files:
        print(file)
