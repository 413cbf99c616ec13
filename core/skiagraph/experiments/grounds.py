"""Where the controlled experiment takes place: what stands for reality, what is trained on, what is measured on.

On DeepFluoro reality is real, every specimen is measured by detectors that never saw it, and the matched sets take its
X-rays again at their poses. Without it a stand-in is measured on: bodies held out, in pictures of an imaging chain that
no training set is made with. It is synthetic all the same, and reports say so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.domain.appearance import DISPLAYED, Appearance
from skiagraph.domain.batch import Batch
from skiagraph.domain.damage import Compressed
from skiagraph.domain.effects import Look
from skiagraph.domain.exposure import GridLines, Shading
from skiagraph.domain.grey import Film, LocalContrast, Normalised
from skiagraph.domain.marks import Marks
from skiagraph.drr.render import REALISTIC, Renderer
from skiagraph.errors import DataError
from skiagraph.evaluate.cases import Known, in_set
from skiagraph.experiments.cells import Cell
from skiagraph.experiments.presets import COVID, HIP_SYNTHEX, TOOL, at_poses
from skiagraph.factory.card import CARD_NAME, finish
from skiagraph.factory.chance import log_uniform, uniform
from skiagraph.factory.coding import encode
from skiagraph.factory.making import Progress, begin, make_here, missing, write_shard
from skiagraph.factory.order import Order
from skiagraph.factory.reading import SampleSet
from skiagraph.factory.recipe import KVP_STEP, Recipe, Setting, Technique
from skiagraph.factory.subjects import posed
from skiagraph.factory.take import Taken
from skiagraph.io.datasets import deepfluoro
from skiagraph.io.datasets.dataset import Radiograph
from skiagraph.io.patient import Subject
from skiagraph.io.records import Record
from skiagraph.physics.panel import Panel
from skiagraph.physics.phantom import by_density
from skiagraph.physics.scatter import Scatter
from skiagraph.sample import Sample
from skiagraph.train.unlabelled import THUMB, Unlabelled
from skiagraph.volume import Keypoints


@runtime_checkable
class Ground(Protocol):
    """What stands for reality."""

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def note(self) -> str:
        """What is to be said of it."""

    @property
    def fingerprint(self) -> str:
        """The same for the same pictures."""

    def folds(self, cell: Cell) -> tuple[str, ...]:
        """Trainings that a cell takes; what one is measured on none of it was trained on."""

    def samples(self, cell: Cell, fold: str, home: Path, workers: int, report: Progress) -> SampleSet:
        """What is trained on, made if it is not there."""

    def unlabelled(self, cell: Cell, fold: str, home: Path, workers: int, report: Progress) -> Unlabelled:
        """What is adapted to."""

    def cases(self, cell: Cell, fold: str, home: Path, workers: int, report: Progress) -> Iterator[Known]:
        """What is measured on."""


@dataclass(frozen=True)
class FixedPattern(Look):
    """Columns and rows that a panel reads a little too strongly or too weakly, always the same ones."""

    strength: float = 0.002
    """Standard deviation of the gain, left over by its correction."""
    seed: int = 1

    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The transmission times the panel's gain."""
        own = torch.Generator().manual_seed(self.seed)
        rows, columns = pictures.shape[-2:]
        gain = torch.randn(rows, 1, generator=own) + torch.randn(1, columns, generator=own)
        return (pictures * torch.exp(self.strength * gain)).clamp(max=1)


STAND_IN = Renderer(
    decompose=by_density,
    spectrum=REALISTIC.spectrum,
    panel=replace(Panel.flat(), scatter=Scatter.without_grid(), blur=0.35, readout=8.0, bits=12),
)
"""A machine that no training set is taken with: other materials, no grid against scatter, a coarser panel."""


@dataclass(frozen=True)
class StandInTechnique(Technique):
    """The stand-in's machine at higher voltages than any training set's."""

    kvp: tuple[float, float] = (100.0, 125.0)
    dose: tuple[float, float] = (2.0, 20.0)

    @property
    def base(self) -> Renderer:
        """The stand-in's machine."""
        return STAND_IN

    def setting(self, rng: torch.Generator) -> Setting:
        """One of the ways to expose."""
        return Setting(KVP_STEP * round(uniform(rng, *self.kvp) / KVP_STEP), log_uniform(rng, *self.dose))


STAND_IN_SHOWN = Appearance(
    (
        FixedPattern(),
        Shading((0.2, 0.2), (0.1, 0.1)),
        GridLines((0.006, 0.006), (0.31, 0.31)),
        Film(power=(0.2, 0.2), compression=(0.4, 0.4), width=(0.2, 0.2), bottom=(0.03, 0.03), top=(0.005, 0.005),
             slack=(0.1, 0.1), gamma=(1.2, 1.2), steepness=(3.5, 3.5), middle=(0.5, 0.5)),
        LocalContrast((0.6, 0.6), (0.02, 0.02)),
        Marks(),
        Compressed((60.0, 60.0)),
        Normalised(),
    )
)  # fmt: skip
"""What the stand-in's machine makes of its transmission: always the same but for the marks burnt in. Kinds of effects
occur in strong randomisation too; the panel's pattern, this film and their order do not. The figures are ours, set by
looking at pictures before any detector was."""


