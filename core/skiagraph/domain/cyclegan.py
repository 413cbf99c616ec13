"""CycleGAN (Zhu 2017): pictures of one domain made to look like those of another, learned from unpaired pictures.

Pictures are -1 to 1 here, as a generator's tanh gives them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from skiagraph.domain.appearance import ORDINARY, Appearance
from skiagraph.domain.effects import Display, Effect, Maybe, Some

Pictures = Float[Tensor, "b 1 v u"]


@dataclass(frozen=True)
class ResNetGenerator:
    """The generator of Johnson 2016 as Zhu 2017 takes it: 6 blocks for pictures of 128 pixels, 9 from 256 on."""

    blocks: int = 9
    filters: int = 64
    """Of the first layer; twice and four times as many after it."""

    def build(self) -> nn.Module:
        """c7s1-f, d2f, d4f, blocks of R4f, u2f, uf, c7s1-1 in the words of Zhu 2017, 7.2; rows by the four."""
        f = self.filters
        return nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(1, f, 7), nn.InstanceNorm2d(f), nn.ReLU(),
            nn.Conv2d(f, 2 * f, 3, 2, 1), nn.InstanceNorm2d(2 * f), nn.ReLU(),
            nn.Conv2d(2 * f, 4 * f, 3, 2, 1), nn.InstanceNorm2d(4 * f), nn.ReLU(),
            *(_Residual(4 * f) for _ in range(self.blocks)),
            nn.ConvTranspose2d(4 * f, 2 * f, 3, 2, 1, 1), nn.InstanceNorm2d(2 * f), nn.ReLU(),
            nn.ConvTranspose2d(2 * f, f, 3, 2, 1, 1), nn.InstanceNorm2d(f), nn.ReLU(),
            nn.ReflectionPad2d(3), nn.Conv2d(f, 1, 7), nn.Tanh(),
        ).apply(_drawn)  # fmt: skip


@dataclass(frozen=True)
class PatchGan:
    """A discriminator that judges every patch of 70 x 70 pixels by itself. Isola 2017; MONAI's."""

    filters: int = 64

    def build(self) -> nn.Module:
        """C64-C128-C256-C512 and one number a patch: large where the patch is thought real."""
        from monai.networks.nets.patchgan_discriminator import PatchDiscriminator

        return nn.Sequential(PatchDiscriminator(2, self.filters, 1, norm="INSTANCE"), _Last()).apply(_drawn)


def thought(answers: Float[Tensor, "b 1 r c"], real: bool) -> Float[Tensor, ""]:
    """How far a discriminator's answers are from thinking pictures real, or made: least squares, Mao 2017."""
    return (answers - float(real)).square().mean()


def distance(one: Pictures, other: Pictures) -> Float[Tensor, ""]:
    """L1, of cycles and identities."""
    return (one - other).abs().mean()


class ImagePool:
    """The last pictures made, so that a discriminator does not forget how they looked. Shrivastava 2017."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.pictures: list[Tensor] = []

    def exchanged(self, made: Pictures, rng: torch.Generator) -> Pictures:
        """For each picture itself, or in half of the cases when the pool is full an older one whose place it takes."""
        given = []
        for one in made.detach():
            if len(self.pictures) < self.most:
                self.pictures.append(one)
            elif self.most and torch.rand((), generator=rng).item() < 0.5:
                at = int(torch.randint(self.most, (), generator=rng))
                self.pictures[at], one = one, self.pictures[at]
            given.append(one)
        return torch.stack(given)


@dataclass(frozen=True, eq=False)
class Translated(Display):
    """Transmission shown as an ordinary radiograph, and then as a translator thinks that real ones look."""

    generator: Callable[[Pictures], Pictures]
    """A trained generator, or anything else that keeps a picture's size."""

    def show(self, pictures: Pictures, field: Bool[Tensor, "b 1 v u"], rng: torch.Generator) -> Pictures:
        """The pictures, 0...1."""
        shown = ORDINARY.show(pictures, field, rng)
        with torch.inference_mode():
            made = self.generator(2 * shown - 1)
        return ((made + 1) / 2).clamp(0, 1)


def shown_by(display: Display, appearance: Appearance) -> Appearance:
    """The same looks, but for how transmission is shown. What comes before and after stays as it is."""
    return Appearance(tuple(display if _shows(effect) else effect for effect in appearance.effects))


def _shows(effect: Effect) -> bool:
    if isinstance(effect, (Some, Maybe)):
        return all(_shows(one) for one in effect.effects)
    return isinstance(effect, Display)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.added = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels), nn.ReLU(),
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels),
        )  # fmt: skip

    def forward(self, features: Tensor) -> Tensor:
        return features + self.added(features)


class _Last(nn.Module):
    """MONAI's discriminator gives the features of all its layers; the last are its answers."""

    def forward(self, layers: list[Tensor]) -> Tensor:
        return layers[-1]


def _drawn(module: nn.Module) -> None:
    """Weights from N(0, 0.02), as Zhu 2017."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
