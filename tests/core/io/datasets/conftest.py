"""Small CTs of the shape of a pelvis: two hips, a sacrum between them and a spine above, in the frame of the file."""

import numpy as np
import pytest
import torch

from skiagraph.geometry import Grid
from skiagraph.volume import Volume

SHAPE = (12, 14, 20)


@pytest.fixture
def ct() -> Volume:
    """Water in air, 20 mm from left to right for each voxel; i runs to the patient's left, as LPS has it."""
    grid = Grid.of(SHAPE, (10.0, 10.0, 10.0), (-95.0, -65.0, 0.0))
    hu = torch.full(SHAPE, -1000.0)
    hu[1:-1, 1:-1, 1:-1] = 40.0
    return Volume(hu, grid)


@pytest.fixture
def boxes() -> dict[str, tuple[slice, slice, slice]]:
    """Where each structure lies, in voxels."""
    return {
        "right": np.s_[2:6, 4:9, 2:6],
        "left": np.s_[2:6, 4:9, 14:18],
        "sacrum": np.s_[3:7, 8:11, 8:12],
        "spine": np.s_[7:11, 8:11, 8:12],
    }
