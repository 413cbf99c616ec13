"""A detector trained further on real X-rays that readers have labelled, without forgetting the synthetic ones.

Every step sees some labelled pictures, turned, shifted, scaled and mirrored a little, and as many synthetic samples
(experience replay: Robins 1995). Statistics of batch normalisation stay as they were: a few labels would spoil them.
What is kept is the running mean of the weights. Landmarks that a label says nothing of teach nothing.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import affine_grid, binary_cross_entropy_with_logits, grid_sample
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from skiagraph.anatomy import opposites
from skiagraph.detect.bundle import read_bundle, trunk_of, write_bundle
from skiagraph.detect.detector import Detector
from skiagraph.detect.framing import Framing
from skiagraph.detect.losses import DiceAndEntropy
from skiagraph.detect.network import Network
from skiagraph.domain.appearance import STRONG
from skiagraph.errors import DataError
from skiagraph.factory.reading import SampleSet
from skiagraph.io.files import decoding, read_json, write_json, writing
from skiagraph.train.batches import Diet
from skiagraph.train.course import Progress
from skiagraph.train.loop import descend
from skiagraph.volume import Keypoints

CHECKPOINT, SPLIT = "checkpoint.pt", "split.json"
VALIDATION = 5
"""Every so many labelled pictures one is kept for validation."""
AVERAGED = 1 / 6
"""Of a training's steps: over so many the weights are averaged, the last ones most."""
KEPT = 400
"""Pictures held in memory, framed; others are read when their turn comes."""

Reader = Callable[[], Float[Tensor, "v u"]]


@dataclass(frozen=True)
class Plan:
    """How far a detector is trained further."""

    steps: int = 300
    batch: int = 6
    """Labelled pictures a step, and as many synthetic ones."""
    rate: float = 3e-4
    seed: int = 0
    every: int = 25
    """Steps between checkpoints."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """A picture with what a reader says of it."""

    name: str
    read: Reader
    """The picture, larger where bone is."""
    keypoints: Keypoints
    version: int
    """Of the label: another one begins the training anew."""


@dataclass(frozen=True, eq=False)
class _Framed:
    picture: Float[Tensor, "s s"]
    uv: Float[Tensor, "l 2"]
    visible: Bool[Tensor, "l"]
    said: Bool[Tensor, "l"]
    """Whether the label says anything of a landmark."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of it."""

    detector: Detector
    before: float
    """Mean error on the validation pictures, parts of the picture's longer side."""
    after: float
    learned: int
    """Pictures."""
    validated: int

    @property
    def better(self) -> bool:
        """Whether the new weights are worth taking over."""
        return self.after < self.before


def divided(labelled: Sequence[Labelled], path: Path) -> tuple[list[Labelled], list[Labelled]]:
    """Pictures to learn from and to validate with. What a picture was for once it is for ever: a file remembers.

    Raises DataError if there are not two.
    """
    if len(labelled) < 2:
        raise DataError(f"{len(labelled)} labelled pictures; label two or more, one of them is for validation")
    split: dict[str, str] = read_json(path)["split"] if path.is_file() else {}
    for one in sorted(labelled, key=lambda one: sha256(one.name.encode("utf-8")).hexdigest()):
        if one.name not in split:
            counts = {use: sum(known == use for known in split.values()) for use in ("train", "val")}
            split[one.name] = "val" if counts["val"] * VALIDATION <= counts["train"] and counts["train"] else "train"
    write_json(path, {"split": split})
    parts = {use: [one for one in labelled if split[one.name] == use] for use in ("train", "val")}
    if not parts["train"] or not parts["val"]:
        raise DataError("the labelled pictures are all for validation or all for learning; label more")
    return parts["train"], parts["val"]


