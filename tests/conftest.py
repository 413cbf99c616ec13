import os
from pathlib import Path

import pytest
import torch

from skiagraph.volume import Body

ROOT = Path(__file__).parents[1]


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def data() -> Path:
    """Real CTs and X-rays, where there are any."""
    folder = Path(os.environ.get("SKIAGRAPH_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set SKIAGRAPH_DATA to a folder that has some")
    return folder


@pytest.fixture(scope="session")
def body() -> Body:
    """A coarse synthetic patient."""
    from skiagraph.bodies import Person, build

    return build(Person(), spacing=4.0)
