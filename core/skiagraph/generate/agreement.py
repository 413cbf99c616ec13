"""Whether labels sit where the CT shows bone: the share of their surface across which the intensity falls outwards."""

import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage
from torch import Tensor

FALL = 30.0
"""HU by which a voxel just within must exceed the mean of those just outside."""


def edges_agree(hu: Float[Tensor, "k j i"], index: UInt8[Tensor, "k j i"]) -> float:
    """Over the surface voxels of bones that no other bone touches; NaN without bone.

    Where a real bone meets a joint or has hardly a cortex it does not fall either: compare with what real labels have.
    """
    bone = index.numpy() > 0
    values = hu.numpy()
    inside = ndimage.binary_erosion(bone)
    rim = bone & ~inside
    near = ndimage.binary_dilation(bone, iterations=2) & ~bone
    weight = near.astype(np.float32)
    around = ndimage.uniform_filter(np.where(near, values, 0.0).astype(np.float32), 3)
    count = ndimage.uniform_filter(weight, 3)
    labels = index.numpy()
    top = ndimage.maximum_filter(labels, 3)
    low = ndimage.minimum_filter(np.where(labels > 0, labels, 255), 3)
    rim &= (count > 1e-6) & (top == low)
    if not rim.any():
        return float("nan")
    outside = around[rim] / count[rim]
    return float((values[rim] - outside > FALL).mean())
