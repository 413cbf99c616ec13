"""How a detector is trained, as one value: its network, its losses, its pictures' looks and its optimiser."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from skiagraph.detect.losses import (
    Correlation,
    DiceAndEntropy,
    LandmarkLoss,
    Likelihood,
    MaskLoss,
    MeanSquares,
    SoftDice,
)
from skiagraph.detect.trunks import ResidualUNet, Trunk, ViTUNet
from skiagraph.domain.appearance import (
    DISPLAYED,
    PLAIN,
    REGULAR,
    REGULAR_NMI,
    REGULAR_PREPRINT,
    STRONG,
    STRONG_NMI,
    STRONG_PREPRINT,
    Appearance,
)
from skiagraph.errors import DataError


@runtime_checkable
class Optimiser(Protocol):
    """A way down the loss."""

    def of(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Torch's own for these parameters."""

    def rate(self, share: float) -> float:
        """The learning rate when this share of the training is done."""


@dataclass(frozen=True)
class Nesterov:
    """Stochastic gradients with Nesterov's momentum, the rate a constant or halved again and again."""

    largest: float
    decay: float
    """Of the weights."""
    halvings: int = 0
    """How often the rate is halved, evenly over the training."""

    def of(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Torch's SGD, momentum 0.9."""
        return torch.optim.SGD(parameters, self.largest, momentum=0.9, nesterov=True, weight_decay=self.decay)

    def rate(self, share: float) -> float:
        """Half as much after every part of the training."""
        return float(self.largest * 0.5 ** int(share * (self.halvings + 1)))


@dataclass(frozen=True)
class Adam:
    """AdamW, the rate rising at first and falling along a cosine. Loshchilov & Hutter 2019."""

    largest: float = 2e-3
    decay: float = 1e-4
    rise: float = 0.03
    """Part of the training over which the rate rises."""

    def of(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Torch's AdamW."""
        return torch.optim.AdamW(parameters, self.largest, weight_decay=self.decay)

    def rate(self, share: float) -> float:
        """From nothing to the largest, then down to a hundredth of it."""
        if share < self.rise:
            return self.largest * max(share / self.rise, 1e-3)
        fallen = (share - self.rise) / (1 - self.rise)
        return self.largest * (0.01 + 0.99 * (1 + math.cos(math.pi * fallen)) / 2)


@dataclass(frozen=True)
class Regimen:
    """Everything a training is made of but its pictures."""

    name: str
    trunk: Trunk
    size: int
    """Rows and columns of the pictures the network is shown."""
    landmark_loss: LandmarkLoss
    mask_loss: MaskLoss
    optimiser: Optimiser
    appearance: Appearance
    """In training."""
    plain: Appearance
    """When held-out samples are looked at: nothing at random."""
    steps: int
    batch: int = 5
    landmark_weight: float = 0.5
    mask_weight: float = 0.5
    visible_weight: float = 0.05
    """Of the cross-entropy of visibility; it trains the visibility head alone in the papers' regimens."""
    average: float = 0.0
    """Decay a step of the running mean of the weights that is kept; 0 keeps the weights themselves."""
    reference: str = field(default="")

    def __post_init__(self) -> None:
        if self.size % self.trunk.multiple:
            raise DataError(f"pictures of {self.size} pixels; this network takes multiples of {self.trunk.multiple}")
        if self.steps < 1 or self.batch < 1:
            raise DataError(f"{self.steps} steps of {self.batch} pictures; give at least one of each")


SYNTHEX_PREPRINT = Regimen(
    "synthex-preprint",
    ResidualUNet((32, 64, 128, 256, 512, 512), units=2, features=32),
    size=384,
    landmark_loss=MeanSquares(5.0),
    mask_loss=SoftDice(),
    optimiser=Nesterov(2e-4, 1e-5),
    appearance=STRONG_PREPRINT,
    plain=PLAIN,
    steps=108_000,
    reference="Gao 2022, arXiv 2206.06127: U-Net, Dice and mean squares, SGD 2e-4, 30 epochs of 18,000, batches of 5. "
    "Its structures exclude each other; ours overlap, as shadows do",
)

SYNTHEX_NMI = Regimen(
    "synthex-nmi",
    ViTUNet(),
    size=384,
    landmark_loss=Correlation(5.0),
    mask_loss=SoftDice(),
    optimiser=Nesterov(0.1, 1e-4, halvings=14),
    appearance=STRONG_NMI,
    plain=PLAIN,
    steps=108_000,
    reference="Gao 2023, Nature Machine Intelligence, and the code released with it: a transformer of TransUNet's "
    "size, Dice and correlation, SGD 0.1 halved every 2 epochs of 30. Theirs begins from ImageNet, ours from nothing",
)

SKIAGRAPH = Regimen(
    "skiagraph",
    ResidualUNet(),
    size=256,
    landmark_loss=Likelihood(1.5),
    mask_loss=DiceAndEntropy(),
    optimiser=Adam(),
    appearance=STRONG,
    plain=DISPLAYED,
    steps=6000,
    batch=12,
    landmark_weight=1.0,
    average=0.999,
    reference="ours: heatmaps as probabilities, so that confidence is read off them; an hour on two cores",
)

APPEARANCES = {
    "regular": REGULAR,
    "strong": STRONG,
    "regular-preprint": REGULAR_PREPRINT,
    "strong-preprint": STRONG_PREPRINT,
    "regular-nmi": REGULAR_NMI,
    "strong-nmi": STRONG_NMI,
}
REGIMENS = {regimen.name: regimen for regimen in (SYNTHEX_PREPRINT, SYNTHEX_NMI, SKIAGRAPH)}


def regimen(name: str, appearance: str | None = None) -> Regimen:
    """A regimen by its name, with other looks if they are named."""
    if name not in REGIMENS:
        raise DataError(f"no regimen {name!r}; give one of {', '.join(REGIMENS)}")
    if appearance is None:
        return REGIMENS[name]
    if appearance not in APPEARANCES:
        raise DataError(f"no appearance {appearance!r}; give one of {', '.join(APPEARANCES)}")
    return replace(REGIMENS[name], appearance=APPEARANCES[appearance])