@dataclass(frozen=True)
class StandIn:
    """Synthetic reality: bodies held out, another machine, another display."""

    recipe: Recipe
    """Of the hip task; the other tasks have their own."""
    subjects: tuple[Subject, ...]
    """Dealt to training, validation and test by their names."""
    count: int
    """Matched pictures."""
    more: tuple[Subject, ...]
    """Others, for scaled sets."""
    scaled: int
    """Pictures of those."""
    seed: int = 0

    def __post_init__(self) -> None:
        twins = sorted({one.name for one in self.subjects} & {one.name for one in self.more})
        if twins:
            raise DataError(f"{', '.join(twins)} in matched and in scaled sets, to be measured on and trained on; give "
                            "others for the scaled sets")  # fmt: skip

    @property
    def name(self) -> str:
        """In short."""
        return "stand-in"

    @property
    def note(self) -> str:
        """What it is not."""
        return (
            "Reality is a stand-in here and as synthetic as all the rest: bodies held out of training, taken by a "
            "machine with other materials, no grid and higher voltages, and shown by another film. It says how "
            "detectors bear a change of machine, not how they do on patients."
        )

    @property
    def fingerprint(self) -> str:
        """Its numbers and the names of its bodies."""
        return f"{self.recipe.name}, seed {self.seed}: {self.count} of {_names(self.subjects)}; {self.scaled} of " + (
            _names(self.more)
        )

    def folds(self, cell: Cell) -> tuple[str, ...]:
        """One: the bodies are split once."""
        return ("",)

    def order(self, cell: Cell) -> Order:
        """The set of a cell: the same bodies, views and seeds whatever the domain."""
        recipe = {"hip": self.recipe, "tool": TOOL, "covid": COVID}[cell.task]
        if cell.domain == "real":
            technique: Technique = StandInTechnique()
        else:
            technique = replace(recipe.technique, fidelity=cell.domain)
        recipe = replace(recipe, technique=technique)
        if cell.scale == "scaled":
            return Order(recipe, self.more, self.scaled, cell.size, self.seed, (0.05, 0.0))
        return Order(recipe, self.subjects, self.count, cell.size, self.seed, (0.1, 0.25))

    def samples(self, cell: Cell, fold: str, home: Path, workers: int, report: Progress) -> SampleSet:
        """The cell's own set."""
        folder = home / f"{cell.task}-{cell.size}-{cell.domain}-{cell.scale}"
        if not (folder / CARD_NAME).is_file():
            order = self.order(cell)
            make_here(order, folder, workers, report)
            finish(order, folder)
        return SampleSet(folder)

    def unlabelled(self, cell: Cell, fold: str, home: Path, workers: int, report: Progress) -> Unlabelled:
        """The stand-in's pictures of those bodies that are trained on."""
        known = list(in_set(self._real(cell, home, workers, report), "train", STAND_IN_SHOWN))
        pictures = tuple(_ranged(one.picture) for one in known)
        return Unlabelled(tuple(one.name for one in known), pictures, cell.size)

    def cases(self, cell: Cell, fold: str, home: Path, workers: int, report: Progress) -> Iterator[Known]:
        """The stand-in's pictures of bodies held out of all the matched sets; scaled ones have others."""
        return in_set(self._real(cell, home, workers, report), "test", STAND_IN_SHOWN)

    def _real(self, cell: Cell, home: Path, workers: int, report: Progress) -> SampleSet:
        return self.samples(replace(cell, domain="real", adapted="none", scale="matched"), "", home, workers, report)


