"""What a network is punished for: landmarks by one of three losses, structures by Dice, visibility by its likelihood.

A landmark loss is also the meaning of the heatmaps it trains: `density` says how to read them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from skiagraph.detect.heatmaps import correlation, gaussians


@runtime_checkable
class LandmarkLoss(Protocol):
    """How far heatmaps are from points."""

    def __call__(
        self, heatmaps: Float[Tensor, "b l v u"], uv: Float[Tensor, "b l 2"], visible: Bool[Tensor, "b l"]
    ) -> Float[Tensor, ""]:
        """One number for a batch; points in pixels of the heatmaps."""

    def density(self, heatmaps: Float[Tensor, "*n v u"], temperature: float = 1.0) -> Float[Tensor, "*n v u"]:
        """Where a heatmap says its point is: not negative, one in all, or nothing at all."""


@dataclass(frozen=True)
class MeanSquares:
    """Squared difference from a Gaussian, from nothing where the landmark is not seen. SyntheX preprint."""

    sigma: float
    """Pixels."""

    def __call__(
        self, heatmaps: Float[Tensor, "b l v u"], uv: Float[Tensor, "b l 2"], visible: Bool[Tensor, "b l"]
    ) -> Float[Tensor, ""]:
        """Over all landmarks and pixels."""
        return (heatmaps - _wanted(heatmaps, uv, visible, self.sigma)).square().mean()

    def density(self, heatmaps: Float[Tensor, "*n v u"], temperature: float = 1.0) -> Float[Tensor, "*n v u"]:
        """What is above zero."""
        return _above_zero(heatmaps, temperature)


@dataclass(frozen=True)
class Correlation:
    """-(NCC + 1) / 2 with a Gaussian, over all landmarks. Grupp 2020, and SyntheX's released code.

    Of a landmark that is not seen the Gaussian is nothing, and the correlation is 0 whatever the heatmap: as there.
    """

    sigma: float
    """Pixels."""

    def __call__(
        self, heatmaps: Float[Tensor, "b l v u"], uv: Float[Tensor, "b l 2"], visible: Bool[Tensor, "b l"]
    ) -> Float[Tensor, ""]:
        """The mean over all landmarks."""
        return -(correlation(heatmaps, _wanted(heatmaps, uv, visible, self.sigma)).mean() + 1) / 2

    def density(self, heatmaps: Float[Tensor, "*n v u"], temperature: float = 1.0) -> Float[Tensor, "*n v u"]:
        """What is above zero."""
        return _above_zero(heatmaps, temperature)


@dataclass(frozen=True)
class Likelihood:
    """Cross-entropy between a Gaussian and the heatmap's softmax over all pixels, over the landmarks seen.

    Heatmaps are then log-probabilities up to a constant: what they say of a landmark, if it is in the picture at all.
    """

    sigma: float
    """Pixels."""

    def __call__(
        self, heatmaps: Float[Tensor, "b l v u"], uv: Float[Tensor, "b l 2"], visible: Bool[Tensor, "b l"]
    ) -> Float[Tensor, ""]:
        """The mean over the landmarks seen, less the Gaussian's own entropy: 0 at best."""
        wanted = _wanted(heatmaps, uv, visible, self.sigma).flatten(-2)
        wanted = wanted / wanted.sum(dim=-1, keepdim=True).clamp(min=1e-12)
        own = -torch.special.entr(wanted).sum(dim=-1)
        crossed = -(wanted * heatmaps.flatten(-2).log_softmax(dim=-1)).sum(dim=-1)
        return ((crossed + own) * visible).sum() / visible.sum().clamp(min=1)

    def density(self, heatmaps: Float[Tensor, "*n v u"], temperature: float = 1.0) -> Float[Tensor, "*n v u"]:
        """The softmax over all pixels of the heatmap over the temperature."""
        return (heatmaps / temperature).flatten(-2).softmax(dim=-1).reshape(heatmaps.shape)


MaskLoss = Callable[[Float[Tensor, "b c v u"], Bool[Tensor, "b c v u"]], Float[Tensor, ""]]


@dataclass(frozen=True)
class SoftDice:
    """-2 sum(p q) / (sum p^2 + sum q^2) of each structure and picture, with probabilities p: -1 at best.

    Structures overlap, so each has a probability of its own instead of a share of one. With `eps` on both sides of
    the fraction nothing predicted where nothing is counts as perfect.
    """

    eps: float = 1e-4

    def __call__(self, logits: Float[Tensor, "b c v u"], masks: Bool[Tensor, "b c v u"]) -> Float[Tensor, ""]:
        """The mean over structures and pictures."""
        p, q = logits.sigmoid(), masks.to(logits)
        both = 2 * (p * q).sum(dim=(-2, -1)) + self.eps
        return -(both / (p.square().sum(dim=(-2, -1)) + q.sum(dim=(-2, -1)) + self.eps)).mean()


@dataclass(frozen=True)
class DiceAndEntropy:
    """Soft Dice, and the cross-entropy of each pixel, which is never flat."""

    dice: SoftDice = SoftDice()

    def __call__(self, logits: Float[Tensor, "b c v u"], masks: Bool[Tensor, "b c v u"]) -> Float[Tensor, ""]:
        """Their sum."""
        return self.dice(logits, masks) + binary_cross_entropy_with_logits(logits, masks.to(logits))


def _wanted(
    heatmaps: Float[Tensor, "b l v u"], uv: Float[Tensor, "b l 2"], visible: Bool[Tensor, "b l"], sigma: float
) -> Float[Tensor, "b l v u"]:
    size = (heatmaps.shape[-2], heatmaps.shape[-1])
    return gaussians(uv.to(heatmaps), size, sigma) * visible[..., None, None]


def _above_zero(heatmaps: Float[Tensor, "*n v u"], temperature: float) -> Float[Tensor, "*n v u"]:
    above = heatmaps.clamp(min=0) ** (1 / temperature)
    return above / above.sum(dim=(-2, -1), keepdim=True).clamp(min=1e-12)
