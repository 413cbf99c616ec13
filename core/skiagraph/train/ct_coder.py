"""The CT generator's first half: an autoencoder of intensity and labels, learned on blocks of bodies."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import cross_entropy

from skiagraph.anatomy import STRUCTURE_NAMES, opposites
from skiagraph.factory.chance import choice, generator_for, uniform
from skiagraph.generate.autoencoder import Coder, apart, stacked
from skiagraph.generate.frame import AIR
from skiagraph.generate.intensity import from_hu, to_hu
from skiagraph.train.coding import there_and_back
from skiagraph.train.course import Course, device
from skiagraph.train.loop import descend
from skiagraph.train.shelf import Shelf

BONE_HU = 150.0
OTHER_SIDE = torch.tensor([0, *(1 + other for other in opposites(STRUCTURE_NAMES))], dtype=torch.uint8)
"""The number of each structure in a mirror."""


@dataclass(frozen=True)
class CoderRegimen:
    """How the autoencoder is trained."""

    coder: Coder
    block: int = 64
    """Voxels along an axis of what is learned at once."""
    batch: int = 1
    rate: float = 3e-4
    """More, and the decoder settles on a constant that no gradient leads out of: seen with 1e-3."""
    steps: int = 2500
    near_bone: float = 0.7
    """The share of blocks whose middle is a labelled voxel."""
    bone: float = 4.0
    """How much more than elsewhere intensity counts in bone."""
    labels: float = 0.3
    """Of the cross-entropy of the classes."""
    shadow: float = 0.5
    """Of the difference of the shadows along the three axes: X-rays are what the bodies are for."""
    spread: float = 1e-6
    """Of the Kullback-Leibler divergence of the latents from a normal distribution. Rombach 2022."""


def mirrored(index: UInt8[Tensor, "*b k j i"]) -> UInt8[Tensor, "*b k j i"]:
    """Labels seen in a mirror: left is right."""
    return OTHER_SIDE[index.flip(-1).long()]


class CoderCourse(Course):
    """The autoencoder, on its way."""

    kind = "autoencoder"
    columns = ("intensity", "labels", "shadow", "spread", "validation_hu", "validation_bone_hu", "validation_dice")

    def __init__(self, regimen: CoderRegimen, shelf: Shelf, train: list[str], held: list[str], seed: int) -> None:
        torch.manual_seed(seed)
        self.regimen, self.shelf, self.train, self.held, self.seed = regimen, shelf, train, held, seed
        self.coder = regimen.coder.build().to(device())
        self.optimiser = torch.optim.AdamW(self.coder.parameters(), regimen.rate, weight_decay=1e-5)

    def leg(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Blocks of HU and of structures."""
        return _Blocks(self, generator_for(self.seed, "blocks", self.step))

    def advance(self, batch: tuple[Tensor, Tensor]) -> Float[Tensor, "4"]:
        """One step; the weighted losses of intensity, labels, shadows and spread."""
        regimen = self.regimen
        hu, index = (one.to(device()) for one in batch)
        self.coder.train()
        for group in self.optimiser.param_groups:
            group["lr"] = regimen.rate * min(1.0, (self.step + 1) / 100, 2.2 - 2 * self.step / regimen.steps)
        answer, divergence = there_and_back(
            self.coder, stacked(hu, index), generator_for(self.seed, "noise", self.step)
        )
        weight = 1 + (regimen.bone - 1) * (hu > BONE_HU)
        losses = torch.stack(
            [
                ((answer[:, 0] - from_hu(hu)).abs() * weight).mean(),
                regimen.labels * cross_entropy(answer[:, 1:], index.long()),
                regimen.shadow * _shadow_gap(to_hu(answer[:, 0]), hu),
                regimen.spread * divergence,
            ]
        )
        descend(self.coder.parameters(), self.optimiser, losses, longest=1.0)
        return losses.detach().cpu()

    def row(self, means: Float[Tensor, "4"]) -> tuple[float, ...]:
        """The losses; of held-out bodies' blocks the mean error in HU, all over and in bone, and the Dice of bones."""
        self.coder.eval()
        off, off_bone, both, sizes = [], [], torch.zeros(()), torch.zeros(())
        for hu, index in _Blocks(self, generator_for(self.seed, "held"), self.held).some(8):
            with torch.inference_mode():
                mean, _ = self.coder.encode(stacked(hu, index).to(device()))
                again, said = apart(self.coder.decode(mean).float().cpu())
            gap = (again - hu).abs()
            off.append(gap.mean())
            off_bone.append(gap[hu > BONE_HU].mean())
            both += 2 * ((said == index) & (index > 0)).sum()
            sizes += (said > 0).sum() + (index > 0).sum()
        bone = torch.stack(off_bone).nanmean()
        return (*means.tolist(), float(torch.stack(off).mean()), float(bone), float(both / sizes))

    def parts(self) -> Mapping[str, Any]:
        """Weights, and what the optimiser remembers."""
        return {"coder": self.coder, "optimiser": self.optimiser}


class _Blocks:
    """Blocks of bodies, in an order and from places drawn, half of them mirrored."""

    def __init__(self, course: CoderCourse, rng: torch.Generator, names: list[str] | None = None) -> None:
        self.course, self.rng, self.names = course, rng, names or course.train

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            parts = [self._block() for _ in range(self.course.regimen.batch)]
            yield torch.stack([hu for hu, _ in parts]), torch.stack([index for _, index in parts])

    def some(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        for _, batch in zip(range(count), self):
            yield batch

    def _block(self) -> tuple[Tensor, Tensor]:
        regimen, rng = self.course.regimen, self.rng
        body = self.course.shelf.read(self.names[choice(rng, len(self.names))]).body
        hu, index = body.hu, body.index
        if uniform(rng, 0, 1) < 0.5:
            hu, index = hu.flip(-1), mirrored(index)
        places = index.nonzero()
        if uniform(rng, 0, 1) < regimen.near_bone and len(places):
            middle = places[choice(rng, len(places))].tolist()
        else:
            middle = [choice(rng, n) for n in hu.shape]
        at = [max(0, min(m - regimen.block // 2, n - regimen.block)) for m, n in zip(middle, hu.shape)]
        block = tuple(slice(start, start + regimen.block) for start in at)
        return hu[block], index[block]


def _shadow_gap(ours: Float[Tensor, "b k j i"], theirs: Float[Tensor, "b k j i"]) -> Float[Tensor, ""]:
    """The mean difference of parallel shadows along the axes, in units of a block of water."""
    gap = (ours - theirs).clamp(min=AIR) / 1000
    return torch.stack([gap.mean(dim=axis).abs().mean() for axis in (1, 2, 3)]).mean()
