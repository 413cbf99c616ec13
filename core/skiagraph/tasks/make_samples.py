"""`skiagraph make-samples`: a set of labelled X-rays."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from skiagraph.errors import DataError
from skiagraph.experiments.presets import preset
from skiagraph.factory.card import finish
from skiagraph.factory.cluster import make_on_ray
from skiagraph.factory.making import make_here
from skiagraph.factory.order import Order
from skiagraph.factory.recipe import Fidelity
from skiagraph.factory.subjects import Subject, parametric, shaped, stored
from skiagraph.tasks.task import Report, silent


@dataclass(frozen=True)
class MakeSamples:
    """Make a set of labelled X-rays: sharded tars, the same to the bit for the same flags. Run it again to go on."""

    command: ClassVar[str] = "make-samples"

    output: Path
    """Folder for the shards and the set's card."""
    preset: str = "hip"
    """What the set is of: hip, hip-ap, hip-synthex, hip-hardware, tool or covid."""
    count: int = 1000
    """X-rays in all, dealt evenly to the bodies."""
    size: int = 384
    """Rows and columns of the pictures."""
    seed: int = 0
    """Another seed draws another set."""
    bodies: tuple[str, ...] = ("shape:20",)
    """Who is looked at: shape:COUNT, parametric:COUNT, CTs or folders of them, or folders made by `skiagraph body`."""
    torsos: Path | None = None
    """Folder of label volumes whose muscles and skin the shape: bodies take turns with."""
    fidelity: Fidelity = "realistic"
    """How much of the physics to simulate; poses and bodies are the same for all."""
    spacing: float = 1.5
    """Millimetres between voxels of bodies that are made."""
    workers: int | None = None
    """Processes at work; as many as there are cores if not given."""
    ray: str | None = None
    """Address of a Ray cluster to work on instead, such as auto or ray-head:6379; all its nodes see the folder."""

    @property
    def record(self) -> Path:
        """In the folder."""
        return self.output / "run.json"

    @property
    def order(self) -> Order:
        """What is asked for."""
        recipe = preset(self.preset)
        recipe = replace(recipe, technique=replace(recipe.technique, fidelity=self.fidelity))
        subjects = tuple(subject for word in self.bodies for subject in self._subjects(word))
        return Order(recipe, subjects, self.count, self.size, self.seed)

    def run(self, report: Report = silent) -> list[Path]:
        """Make what is missing of the set; its card."""
        workers = self.workers if self.workers is not None else len(os.sched_getaffinity(0))
        if workers < 1:
            raise DataError(f"{workers} workers; give at least one")
        order = self.order
        if self.ray is not None:
            make_on_ray(order, self.output, self.ray, report)
        else:
            make_here(order, self.output, workers, report)
        return [finish(order, self.output)]

    def _subjects(self, word: str) -> list[Subject]:
        kind, _, count = word.partition(":")
        if kind not in ("parametric", "shape"):
            return stored(Path(word))
        if not count.isdecimal():
            raise DataError(f"{word!r} does not say how many; give {kind}:COUNT, such as {kind}:200")
        if kind == "shape":
            return shaped(int(count), self.seed, self.spacing, self.torsos)
        return parametric(int(count), self.seed, self.spacing)
