"""What `make bench` makes of an engine and of its rows; who is fast is not tested."""

from dataclasses import replace
from pathlib import Path

import bench
import pytest
import torch
from analytic import Gaussians
from bench import Case, Contestant
from peers.environment import Environment
from scores import OURS, RTK, Row

from skiagraph.geometry import Grid, float64

SUPPORT = Path(__file__).parents[2] / "support"
STANDIN = Contestant("Stand-in", "standin", "steady", note="only pretends")
ROW = Row("tiny", "Stand-in", machine="box")


@pytest.fixture
def case() -> Case:
    blob = Gaussians(float64([[0.0, 0.0, 0.0]]), float64([10.0]), float64([0.01]))
    angles = [(10.0 * n, 0.0) for n in range(6)]
    return Case("tiny", blob, Grid.centred((4, 4, 4), (2.0,) * 3), angles, pixels=4)


@pytest.fixture
def measure(tmp_path, monkeypatch, case):
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    monkeypatch.setattr(bench, "YARDSTICK", STANDIN)
    monkeypatch.setattr(bench, "OUT", tmp_path)
    volume = tmp_path / "volume.raw"
    torch.ones(case.grid.shape).numpy().tofile(volume)
    return lambda contestant, of=case: bench.measured(ROW, contestant, of, volume, Environment(tmp_path / "venv", ""))


def test_a_row_counts_the_calls_after_the_first(measure):
    row = measure(replace(STANDIN, warm=2))
    assert (row.calls, row.views_a_call, row.voxels, row.pixels) == (5, 1, "4 × 4 × 4", 4)
    assert row.measured and row.cpu_ms >= 0 and row.wall_ms > 0
    assert row.error == row.joseph_error
    assert (row.version, row.note, row.case, row.machine) == ("standin 1.0", "only pretends", "tiny", "box")


def test_several_views_can_go_into_a_call(measure, case):
    row = measure(STANDIN, replace(case, views_a_call=3))
    assert (row.calls, row.views_a_call) == (2, 3)


def test_a_peer_that_breaks_is_a_row_with_its_reason(measure):
    row = measure(replace(STANDIN, variant="broken"))
    assert not row.measured
    assert "no room for the samples" in row.note


def test_a_peer_that_cannot_be_installed_is_a_row_with_its_reason(measure, monkeypatch):
    monkeypatch.setattr(bench, "install", lambda environment, packages: "not installed: no such package")
    row = measure(replace(STANDIN, packages=("nothing==1",)))
    assert not row.measured
    assert row.note == "not installed: no such package"


def pair(ours: float, error: float) -> list[Row]:
    same = Row("big", "", "8 × 8 × 8", 512, joseph_error=0.001)
    return [
        replace(same, engine=OURS, ratio=ours, error=error),
        replace(same, engine=RTK, ratio=1.5, error=0.001),
    ]


@pytest.mark.parametrize(
    ("ours", "error", "kept"), [(0.03, 0.001, True), (0.05, 0.001, False), (0.03, 0.0011, False), (0.03, 0.0005, True)]
)
def test_the_promise_is_about_time_at_equal_error(ours, error, kept):
    lines, ok = bench.verdict(pair(ours, error))
    assert ok is kept
    assert ("kept" in lines[0]) is kept


def test_a_wrong_picture_is_not_a_result():
    rows = [*pair(0.03, 0.001), Row("small", "Peer", ratio=9.0, error=0.05, joseph_error=0.002)]
    lines, ok = bench.verdict(rows)
    assert not ok
    assert "WRONG: Peer, small" in lines[-1]


def test_what_was_not_measured_is_said():
    lines, ok = bench.verdict([])
    assert ok
    assert "not measured yet" in lines[0]


def test_every_engine_is_told_apart():
    assert len({contestant.name for contestant in bench.CONTESTANTS}) == len(bench.CONTESTANTS)
    assert len({case.name for case in (*bench.CASES, *bench.SCALING)}) == len(bench.CASES) + len(bench.SCALING)