def finetuned(
    bundle: Path,
    labelled: Sequence[Labelled],
    replay: SampleSet | None,
    folder: Path,
    plan: Plan,
    report: Progress,
) -> Outcome:
    """The detector of a bundle, trained further. `folder` keeps the split and a checkpoint, from which it goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    learn, validate = divided(labelled, folder / SPLIT)
    start = read_bundle(bundle)
    held = [_framed(one, start) for one in validate]
    state = _State.of(start, plan)
    stamp = _stamp(bundle, learn, plan)
    state.load(folder / CHECKPOINT, stamp)
    lesson = _Lesson(learn, start, plan)
    synthetic = _replayed(replay, start, plan, state.step) if replay is not None and state.step < plan.steps else None
    while state.step < plan.steps:
        loss = state.advance(lesson.batch(state.step), next(synthetic) if synthetic is not None else None, plan)
        report(state.step, plan.steps, f"loss {loss:.3f}")
        if state.step % plan.every == 0 or state.step == plan.steps:
            state.save(folder / CHECKPOINT, stamp)
    after = replace(start, network=state.kept)
    before = replace(start, network=read_bundle(bundle).network)
    return Outcome(after, error(before, held), error(after, held), len(learn), len(held))


def error(detector: Detector, held: Sequence["_Framed"]) -> float:
    """Mean distance of landmarks from their labels on framed pictures, parts of the picture's longer side."""
    found = []
    for one in held:
        off = (detector(one.picture).keypoints.uv - one.uv).norm(dim=-1)[one.visible]
        found += (off / detector.reading.size).tolist()
    return sum(found) / len(found) if found else math.nan


def write(outcome: Outcome, bundle: Path, folder: Path) -> list[Path]:
    """The new detector as a bundle of the same make as the one it began with."""
    return write_bundle(folder, outcome.detector, trunk_of(bundle))


