"""What a detector makes of a picture nobody has labelled, and how unsure of it it is."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from skiagraph.anatomy import opposites
from skiagraph.detect.detector import REFINING, Detector, Findings
from skiagraph.detect.framing import Framing
from skiagraph.detect.heatmaps import centred
from skiagraph.volume import Keypoints


@dataclass(frozen=True, eq=False)
class Evidence:
    """Where each landmark of a picture may be."""

    density: Float[Tensor, "l s s"]
    """On the square the network looks at; one in all."""
    framing: Framing

    @property
    def spread(self) -> Float[ndarray, "l"]:
        """Pixels of the picture, standard deviation of each landmark's place."""
        size = self.density.shape[-1]
        at = torch.arange(size, dtype=self.density.dtype)
        total = self.density.sum(dim=(-2, -1)).clamp(min=1e-12)
        variance = torch.zeros_like(total)
        for axis in (-1, -2):
            share = self.density.sum(dim=axis) / total[:, None]
            mean = (share * at).sum(dim=-1)
            variance = variance + (share * (at - mean[:, None]).square()).sum(dim=-1)
        return np.asarray(variance.div(2).sqrt().double().numpy() / self.framing.scale)


@dataclass(frozen=True, eq=False)
class Look:
    """What a choice between pictures needs to know of one."""

    entropy: float
    """Mean over landmarks of the heatmap's entropy, 0 (one pixel) to 1 (anywhere): a sum would grow with landmarks."""
    disagreement: float
    """Root mean square of landmarks' distances from their mean over altered pictures, parts of the longer side."""
    implausibility: float
    """Root mean square distance from the nearest pelvis, in standard deviations."""
    features: Float[ndarray, "f"]


def evidence(detector: Detector, picture: Float[Tensor, "v u"]) -> Evidence:
    """What the network says of a picture before one point of it is chosen."""
    framing = Framing((picture.shape[0], picture.shape[1]), detector.reading.size)
    network = detector.network
    with torch.inference_mode():
        heatmaps = network(framing.framed(picture.float())[None, None]).heatmaps[0]
        return Evidence(network.landmark_loss.density(heatmaps, detector.reading.temperature), framing)


def features(detector: Detector, picture: Float[Tensor, "v u"]) -> Float[ndarray, "f"]:
    """What a picture is like: means and deviations of what the network's trunk gives."""
    framing = Framing((picture.shape[0], picture.shape[1]), detector.reading.size)
    with torch.inference_mode():
        trunk = detector.network.trunk(framing.framed(picture.float())[None, None])[0].flatten(1)
    return np.asarray(torch.cat([trunk.mean(dim=-1), trunk.std(dim=-1)]).double().numpy())


def entropy(density: Float[Tensor, "l s s"]) -> float:
    """Mean over landmarks of the entropy of where they are, over that of anywhere."""
    each = torch.special.entr(density.clamp(min=0)).sum(dim=(-2, -1))
    return float(each.mean()) / math.log(density.shape[-1] * density.shape[-2])


def disagreement(detector: Detector, picture: Float[Tensor, "v u"]) -> tuple[float, Findings]:
    """How far landmarks wander when the picture is altered in ways that do not matter, and what was found in it."""
    found = detector(picture)
    answers = torch.stack([found.keypoints.uv, *_altered(detector, picture)])
    off = (answers - answers.mean(dim=0)).square().sum(dim=-1).mean().sqrt()
    return float(off) / max(picture.shape), found


def pointed(where: Evidence, near: Float[ndarray, "l 2"], within: Float[ndarray, "l"]) -> Float[Tensor, "l 2"]:
    """Where each landmark is, given that it lies about `near`, give or take `within` pixels: Bayes's rule."""
    size = where.density.shape[-1]
    at = where.framing.onto(torch.from_numpy(near)).to(where.density)
    sigma = torch.from_numpy(within).to(where.density) * where.framing.scale
    axis = torch.arange(size, dtype=where.density.dtype)
    bells = [torch.exp(-0.5 * ((axis - at[:, n, None]) / sigma[:, None]) ** 2) for n in (0, 1)]
    # A little of everywhere: where the heatmap says nothing near the place, the place itself remains.
    product = (where.density + 1e-3 / size**2) * bells[1][:, :, None] * bells[0][:, None, :]
    return where.framing.back(centred(product, REFINING).double())


def _altered(detector: Detector, picture: Float[Tensor, "v u"]) -> Iterator[Float[Tensor, "l 2"]]:
    """Landmarks found after mirroring, on a wider field, and with other contrast; in the picture's own pixels."""
    rows, columns = picture.shape
    twin = opposites(detector.reading.landmarks)
    mirrored = detector(picture.flip(-1)).keypoints.uv[twin].clone()
    mirrored[:, 0] = columns - 1 - mirrored[:, 0]
    yield mirrored
    margin = max(rows, columns) // 8
    wide = torch.nn.functional.pad(picture[None, None], (margin,) * 4, mode="replicate")[0, 0]
    yield detector(wide).keypoints.uv - margin
    low, high = picture.min(), picture.max()
    yield detector(((picture - low) / (high - low).clamp(min=1e-6)) ** 0.7).keypoints.uv


def merged(keypoints: Keypoints, fixed: Keypoints) -> Keypoints:
    """The same landmarks, those that are fixed where they are fixed."""
    uv, visible = keypoints.uv.clone(), keypoints.visible.clone()
    for number, name in enumerate(fixed.names):
        at = keypoints.names.index(name)
        uv[at], visible[at] = fixed.uv[number], fixed.visible[number]
    return Keypoints(keypoints.names, uv, visible)
