"""The report of the controlled experiment: SyntheX's tables and figure with ours beside theirs, as HTML and CSV."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skiagraph.evaluate.landmarks import Curve
from skiagraph.evaluate.permutation import compared
from skiagraph.experiments import published
from skiagraph.experiments.cells import LOOKS, MATRIX, SIZES, Cell
from skiagraph.experiments.published import Published, Row, Transfer
from skiagraph.experiments.results import FIGURES, Estimate, Measured, Result
from skiagraph.experiments.sim2real import Sim2Real
from skiagraph.io.files import writing
from skiagraph.tasks.page import embedded

INK, QUIET, GROUND, GOLD = "#e8edf2", "#93a1b0", "#151b23", "#ffd166"
REGULAR, STRONG = "#4cc9f0", "#f72585"
DPI = 110

ACTIVATED = 0.9
"""Of the landmarks, kept where SyntheX reports errors."""

NOT_RUN = "not run"

PANELS = (
    "realistic", "heuristic", "naive", "realistic-cyclegan", "realistic-adda", "naive-cyclegan", "realistic-scaled",
    "realistic-cyclegan-scaled", "naive-adda",
)  # fmt: skip
"""Of figure 5, a to i."""


@dataclass(frozen=True)
class Sheet:
    """A table for the page."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class _Results:
    """What is finished, by cell."""

    study: Sim2Real
    all: tuple[Result, ...]

    def of(self, cell: Cell, on: str) -> Measured | None:
        """A cell on some pictures, if it was run."""
        found = next((one for one in self.all if one.cell == cell.name), None)
        return None if found is None else found.on(on)

    @property
    def places(self) -> tuple[str, ...]:
        """What was measured on, reality or what stands for it first."""
        ground = self.study.ground.name
        names = {one.on for result in self.all for one in result.measured} - {ground}
        return (ground, *sorted(names))

    def sizes(self, task: str) -> tuple[int, ...]:
        """Those of which a cell of a task was run; the smallest if none was."""
        run = {result.cell for result in self.all}
        found = sorted({cell.size for cell in MATRIX if cell.task == task and cell.name in run})
        return tuple(found) or (min(SIZES),)


def write_report(folder: Path, study: Sim2Real) -> list[Path]:
    """Everything that is finished, as report.html and report.csv."""
    results = _Results(study, tuple(study.finished(MATRIX)))
    page, table = folder / "report.html", folder / "report.csv"
    text = (
        Environment(loader=PackageLoader("skiagraph.tasks", "pages"), autoescape=True, trim_blocks=True)
        .get_template("sim2real.html")
        .render(
            note=study.ground.note,
            ground=study.ground.name,
            done=len(results.all),
            total=len(MATRIX),
            effort=study.effort,
            adapted_to=", ".join(one.name for one in study.real) or study.ground.name,
            sheets=list(_sheets(results)),
            figures=[
                (f"Figure 5 on {on}, {size} px", _figure(results, on, size))
                for on in results.places
                for size in results.sizes("hip")
            ],
            cells=[(cell.name, _line(results, cell)) for cell in MATRIX],
            version=version("skiagraph"),
        )
    )
    with writing(page) as part:
        part.write_text(text, encoding="utf-8")
    with writing(table) as part, part.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(_csv(results))
    return [page, table]


def lines(study: Sim2Real, cells: Sequence[Cell]) -> list[str]:
    """The cells of these tasks and sizes, each with its error or `not run`, and how many others there are."""
    results = _Results(study, tuple(study.finished(MATRIX)))
    near = {(cell.task, cell.size) for cell in cells}
    shown = [cell for cell in MATRIX if (cell.task, cell.size) in near]
    other = [cell for cell in MATRIX if cell not in shown]
    left = sum(results.of(cell, study.ground.name) is None for cell in other)
    said = [f"{cell.name:<44} {_line(results, cell)}" for cell in shown]
    return [*said, f"{left} of {len(other)} cells of other tasks and sizes: {NOT_RUN}"]


def _line(results: _Results, cell: Cell) -> str:
    found = [(on, one) for on in results.places if (one := results.of(cell, on)) is not None]
    if not found:
        return NOT_RUN
    if cell.task == "covid":
        return "; ".join(f"F1 {_said(one.region('F1'), 3)} on {on}" for on, one in found)
    return "; ".join(f"{_said(one.kept(ACTIVATED), 1)} mm on {on}" for on, one in found)


def _sheets(results: _Results) -> Iterator[Sheet]:
    ground = results.study.ground.name
    yield _transfer("Table 1: hip", published.HIP, results, "hip", ground)
    yield _transfer("Table 2: tool", published.TOOL, results, "tool", ground)
    yield _transfer("Table 3: COVID-19", published.COVID, results, "covid", ground)
    yield _matrix("Table 4: Dice", published.DICE, results, ground, "dice")
    for on in results.places:
        yield _matrix(f"Table 5: mm at 90 % activation, on {on}", published.LANDMARKS, results, on, "mm")
    for on in results.places:
        yield _all(on, results)
    for on in results.places:
        yield _against(on, results)


