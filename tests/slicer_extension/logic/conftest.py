"""A scene of the real Slicer core for each test, and patients in it."""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from skiagraph.geometry import Grid
from skiagraph.volume import Body, Landmarks, Volume


@pytest.fixture
def stage() -> Iterator[Any]:
    """An empty scene, and nothing left of it afterwards."""
    if importlib.util.find_spec("slicer_core") is None:
        pytest.skip("no slicer-core; make test-slicer runs these tests in an environment that has it")
    from scene import Stage

    made = Stage()
    yield made
    made.closed()


@pytest.fixture
def scene(stage: Any) -> Any:
    return stage.scene


@pytest.fixture
def logic(scene: Any) -> Any:
    from VirtualCArmLib.logic import CArmLogic

    return CArmLogic(scene)


@pytest.fixture(scope="session")
def phantom() -> Body:
    """A coarse synthetic patient."""
    from skiagraph.bodies import Person, build

    return build(Person(), spacing=6.0)


@pytest.fixture
def patient(logic: Any, scene: Any, phantom: Body) -> Any:
    """The phantom as the scene's patient."""
    from VirtualCArmLib import convert

    return logic.set_patient(
        convert.show_volume(scene, phantom.volume, "CT"),
        convert.show_landmarks(scene, phantom.landmarks, "points"),
        convert.show_labels(scene, phantom.labels, "anatomy"),
    )


Ball = Callable[..., Any]


@pytest.fixture
def ball(logic: Any, scene: Any) -> Ball:
    """A patient who is a ball in air, with a landmark in its middle; his CT turned and moved as asked."""

    def made(turn: np.ndarray | None = None, place: Any = (35.0, -20.0, 25.0)) -> Any:
        from VirtualCArmLib import convert

        grid = Grid.centred((48, 56, 60), (3.0, 2.5, 3.5))
        if turn is not None:
            moved = torch.eye(4, dtype=torch.float64)
            moved[:3, :3] = torch.from_numpy(turn)
            grid = grid.moved(moved)
        middle = torch.tensor(place, dtype=torch.float64)
        off = (grid.centers() - middle).square().sum(dim=-1)
        volume = Volume((-1000 + 3000 * torch.exp(-off / (2 * 6.0**2))).float(), grid)
        points = Landmarks(("ball",), middle[None])
        return logic.set_patient(
            convert.show_volume(scene, volume, "ball"), convert.show_landmarks(scene, points, "point")
        )

    return made
