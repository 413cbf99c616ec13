"""The X-ray generator's first half: an autoencoder of pictures and masks, learned on pieces of X-rays."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from skiagraph.factory.chance import choice, generator_for
from skiagraph.generate.xray_coder import XrayCoder, XrayCoderNetwork, apart, stacked
from skiagraph.train.album import Album
from skiagraph.train.coding import there_and_back
from skiagraph.train.course import Course, device, precision
from skiagraph.train.loop import descend


@dataclass(frozen=True)
class XrayCoderRegimen:
    """How the autoencoder is trained."""

    coder: XrayCoder
    piece: int = 128
    """Pixels along an axis of what is learned at once."""
    batch: int = 8
    rate: float = 1e-3
    steps: int = 3000
    edges: float = 0.5
    """Of the difference between the steps from pixel to pixel, along both axes."""
    masks: float = 1.0
    """Of the cross-entropy of the masks."""
    spread: float = 1e-6
    """Of the Kullback-Leibler divergence of the latents from a normal distribution. Rombach 2022."""


class XrayCoderCourse(Course):
    """The autoencoder, on its way."""

    kind = "autoencoder"
    columns = ("picture", "edges", "masks", "spread", "validation_grey", "validation_psnr", "validation_dice")

    def __init__(self, regimen: XrayCoderRegimen, train: Album, held: Album, seed: int) -> None:
        torch.manual_seed(seed)
        self.regimen, self.train, self.held, self.seed = regimen, train, held, seed
        self.coder = regimen.coder.build().to(device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.AdamW(self.coder.parameters(), regimen.rate, weight_decay=1e-5)

    @property
    def kept(self) -> XrayCoderNetwork:
        """The weights worth keeping."""
        return self.coder.cpu().eval()

    def leg(self) -> Iterable[Tensor]:
        """Pieces as the autoencoder sees them."""
        return _pieces(self.train, self.regimen, generator_for(self.seed, "pieces", self.step))

    def advance(self, batch: Float[Tensor, "b c v u"]) -> Float[Tensor, "4"]:
        """One step; the weighted losses of picture, edges, masks and spread."""
        regimen = self.regimen
        seen = batch.to(device()).contiguous(memory_format=torch.channels_last)
        self.coder.train()
        for group in self.optimiser.param_groups:
            group["lr"] = regimen.rate * min(1.0, (self.step + 1) / 100, 2.2 - 2.15 * self.step / regimen.steps)
        answer, divergence = there_and_back(self.coder, seen, generator_for(self.seed, "noise", self.step))
        gap = answer[:, 0] - seen[:, 0]
        losses = torch.stack(
            [
                gap.abs().mean(),
                regimen.edges * (gap.diff(dim=-1).abs().mean() + gap.diff(dim=-2).abs().mean()),
                regimen.masks * binary_cross_entropy_with_logits(answer[:, 1:], (seen[:, 1:] > 0).float()),
                regimen.spread * divergence,
            ]
        )
        descend(self.coder.parameters(), self.optimiser, losses, longest=1.0)
        return losses.detach().cpu()

    def row(self, means: Float[Tensor, "4"]) -> tuple[float, ...]:
        """The losses; of held-out X-rays the mean error and the PSNR of 0...1, and the Dice of the masks."""
        self.coder.eval()
        off, square, both, sizes = list[float](), list[float](), 0.0, 0.0
        for number in range(0, len(self.held), max(1, len(self.held) // 24)):
            chosen = slice(number, number + 1)
            picture, masks = self.held.pictures[chosen].float() / 255, self.held.masks(chosen)
            with torch.inference_mode(), precision(device()):
                mean, _ = self.coder.encode(stacked(picture, masks).to(device()))
                again, said = apart(self.coder.decode(mean).float().cpu())
            off.append(float((again - picture).abs().mean()))
            square.append(float((again - picture).square().mean()))
            both += 2 * float((said & masks).sum())
            sizes += float(said.sum() + masks.sum())
        psnr = -10 * torch.tensor(square).log10().mean()
        return (*means.tolist(), sum(off) / len(off), float(psnr), both / max(sizes, 1.0))

    def parts(self) -> Mapping[str, Any]:
        """Weights, and what the optimiser remembers."""
        return {"coder": self.coder, "optimiser": self.optimiser}


def _pieces(album: Album, regimen: XrayCoderRegimen, rng: torch.Generator) -> Iterator[Tensor]:
    """Squares cut from X-rays drawn, half of them turned left to right."""
    size = album.size[0]
    while True:
        found = []
        for _ in range(regimen.batch):
            number, v, u = choice(rng, len(album)), *(choice(rng, size - regimen.piece + 1) for _ in range(2))
            square = (..., slice(v, v + regimen.piece), slice(u, u + regimen.piece))
            one = slice(number, number + 1)
            piece = stacked(album.pictures[one][square].float() / 255, album.masks(one)[square])
            found.append(piece.flip(-1) if choice(rng, 2) else piece)
        yield torch.cat(found)