def _transfer(title: str, rows: tuple[Transfer, ...], results: _Results, task: str, on: str) -> Sheet:
    """Synthetic against real training, at the largest size that was run."""
    size = results.sizes(task)[-1]
    made = _first(results, [c for c in MATRIX if _is(c, task, size, "realistic", "strong", "none")][::-1], on)
    real = _first(results, [c for c in MATRIX if _is(c, task, size, "real", "strong", "none")], on)
    said = []
    for row in rows:
        ours = [NOT_RUN if one is None else _figure_of(one, row.measure) for one in (made, real)]
        said.append((row.measure, ours[0], _theirs(row.sim2real), ours[1], _theirs(row.real2real)))
    header = ("", f"Sim2Real, ours on {on}", "SyntheX", f"Real2Real, ours on {on}", "SyntheX")
    note = "Realistic pictures and strong randomisation, of the scaled set if that was run; ours at "
    return Sheet(title, f"{note}{size} px.", header, tuple(said))


def _matrix(title: str, rows: tuple[Row, ...], results: _Results, on: str, measure: str) -> Sheet:
    """Training domains down, sizes and looks across; each of ours beside theirs."""
    known = {row.name: row for row in rows}
    names = [*known, *dict.fromkeys(cell.row for cell in MATRIX if cell.row not in known)]
    header, said = ["trained on"], []
    for size in SIZES:
        for looks in LOOKS:
            header += [f"{size} px {looks}", f"SyntheX {SIZES[size]}"]
    for name in names:
        line = [name]
        for size in SIZES:
            for looks in LOOKS:
                cell = next(c for c in MATRIX if (c.task, c.size, c.looks, c.row) == ("hip", size, looks, name))
                one = results.of(cell, on)
                ours = NOT_RUN if one is None else _figure_of(one, "Dice" if measure == "dice" else "at 90 %, mm")
                line += [ours, _theirs(known[name].at(SIZES[size], looks)) if name in known else "–"]
        said.append(tuple(line))
    note = (
        "Ours with what it lies between with 95 %, subjects drawn anew; theirs ± one standard deviation. "
        "Their pictures of 180, 360 and 480 pixels are padded to 192, 384 and 512; ours fill those."
    )
    return Sheet(title, note, tuple(header), tuple(said))


def _all(on: str, results: _Results) -> Sheet:
    """What SyntheX's tables leave out: recall, false activations, sides."""
    said = []
    for cell in MATRIX:
        one = results.of(cell, on)
        if one is None or not one.table.names:
            continue
        table = one.table
        said.append((
            cell.name, str(len(table.subjects)), str(len(set(table.subjects))), _said(one.mean, 1),
            _said(one.kept(ACTIVATED), 1), _said(one.kept(0.5), 1), _share(table.within(5.0)), _share(table.recall),
            _share(table.false_activation), _share(table.swap_rate),
        ))  # fmt: skip
    header = ("cell", "pictures", "subjects", "mean mm of all", "at 90 %", "at 50 %", "within 5 mm", "found",
              "invented", "other side")  # fmt: skip
    note = (
        "Millimetres of the panel on DeepFluoro, else of the plane of the hips. A landmark missed is not within 5 mm."
    )
    return Sheet(f"All that was run, on {on}", note, header, tuple(said))


def _against(on: str, results: _Results) -> Sheet:
    """Each cell against realistic, strong, unadapted, matched pictures of its size."""
    said = []
    for cell in MATRIX:
        other = next(
            c for c in MATRIX if _is(c, cell.task, cell.size, "realistic", "strong", "none") and c.scale == "matched"
        )
        one, two = results.of(cell, on), results.of(other, on)
        if cell == other or one is None or two is None or not one.table.names:
            continue
        found = compared(one.table, two.table)
        said.append((cell.name, f"{found.difference:+.2f}", f"{found.p:.3f}", str(found.subjects)))
    note = (
        "Difference of the mean error from that of realistic pictures with strong randomisation, negative where it is "
        "smaller; p by a paired permutation of subjects, two-sided, not corrected for the number of comparisons."
    )
    return Sheet(f"Against realistic and strong, on {on}", note, ("cell", "mm", "p", "subjects"), tuple(said))


