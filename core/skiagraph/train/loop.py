"""A detector's training: steps, a running mean of the weights, validation, and going on after being killed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from skiagraph.detect.bundle import read_bundle
from skiagraph.detect.detector import REFINING
from skiagraph.detect.heatmaps import centred
from skiagraph.detect.network import Answers, Network
from skiagraph.domain.appearance import Appearance
from skiagraph.domain.batch import Batch
from skiagraph.errors import DataError, ModelError
from skiagraph.factory.reading import SampleSet
from skiagraph.train.batches import Diet
from skiagraph.train.course import CHECKPOINT, Course, Progress, device, follow, precision, read_checkpoint
from skiagraph.train.regimen import Regimen
from skiagraph.train.together import average_gradients


@dataclass(frozen=True)
class Training:
    """A regimen, what it is fed, and where it leaves its traces."""

    regimen: Regimen
    sets: tuple[SampleSet, ...]
    folder: Path
    seed: int = 0
    workers: int = 1
    every: int = 250
    """Steps between checkpoints, each with a validation."""
    validated: int = 120
    """Samples of the `val` split, as they are, that a validation looks at."""
    start: Path | None = None
    """Weights to begin with instead of drawn ones: a checkpoint of the same network, or a detector's bundle, of which
    the trunk is taken if it finds other things."""

    def __post_init__(self) -> None:
        kinds = {(one.landmarks, one.structures) for one in self.sets}
        if len(kinds) != 1:
            raise DataError(f"{len(kinds)} kinds of sets; give sets that label the same landmarks and structures")

    @property
    def landmarks(self) -> tuple[str, ...]:
        """What is looked for."""
        return self.sets[0].landmarks

    @property
    def structures(self) -> tuple[str, ...]:
        """What is outlined."""
        return self.sets[0].structures

    @property
    def diet(self) -> Diet:
        """Its pictures while training."""
        return Diet(self.sets, self.regimen.size, self.regimen.batch, self.regimen.appearance, self.seed)


def train(training: Training, report: Progress) -> Network:
    """The trained network: the running mean of its weights if the regimen keeps one. Goes on from a checkpoint."""
    course = _Learning(training)
    if training.start is not None and not (training.folder / CHECKPOINT).exists():
        course.begin_with(training.start)
    follow(course, training.regimen.steps, training.every, training.folder, report)
    return course.kept.cpu()


def new_network(training: Training) -> Network:
    """The regimen's network with weights drawn by the seed."""
    regimen = training.regimen
    torch.manual_seed(training.seed)  # networks draw their first weights from here and nowhere else
    return Network(
        regimen.trunk, regimen.landmark_loss, regimen.size, len(training.landmarks), len(training.structures)
    ).to(device(), memory_format=torch.channels_last)  # type: ignore[call-overload]


