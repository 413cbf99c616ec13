"""`skiagraph evaluate`: how good a detector is on pictures whose landmarks are known."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import tyro
from jinja2 import Environment, PackageLoader
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from skiagraph.detect.bundle import read_bundle
from skiagraph.detect.detector import Detector
from skiagraph.errors import DataError
from skiagraph.evaluate.cases import Known, in_folder, in_set
from skiagraph.evaluate.conformal import Circles
from skiagraph.evaluate.landmarks import RADII, Case, Curve, Table, interval, reliability
from skiagraph.evaluate.masks import agreement
from skiagraph.evaluate.robustness import Step, swept
from skiagraph.factory.card import CARD_NAME
from skiagraph.factory.reading import SampleSet
from skiagraph.io.files import suffix_of, write_json, writing
from skiagraph.tasks.detect import the_bundle
from skiagraph.tasks.overlay import draw
from skiagraph.tasks.page import TITLES, embedded
from skiagraph.tasks.task import Report, silent

INK, QUIET, WARM, GROUND = "#e8edf2", "#93a1b0", "#ffd166", "#151b23"
DPI = 120
STRUCTURE_WORDS = ("dice", "dice_where_there", "hausdorff_95_mm", "surface_dice_2_mm")
"""What is measured of a structure; Dice is 1 where there is none and none was found."""
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100)
"""Millimetres."""


@dataclass(frozen=True)
class Evaluate:
    """Measure a detector on X-rays whose landmarks are known: errors, misses, inventions, calibration, overlays."""

    command: ClassVar[str] = "evaluate"

    pictures: tyro.conf.Positional[Path]
    """A folder of X-rays with their landmarks beside them (NAME.png and NAME.json), or a set of samples."""
    output: tyro.conf.Positional[Path]
    """The report, .html; the numbers go into a .json beside it."""
    bundle: Path | None = None
    """The detector, or the name of one that comes with Skiagraph; the pelvis's if not given."""
    split: str = "test"
    """Which part of a set of samples."""
    most: int = 1000
    """Pictures of a set at most."""
    millimetres: float | None = None
    """Of a pixel, for X-rays whose files do not say."""
    circles: Path | None = None
    """A set of samples whose val split says how large circles have to be to hold 90 % of the landmarks; these pictures
    then show how many they do hold. The set itself, if pictures is one."""
    sweep: bool = False
    """Make the pictures worse, one change at a time, and show how the errors grow."""
    swept: int = 40
    """Pictures changed at most."""
    pdf: bool = False
    """The figures on pages of their own as well: OUTPUT.pdf."""

    @property
    def record(self) -> Path:
        """Beside the report."""
        return self.output.with_suffix(".run.json")

    def run(self, report: Report = silent) -> list[Path]:
        """Look at all pictures and write the report."""
        if suffix_of(self.output) != ".html":
            raise DataError(f"the report is a page, not {self.output.name}; give a name that ends in .html")
        detector = read_bundle(the_bundle(self.bundle))
        looked: list[tuple[Known, Case]] = []
        for known in islice(self._pictures(), self.most):
            looked.append((known, Case(known.name, known.subject, known.truth, detector(known.picture),
                                       known.millimetres)))  # fmt: skip
            report(len(looked), len(looked) + 1, f"{known.name}")
        table = Table.of([case for _, case in looked])
        numbers = _numbers(table, looked, detector.reading.near)
        held_out = self.circles or (self.pictures if self._is_set else None)
        if held_out is not None:
            numbers["circles"] = _circles(self._circles(held_out, detector), table, held_out)
        figures = {"Activation": _curve(Curve.of(table))}
        steps: list[Step] = []
        if self.sweep:
            chosen = [known for known, _ in looked[:: max(1, len(looked) // self.swept)]][: self.swept]
            steps = swept(detector, chosen, torch.Generator().manual_seed(0))
            numbers["sweeps"] = [_said(step) for step in steps]
            figures["Robustness"] = _sweeps(steps)
        sheets = {title: _sheet(looked, at) for title, at in _shown(table)}
        text = (
            Environment(loader=PackageLoader("skiagraph.tasks", "pages"), autoescape=True, trim_blocks=True)
            .get_template("evaluate.html")
            .render(
                numbers=numbers,
                titles=TITLES,
                source=self.pictures.name,
                plane="isocentre" if self._is_set else "hips",
                count=len(looked),
                subjects=len(set(table.subjects)),
                curve=embedded(figures["Activation"], DPI),
                sweeps=embedded(figures["Robustness"], DPI) if steps else None,
                changed=min(len(looked), self.swept),
                sheets=[(title, embedded(sheet, DPI)) for title, sheet in sheets.items()],
                version=version("skiagraph"),
            )
        )
        beside = self.output.with_suffix(".json")
        write_json(beside, numbers)
        with writing(self.output) as part:
            part.write_text(text, encoding="utf-8")
        if not self.pdf:
            return [self.output, beside]
        pages = self.output.with_suffix(".pdf")
        with writing(pages) as part, PdfPages(part) as book:
            for figure in (*figures.values(), *sheets.values()):
                book.savefig(figure)
        return [self.output, beside, pages]

    @property
    def _is_set(self) -> bool:
        return (self.pictures / CARD_NAME).is_file()

    def _pictures(self) -> Iterator[Known]:
        if self._is_set:
            return in_set(SampleSet(self.pictures), self.split)
        return in_folder(self.pictures, self.millimetres)

    def _circles(self, held_out: Path, detector: Detector) -> Circles:
        known = islice(in_set(SampleSet(held_out), "val"), self.most)
        return Circles.of(
            Table.of([Case(one.name, one.subject, one.truth, detector(one.picture), one.millimetres) for one in known])
        )


def _numbers(table: Table, looked: Sequence[tuple[Known, Case]], near: float) -> dict[str, object]:
    """What was measured, for a file and for the page."""
    curve = Curve.of(table)
    reach = float(np.median([near * max(known.picture.shape) * known.millimetres for known, _ in looked]))
    rows, gap = reliability(table, reach)
    agreed = [_agreements(known, case) for known, case in looked]
    of_subject = {one: [n for n, who in enumerate(table.subjects) if who == one] for one in sorted(set(table.subjects))}
    return {
        "pictures": len(table.subjects),
        "subjects": len(set(table.subjects)),
        "landmarks": int(table.present.sum()),
        **_scores(table),
        "mean_mm_95": interval(table),
        "activation": {f"{share:.0%}": _finite(curve.at(share)) for share in (0.5, 0.75, 0.9, 0.95, 1.0)},
        "activation_area_mm": _finite(curve.area),
        "calibration": {"within_mm": reach, "expected_gap": gap, "bins": rows.tolist()},
        "per_landmark": {name: _scores(table.of_landmark(name)) for name in table.names},
        "per_subject": {
            one: {**_scores(table.of_subject(one)), "structures": _structures([agreed[n] for n in at])}
            for one, at in islice(of_subject.items(), 200)
        },
        "structures": _structures(agreed),
    }


def _circles(circles: Circles, table: Table, held_out: Path) -> dict[str, object]:
    """How large the circles are, and how many truths lie inside."""
    return {
        "from": held_out.name,
        "share": circles.share,
        "held": _finite(circles.covered(table)),
        "radius_mm": {name: _finite(radius) for name, radius in circles.radii.items()},
        "held_by": {name: _finite(share) for name, share in circles.coverage(table).items()},
    }


def _said(step: Step) -> dict[str, object]:
    return {name: _finite(value) if isinstance(value, float) else value for name, value in asdict(step).items()}


def _scores(table: Table) -> dict[str, object]:
    errors = table.all_errors
    found = table.counted
    return {
        "n": len(errors),
        "mean_mm": _finite(errors.mean() if len(errors) else np.nan),
        "median_mm": _finite(np.median(errors) if len(errors) else np.nan),
        "mean_of_found_mm": _finite(found.mean() if len(found) else np.nan),
        "within": {f"{radius:g} mm": _finite(table.within(radius)) for radius in RADII},
        "recall": _finite(table.recall),
        "false_activation": _finite(table.false_activation),
        "absent": int(table.absent.sum()),
        "swapped": _finite(table.swap_rate),
    }


def _agreements(known: Known, case: Case) -> dict[str, list[float]]:
    """How well each structure of a picture was found: the numbers of `STRUCTURE_WORDS`."""
    found = {}
    for name, true in zip(known.structures, known.masks):
        if name in case.found.structures:
            one = agreement(case.found.masks[case.found.structures.index(name)], true, known.millimetres)
            there = one.dice if bool(true.any()) else math.nan
            found[name] = [one.dice, there, one.hausdorff, one.surface]
    return found


def _structures(agreed: Sequence[dict[str, list[float]]]) -> dict[str, dict[str, float | None]]:
    """Means over pictures."""
    columns: dict[str, list[list[float]]] = {}
    for name, row in (pair for one in agreed for pair in one.items()):
        columns.setdefault(name, []).append(row)
    return {
        name: {word: _finite(np.nanmean(column)) if np.isfinite(column).any() else None
               for word, column in zip(STRUCTURE_WORDS, np.array(rows).T)}
        for name, rows in columns.items()
    }  # fmt: skip


def _shown(table: Table) -> list[tuple[str, list[int]]]:
    """Which pictures to show: best, in the middle, worst, by their mean error."""
    with np.errstate(all="ignore"):
        means = np.array([row[np.isfinite(row)].mean() if np.isfinite(row).any() else np.nan for row in table.error])
    order = [int(i) for i in np.argsort(means) if np.isfinite(means[i])]
    middle = max(0, len(order) // 2 - 2)
    return [("best", order[:4]), ("in the middle", order[middle : middle + 4]), ("worst", order[-4:][::-1])]


def _sheet(looked: Sequence[tuple[Known, Case]], chosen: Sequence[int]) -> Figure:
    figure = Figure(figsize=(14, 4.2), facecolor=GROUND, layout="constrained")
    for place, number in enumerate(chosen):
        known, case = looked[number]
        axes = figure.add_subplot(1, 4, place + 1)
        draw(axes, known.picture, case.found, known.truth)
        axes.set_title(known.name, color=INK, fontsize=8)
    return figure


def _curve(curve: Curve) -> Figure:
    figure = Figure(figsize=(5, 3.4), facecolor=GROUND, layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor(GROUND)
    axes.plot(100 * curve.share, curve.error, color=WARM)
    axes.set_xlabel("landmarks kept, the surest first (%)", color=QUIET)
    axes.set_ylabel("mean error (mm)", color=QUIET)
    axes.tick_params(colors=QUIET)
    axes.grid(alpha=0.15)
    return figure


def _sweeps(steps: Sequence[Step]) -> Figure:
    """A small plot for each change, all with one scale of errors."""
    names = list(dict.fromkeys(step.sweep for step in steps))
    figure = Figure(figsize=(13, 3 * math.ceil(len(names) / 4)), facecolor=GROUND, layout="constrained")
    known = [value for step in steps for value in (step.mean, step.median) if math.isfinite(value)]
    low, top = 0.8 * max(min(known), 0.1), 1.2 * max(known)
    for place, name in enumerate(names, start=1):
        mine = sorted((step for step in steps if step.sweep == name), key=lambda step: step.level)
        axes = figure.add_subplot(math.ceil(len(names) / 4), 4, place)
        axes.set_facecolor(GROUND)
        at = range(len(mine))
        axes.plot(at, [step.mean for step in mine], color=WARM, marker="o", markersize=3, label="mean")
        axes.plot(at, [step.median for step in mine], color=INK, marker="o", markersize=3, label="median")
        axes.set_xticks(at, ["as is" if math.isinf(step.level) else f"{step.level:g}" for step in mine])
        axes.set_yscale("log")
        axes.set_yticks(TICKS, map(str, TICKS))
        axes.minorticks_off()
        axes.set_ylim(low, top)
        axes.set_title(name, color=INK, fontsize=10)
        axes.set_xlabel(mine[0].unit, color=QUIET)
        axes.set_ylabel("error (mm)", color=QUIET)
        axes.tick_params(colors=QUIET)
        axes.grid(alpha=0.15)
        axes.legend(fontsize=7, frameon=False, labelcolor=QUIET)
    return figure


def _finite(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