def _figure(results: _Results, on: str, size: int) -> str:
    figure = Figure(figsize=(13, 11), facecolor=GROUND, layout="constrained")
    panels = figure.subplots(3, 3, sharex=True, sharey=True).flat
    for letter, name, axes in zip("abcdefghi", PANELS, panels):
        axes.set_facecolor(GROUND)
        axes.set_title(f"({letter}) {name}", color=INK, fontsize=10)
        for row, alpha in (("real", 0.8), (name, 1.0)):
            for looks, color, dashes in zip(LOOKS, (REGULAR, STRONG), ("--", "-")):
                _drawn(axes, results, on, size, row, looks, GOLD if row == "real" else color, dashes, alpha)
        axes.tick_params(colors=QUIET, labelsize=8)
        axes.set(xlim=(0, 100), ylim=(0, None))
        axes.grid(alpha=0.15)
        axes.legend(fontsize=7, labelcolor=INK, facecolor=GROUND, edgecolor=QUIET)
    figure.supxlabel("landmarks kept, the surest first (%)", color=QUIET, fontsize=10)
    figure.supylabel("mean error (mm)", color=QUIET, fontsize=10)
    return embedded(figure, DPI)


def _drawn(
    axes: Axes, results: _Results, on: str, size: int, name: str, looks: str, color: str, dashes: str, alpha: float
) -> None:
    """Our curve if it was run, and SyntheX's one published point of theirs."""
    cell = next(c for c in MATRIX if (c.task, c.size, c.looks, c.row) == ("hip", size, looks, name))
    one = results.of(cell, on)
    if one is None:
        axes.plot([], [], dashes, color=color, alpha=alpha, label=f"{name} {looks}: {NOT_RUN}")
    else:
        curve = Curve.of(one.table)
        axes.plot(100 * curve.share, curve.error, dashes, color=color, alpha=alpha, label=f"{name} {looks}")
    theirs = next(row for row in published.LANDMARKS if row.name == name).at(SIZES[size], looks)
    marker = "o" if looks == "strong" else "s"
    axes.plot([100 * ACTIVATED], [theirs.mean], marker, color=color, markerfacecolor="none", alpha=alpha)


def _csv(results: _Results) -> Iterator[tuple[str, ...]]:
    yield (
        "cell", "task", "size", "domain", "looks", "adapted", "scale", "on", "pictures", "subjects", "mean_mm",
        "mean_low", "mean_high", "mm_at_90", "at_90_low", "at_90_high", "dice", "dice_low", "dice_high", "recall",
        "false_activation", "swapped", *(name.lower() for name in FIGURES), "synthex_mm_at_90", "synthex_mm_deviation",
        "synthex_dice", "synthex_dice_deviation",
    )  # fmt: skip
    for cell in MATRIX:
        what = (cell.name, cell.task, str(cell.size), cell.domain, cell.looks, cell.adapted, cell.scale)
        theirs = tuple(word for rows in (published.LANDMARKS, published.DICE) for word in _cited(cell, rows))
        found = [(on, one) for on in results.places if (one := results.of(cell, on)) is not None]
        if not found:
            yield (*what, NOT_RUN, *[""] * 20, *theirs)
        for on, one in found:
            table = one.table
            figures = [
                number for e in (one.mean, one.kept(ACTIVATED), one.overlap) for number in (e.value, e.low, e.high)
            ]
            figures += [table.recall, table.false_activation, table.swap_rate]
            figures += [one.region(name).value for name in FIGURES]
            counts = (str(len(table.subjects)), str(len(set(table.subjects))))
            yield (*what, on, *counts, *(_number(figure) for figure in figures), *theirs)


def _cited(cell: Cell, rows: tuple[Row, ...]) -> tuple[str, str]:
    row = next((row for row in rows if row.name == cell.row), None)
    if cell.task != "hip" or row is None:
        return "", ""
    theirs = row.at(SIZES[cell.size], cell.looks)
    return str(theirs.mean), str(theirs.deviation)


def _first(results: _Results, cells: Sequence[Cell], on: str) -> Measured | None:
    return next((one for cell in cells if (one := results.of(cell, on)) is not None), None)


def _is(cell: Cell, task: str, size: int, domain: str, looks: str, adapted: str) -> bool:
    return (cell.task, cell.size, cell.domain, cell.looks, cell.adapted) == (task, size, domain, looks, adapted)


def _figure_of(one: Measured, measure: str) -> str:
    if measure == "Dice":
        return _said(one.overlap, 3)
    if measure in FIGURES:
        return _said(one.region(measure), 3)
    return _said(one.mean if measure == "error, mm" else one.kept(ACTIVATED), 2)


def _said(one: Estimate, digits: int) -> str:
    if not math.isfinite(one.value):
        return "–"
    return f"{one.value:.{digits}f} ({one.low:.{digits}f} to {one.high:.{digits}f})"


def _theirs(one: Published) -> str:
    return f"{one.mean:g} ± {one.deviation:g}"


def _share(value: float) -> str:
    return f"{value:.0%}" if math.isfinite(value) else "–"


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else ""
