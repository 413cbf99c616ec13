"""A course of steps that goes on after being killed: to the bit as if it had never stopped.

Between two checkpoints lies a leg. A leg's batches depend on the step it begins at alone, so that whoever goes on
from a checkpoint sees what he would have seen without having stopped.
"""

import csv
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from skiagraph.errors import ModelError
from skiagraph.io.files import decoding, writing
from skiagraph.train.together import number, wait

CHECKPOINT, CURVES = "checkpoint.pt", "curves.csv"

Progress = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, what is being done)."""


class Course(ABC):
    """What changes while training, and how."""

    step: int = 0
    """How many are done."""
    kind: str = "training"
    """What it trains, for a checkpoint that is of something else."""
    columns: tuple[str, ...]
    """Of the curves, after step and seconds."""

    @abstractmethod
    def leg(self) -> Iterable[Any]:
        """Batches without end, from this step on."""

    @abstractmethod
    def advance(self, batch: Any) -> Float[Tensor, "n"]:
        """One step; its losses, NaN for those that this step knew nothing of."""

    @abstractmethod
    def row(self, means: Float[Tensor, "n"]) -> tuple[float, ...]:
        """A line of the curves, given the leg's mean losses."""

    def parts(self) -> Mapping[str, Any]:
        """What changes but the step, by name, each with a `state_dict`; none if `content` and `take` are its own."""
        return {}

    def content(self) -> dict[str, Any]:
        """All that changes but the step."""
        return {name: part.state_dict() for name, part in self.parts().items()}

    def take(self, content: Mapping[str, Any], path: Path) -> None:
        """Go on from there. Raises ModelError if it is of another course."""
        try:
            for name, part in self.parts().items():
                part.load_state_dict(content[name])
        except (RuntimeError, KeyError, ValueError) as error:
            raise ModelError(f"{path} is of another {self.kind}; give another folder or the same one") from error


def follow(course: Course, steps: int, every: int, folder: Path, report: Progress) -> None:
    """Take what is left of so many steps, with a checkpoint and a line of the curves at every multiple of `every`."""
    path, began = folder / CHECKPOINT, time.perf_counter()
    if path.exists():
        content = read_checkpoint(path)
        course.take(content, path)
        course.step = int(content["step"])
    while course.step < steps:
        parts = []
        for batch in islice(course.leg(), min(every - course.step % every, steps - course.step)):
            parts.append(course.advance(batch))
            course.step += 1
            report(course.step, steps, f"loss {float(parts[-1].nansum()):.3f}")
        if number() == 0:
            row = course.row(torch.stack(parts).nanmean(dim=0))
            with writing(path) as part:
                torch.save({**course.content(), "step": course.step}, part)
            seconds = time.perf_counter() - began
            _note(folder / CURVES, ("step", "seconds", *course.columns), (course.step, seconds, *row))
        wait()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds: tensors and numbers only."""
    with decoding(path, "a checkpoint of `skiagraph train-detector`"):
        return dict(torch.load(path, weights_only=True, map_location="cpu"))


def device() -> torch.device:
    """This process's GPU, or the processor."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def precision(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU and where the processor multiplies in it; elsewhere it would only be slower."""
    quick = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=quick)


def _note(path: Path, columns: tuple[str, ...], row: tuple[float, ...]) -> None:
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        if new:
            rows.writerow(columns)
        rows.writerow([f"{value:.6g}" for value in row])
