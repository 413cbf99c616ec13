from pathlib import Path

import pytest
import torch

from skiagraph.active.store import LabelStore
from skiagraph.io.pictures import write_picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one", "two", "1.2.840.113.1", "1.2.840.113.2"):
        write_picture(tmp_path / f"{name}.png", torch.rand(40, 60))
    return tmp_path


@pytest.fixture
def store(folder: Path) -> LabelStore:
    return LabelStore(folder)
