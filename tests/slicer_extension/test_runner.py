"""Work beside the application: told step by step, ended when asked, and nothing of it left running."""

import os
import sys
import time
from pathlib import Path

import pytest

FAKE = """
import json, os, subprocess, sys, time
def main(given):
    assert given[:3] == ["--progress", "json", "run"]
    asked = json.load(open(given[3], encoding="utf-8"))
    print(json.dumps({"done": 1, "total": 2, "doing": "half"}), flush=True)
    if asked["task"] == "refuse":
        print("skiagraph: no CT at there; give one", file=sys.stderr)
        raise SystemExit(2)
    if asked["task"] == "crash":
        os.abort()
    if asked["task"] == "linger":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open(asked["pids"], "w").write(f"{os.getpid()} {child.pid}")
        time.sleep(600)
    print(json.dumps({"files": [asked["output"]]}), flush=True)
"""


class Told:
    def __init__(self):
        self.steps, self.end = [], None

    def progress(self, part, words):
        self.steps.append((part, words))

    def over(self, how):
        return lambda *what: setattr(self, "end", (how, *what))


@pytest.fixture
def started(application, tmp_path, settle, monkeypatch):
    """A runner over a core that does as it is told, and what it tells."""
    from VirtualCArmLib import runner as module
    from VirtualCArmLib.runner import IDLE, Runner

    # A worker finds an installed core first: here is a Python that has none.
    monkeypatch.setattr(module, "python", lambda: sys._base_executable)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (tmp_path / "core" / "skiagraph").mkdir(parents=True)
    (tmp_path / "core" / "skiagraph" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "core" / "skiagraph" / "cli.py").write_text(FAKE, encoding="utf-8")
    told = Told()
    ends = (told.over("done"), told.over("failed"), told.over("cancelled"))
    runner = Runner(tmp_path / "core", told.progress, *ends)
    yield runner, told
    runner.abandon()
    settle(lambda: runner.state == IDLE)


def alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_requests_run_one_after_another_and_tell_their_files(started, settle):
    runner, told = started
    runner.start([{"task": "do", "output": "a.png"}, {"task": "do", "output": "b.png"}])
    settle(lambda: told.end is not None)
    assert told.end == ("done", [Path("a.png"), Path("b.png")])
    assert [part for part, _ in told.steps] == [0.0, 0.25, 0.75]
    assert told.steps[-1][1] == "2 of 2: half"
    assert runner.state == "idle"


def test_what_the_user_can_put_right_arrives_in_the_cores_own_words(started, settle):
    runner, told = started
    runner.start([{"task": "refuse"}, {"task": "do", "output": "never.png"}])
    settle(lambda: told.end is not None)
    assert told.end == ("failed", "no CT at there; give one")


def test_a_crash_is_no_success(started, settle):
    runner, told = started
    runner.start([{"task": "crash"}])
    settle(lambda: told.end is not None)
    assert told.end[0] == "failed" and "ended with code" in told.end[1]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
@pytest.mark.parametrize("how", ["cancel", "abandon"])
def test_cancelling_ends_the_work_and_all_it_started(started, settle, tmp_path, how):
    runner, told = started
    pids = tmp_path / "pids"
    runner.start([{"task": "linger", "pids": str(pids)}])
    settle(lambda: pids.is_file() and len(pids.read_text().split()) == 2)
    numbers = [int(one) for one in pids.read_text().split()]
    assert all(alive(one) for one in numbers)
    began = time.monotonic()
    getattr(runner, how)()
    settle(lambda: runner.state == "idle")
    assert time.monotonic() - began < 30
    settle(lambda: not any(alive(one) for one in numbers))
    assert told.end == (("cancelled",) if how == "cancel" else None)


def test_after_work_that_was_abandoned_the_next_is_told_of(started, settle, tmp_path):
    runner, told = started
    pids = tmp_path / "pids"
    runner.start([{"task": "linger", "pids": str(pids)}])
    settle(lambda: pids.is_file())
    runner.abandon()
    settle(lambda: runner.state == "idle")
    assert told.end is None
    runner.start([{"task": "do", "output": "a.png"}])
    settle(lambda: told.end is not None)
    assert told.end == ("done", [Path("a.png")]) and told.steps[-1][0] == 0.5


def test_one_thing_at_a_time(started, settle, tmp_path):
    runner, told = started
    runner.start([{"task": "do", "output": "a"}])
    with pytest.raises(RuntimeError, match="one thing at a time"):
        runner.start([{"task": "do", "output": "b"}])
    settle(lambda: told.end is not None)
