"""The report of strategies of choosing X-rays: error against labels and against clicks, as HTML, CSV and lines."""

import csv
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skiagraph.active.choosing import STRATEGIES
from skiagraph.experiments.race import LOST, Course, Race
from skiagraph.experiments.results import Estimate
from skiagraph.io.files import writing
from skiagraph.tasks.page import embedded

INK, QUIET, GROUND = "#e8edf2", "#93a1b0", "#151b23"
COLORS = dict(zip(STRATEGIES, ("#93a1b0", "#ffd166", "#4cc9f0", "#f72585", "#06d6a0", "#b388ff")))
DPI = 110
BASELINE = "random"
COLUMNS = (
    "strategy", "repeats", "labels", "clicks", "mean_mm", "low", "high", "more_than_random_mm", "more_low", "more_high",
)  # fmt: skip


def write_report(folder: Path, race: Race, note: str) -> list[Path]:
    """Everything that is finished, as report.html and report.csv."""
    courses = _courses(race)
    page, table = folder / "report.html", folder / "report.csv"
    text = (
        Environment(loader=PackageLoader("skiagraph.tasks", "pages"), autoescape=True, trim_blocks=True)
        .get_template("active_learning.html")
        .render(
            note=note,
            rules=race.rules,
            lost=LOST,
            replay=None if race.replay is None else race.replay.folder.name,
            tested=len(race.tested),
            subjects=len({one.subject for one in race.tested}),
            figure=_figure(courses) if courses else None,
            verdicts=_verdicts(courses),
            header=("strategy", "repeats", "labels", "clicks", "mean mm", "mm more than random"),
            rows=[_row(values) for values in _rows(courses)],
            missing=[name for name in STRATEGIES if name not in courses],
            version=version("skiagraph"),
        )
    )
    with writing(page) as part:
        part.write_text(text, encoding="utf-8")
    with writing(table) as part, part.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *map(_plain, _rows(courses))])
    return [page, table]


def lines(race: Race) -> list[str]:
    """Each strategy's last round, and how it compares."""
    courses = _courses(race)
    said = []
    for name in STRATEGIES:
        if name not in courses:
            said.append(f"{name:<16} not run")
            continue
        one = courses[name]
        first, last = one.estimates[0], one.estimates[-1]
        clicks = one.clicks[:, -1].mean()
        said.append(
            f"{name:<16} {first.value:.2f} mm, {_said(last)} after {one.labels[-1]} labels, {clicks:.0f} clicks"
        )
    return [*said, *_verdicts(courses)]


def _courses(race: Race) -> dict[str, Course]:
    found = {name: race.course(name) for name in STRATEGIES}
    return {name: one for name, one in found.items() if one is not None}


def _rivals(courses: dict[str, Course]) -> Iterator[tuple[str, list[Estimate]]]:
    """The strategies that have as many repeats as random, against it."""
    base = courses.get(BASELINE)
    for name, one in courses.items():
        if base is not None and name != BASELINE and one.total.shape == base.total.shape:
            yield name, one.against(base)


def _verdicts(courses: dict[str, Course]) -> list[str]:
    rivals = {name: estimates[-1] for name, estimates in _rivals(courses)}
    if not rivals:
        return ["Nothing to compare yet: random and another strategy have to be finished."]
    better = [name for name, apart in rivals.items() if apart.high < 0]
    worse = [name for name, apart in rivals.items() if apart.low > 0]
    alike = [name for name in rivals if name not in (*better, *worse)]
    said = [
        f"{what}: {', '.join(names)}."
        for what, names in (
            ("Better than random over all rounds, by its interval", better),
            ("Not told from random", alike),
            ("Worse than random over all rounds, by its interval", worse),
        )
        if names
    ]
    if min(one.total.shape[0] for one in courses.values()) == 1:
        said.append("One repeat alone: whether other pools and orders would say the same is not known.")
    return said


def _rows(
    courses: dict[str, Course],
) -> Iterator[tuple[str, int, int, float, Estimate, Estimate | None]]:
    rivals = dict(_rivals(courses))
    for name, one in courses.items():
        for number, estimate in enumerate(one.estimates):
            clicks = float(one.clicks[:, number].mean())
            apart = rivals[name][number] if name in rivals else None
            yield name, one.total.shape[0], one.labels[number], clicks, estimate, apart


def _row(values: tuple[str, int, int, float, Estimate, Estimate | None]) -> tuple[str, ...]:
    name, repeats, labels, clicks, estimate, apart = values
    return name, str(repeats), str(labels), f"{clicks:.1f}", _said(estimate), "–" if apart is None else _said(apart)


def _plain(values: tuple[str, int, int, float, Estimate, Estimate | None]) -> tuple[object, ...]:
    name, repeats, labels, clicks, estimate, apart = values
    more = ("", "", "") if apart is None else (apart.value, apart.low, apart.high)
    return name, repeats, labels, clicks, estimate.value, estimate.low, estimate.high, *more


def _figure(courses: dict[str, Course]) -> str:
    figure = Figure(figsize=(12, 5), facecolor=GROUND, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for name, one in courses.items():
        _drawn(left, name, np.array(one.labels, dtype=float), one)
        _drawn(right, name, one.clicks.mean(axis=0), one)
    for axes, title in ((left, "X-rays labelled"), (right, "points the reader touched")):
        axes.set_facecolor(GROUND)
        axes.set_xlabel(title, color=QUIET)
        axes.tick_params(colors=QUIET, labelsize=9)
        axes.grid(alpha=0.15)
    left.set_ylabel("mean error (mm)", color=QUIET)
    left.legend(fontsize=9, labelcolor=INK, facecolor=GROUND, edgecolor=QUIET)
    return embedded(figure, DPI)


def _drawn(axes: Axes, name: str, along: np.ndarray, one: Course) -> None:
    estimates = one.estimates
    axes.plot(along, [each.value for each in estimates], color=COLORS[name], marker="o", markersize=4, label=name)
    low, high = [each.low for each in estimates], [each.high for each in estimates]
    axes.fill_between(along, low, high, color=COLORS[name], alpha=0.08, linewidth=0)


def _said(one: Estimate) -> str:
    return f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