def held_out(training: Training, appearance: Appearance) -> list[Batch]:
    """Samples of the `val` split, always the same, with looks drawn or none. Raises DataError if there are none."""
    if not any(one.count("val") for one in training.sets):
        raise DataError("no body is held out for validation; give a set of ten bodies or more")
    diet = replace(training.diet, appearance=appearance, batch=10)
    return list(islice(diet.batches("val", 0), -(-training.validated // diet.batch)))


def watched(training: Training) -> list[Batch]:
    """What a validation looks at: samples of the `val` split as they are, none of them twice."""
    there = sum(one.count("val") for one in training.sets)
    return held_out(replace(training, validated=min(training.validated, there)), training.regimen.plain)


def validate(network: Network, examples: list[Batch]) -> Float[Tensor, "n"]:
    """Pixels of the network's pictures between each landmark that is there and the brightest of its heatmap."""
    network.eval()
    here = network.often.device
    found = []
    with torch.inference_mode(), precision(here):
        for batch in (one.to(here) for one in examples):
            density = network.landmark_loss.density(network(batch.pictures).heatmaps)
            found.append((centred(density, REFINING) - batch.uv).norm(dim=-1)[batch.visible])
    return torch.cat(found).cpu()


def losses_of(regimen: Regimen, answers: Answers, batch: Batch) -> Float[Tensor, "3"]:
    """The weighted losses of landmarks, visibility and masks; nothing for landmarks where none are looked for."""
    masks = regimen.mask_weight * regimen.mask_loss(answers.masks, batch.masks)
    if batch.uv.shape[1] == 0:
        return torch.stack([masks.new_zeros(()), masks.new_zeros(()), masks])
    return torch.stack(
        [
            regimen.landmark_weight * regimen.landmark_loss(answers.heatmaps, batch.uv, batch.visible),
            regimen.visible_weight * binary_cross_entropy_with_logits(answers.visible, batch.visible.float()),
            masks,
        ]
    )


def descend(
    parameters: Iterable[nn.Parameter],
    optimiser: torch.optim.Optimizer,
    losses: Float[Tensor, "n"],
    longest: float = 5.0,
) -> None:
    """One step down the sum of some losses, its gradient no longer than `longest`. Raises ModelError if not finite."""
    if not bool(torch.isfinite(losses).all()):
        raise ModelError(f"the losses became {losses.tolist()}; train with a lower rate")
    optimiser.zero_grad(set_to_none=True)
    losses.sum().backward()
    parameters = list(parameters)
    average_gradients(parameters)
    nn.utils.clip_grad_norm_(parameters, longest)
    optimiser.step()


class _Learning(Course):
    """A detector's network, its running mean and its optimiser."""

    columns = ("rate", "loss", "landmarks", "visible", "masks", "validation_px", "validation_median_px")

    def __init__(self, training: Training) -> None:
        self.training = training
        self.network = new_network(training)
        mean = AveragedModel(self.network, use_buffers=True)
        self.mean = mean if training.regimen.average else None
        self.optimiser = training.regimen.optimiser.of(self.network.parameters())

    @property
    def kept(self) -> Network:
        """The weights worth keeping."""
        return self.network if self.mean is None else self.mean.module  # type: ignore[return-value]

    @cached_property
    def examples(self) -> list[Batch]:
        """What a validation looks at."""
        return watched(self.training)

    def leg(self) -> Iterable[Batch]:
        return self.training.diet.batches("train", self.training.workers, self.step)

    def advance(self, batch: Batch) -> Float[Tensor, "3"]:
        regimen = self.training.regimen
        self.network.train()
        batch = batch.to(self.network.often.device)
        for group in self.optimiser.param_groups:
            group["lr"] = regimen.optimiser.rate(self.step / regimen.steps)
        with precision(batch.pictures.device):
            answers = self.network(batch.pictures.contiguous(memory_format=torch.channels_last))
        losses = losses_of(regimen, answers, batch)
        descend(self.network.parameters(), self.optimiser, losses)
        if self.mean is not None:
            # A young mean follows faster, else it would long remember the weights that were drawn.
            young = min(regimen.average, (2 + self.step) / (11 + self.step))
            self.mean.multi_avg_fn = get_ema_multi_avg_fn(young)
            self.mean.update_parameters(self.network)
        return losses.detach().cpu()

    def row(self, means: Float[Tensor, "3"]) -> tuple[float, ...]:
        errors = validate(self.kept, self.examples)
        rate = float(self.optimiser.param_groups[0]["lr"])
        return rate, float(means.sum()), *means.tolist(), float(errors.mean()), float(errors.median())

    def content(self) -> dict[str, Any]:
        parts = {"network": self.network, "mean": self.mean, "optimiser": self.optimiser}
        return {name: None if part is None else part.state_dict() for name, part in parts.items()}

    def take(self, content: Mapping[str, Any], path: Path) -> None:
        try:
            self.network.load_state_dict(content["network"])
            if self.mean is not None:
                self.mean.load_state_dict(content["mean"])
        except (RuntimeError, AttributeError) as error:
            raise ModelError(f"{path} is of another network; give another folder or the same regimen") from error
        self.optimiser.load_state_dict(content["optimiser"])

    def begin_with(self, path: Path) -> None:
        """Weights of another training of the same network, in place of those drawn; of another task's, the trunk's."""
        try:
            if path.is_dir():
                other, wanted = read_bundle(path), (self.training.landmarks, self.training.structures)
                same = (other.reading.landmarks, other.reading.structures) == wanted
                mine, theirs = (one if same else one.trunk for one in (self.network, other.network))
                mine.load_state_dict(theirs.state_dict())
            else:
                self.network.load_state_dict(read_checkpoint(path)["network"])
        except RuntimeError as error:
            raise ModelError(
                f"{path} is of another network; give a checkpoint or a bundle of the same trunk"
            ) from error
        if self.mean is not None:
            self.mean.module.load_state_dict(self.network.state_dict())
