import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from app_server import Server, python, radiographs, serving

from skiagraph.experiments.presets import HIP_AP
from skiagraph.factory.card import finish
from skiagraph.factory.making import begin, make_subject
from skiagraph.factory.order import Order
from skiagraph.factory.recipe import Technique
from skiagraph.factory.subjects import parametric
from skiagraph.factory.variation import UNCHANGED


@pytest.fixture(scope="session")
def can_serve() -> None:
    if python() is None:
        pytest.skip("no Python with MONAI Label; run make serve-setup, or name one in SKIAGRAPH_SERVE_PYTHON")


@pytest.fixture(scope="session")
def server(can_serve: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that leave it as it was, or do not mind."""
    home = tmp_path_factory.mktemp("server")
    one = serving(radiographs(home / "studies"), home).start()
    yield one
    assert one.kill(signal.SIGTERM) in (0, -signal.SIGTERM)
    assert not list(one.scratch.glob("skiagraph-serve-*")), "a server that is stopped leaves nothing behind"


@pytest.fixture(scope="session")
def replay(can_serve: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few small synthetic samples."""
    folder = tmp_path_factory.mktemp("replay")
    recipe = replace(HIP_AP, technique=Technique("naive"), variation=UNCHANGED)
    order = Order(recipe, tuple(parametric(2, 0, 6.0)), 8, 48, 2, (0.0, 0.0), 4)
    begin(order, folder)
    for subject in range(2):
        make_subject(order, subject, folder)
    finish(order, folder)
    return folder


@pytest.fixture
def own_server(can_serve: None, replay: Path, tmp_path: Path) -> Iterator[Server]:
    """One that a test may kill."""
    one = serving(radiographs(tmp_path / "studies"), tmp_path, "--replay", str(replay))
    yield one
    if one.process is not None and one.process.poll() is None:
        one.kill()
