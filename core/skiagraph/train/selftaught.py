"""A detector taught by its own answers on real X-rays that nobody labelled.

Self-training with a student that sees harder pictures than its teacher (Lee 2013, Xie 2020). Of the teacher's points
those are kept that it is sure of, that stay where they are when the picture is mirrored, shifted and scaled, and that a
pelvis could have together: `skiagraph.detect.pose`. What is not kept teaches nothing, neither that it is there nor that
it is not.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.detect.averaged import Averaged, Consensus
from skiagraph.detect.detector import Detector, Reading
from skiagraph.detect.framing import Framing
from skiagraph.detect.network import Network
from skiagraph.detect.pose import DISAGREES, Exposure, PelvisPose, pose_of
from skiagraph.domain.appearance import TAKEN, Appearance
from skiagraph.domain.batch import Batch
from skiagraph.errors import DataError
from skiagraph.factory.chance import generator_for
from skiagraph.train.course import Course, Progress, device, follow, precision
from skiagraph.train.loop import Training, descend, losses_of, new_network, train, validate, watched
from skiagraph.train.regimen import Adam, Optimiser
from skiagraph.train.unlabelled import Unlabelled

Teacher = Callable[[Float[Tensor, "v u"]], Consensus]
"""What several looks at a picture find together."""
HOME = "selftaught"
"""The adaptation's own checkpoint and curves, in the training's folder."""


@dataclass(frozen=True)
class SelfTaught:
    """How a detector teaches itself."""

    sure: float = 0.2
    """Confidence below which a point is not kept."""
    steady: float = 0.012
    """How far a point's looks may spread, as a part of the picture's shorter side."""
    fewest: int = 8
    """Points kept below which a picture is left out."""
    looks: Appearance = TAKEN
    """Of the real pictures when the student sees them."""
    optimiser: Optimiser = field(default=Adam(5e-4))
    batch: int = 8
    """Real pictures a step, beside the regimen's synthetic ones."""
    weight: float = 0.5
    """Of their landmarks against the synthetic ones'."""
    average: float = 0.99
    """Decay a step of the running mean of the weights that is kept."""
    steps: int = 600

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise DataError(f"{self.steps} steps of {self.batch} real pictures; give at least one of each")

    def __call__(self, training: Training, real: Unlabelled, report: Progress) -> tuple[Network, Training]:
        """The detector, trained on synthetic pictures first and by itself then, and its training.

        Raises DataError if the sets label too little of a pelvis.
        """
        known = sum(name in LANDMARK_NAMES for name in training.landmarks)
        if known < self.fewest:
            raise DataError(
                f"a pelvis bears out what selftaught learns from, and {known} of these landmarks are its, fewer than "
                f"{self.fewest}; adapt with cyclegan or adda"
            )
        network = train(training, report)
        reading = Reading(training.landmarks, training.structures, training.regimen.size)
        lessons = taught(self, Averaged(Detector(network, reading)), real, reading.size, report)
        course = _Repeating(self, training, network, lessons)
        follow(course, self.steps, training.every, training.folder / HOME,
               lambda done, total, doing: report(done, total, f"adapting, {doing}"))  # fmt: skip
        return course.kept.cpu(), training


@dataclass(frozen=True, eq=False)
class Lesson:
    """A real picture as a detector sees it, and what is believed of it."""

    picture: Float[Tensor, "s s"]
    """0 to 1."""
    uv: Float[Tensor, "l 2"]
    kept: Bool[Tensor, "l"]


def taught(way: SelfTaught, teacher: Teacher, real: Unlabelled, square: int, report: Progress) -> list[Lesson]:
    """The real pictures on which enough points are borne out, as a detector of `square` pixels sees them.

    Raises DataError if there is none.
    """
    lessons = []
    for done, picture in enumerate(real.pictures):
        report(done, len(real.pictures), "looking at real X-rays")
        consensus, size = teacher(picture), (picture.shape[0], picture.shape[1])
        _, kept = borne_out(way, consensus, size)
        if int(kept.sum()) >= way.fewest:
            framing = Framing(size, square)
            seen = framing.framed(picture)
            seen = (seen - seen.min()) / (seen.max() - seen.min())
            lessons.append(Lesson(seen, framing.onto(consensus.findings.keypoints.uv).float(), kept))
    if not lessons:
        raise DataError(
            f"on none of {len(real.pictures)} X-rays are {way.fewest} points borne out; train for longer first, or "
            "give X-rays of what the detector is for"
        )
    return lessons


