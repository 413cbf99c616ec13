"""Gaussian blurs of images, narrow ones exactly and broad ones on coarser pixels."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from skiagraph.physics import native


def blur(image: Tensor, sigma_v: float, sigma_u: float) -> Tensor:
    """A Gaussian, sigma in pixels; the border pixels go on for ever."""
    down, across = _kernel(sigma_v, image), _kernel(sigma_u, image)
    return native.separable(image, down, across) if native.serves(image) else separable(image, down, across)


def separable(image: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """One kernel along the columns and one along the rows, an odd number of taps each; the border goes on for ever."""
    flat = image.reshape(-1, 1, *image.shape[-2:])
    for kernel, axis in ((down, -2), (across, -1)):
        reach = len(kernel) // 2
        shape, pad = ((1, 1, -1, 1), (0, 0, reach, reach)) if axis == -2 else ((1, 1, 1, -1), (reach, reach, 0, 0))
        flat = functional.conv2d(functional.pad(flat, pad, mode="replicate"), kernel.reshape(shape))
    return flat.reshape(image.shape)


def broad_blur(image: Tensor, sigma: float, spacing: tuple[float, float]) -> Tensor:
    """A Gaussian of many pixels, sigma in millimetres, on blocks of pixels: six of them a sigma, or more."""
    rows, columns = image.shape[-2:]
    down, across = (min(n, max(1, int(sigma / 6 / step))) for n, step in zip((rows, columns), spacing, strict=True))
    pad = (0, -columns % across, 0, -rows % down)
    flat = functional.pad(image.reshape(-1, 1, rows, columns), pad, mode="replicate")
    coarse = functional.avg_pool2d(flat, (down, across))
    wide = blur(coarse, sigma / spacing[0] / down, sigma / spacing[1] / across)
    fine = functional.interpolate(wide, flat.shape[-2:], mode="bilinear", align_corners=False)
    return fine[..., :rows, :columns].reshape(image.shape)


def _kernel(sigma: float, like: Tensor) -> Tensor:
    """A Gaussian over pixels, each holding its own share of the area; sums to 1."""
    reach = max(1, math.ceil(4 * sigma))
    edges = torch.arange(-reach - 0.5, reach + 1, dtype=torch.float64)
    share = torch.special.ndtr(edges / sigma).diff()
    return (share / share.sum()).to(like)
