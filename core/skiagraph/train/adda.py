"""A trained detector made used to real X-rays that nobody labelled, by a discriminator that it learns to deceive."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from skiagraph.detect.network import Answers, Network
from skiagraph.domain.adda import Discriminator, Entropy, Game, Narrow, Reconstructor, Relativistic, Strided
from skiagraph.domain.batch import Batch
from skiagraph.errors import DataError
from skiagraph.factory.chance import generator_for
from skiagraph.train.course import Course, Progress, device, follow, precision
from skiagraph.train.loop import Training, descend, losses_of, new_network, train, validate, watched
from skiagraph.train.regimen import Nesterov, Optimiser
from skiagraph.train.unlabelled import Unlabelled

HOME = "adda"
"""The adaptation's own checkpoint and curves, in the training's folder."""

Judged = Literal["predictions", "features"]
"""What the discriminator sees: what the network says, or what its trunk hands to the heads."""

Moves = Literal["encoder", "network"]
"""What of the detector is changed."""


@dataclass(frozen=True)
class Adda:
    """How a detector is adapted."""

    judged: Judged
    discriminator: Discriminator
    game: Game
    reconstructor: Reconstructor | None
    """Makes the picture again from the predictions; none where None."""
    optimiser: Optimiser
    """The detector's."""
    adversarial: float
    """Weight of deceiving the discriminator."""
    reconstruction: float = 0.0
    """Weight of the picture made again."""
    moves: Moves = "network"
    turns: tuple[int, int] = (1, 1)
    """Steps of the discriminator, then steps of the detector, and so on."""
    steps: int = 2000
    """Of either kind, in all."""
    rate: float = 1e-3
    """The discriminator's, of Adam; the preprint gives none."""
    halved: int = 500
    """Steps of its own after which the discriminator's rate is halved."""

    def __post_init__(self) -> None:
        if self.steps < 1 or min(self.turns) < 1:
            raise DataError(f"{self.steps} steps in turns of {self.turns}; give at least one of each")
        if self.reconstructor is not None and self.judged != "predictions":
            raise DataError("pictures are made again from predictions, not from features; leave the reconstructor out")

    def __call__(self, training: Training, real: Unlabelled, report: Progress) -> tuple[Network, Training]:
        """The detector, trained on synthetic pictures first and then adapted, and its training."""
        network = train(training, report)
        course = _Adapting(self, training, network, real)
        follow(course, self.steps, training.every, training.folder / HOME,
               lambda done, total, doing: report(done, total, f"adapting, {doing}"))  # fmt: skip
        return course.network.cpu(), training


ADDA_PREPRINT = Adda(
    "predictions", Strided(), Entropy(), Reconstructor(), Nesterov(2e-4, 1e-5), adversarial=0.001, reconstruction=0.01
)
"""The preprint of SyntheX, equations 5 to 7: the picture is made again from the predictions, and all of the network
moves."""

ADDA_NMI = Adda("features", Narrow(), Relativistic(), None, Nesterov(0.1, 1e-4), adversarial=0.01, turns=(20, 5))
"""The code released with SyntheX: a relativistic discriminator of the decoder's features, 20 steps of it to 5 of the
detector, nothing made again."""

ADDA = replace(ADDA_PREPRINT, moves="encoder")
"""As the preprint's, but the decoder and the heads stay as they were trained, as Tzeng 2017 keeps its classifier."""