def borne_out(
    way: SelfTaught, consensus: Consensus, size: tuple[int, int]
) -> tuple[PelvisPose | None, Bool[Tensor, "l"]]:
    """The pelvis that bears out what was found on a picture of so many (rows, columns), and which of the points."""
    found = consensus.findings
    pose = pose_of(found.keypoints, found.confidence, Exposure.usual(size))
    if pose is None:
        return None, torch.zeros_like(found.keypoints.visible)
    steady = consensus.spread < way.steady * min(size)
    return pose, found.keypoints.visible & (found.confidence > way.sure) & steady & (pose.residuals <= DISAGREES)


class _Repeating(Course):
    """The student, its running mean and its optimiser."""

    kind = "adaptation"
    columns = ("rate", "landmarks", "visible", "masks", "real", "validation_px", "validation_median_px")

    def __init__(self, way: SelfTaught, training: Training, trained: Network, lessons: list[Lesson]) -> None:
        self.way, self.training, self.lessons = way, training, lessons
        self.network = new_network(training)
        self.network.load_state_dict(trained.state_dict())
        self.mean = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(way.average), use_buffers=True)
        self.optimiser = way.optimiser.of(self.network.parameters())
        self.examples = watched(training)

    @property
    def kept(self) -> Network:
        """The weights worth keeping."""
        return self.mean.module  # type: ignore[return-value]

    def leg(self) -> Iterator[tuple[Batch, Batch]]:
        """Labelled synthetic pictures, and real ones with what is believed of them."""
        for step, batch in enumerate(self.training.diet.batches("train", self.training.workers, self.step), self.step):
            rng = generator_for(self.training.seed, "lesson", step)
            chosen = torch.randint(len(self.lessons), (self.way.batch,), generator=rng).tolist()
            yield batch, self.way.looks(self._batch([self.lessons[n] for n in chosen]), rng)

    def advance(self, batch: tuple[Batch, Batch]) -> Float[Tensor, "4"]:
        regimen = self.training.regimen
        labelled, believed = (one.to(device()) for one in batch)
        self.network.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.way.optimiser.rate(self.step / self.way.steps)
        both = torch.cat([labelled.pictures, believed.pictures]).contiguous(memory_format=torch.channels_last)
        with precision(both.device):
            answers = self.network(both)
        theirs = regimen.landmark_loss(answers.heatmaps[len(labelled) :], believed.uv, believed.visible)
        losses = torch.cat(
            [losses_of(regimen, answers.first(len(labelled)), labelled), (self.way.weight * theirs)[None]]
        )
        descend(self.network.parameters(), self.optimiser, losses)
        self.mean.update_parameters(self.network)
        return losses.detach().cpu()

    def row(self, means: Float[Tensor, "4"]) -> tuple[float, ...]:
        errors = validate(self.kept, self.examples)
        rate = float(self.optimiser.param_groups[0]["lr"])
        return (rate, *means.tolist(), float(errors.mean()), float(errors.median()))

    def parts(self) -> Mapping[str, Any]:
        return {"network": self.network, "mean": self.mean, "optimiser": self.optimiser}

    def _batch(self, lessons: list[Lesson]) -> Batch:
        training, size = self.training, self.training.regimen.size
        return Batch(
            torch.stack([one.picture for one in lessons])[:, None],
            torch.stack([one.uv for one in lessons]),
            torch.stack([one.kept for one in lessons]),
            torch.zeros(len(lessons), len(training.structures), size, size, dtype=torch.bool),
            torch.ones(len(lessons), 1, size, size, dtype=torch.bool),
            training.landmarks,
            training.structures,
        )
