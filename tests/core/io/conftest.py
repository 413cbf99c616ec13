import pytest
import torch

from skiagraph.geometry import Grid, rotation
from skiagraph.volume import Volume


@pytest.fixture
def oblique() -> Grid:
    direction = rotation("z", 20) @ rotation("x", -15) @ rotation("y", 7)
    return Grid.of((5, 6, 7), (0.9, 1.1, 2.5), (-40.0, 12.5, 100.25), direction)


@pytest.fixture
def volume(oblique: Grid) -> Volume:
    rng = torch.Generator().manual_seed(1)
    return Volume(torch.randint(-1000, 1500, oblique.shape, generator=rng).float(), oblique)