class _Adapting(Course):
    """The detector's network, its opponent, and the optimisers of both."""

    kind = "adaptation"
    columns = ("rate", "task", "fooling", "reconstruction", "told_apart", "validation_px", "validation_median_px")

    def __init__(self, adda: Adda, training: Training, trained: Network, real: Unlabelled) -> None:
        self.adda, self.training, self.real = adda, training, real
        self.network = new_network(training)
        self.network.load_state_dict(trained.state_dict())
        torch.manual_seed(training.seed + 1)  # its opponents draw their first weights from here
        channels = len(training.landmarks) + len(training.structures)
        if adda.judged == "features":
            channels = training.regimen.trunk.features
        self.judge = adda.discriminator.build(channels).to(device())
        again = adda.reconstructor
        self.again = nn.Module() if again is None else again.build(channels).to(device())
        moving = self._moving()
        self.optimiser = adda.optimiser.of([*moving, *self.again.parameters()])
        self.judging = torch.optim.Adam(self.judge.parameters(), adda.rate, weight_decay=1e-4)
        self.moving, self.examples = moving, watched(training)

    def leg(self) -> Iterator[tuple[Batch, Tensor]]:
        """Labelled synthetic pictures, and as many real ones as a detector sees them."""
        regimen = self.training.regimen
        for step, batch in enumerate(self.training.diet.batches("train", self.training.workers, self.step), self.step):
            rng = generator_for(self.training.seed, "real", step)
            yield batch, self.real.framed(regimen.size, rng, regimen.batch)

    def advance(self, batch: tuple[Batch, Tensor]) -> Float[Tensor, "4"]:
        theirs, ours = self.adda.turns
        labelled, real = batch[0].to(device()), batch[1].to(device())
        both = torch.cat([labelled.pictures, real]).contiguous(memory_format=torch.channels_last)
        if self.step % (theirs + ours) < theirs:
            return self._judge(both, len(labelled))
        return self._deceive(both, labelled)

    def _judge(self, both: Tensor, synthetic: int) -> Float[Tensor, "4"]:
        self._mode()
        turn = sum(self.adda.turns)
        done = self.step // turn * self.adda.turns[0] + self.step % turn
        self.judging.param_groups[0]["lr"] = self.adda.rate * 0.5 ** (done // self.adda.halved)
        with torch.no_grad(), precision(both.device):
            seen = self._seen(self.network(both))
        told = self.adda.game.told(self.judge(seen[:synthetic]), self.judge(seen[synthetic:]))
        descend(self.judge.parameters(), self.judging, told[None])
        return torch.stack([*torch.full((3,), torch.nan), told.detach().cpu()])

    def _deceive(self, both: Tensor, labelled: Batch) -> Float[Tensor, "4"]:
        self._mode()
        count, adda = len(labelled), self.adda
        self.judge.requires_grad_(False)
        for group in self.optimiser.param_groups:
            group["lr"] = adda.optimiser.rate(self.step / adda.steps)
        with precision(both.device):
            answers = self.network(both)
        seen = self._seen(answers)
        task = losses_of(self.training.regimen, answers.first(count), labelled).sum()
        fooling = adda.game.fooled(self.judge(seen[:count]), self.judge(seen[count:]))
        remade = task.new_zeros(())
        if adda.reconstructor is not None:
            remade = (self.again(seen[count:]) - both[count:]).square().mean()
        losses = torch.stack([task, adda.adversarial * fooling, adda.reconstruction * remade])
        descend([*self.moving, *self.again.parameters()], self.optimiser, losses)
        self.judge.requires_grad_(True)
        return torch.cat([losses.detach().cpu(), torch.full((1,), torch.nan)])

    def row(self, means: Float[Tensor, "4"]) -> tuple[float, ...]:
        errors = validate(self.network, self.examples)
        return (
            float(self.optimiser.param_groups[0]["lr"]),
            *means.tolist(),
            float(errors.mean()),
            float(errors.median()),
        )

    def parts(self) -> Mapping[str, Any]:
        return {
            "network": self.network,
            "judge": self.judge,
            "again": self.again,
            "optimiser": self.optimiser,
            "judging": self.judging,
        }

    def _seen(self, answers: Answers) -> Float[Tensor, "b n v u"]:
        """What is judged: heatmaps over their peaks and the probabilities of masks, or the trunk's features."""
        if self.adda.judged == "features":
            return answers.features.float()
        density = self.network.landmark_loss.density(answers.heatmaps)
        peaks = density.amax(dim=(-2, -1), keepdim=True).clamp(min=1e-12)
        return torch.cat([density / peaks, answers.masks.sigmoid()], dim=1)

    def _moving(self) -> list[nn.Parameter]:
        """The weights that change; the others are told that they do not."""
        self.network.requires_grad_(self.adda.moves == "network")
        if self.adda.moves == "encoder":
            self.network.trunk.requires_grad_(True)
            for part in self._still():
                part.requires_grad_(False)
        return [one for one in self.network.parameters() if one.requires_grad]

    def _still(self) -> list[nn.Module]:
        """The trunk's parts that stay as they are."""
        return self.training.regimen.trunk.decoder(self.network.trunk) if self.adda.moves == "encoder" else []

    def _mode(self) -> None:
        """Normalisation learns statistics where weights may learn too."""
        self.network.train()
        for part in self._still():
            part.eval()
