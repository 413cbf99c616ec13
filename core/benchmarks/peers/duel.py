"""Two engines in processes of their own, taking turns: what else the machine does slows both, their ratio stays."""

import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peers.protocol import READY, Answer, Request, Turn

ROOT = Path(__file__).parents[1]
"""Where `python -m peers.NAME` is started."""

PATIENCE = 900.0
"""Seconds that one turn may take."""

POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


class Failed(Exception):
    """An engine that did not do what it was asked for, and why."""


@dataclass(frozen=True)
class Program:
    """How an engine is started."""

    python: Path
    module: str
    variant: str = ""


def duel(
    one: Program, other: Program, request: Request, turns: Sequence[tuple[Turn, Turn]], folder: Path
) -> tuple[Answer, Answer]:
    """What two engines answer to one request, turn by turn; logs and answers are left in a folder. Raises Failed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "request.npz"
    request.save(path)
    with started(one, path, folder / "one") as first, started(other, path, folder / "other") as second:
        for mine, theirs in turns:
            first.take(mine)
            second.take(theirs)
        return first.finish(), second.finish()


@contextmanager
def started(program: Program, request: Path, stem: Path) -> Iterator["Running"]:
    """An engine that is ready, and ended whatever happens."""
    answer, log = stem.with_suffix(".npz"), stem.with_suffix(".log")
    answer.unlink(missing_ok=True)
    pools = dict.fromkeys(POOLS, str(Request.load(request).threads))
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [str(program.python), "-m", program.module, str(request), str(answer), program.variant],
            cwd=ROOT,
            env={**os.environ, **pools},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    engine = Running(process, answer, log)
    try:
        engine.wait_until_ready()
        yield engine
    finally:
        process.kill()
        process.communicate()


@dataclass(frozen=True)
class Running:
    """An engine at work."""

    process: "subprocess.Popen[str]"
    answer: Path
    log: Path

    def take(self, turn: Turn) -> None:
        """Have it take a turn."""
        try:
            print(turn.line(), file=self.process.stdin, flush=True)
        except OSError as error:
            raise Failed(self.last_words()) from error
        self.wait_until_ready()

    def finish(self) -> Answer:
        """Its answer, once it has written it."""
        self.process.communicate(timeout=PATIENCE)
        if self.process.returncode or not self.answer.exists():
            raise Failed(self.last_words())
        return Answer.load(self.answer)

    def wait_until_ready(self) -> None:
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self.process.kill()

        timer = threading.Timer(PATIENCE, give_up)
        timer.start()
        said = self.process.stdout.readline().strip()
        timer.cancel()
        if said != READY:
            if said:  # still there, but not ours to talk to
                self.process.kill()
            raise Failed(f"no answer in {PATIENCE:.0f} s" if late.is_set() else self.last_words())

    def last_words(self) -> str:
        """Why it ended."""
        code = self.process.wait(PATIENCE)
        lines = [line.strip() for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()]
        last = next((line for line in reversed(lines) if line), "it said nothing")
        return f"killed by signal {-code}" if code < 0 else last[:200]
