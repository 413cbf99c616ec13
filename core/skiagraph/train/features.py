"""Picture features learned without labels: two looks at a piece are to be alike, different pieces are not.

VICReg: Bardes, Ponce & LeCun 2022, sections 4.1 and 4.2.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, relu

from skiagraph.domain.features import SIDE, FeatureNetwork, Features
from skiagraph.factory.chance import generator_for
from skiagraph.train.course import Course, device, precision
from skiagraph.train.loop import descend


@dataclass(frozen=True)
class FeatureRegimen:
    """How features are learned."""

    features: Features = field(default_factory=Features)
    expander: int = 512
    """Width of what the losses look at; thrown away afterwards."""
    batch: int = 128
    rate: float = 1e-3
    steps: int = 1500
    alike: float = 25.0
    apart: float = 25.0
    unlike: float = 1.0
    """Weights of invariance, variance and covariance, as published."""


class FeatureCourse(Course):
    """The features, on their way."""

    kind = "feature network"
    columns = ("alike", "apart", "unlike")

    def __init__(self, regimen: FeatureRegimen, pieces: UInt8[Tensor, "n p p"], seed: int) -> None:
        torch.manual_seed(seed)
        self.regimen, self.pieces, self.seed = regimen, pieces, seed
        self.network: FeatureNetwork = regimen.features.build().to(device())
        width = regimen.features.channels[-1]
        self.expander = nn.Sequential(
            nn.Linear(width, regimen.expander), nn.BatchNorm1d(regimen.expander), nn.ReLU(),
            nn.Linear(regimen.expander, regimen.expander),
        ).to(device())  # fmt: skip
        self.optimiser = torch.optim.AdamW([*self.network.parameters(), *self.expander.parameters()], regimen.rate)

    def leg(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Two looks at each of some pieces."""
        return self._looks(generator_for(self.seed, "looks", self.step))

    def advance(self, batch: tuple[Tensor, Tensor]) -> Float[Tensor, "3"]:
        """One step; the three weighted losses."""
        regimen = self.regimen
        self.network.train()
        for group in self.optimiser.param_groups:
            group["lr"] = regimen.rate * min(1.0, (self.step + 1) / 100, 1.02 - self.step / regimen.steps)
        one, other = (look.to(device()) for look in batch)
        with precision(one.device):
            x, y = self.expander(self.network(torch.cat([one, other]))).float().chunk(2)
        losses = torch.stack(
            [
                regimen.alike * (x - y).square().mean(),
                regimen.apart * (_closeness(x) + _closeness(y)) / 2,
                regimen.unlike * (_redundancy(x) + _redundancy(y)),
            ]
        )
        descend([*self.network.parameters(), *self.expander.parameters()], self.optimiser, losses, longest=5.0)
        return losses.detach().cpu()

    def row(self, means: Float[Tensor, "3"]) -> tuple[float, ...]:
        """The losses."""
        return tuple(means.tolist())

    def parts(self) -> Mapping[str, Any]:
        """Weights, and what the optimiser remembers."""
        return {"network": self.network, "expander": self.expander, "optimiser": self.optimiser}

    def _looks(self, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            chosen = torch.randint(len(self.pieces), (self.regimen.batch,), generator=rng)
            pieces = self.pieces[chosen][:, None].float() / 255
            yield look(pieces, rng), look(pieces, rng)


def look(pieces: Float[Tensor, "b 1 p p"], rng: torch.Generator) -> Float[Tensor, "b 1 s s"]:
    """Each piece turned, cut, mirrored, its curve of grey bent, and with a little noise."""
    count = len(pieces)

    def drawn(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=rng)

    turn, scale = drawn(-0.2, 0.2), drawn(0.55, 0.9)
    mirror = torch.where(drawn(0, 1) < 0.5, -1.0, 1.0)
    cos, sin = turn.cos() * scale, turn.sin() * scale
    aside, along = (1 - scale) * drawn(-1, 1), (1 - scale) * drawn(-1, 1)
    rows = torch.stack([cos * mirror, -sin, aside, sin * mirror, cos, along], dim=1).reshape(-1, 2, 3)
    seen = grid_sample(pieces, affine_grid(rows, [count, 1, SIDE, SIDE], False), padding_mode="reflection",
                       align_corners=False)  # fmt: skip
    bent = seen.clamp(0, 1) ** drawn(-0.5, 0.5).exp()[:, None, None, None]
    return bent + drawn(0, 0.04)[:, None, None, None] * torch.randn(bent.shape, generator=rng)


def _closeness(x: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """How far the deviation of a number over pieces falls short of 1: equation 1."""
    return relu(1 - (x.var(dim=0) + 1e-4).sqrt()).mean()


def _redundancy(x: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """How much numbers say the same: equation 3."""
    off = x - x.mean(dim=0)
    covariance = off.T @ off / (len(x) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / x.shape[1]
