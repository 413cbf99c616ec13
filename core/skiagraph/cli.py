"""The command line: flags to tasks, errors to one line."""

import io
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from importlib.metadata import version
from typing import Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from skiagraph.errors import FoundWrong, SkiagraphError
from skiagraph.tasks.request import TASKS, Run
from skiagraph.tasks.task import Report, perform

FOUND_WRONG = 1
"""Exit code of a check that found something wrong."""
USER_ERROR = 2
"""Exit code for what the user can put right."""
CANCELLED = 130
"""Exit code after Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Skiagraph, a virtual C-arm: labelled synthetic X-rays from CT."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:
        print(version("skiagraph"))
        return
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    logging.basicConfig(format="skiagraph: note: %(message)s", level=logging.WARNING)
    in_lines = given[:2] == ["--progress", "json"]
    try:
        task = _parsed(given[2:] if in_lines else given)
        with _lines() if in_lines else _bar() as report:
            files = perform(task, report)
    except SkiagraphError as error:
        _say(str(error))
        raise SystemExit(FOUND_WRONG if isinstance(error, FoundWrong) else USER_ERROR) from None
    except KeyboardInterrupt:
        _say("cancelled; nothing half-written is left")
        sys.stderr.flush()
        os._exit(CANCELLED)  # numeric threads may still be at work, and do not survive the interpreter's own way out
    try:
        if in_lines:
            print(json.dumps({"files": [str(file) for file in files]}), flush=True)
        else:
            print("\n".join(str(file) for file in files), end="\n" if files else "", flush=True)
    except BrokenPipeError:  # whoever read has seen enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _bar() -> Iterator[Report]:
    """Progress as people look at it, where there is somebody to look."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        line = bar.add_task("starting")
        yield lambda done, total, doing: bar.update(line, completed=done, total=total, description=doing)


@contextmanager
def _lines() -> Iterator[Report]:
    """Progress as programs read it, for `skiagraph --progress json COMMAND`: a line of JSON for every step."""
    yield lambda done, total, doing: print(json.dumps({"done": done, "total": total, "doing": doing}), flush=True)


def _parsed(given: list[str]) -> Any:
    """The task that flags ask for; what is wrong with them in one line."""
    said = io.StringIO()
    if (words := " ".join(given[:2])) in TASKS:  # a command of two words, such as `data check`
        given = [words, *given[2:]]
    try:
        with redirect_stderr(said):
            return tyro.extras.subcommand_cli_from_dict(
                {**TASKS, "run": Run}, prog="skiagraph", description=main.__doc__, args=given
            )
    except SystemExit as exit_:
        if exit_.code:
            _say(re.sub(r"[\u2500-\u257f]+", " ", said.getvalue()))
        raise


def _say(what: str) -> None:
    print(f"skiagraph: {' '.join(what.split())}", file=sys.stderr)