def finished(folder: Path) -> None:
    """Forgets the checkpoint of a training that is over."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


class _Lesson:
    """Batches of labelled pictures, each altered a little, the same for the same step."""

    def __init__(self, labelled: Sequence[Labelled], detector: Detector, plan: Plan) -> None:
        self.labelled, self.detector, self.plan = labelled, detector, plan
        self._kept: dict[int, _Framed] = {}
        self._twins = opposites(detector.reading.landmarks)

    def batch(self, step: int) -> list[_Framed]:
        rng = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + step)
        chosen = torch.randint(len(self.labelled), (self.plan.batch,), generator=rng).tolist()
        return [self._altered(self._one(number), rng) for number in chosen]

    def _one(self, number: int) -> _Framed:
        if number not in self._kept:
            if len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[number] = _framed(self.labelled[number], self.detector)
        return self._kept[number]

    def _altered(self, one: _Framed, rng: torch.Generator) -> _Framed:
        size = self.detector.reading.size
        angle, scale, across, down, gamma, noise = (2 * torch.rand(6, generator=rng) - 1).tolist()
        mirrored = bool(torch.rand(1, generator=rng) < 0.5)
        angle, scale = math.radians(10 * angle), 1.15**scale
        turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) * scale
        shift = torch.tensor([across, down]) * 0.06 * size
        middle = (size - 1) / 2
        uv = (one.uv - middle) @ turn.T + middle + shift
        back = torch.linalg.inv(turn)
        theta = torch.cat([back, (-(back @ shift) * 2 / size)[:, None]], dim=1)
        grid = affine_grid(theta[None], [1, 1, size, size], align_corners=False)
        picture = grid_sample(one.picture[None, None], grid, align_corners=False, padding_mode="zeros")[0, 0]
        low, high = picture.min(), picture.max()
        picture = ((picture - low) / (high - low).clamp(min=1e-6)) ** (1.4**gamma)
        picture = picture + 0.03 * abs(noise) * torch.randn(picture.shape, generator=rng)
        visible, said = one.visible, one.said
        if mirrored:
            picture, uv = picture.flip(-1), torch.stack([size - 1 - uv[:, 0], uv[:, 1]], dim=-1)[self._twins]
            visible, said = visible[self._twins], said[self._twins]
        inside = ((uv >= -0.5) & (uv <= size - 0.5)).all(dim=-1)
        picture = (picture - picture.mean()) / picture.std().clamp(min=1e-6)
        return _Framed(picture, uv, visible & inside, said)


@dataclass(eq=False)
class _State:
    network: Network
    mean: AveragedModel
    optimiser: torch.optim.Optimizer
    step: int = 0

    @classmethod
    def of(cls, detector: Detector, plan: Plan) -> "_State":
        decay = max(0.0, 1 - 1 / (AVERAGED * plan.steps))
        mean = AveragedModel(detector.network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
        optimiser = torch.optim.AdamW(detector.network.parameters(), plan.rate, weight_decay=1e-4)
        return cls(detector.network, mean, optimiser)

    @property
    def kept(self) -> Network:
        """The weights worth keeping."""
        return self.mean.module.eval()  # type: ignore[return-value]

    def advance(self, real: list[_Framed], synthetic: Any, plan: Plan) -> float:
        self.network.train()
        for part in self.network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
        for group in self.optimiser.param_groups:
            group["lr"] = plan.rate * (0.05 + 0.95 * (1 + math.cos(math.pi * self.step / plan.steps)) / 2)
        uv, visible, said = (torch.stack([getattr(one, part) for one in real]) for part in ("uv", "visible", "said"))
        answers = self.network(torch.stack([one.picture for one in real])[:, None])
        loss = self.network.landmark_loss(answers.heatmaps, uv, visible & said)
        odds = binary_cross_entropy_with_logits(answers.visible, visible.float(), reduction="none")
        loss = loss + 0.05 * (odds * said).sum() / said.sum().clamp(min=1)
        if synthetic is not None:
            answers = self.network(synthetic.pictures)
            loss = loss + self.network.landmark_loss(answers.heatmaps, synthetic.uv, synthetic.visible)
            loss = loss + 0.05 * binary_cross_entropy_with_logits(answers.visible, synthetic.visible.float())
            loss = loss + 0.5 * DiceAndEntropy()(answers.masks, synthetic.masks)
        descend(self.network.parameters(), self.optimiser, loss[None])
        self.mean.update_parameters(self.network)
        self.step += 1
        return float(loss.detach())

    def save(self, path: Path, stamp: str) -> None:
        content = {
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "of": stamp,
        }
        with writing(path) as part:
            torch.save(content, part)

    def load(self, path: Path, stamp: str) -> None:
        """Goes on from a checkpoint of the same training; another's is left alone."""
        if not path.is_file():
            return
        with decoding(path, "a checkpoint of a training"):
            content = torch.load(path, weights_only=True, map_location="cpu")
        if content["of"] != stamp:
            return
        self.network.load_state_dict(content["network"])
        self.mean.load_state_dict(content["mean"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.step = int(content["step"])


def _framed(one: Labelled, detector: Detector) -> _Framed:
    """A labelled picture on the detector's square, its landmarks as the detector lists them."""
    picture = one.read()
    framing = Framing((picture.shape[0], picture.shape[1]), detector.reading.size)
    names = detector.reading.landmarks
    uv = torch.zeros(len(names), 2, dtype=torch.float64)
    visible, said = torch.zeros(len(names), dtype=torch.bool), torch.zeros(len(names), dtype=torch.bool)
    for name, at, seen in zip(one.keypoints.names, one.keypoints.uv, one.keypoints.visible.tolist()):
        if name in names:
            place = names.index(name)
            said[place], visible[place] = True, seen
            if seen:
                uv[place] = framing.onto(at)
    return _Framed(framing.framed(picture.float()), uv.float(), visible, said)


def _replayed(replay: SampleSet, detector: Detector, plan: Plan, step: int) -> Any:
    reading = detector.reading
    if (replay.landmarks, replay.structures) != (reading.landmarks, reading.structures):
        raise DataError("the replayed set labels other things than the detector finds; make it with the same preset")
    diet = Diet((replay,), reading.size, plan.batch, STRONG, plan.seed)
    return iter(diet.batches("train", 0, step))


def _stamp(bundle: Path, learn: Sequence[Labelled], plan: Plan) -> str:
    """What makes two trainings the same."""
    what = [str(bundle), sorted((one.name, one.version) for one in learn), asdict(plan)]
    return sha256(json.dumps(what).encode("utf-8")).hexdigest()
