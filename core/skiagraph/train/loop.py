"""The training loop: steps, a running mean of the weights, validation, curves, and going on after being killed."""

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from skiagraph.detect.detector import REFINING
from skiagraph.detect.heatmaps import centred
from skiagraph.detect.network import Network
from skiagraph.domain.appearance import Appearance
from skiagraph.domain.batch import Batch
from skiagraph.errors import DataError, ModelError
from skiagraph.factory.reading import SampleSet
from skiagraph.io.files import decoding, writing
from skiagraph.train.batches import Diet
from skiagraph.train.regimen import Regimen

CHECKPOINT, CURVES = "checkpoint.pt", "curves.csv"
COLUMNS = ("step", "seconds", "rate", "loss", "landmarks", "visible", "masks", "validation_px", "validation_median_px")

Progress = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, what is being done)."""


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
    """Weights to begin with instead of drawn ones: a checkpoint of the same network."""

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
    state = _State.new(training)
    regimen = training.regimen
    path = training.folder / CHECKPOINT
    if path.exists():
        state.load(path)
    elif training.start is not None:
        state.begin_with(training.start)
    if state.step >= regimen.steps:
        return state.kept.cpu()
    examples = held_out(training, regimen.plain)
    batches = iter(training.diet.batches("train", training.workers, state.step))
    began, parts = time.perf_counter(), list[Tensor]()
    while state.step < regimen.steps:
        parts.append(state.advance(next(batches), regimen))
        report(state.step, regimen.steps, f"loss {float(parts[-1].sum()):.3f}")
        if state.step % training.every == 0 or state.step == regimen.steps:
            errors = validate(state.kept, examples)
            state.save(path)
            means = torch.stack(parts).mean(dim=0)
            row = (
                state.step, round(time.perf_counter() - began, 1), state.rate, float(means.sum()), *means.tolist(),
                float(errors.mean()), float(errors.median()),
            )  # fmt: skip
            _note(training.folder / CURVES, row)
            parts = []
    return state.kept.cpu()


def held_out(training: Training, appearance: Appearance) -> list[Batch]:
    """Samples of the `val` split, always the same, with looks drawn or none."""
    diet = replace(training.diet, appearance=appearance, batch=10)
    return list(islice(diet.batches("val", 0), -(-training.validated // diet.batch)))


def validate(network: Network, examples: list[Batch]) -> Float[Tensor, "n"]:
    """Pixels of the network's pictures between each landmark that is there and the brightest of its heatmap."""
    network.eval()
    device = network.often.device
    found = []
    with torch.inference_mode(), _precision(device):
        for batch in (one.to(device) for one in examples):
            density = network.landmark_loss.density(network(batch.pictures).heatmaps)
            found.append((centred(density, REFINING) - batch.uv).norm(dim=-1)[batch.visible])
    return torch.cat(found).cpu()


@dataclass(eq=False)
class _State:
    """What changes while training."""

    network: Network
    mean: AveragedModel | None
    optimiser: torch.optim.Optimizer
    step: int = 0

    @classmethod
    def new(cls, training: Training) -> "_State":
        regimen = training.regimen
        torch.manual_seed(training.seed)  # networks draw their first weights from here and nowhere else
        network = Network(
            regimen.trunk, regimen.landmark_loss, regimen.size, len(training.landmarks), len(training.structures)
        ).to(_device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
        mean = AveragedModel(network, use_buffers=True)
        return cls(network, mean if regimen.average else None, regimen.optimiser.of(network.parameters()))

    @property
    def kept(self) -> Network:
        """The weights worth keeping."""
        return self.network if self.mean is None else self.mean.module  # type: ignore[return-value]

    @property
    def rate(self) -> float:
        return float(self.optimiser.param_groups[0]["lr"])

    def advance(self, batch: Batch, regimen: Regimen) -> Float[Tensor, "3"]:
        """One step; the weighted losses of landmarks, visibility and masks."""
        self.network.train()
        batch = batch.to(self.network.often.device)
        for group in self.optimiser.param_groups:
            group["lr"] = regimen.optimiser.rate(self.step / regimen.steps)
        with _precision(batch.pictures.device):
            answers = self.network(batch.pictures.contiguous(memory_format=torch.channels_last))
        losses = torch.stack(
            [
                regimen.landmark_weight * regimen.landmark_loss(answers.heatmaps, batch.uv, batch.visible),
                regimen.visible_weight * binary_cross_entropy_with_logits(answers.visible, batch.visible.float()),
                regimen.mask_weight * regimen.mask_loss(answers.masks, batch.masks),
            ]
        )
        if not bool(torch.isfinite(losses).all()):
            raise ModelError(f"the loss became {losses.tolist()} at step {self.step}; train with a lower rate")
        self.optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        if self.mean is not None:
            # A young mean follows faster, else it would long remember the weights that were drawn.
            young = min(regimen.average, (1 + self.step) / (10 + self.step))
            self.mean.multi_avg_fn = get_ema_multi_avg_fn(young)
            self.mean.update_parameters(self.network)
        return losses.detach().cpu()

    def save(self, path: Path) -> None:
        parts = {"network": self.network, "mean": self.mean, "optimiser": self.optimiser}
        content = {name: None if part is None else part.state_dict() for name, part in parts.items()}
        with writing(path) as part:
            torch.save({**content, "step": self.step}, part)

    def load(self, path: Path) -> None:
        content = _read(path)
        try:
            self.network.load_state_dict(content["network"])
            if self.mean is not None:
                self.mean.load_state_dict(content["mean"])
        except (RuntimeError, AttributeError) as error:
            raise ModelError(f"{path} is of another network; give another folder or the same regimen") from error
        self.optimiser.load_state_dict(content["optimiser"])
        self.step = int(content["step"])

    def begin_with(self, path: Path) -> None:
        content = _read(path)
        try:
            self.network.load_state_dict(content["network"])
        except RuntimeError as error:
            raise ModelError(f"{path} is of another network; give a checkpoint of the same trunk") from error
        if self.mean is not None:
            self.mean.module.load_state_dict(self.network.state_dict())


def _read(path: Path) -> dict[str, Any]:
    with decoding(path, "a checkpoint of `skiagraph train-detector`"):
        return dict(torch.load(path, weights_only=True, map_location="cpu"))


def _note(path: Path, row: tuple[float, ...]) -> None:
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        if new:
            rows.writerow(COLUMNS)
        rows.writerow([f"{value:.6g}" for value in row])


def _device() -> torch.device:
    """The first GPU, or the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _precision(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU and where the processor multiplies in it; elsewhere it would only be slower."""
    quick = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=quick)
