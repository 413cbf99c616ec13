"""Networks from one picture to features of its every pixel: MONAI's, in the sizes of the field.

A trunk is a value that builds one; what it was built from is all that a bundle has to remember of it. MONAI takes
seconds to import, so only those wait for it who build a network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class Trunk(Protocol):
    """How to build a network of [b 1 v u] -> [b features v u]."""

    @property
    def features(self) -> int:
        """Channels it gives."""

    @property
    def multiple(self) -> int:
        """Rows and columns of its pictures are multiples of this."""

    def build(self, size: int) -> nn.Module:
        """A new one for square pictures of so many rows, with weights drawn anew."""

    def decoder(self, built: nn.Module) -> list[nn.Module]:
        """The parts of one so built that come after its narrowest."""


@dataclass(frozen=True)
class ResidualUNet:
    """A U-Net whose every level halves the picture by a strided convolution. Ronneberger 2015, Zhang 2018."""

    channels: Sequence[int] = (24, 48, 96, 192, 256, 256)
    """Of each level; the first is at half the picture's resolution."""
    units: int = 1
    """Residual units a level."""
    features: int = 24

    @property
    def multiple(self) -> int:
        """Two for every halving."""
        return 2 ** (len(self.channels) - 1)

    def build(self, size: int) -> nn.Module:
        """MONAI's UNet with batch normalisation."""
        from monai.networks.nets.unet import UNet

        return UNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=self.features,
            channels=self.channels,
            strides=(2,) * (len(self.channels) - 1),
            num_res_units=self.units,
            norm="batch",
        )

    def decoder(self, built: nn.Module) -> list[nn.Module]:
        """The way up of every level."""
        from monai.networks.layers.simplelayers import SkipConnection

        found, level = [], built.model
        while isinstance(level, nn.Sequential) and isinstance(level[1], SkipConnection):
            found.append(level[2])
            level = level[1].submodule
        return found


@dataclass(frozen=True)
class SwinUNet:
    """Swin transformer blocks down, convolutions up, as Pelphix uses their like. Liu 2021, Hatamizadeh 2022."""

    features: int = 24
    """Also the width of the embedding: 96 in Pelphix."""
    depths: Sequence[int] = (2, 2, 2, 2)
    heads: Sequence[int] = (3, 6, 12, 24)

    @property
    def multiple(self) -> int:
        """Two for the patches, two for every stage."""
        return 2 ** (1 + len(self.depths))

    def build(self, size: int) -> nn.Module:
        """MONAI's SwinUNETR."""
        from monai.networks.nets.swin_unetr import SwinUNETR

        return SwinUNETR(
            in_channels=1,
            out_channels=self.features,
            depths=self.depths,
            num_heads=self.heads,
            feature_size=self.features,
            spatial_dims=2,
        )

    def decoder(self, built: nn.Module) -> list[nn.Module]:
        """Blocks that MONAI calls so, and the last."""
        return _called(built, "decoder", "out")


@dataclass(frozen=True)
class ViTUNet:
    """A vision transformer with a convolutional decoder, the size of TransUNet's: ViT-B/16. Hatamizadeh 2022.

    TransUNet (Chen 2021) has a ResNet-50 before the transformer and starts from ImageNet; this has and does neither.
    """

    features: int = 16
    hidden: int = 768
    heads: int = 12
    perceptron: int = 3072

    @property
    def multiple(self) -> int:
        """The side of a patch."""
        return 16

    def build(self, size: int) -> nn.Module:
        """MONAI's UNETR."""
        from monai.networks.nets.unetr import UNETR

        return UNETR(
            in_channels=1,
            out_channels=self.features,
            img_size=(size, size),
            feature_size=self.features,
            hidden_size=self.hidden,
            mlp_dim=self.perceptron,
            num_heads=self.heads,
            spatial_dims=2,
        )

    def decoder(self, built: nn.Module) -> list[nn.Module]:
        """Blocks that MONAI calls so, and the last."""
        return _called(built, "decoder", "out")


def _called(built: nn.Module, *beginnings: str) -> list[nn.Module]:
    return [part for name, part in built.named_children() if name.startswith(beginnings)]