@dataclass(frozen=True)
class DeepFluoro:
    """The real thing: 366 X-rays of six specimens with poses (Grupp 2020)."""

    path: Path
    """ipcai_2020_full_res_data.h5."""
    more: tuple[Subject, ...]
    """Bodies for scaled sets: CTs of other people."""
    scaled: int
    """Pictures of those."""
    seed: int = 0

    @property
    def name(self) -> str:
        """In short."""
        return "DeepFluoro"

    @property
    def note(self) -> str:
        """What it is."""
        return "Reality is DeepFluoro: real X-rays of cadavers, each measured by detectors that saw nothing of it."

    @property
    def fingerprint(self) -> str:
        """Its file, its numbers and the names of its bodies."""
        return f"{self.path.name}, seed {self.seed}; {self.scaled} of {_names(self.more)}"

    def folds(self, cell: Cell) -> tuple[str, ...]:
        """One for each specimen left out; scaled sets know none of them, so one training is measured on all."""
        if cell.task != "hip":
            raise DataError(f"DeepFluoro shows no {cell.task}; run that cell on the stand-in")
        return ("all",) if cell.scale == "scaled" else deepfluoro.specimens(self.path)

    def order(self, cell: Cell, fold: str) -> Order:
        """The others' X-rays taken again at their poses, or views of other people."""
        fidelity = "realistic" if cell.domain == "real" else cell.domain
        recipe = replace(HIP_SYNTHEX, technique=replace(HIP_SYNTHEX.technique, fidelity=fidelity))
        if cell.scale == "scaled":
            return Order(recipe, self.more, self.scaled, cell.size, self.seed, (0.05, 0.0))
        poses = deepfluoro.read_poses(self.path)
        others = [one for one in deepfluoro.find(self.path).subjects if one.name != fold and one.name in poses.of]
        subjects = tuple(posed(others, replace(poses, of={one.name: poses.of[one.name] for one in others})))
        count = sum(len(one.poses) for one in subjects)
        return Order(at_poses(recipe, poses.device), subjects, count, cell.size, self.seed, (0.2, 0.0))

    def samples(self, cell: Cell, fold: str, home: Path, workers: int, report: Progress) -> SampleSet:
        """Rendered, or the real X-rays themselves in the same shards."""
        folder = home / f"{cell.task}-{cell.size}-{cell.domain}-{cell.scale}-{fold}"
        if not (folder / CARD_NAME).is_file():
            order = self.order(cell, fold)
            if cell.domain == "real":
                self._write_real(order, folder)
            else:
                make_here(order, folder, workers, report)
            finish(order, folder)
        return SampleSet(folder)

    def unlabelled(self, cell: Cell, fold: str, home: Path, workers: int, report: Progress) -> Unlabelled:
        """The X-rays of the other specimens. Raises DataError for scaled cells, whose test would be adapted to."""
        if cell.scale == "scaled":
            raise DataError(
                "a scaled cell is measured on all of DeepFluoro, so it cannot be adapted to it; give --real with other "
                "X-rays"
            )
        others = (one for name in self.folds(cell) if name != fold for one in self._radiographs(name))
        return Unlabelled.of(others, cell.size, torch.zeros(0, THUMB * THUMB))

    def cases(self, cell: Cell, fold: str, home: Path, workers: int, report: Progress) -> Iterator[Known]:
        """The X-rays of the specimen left out, or of all; millimetres on the panel, as SyntheX counts them."""
        rng = torch.Generator().manual_seed(0)
        names = deepfluoro.specimens(self.path) if fold == "all" else (fold,)
        for name in names:
            for one in self._radiographs(name):
                sample = _sample(one)
                shown = DISPLAYED(Batch.bare(sample.image[None, None]), rng).pictures[0, 0]
                assert one.picture.pixel_spacing is not None, "DeepFluoro's reader always gives it"
                size = one.picture.pixel_spacing[0]
                yield Known(one.name, name, shown, sample.keypoints, size, sample.masks, sample.structures)

    def _radiographs(self, specimen: str) -> Iterator[Radiograph]:
        shots = deepfluoro.projections(self.path, specimen)
        return (deepfluoro.read_radiograph(self.path, specimen, shot) for shot in shots)

    def _write_real(self, order: Order, folder: Path) -> None:
        begin(order, folder)
        for shard in missing(order, folder):
            name = order.subjects[shard.subject].name
            shots = deepfluoro.projections(self.path, name)[shard.nth : shard.nth + shard.count]
            taken = []
            for number, shot in enumerate(shots, start=shard.first):
                sample = _sample(deepfluoro.read_radiograph(self.path, name, shot))
                extra = {"subject": name, "number": number, "structures": list(sample.structures)}
                device = {
                    "name": "cios-fusion",
                    "source_to_panel": float(sample.view.source_to_panel),
                    "source_to_isocenter": float(sample.view.source_to_panel),
                }
                taken.append(Taken(number, sample, Record(sample.view, sample.keypoints, device, extra)))
            write_shard(folder / shard.name, [encode(one) for one in taken])


def _sample(radiograph: Radiograph) -> Sample:
    """A real X-ray as a sample: its intensity over its brightest pixel's, and all the hip task's landmarks."""
    view, masks = radiograph.picture.view, radiograph.masks
    assert view is not None and masks is not None and radiograph.keypoints is not None, "DeepFluoro has them all"
    image = (radiograph.picture.pixels / radiograph.picture.pixels.max()).clamp(1e-4, 1.0)
    points = radiograph.keypoints
    uv, seen = torch.zeros(len(LANDMARK_NAMES), 2, dtype=torch.float64), torch.zeros(len(LANDMARK_NAMES)).bool()
    for at, name in enumerate(LANDMARK_NAMES):
        if name in points.names and bool(points.uv[points.names.index(name)].isfinite().all()):
            uv[at], seen[at] = points.uv[points.names.index(name)], points.visible[points.names.index(name)]
    return Sample(image, view, Keypoints(LANDMARK_NAMES, uv, seen), masks, radiograph.structures)


def _names(subjects: tuple[Subject, ...]) -> str:
    return ", ".join(one.name for one in subjects) or "nobody"


def _ranged(picture: Float[Tensor, "v u"]) -> Float[Tensor, "v u"]:
    low, high = picture.min(), picture.max()
    return (picture - low) / (high - low).clamp(min=1e-6)
