import numpy as np


class Volume:
    """Matter on voxels whose size is read off the diagonal, as DeepDRR does."""

    def __init__(
        self, data, materials, anatomical_from_IJK, world_from_anatomical=None, anatomical_coordinate_system=None
    ):
        assert anatomical_coordinate_system == "LPS"
        assert all(mask.shape == data.shape and mask.dtype == bool for mask in materials.values())
        stretch, turn = anatomical_from_IJK.data, world_from_anatomical.data
        assert np.allclose(stretch[:3, :3], np.diag(np.diag(stretch[:3, :3])))
        assert np.allclose(turn[:3, :3] @ turn[:3, :3].T, np.eye(3)) and np.linalg.det(turn) > 0
        self.data, self.materials, self.world_from_ijk = data, materials, turn @ stretch
