"""The compiled loops over pixels: what `transmit`, `noise` and `blur` say, quickly and on all cores.

Single precision on the CPU, not differentiable, the same to the bit for any number of threads; see
native/exposure_body.hpp.
"""

import ctypes
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from skiagraph import compiled
from skiagraph.physics.quadrature import Beam


def serves(*images: Tensor) -> bool:
    """Whether the compiled loops can be used: single precision, on the CPU, and no gradient asked for."""
    plain = all(x.dtype == torch.float32 and x.device.type == "cpu" and not x.requires_grad for x in images)
    return plain and compiled.available()


def transmit(mass: Float[Tensor, "*n m v u"], beam: Beam) -> tuple[Float[Tensor, "*n v u"], Float[Tensor, "*n v u"]]:
    """Signal and variance of a beam behind masses, g/cm²."""
    lines, weight, spread = (x.float().contiguous() for x in (-beam.attenuation, beam.signal, beam.variance))
    whole = mass.contiguous()
    *batch, count, v, u = mass.shape
    signal, variance = (torch.empty(*batch, v, u) for _ in range(2))
    _library().skiagraph_transmit(
        *(x.data_ptr() for x in (lines, weight, spread)),
        len(weight),
        count,
        whole.data_ptr(),
        *_images(signal),
        signal.data_ptr(),
        variance.data_ptr(),
        *_means(),
    )
    return signal, variance


def quanta(
    signal: Float[Tensor, "*n v u"], variance: Float[Tensor, "*n v u"], photons: Float[Tensor, "*n 1 1"], key: int
) -> Float[Tensor, "*n v u"]:
    """`noise.quanta`."""
    given = [x.contiguous() for x in (signal, variance, photons)]
    out = torch.empty_like(given[0])
    _library().skiagraph_quanta(*(x.data_ptr() for x in given), *_images(out), key, out.data_ptr(), *_means())
    return out


def read(
    image: Float[Tensor, "*n v u"],
    readout: Float[Tensor, "*n 1 1"],
    most: Float[Tensor, "*n 1 1"],
    levels: Float[Tensor, "*n 1 1"],
    key: int,
) -> Float[Tensor, "*n v u"]:
    """`noise.read`."""
    given = [x.contiguous() for x in (image, readout, most, levels)]
    out = torch.empty_like(given[0])
    _library().skiagraph_read(*(x.data_ptr() for x in given), *_images(out), key, out.data_ptr(), *_means())
    return out


def separable(
    image: Float[Tensor, "*n v u"], down: Float[Tensor, "a"], across: Float[Tensor, "b"]
) -> Float[Tensor, "*n v u"]:
    """`blur.separable`."""
    given, kernels = image.contiguous(), [x.contiguous() for x in (down, across)]
    out = torch.empty_like(given)
    sides = (x for kernel in kernels for x in (kernel.data_ptr(), len(kernel) // 2))
    _library().skiagraph_blur(given.data_ptr(), *_sizes(out), *sides, out.data_ptr(), *_means())
    return out


def _sizes(image: Tensor) -> tuple[int, int, int]:
    """Images, rows, columns."""
    rows, columns = image.shape[-2:]
    return image[..., 0, 0].numel(), rows, columns


def _images(image: Tensor) -> tuple[int, int]:
    """Images, and pixels in each."""
    count, rows, columns = _sizes(image)
    return count, rows * columns


def _means() -> tuple[int, int]:
    """The instruction set and the number of threads."""
    return compiled.LEVELS[compiled.level()], torch.get_num_threads()


@cache
def _library() -> ctypes.CDLL:
    data, count, flag, key = compiled.DATA, compiled.COUNT, compiled.FLAG, compiled.KEY
    signatures: compiled.Signatures = {
        "transmit": (None, [data, data, data, count, count, data, count, count, data, data, flag, flag]),
        "quanta": (None, [data, data, data, count, count, key, data, flag, flag]),
        "read": (None, [data, data, data, data, count, count, key, data, flag, flag]),
        "blur": (None, [data, count, count, count, data, count, data, count, data, flag, flag]),
    }
    return compiled.library(signatures)
