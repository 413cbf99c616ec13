"""A detector that looks several times, mirrored, shifted and scaled, and says how far its answers lie apart."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from skiagraph.anatomy import opposites
from skiagraph.detect.detector import Findings
from skiagraph.geometry import float64
from skiagraph.volume import Keypoints


@dataclass(frozen=True)
class Look:
    """A picture put before the detector in another way: its points are moved, then its right and left exchanged."""

    scale: float = 1.0
    turn: float = 0.0
    """Degrees, clockwise on the screen."""
    shift: tuple[float, float] = (0.0, 0.0)
    """To the right and down, as parts of the longer side."""
    mirrored: bool = False

    def onto(self, uv: Float64[Tensor, "*n 2"], size: tuple[int, int]) -> Float64[Tensor, "*n 2"]:
        """Points of a picture of so many (rows, columns), on the picture put so."""
        middle = self._middle(size)
        return (uv - middle) @ self._matrix.T + middle + self._aside(size)

    def back(self, uv: Float64[Tensor, "*n 2"], size: tuple[int, int]) -> Float64[Tensor, "*n 2"]:
        """Points of the picture put so, on the picture."""
        middle = self._middle(size)
        return (uv - middle - self._aside(size)) @ torch.linalg.inv(self._matrix).T + middle

    def put(self, picture: Float[Tensor, "c v u"]) -> Float[Tensor, "c v u"]:
        """The picture put so; what comes in from outside is what is nearest."""
        size = (picture.shape[-2], picture.shape[-1])
        return self._sampled(picture, self.back(self._corners(size), size))

    def taken_back(self, picture: Float[Tensor, "c v u"]) -> Float[Tensor, "c v u"]:
        """What is on the picture put so, on the picture."""
        size = (picture.shape[-2], picture.shape[-1])
        return self._sampled(picture, self.onto(self._corners(size), size))

    @property
    def _matrix(self) -> Float64[Tensor, "2 2"]:
        c, s = math.cos(math.radians(self.turn)), math.sin(math.radians(self.turn))
        side = -1.0 if self.mirrored else 1.0
        return self.scale * float64([[side * c, -side * s], [s, c]])

    def _aside(self, size: tuple[int, int]) -> Float64[Tensor, "2"]:
        return max(size) * float64(self.shift)

    @staticmethod
    def _middle(size: tuple[int, int]) -> Float64[Tensor, "2"]:
        return float64([(size[1] - 1) / 2, (size[0] - 1) / 2])

    @staticmethod
    def _corners(size: tuple[int, int]) -> Float64[Tensor, "3 2"]:
        """Three points that say what an affine map does: the middle, and half a picture to the right and down."""
        middle = Look._middle(size)
        return middle + float64([[0.0, 0.0], [size[1] / 2, 0.0], [0.0, size[0] / 2]])

    @staticmethod
    def _sampled(picture: Float[Tensor, "c v u"], corners: Float64[Tensor, "3 2"]) -> Float[Tensor, "c v u"]:
        rows, columns = picture.shape[-2:]
        unit = (corners - Look._middle((rows, columns))) / float64([columns / 2, rows / 2])
        theta = torch.stack([unit[1] - unit[0], unit[2] - unit[0], unit[0]], dim=-1)[None].to(picture)
        grid = affine_grid(theta, [1, *picture.shape], align_corners=False)
        return grid_sample(picture[None], grid, padding_mode="border", align_corners=False)[0]


LOOKS = (
    Look(),
    Look(mirrored=True),
    Look(shift=(0.03, 0.0)),
    Look(shift=(0.0, 0.03), mirrored=True),
    Look(shift=(0.0, -0.03)),
    Look(shift=(-0.03, 0.0), mirrored=True),
    Look(scale=0.94),
    Look(scale=1.06, mirrored=True),
)
"""As is, mirrored, and moved and scaled by as little as two exposures of one patient may differ."""


@dataclass(frozen=True, eq=False)
class Consensus:
    """What several looks at one picture found together."""

    findings: Findings
    """Points are means, weighed by their confidence; confidences are means; masks are what most looks saw."""
    spread: Float64[Tensor, "p"]
    """Pixels: root mean square distance of a point's looks from their mean, weighed likewise."""


@dataclass(frozen=True, eq=False)
class Averaged:
    """A detector and the ways it is to look at every picture."""

    detector: Callable[[Float[Tensor, "v u"]], Findings]
    looks: Sequence[Look] = LOOKS

    def __call__(self, picture: Float[Tensor, "v u"]) -> Consensus:
        """All looks, brought back onto the picture; what a mirrored one calls left is right."""
        found = [self._once(picture, look) for look in self.looks]
        uv = torch.stack([one.keypoints.uv for one in found])
        confidence = torch.stack([one.confidence for one in found])
        visible = torch.stack([one.keypoints.visible for one in found]).double().mean(dim=0) > 0.5
        weight = confidence.double().clamp(min=1e-6)[..., None]
        mean = (uv * weight).sum(dim=0) / weight.sum(dim=0)
        away = (uv - mean).square().sum(dim=-1, keepdim=True)
        spread = ((away * weight).sum(dim=0) / weight.sum(dim=0)).sqrt()[:, 0]
        masks = torch.stack([one.masks for one in found]).float().mean(dim=0) > 0.5
        first = found[0]
        keypoints = Keypoints(first.keypoints.names, mean, visible)
        return Consensus(Findings(keypoints, confidence.mean(dim=0), masks, first.structures), spread)

    def _once(self, picture: Float[Tensor, "v u"], look: Look) -> Findings:
        size = (picture.shape[0], picture.shape[1])
        found = self.detector(look.put(picture[None])[0])
        points = found.keypoints
        names, structures = list(range(len(points.names))), list(range(len(found.structures)))
        if look.mirrored:
            names, structures = opposites(points.names), opposites(found.structures)
        keypoints = Keypoints(points.names, look.back(points.uv, size)[names], points.visible[names])
        masks = look.taken_back(found.masks.float())[structures] > 0.5
        return Findings(keypoints, found.confidence[names], masks, found.structures)
