"""A translator of pictures learned from unpaired ones, and a detector trained on what it makes. Zhu 2017."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from skiagraph.detect.network import Network
from skiagraph.domain.appearance import ORDINARY, Appearance
from skiagraph.domain.cyclegan import (
    ImagePool,
    PatchGan,
    ResNetGenerator,
    Translated,
    distance,
    shown_by,
    thought,
)
from skiagraph.errors import DataError, ModelError
from skiagraph.factory.chance import generator_for
from skiagraph.train.course import CHECKPOINT, Course, Progress, device, follow
from skiagraph.train.loop import Training, descend, train
from skiagraph.train.unlabelled import Unlabelled, pieces

HOME = "cyclegan"
"""The translator's own checkpoint and curves, in the training's folder."""


@dataclass(frozen=True)
class CycleGan:
    """How a translator is learned. The defaults are Zhu 2017's, 7.2 and 7.3."""

    generator: ResNetGenerator
    discriminator: PatchGan
    steps: int
    """The last half of them at a falling rate."""
    piece: int
    """Rows and columns of the squares that it learns from, cut from pictures of the detector's size."""
    batch: int = 1
    cycle: float = 10.0
    """Weight of a picture coming back as it was; SyntheX does not give its own."""
    identity: float = 5.0
    """Weight of a picture of the wanted domain staying as it is; 0 leaves that out, as SyntheX's equation 3 does."""
    pool: int = 50
    rate: float = 2e-4

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.piece < 32 or self.piece % 4:
            raise DataError(
                f"{self.steps} steps of {self.batch} pieces of {self.piece} pixels; give at least 1, 1 and 32, the "
                "pixels by the four"
            )

    def __call__(self, training: Training, real: Unlabelled, report: Progress) -> tuple[Network, Training]:
        """The detector trained on translated pictures, and its training with the looks that they then had."""
        home = training.folder / HOME
        if (training.folder / CHECKPOINT).exists() and not (home / CHECKPOINT).exists():
            raise DataError(f"{training.folder} holds a detector of untranslated pictures; give another folder")
        course = _Translating(self, training, real)
        follow(course, self.steps, training.every, home,
               lambda done, total, doing: report(done, total, f"translator, {doing}"))  # fmt: skip
        seen = Translated(course.to_real.cpu().eval())
        regimen = training.regimen
        looks, plain = shown_by(seen, regimen.appearance), shown_by(seen, regimen.plain)
        training = replace(training, regimen=replace(regimen, appearance=looks, plain=plain))
        return train(training, report), training


CYCLEGAN_ZHU = CycleGan(ResNetGenerator(9, 64), PatchGan(64), steps=200_000, piece=256)
"""Of the paper's size, 200 epochs of a thousand pictures: for a GPU."""

CYCLEGAN = CycleGan(ResNetGenerator(6, 24), PatchGan(32), steps=1500, piece=96, batch=2)
"""A small one for two cores: the generator for small pictures, with fewer filters."""


class _Translating(Course):
    """Two generators, two discriminators, their optimisers, and the last pictures made."""

    columns = ("rate", "fooling", "cycle", "identity", "told_apart")

    def __init__(self, gan: CycleGan, training: Training, real: Unlabelled) -> None:
        self.gan, self.training, self.real = gan, training, real
        torch.manual_seed(training.seed)  # networks draw their first weights from here and nowhere else
        self.to_real, self.to_made = (gan.generator.build().to(device()) for _ in range(2))
        self.judges = nn.ModuleList(gan.discriminator.build() for _ in range(2)).to(device())
        self.pools = (ImagePool(gan.pool), ImagePool(gan.pool))
        self.makers = nn.ModuleList([self.to_real, self.to_made])
        self.optimisers = [
            torch.optim.Adam(part.parameters(), gan.rate, betas=(0.5, 0.999)) for part in (self.makers, self.judges)
        ]

    def leg(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pieces of synthetic and of real pictures, -1 to 1."""
        diet = replace(self.training.diet, batch=self.gan.batch, appearance=Appearance((ORDINARY,)))
        synthetic: Iterable[Any] = diet.batches("train", self.training.workers, self.step)
        for step, batch in enumerate(synthetic, start=self.step):
            rng = generator_for(self.training.seed, "piece", step)
            made = pieces(batch.pictures, self.gan.piece, rng)
            yield 2 * made - 1, 2 * self.real.pieces(self.gan.piece, rng, self.gan.batch) - 1

    def advance(self, batch: tuple[Tensor, Tensor]) -> Float[Tensor, "4"]:
        made, real = (one.to(device()) for one in batch)
        share = self.step / self.gan.steps
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = self.gan.rate * min(1.0, 2 * (1 - share))
        self.judges.requires_grad_(False)
        as_real, as_made = self.to_real(made), self.to_made(real)
        cycle = distance(self.to_made(as_real), made) + distance(self.to_real(as_made), real)
        fooling = thought(self.judges[0](as_real), True) + thought(self.judges[1](as_made), True)
        same = self._same(made, real) if self.gan.identity else cycle.new_zeros(())
        losses = torch.stack([fooling, self.gan.cycle * cycle, self.gan.identity * same])
        descend(self.makers.parameters(), self.optimisers[0], losses)
        self.judges.requires_grad_(True)
        rng = generator_for(self.training.seed, "pool", self.step)
        told = [
            (thought(judge(true), True) + thought(judge(pool.exchanged(false, rng)), False)) / 2
            for judge, pool, true, false in zip(self.judges, self.pools, (real, made), (as_real, as_made))
        ]
        descend(self.judges.parameters(), self.optimisers[1], torch.stack(told))
        return torch.cat([losses.detach(), torch.stack(told).detach().sum()[None]]).cpu()

    def row(self, means: Float[Tensor, "4"]) -> tuple[float, ...]:
        return float(self.optimisers[0].param_groups[0]["lr"]), *means.tolist()

    def content(self) -> dict[str, Any]:
        return {
            "makers": self.makers.state_dict(),
            "judges": self.judges.state_dict(),
            "optimisers": [one.state_dict() for one in self.optimisers],
            "pools": [pool.pictures for pool in self.pools],
        }

    def take(self, content: Mapping[str, Any], path: Path) -> None:
        try:
            self.makers.load_state_dict(content["makers"])
            self.judges.load_state_dict(content["judges"])
        except (RuntimeError, KeyError) as error:
            raise ModelError(f"{path} is of another translator; give another folder or the same one") from error
        for optimiser, state in zip(self.optimisers, content["optimisers"]):
            optimiser.load_state_dict(state)
        for pool, pictures in zip(self.pools, content["pools"]):
            pool.pictures = [one.to(device()) for one in pictures]

    def _same(self, made: Tensor, real: Tensor) -> Float[Tensor, ""]:
        return distance(self.to_real(real), real) + distance(self.to_made(made), made)
