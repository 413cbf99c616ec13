"""Adversarial discriminative domain adaptation: who tells the domains apart by what a detector makes of their pictures.

Tzeng 2017; Haq & Huang 2020 for segmentation; twice in SyntheX (Gao 2022 and the code released with Gao 2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

Answers = Float[Tensor, "b 1 r c"]


@runtime_checkable
class Discriminator(Protocol):
    """How to build a network of [b channels v u] -> [b 1 r c], one number a place."""

    def build(self, channels: int) -> nn.Module:
        """A new one."""


@dataclass(frozen=True)
class Strided:
    """Convolutions of 4 x 4 that halve the picture, leaky by 0.2; log-odds at the end. Tsai 2018.

    The preprint of SyntheX follows Haq & Huang here and lists no layers.
    """

    filters: Sequence[int] = (64, 128, 256, 512)

    def build(self, channels: int) -> nn.Module:
        """One layer more than there are filters."""
        layers: list[nn.Module] = []
        for before, after in zip((channels, *self.filters), self.filters):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)]
        return nn.Sequential(*layers, nn.Conv2d(self.filters[-1], 1, 4, 2, 1))


@dataclass(frozen=True)
class Narrow:
    """Convolutions of 3 x 3 at full size and a sigmoid at the end: SyntheX's released code, on 16 channels there."""

    filters: Sequence[int] = (16, 8, 4)

    def build(self, channels: int) -> nn.Module:
        """One layer more than there are filters."""
        layers: list[nn.Module] = []
        for before, after in zip((channels, *self.filters), self.filters):
            layers += [nn.Conv2d(before, after, 3, 1, 1), nn.ReLU()]
        return nn.Sequential(*layers, nn.Conv2d(self.filters[-1], 1, 3, 1, 1), nn.Sigmoid())


@runtime_checkable
class Game(Protocol):
    """What a discriminator wants, and what its opponent."""

    def told(self, source: Answers, target: Answers) -> Float[Tensor, ""]:
        """The discriminator's loss: how badly it tells the two apart."""

    def fooled(self, source: Answers, target: Answers) -> Float[Tensor, ""]:
        """The detector's: how well it still does."""


@dataclass(frozen=True)
class Entropy:
    """SyntheX preprint, equations 5 and 6, of log-odds that something is from the source."""

    def told(self, source: Answers, target: Answers) -> Float[Tensor, ""]:
        """-log D(z_s) - log(1 - D(z_t)), the mean of both."""
        return (softplus(-source).mean() + softplus(target).mean()) / 2

    def fooled(self, source: Answers, target: Answers) -> Float[Tensor, ""]:
        """-log D(z_t)."""
        return softplus(-target).mean()


@dataclass(frozen=True)
class Relativistic:
    """By how much one seems more real than the other: Jolicoeur-Martineau 2018, as SyntheX's released code has it.

    Its two terms, log s(t - s) and log(1 - s(s - t)), are one and the same, so one is written here.
    """

    def told(self, source: Answers, target: Answers) -> Float[Tensor, ""]:
        """-log s(D(z_t) - D(z_s)) with the sigmoid s."""
        return softplus(source - target).mean()

    def fooled(self, source: Answers, target: Answers) -> Float[Tensor, ""]:
        """-log s(D(z_s) - D(z_t))."""
        return softplus(target - source).mean()


@dataclass(frozen=True)
class Reconstructor:
    """A U-Net that makes the picture again from what a detector said of it, as the preprint of SyntheX has one."""

    channels: Sequence[int] = (16, 32, 64, 128)

    def build(self, channels: int) -> nn.Module:
        """MONAI's, of [b channels v u] -> [b 1 v u]."""
        from monai.networks.nets.unet import UNet

        return UNet(2, channels, 1, self.channels, (2,) * (len(self.channels) - 1), num_res_units=1, norm="batch")
