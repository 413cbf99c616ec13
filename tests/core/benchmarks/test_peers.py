"""How the benchmark speaks to engines in processes of their own, with one that only pretends."""

import sys
from pathlib import Path

import numpy as np
import pytest
from peers import environment
from peers.duel import Failed, Program, duel
from peers.protocol import Answer, Request, Turn, peak_memory

from skiagraph.carm import CIOS_FUSION
from skiagraph.geometry import View, float64

SUPPORT = Path(__file__).parents[2] / "support"


def standin(mood: str) -> Program:
    return Program(Path(sys.executable), "standin", mood)


@pytest.fixture
def views() -> list[View]:
    carm = CIOS_FUSION.with_pixels(6)
    return [carm.view(float64([3.0, 4.0, 5.0]), angle, 10.0, roll=20.0) for angle in (0.0, -35.0, -70.0)]


@pytest.fixture
def request_of_three(tmp_path, monkeypatch, views) -> Request:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    volume = tmp_path / "volume.raw"
    np.arange(24, dtype=np.float32).tofile(volume)
    vectors = {
        name: np.stack([getattr(view, name).numpy() for view in views])
        for name in ("source", "origin", "u_step", "v_step")
    }
    frame = np.diag([0.5, 0.6, 0.7, 1.0])
    return Request(volume, (2, 3, 4), frame, **vectors, size=views[0].size, threads=1, memory=4 << 30)


def test_a_request_survives_its_file(request_of_three, tmp_path):
    request_of_three.save(tmp_path / "request.npz")
    twin = Request.load(tmp_path / "request.npz")
    for name, value in vars(request_of_three).items():
        np.testing.assert_array_equal(np.asarray(getattr(twin, name)), np.asarray(value))
    assert twin.field.shape == (2, 3, 4)
    assert twin.field[1, 0, 0] == 12
    np.testing.assert_allclose(twin.spacing, [0.5, 0.6, 0.7])


def test_an_answer_survives_its_file(tmp_path):
    answer = Answer(np.ones((1, 2, 3), np.float32), np.array([0.1]), np.array([0.2]), 7, "engine 1")
    answer.save(tmp_path / "answer.npz")
    twin = Answer.load(tmp_path / "answer.npz")
    for name, value in vars(answer).items():
        np.testing.assert_array_equal(np.asarray(getattr(twin, name)), np.asarray(value))


def test_a_turn_is_a_line():
    turn = Turn(3, 4, repeats=7)
    assert "\n" not in turn.line()
    assert Turn.read(turn.line()) == turn


def test_a_requests_frame_is_its_views(request_of_three, views):
    for n, view in enumerate(views):
        u, v, normal = request_of_three.frame(n)
        np.testing.assert_allclose(normal, view.normal.numpy(), atol=1e-12)
        assert request_of_three.distance(n) == pytest.approx(float(view.source_to_panel))
        np.testing.assert_allclose(request_of_three.principal_point(n), view.principal_point.numpy(), atol=1e-9)
        assert request_of_three.pixel == pytest.approx(view.pixel_spacing[1])
        assert np.cross(u, v) @ normal == pytest.approx(-1)  # why RTK takes our rows and columns as they are


def test_two_engines_take_turns(request_of_three, tmp_path, monkeypatch):
    monkeypatch.setenv("STANDIN_DIARY", str(tmp_path / "diary"))
    turns = [(Turn(0), Turn(0)), (Turn(1, 2, repeats=2), Turn(1, 2))]
    found, other = duel(standin("steady"), standin("chatty"), request_of_three, turns, tmp_path / "duel")
    diary = (tmp_path / "diary").read_text(encoding="utf-8").splitlines()
    assert diary == ["steady 0", "chatty 0", "steady 1 2", "steady 1 2", "chatty 1 2"]
    for answer in (found, other):
        np.testing.assert_array_equal(answer.pictures[:, 0, 0], [276, 277, 278])
        assert len(answer.cpu) == len(answer.wall) == 2
        assert answer.peak > 1e6
        assert answer.version == "standin 1.0"


def test_views_nobody_asked_for_are_not_numbers(request_of_three, tmp_path):
    found, _ = duel(standin("steady"), standin("steady"), request_of_three, [(Turn(1), Turn(0))], tmp_path)
    assert np.isnan(found.pictures[0]).all()
    assert np.isfinite(found.pictures[1]).all()


def test_an_engine_that_breaks_says_why(request_of_three, tmp_path):
    with pytest.raises(Failed, match="no room for the samples"):
        duel(standin("broken"), standin("steady"), request_of_three, [(Turn(0), Turn(0))], tmp_path)


def test_an_engine_that_does_not_start_says_why(request_of_three, tmp_path):
    nobody = Program(Path(sys.executable), "nobody_at_home")
    with pytest.raises(Failed, match="nobody_at_home"):
        duel(nobody, standin("steady"), request_of_three, [], tmp_path)


def test_peak_memory_is_what_this_process_held():
    before = peak_memory()
    held = np.ones(30_000_000)
    assert peak_memory() > before
    assert peak_memory() >= held.nbytes


def test_what_cannot_be_installed_says_how(monkeypatch):
    monkeypatch.setattr(environment.os, "geteuid", lambda: 1000)
    assert environment.install_program("no-such-program") == "not installed: apt install no-such-program"


def test_a_command_that_fails_says_its_last_line():
    assert environment.run([sys.executable, "-c", ""]) == ""
    assert environment.run([sys.executable, "-c", "raise SystemExit('full\\ndisk')"]) == "disk"
    assert environment.run([sys.executable, "-c", "raise SystemExit(3)"]).endswith("exited with 3")
