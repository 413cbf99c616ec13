"""What was measured, as rows of a CSV: kept, shown as tables, drawn."""

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import rich.table

from skiagraph.io.files import writing

OURS, JOSEPH, RTK = "Skiagraph, sliced", "Skiagraph, plain Joseph", "RTK, Joseph"
"""The engine all others are held against, the yardstick, and the one the promise is about."""

NAN = math.nan


@dataclass(frozen=True)
class Row:
    """An engine on a case: medians over calls, milliseconds a view. A failure has a note and no figures."""

    case: str
    engine: str
    voxels: str = ""
    pixels: int = 0
    views_a_call: int = 1
    threads: int = 1
    calls: int = 0
    """Measured, after the first ones."""
    cpu_ms: float = NAN
    wall_ms: float = NAN
    first_cpu_ms: float = NAN
    """Of the first call, with all that is done once."""
    joseph_cpu_ms: float = NAN
    """The yardstick's, taking turns with it."""
    joseph_wall_ms: float = NAN
    ratio: float = NAN
    """CPU time over the yardstick's: the median over the turns."""
    error: float = NAN
    """||found - exact|| / ||exact||, mean over the calls' first views."""
    joseph_error: float = NAN
    """The yardstick's on the same views."""
    peak_mb: float = NAN
    version: str = ""
    note: str = ""
    machine: str = ""
    date: str = ""

    @property
    def measured(self) -> bool:
        return math.isfinite(self.ratio)

    def is_of(self, other: "Row") -> bool:
        """Whether both are of the same engine, case and machine."""
        return (self.case, self.engine, self.machine) == (other.case, other.engine, other.machine)


def read(path: Path) -> list[Row]:
    """The rows of a CSV; none where there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [Row(**{f.name: _parsed(f.type, line[f.name]) for f in fields(Row)}) for line in csv.DictReader(file)]


def write(path: Path, rows: Sequence[Row]) -> None:
    with writing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, [f.name for f in fields(Row)], lineterminator="\n")
        table.writeheader()
        table.writerows({name: _printed(value) for name, value in asdict(row).items()} for row in rows)


def put(rows: Sequence[Row], row: Row) -> list[Row]:
    """The rows with one in its old place, or at the end."""
    if not any(row.is_of(other) for other in rows):
        return [*rows, row]
    return [row if row.is_of(other) else other for other in rows]


def times_ours(rows: Sequence[Row], row: Row) -> float:
    """An engine's CPU time over ours on the same case, both as ratios to the yardstick."""
    return row.ratio / next((r.ratio for r in rows if r.engine == OURS and r.case == row.case), NAN)


@dataclass(frozen=True)
class Table:
    """Words in rows and columns."""

    title: str
    headings: tuple[str, ...]
    lines: Sequence[tuple[str, ...]]

    def rich(self) -> rich.table.Table:
        table = rich.table.Table(*self.headings, title=self.title)
        for line in self.lines:
            table.add_row(*line)
        return table

    def markdown(self) -> str:
        rows = (self.headings, ["---"] * len(self.headings), *self.lines)
        return f"## {self.title}\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def peers_table(rows: Sequence[Row], case: str) -> Table:
    """Every engine on a case, the fastest first and those without figures last."""
    smooth = {row.engine: row.error for row in rows if row.case == "smooth"}
    chosen = sorted((r for r in rows if r.case == case), key=lambda r: r.ratio if r.measured else math.inf)
    title = f"{case}: {chosen[0].voxels} voxels, {chosen[0].pixels}² pixels" if chosen else case
    headings = (
        *("engine", "CPU ms", "wall ms", "÷ Joseph", "÷ ours"),
        *("error %", "÷ Joseph's", "smooth %", "peak MB", "first call s", "notes"),
    )
    lines = [
        (
            f"{row.engine} ({row.version})" if row.version else row.engine,
            *map(number, (row.cpu_ms, row.wall_ms, row.ratio, times_ours(rows, row))),
            *map(number, (100 * row.error, row.error / row.joseph_error, 100 * smooth.get(row.engine, NAN))),
            *map(number, (row.peak_mb, row.first_cpu_ms / 1e3)),
            "; ".join(filter(None, (row.note, f"{row.calls} view{'s' * (row.calls > 1)}" if row.measured else ""))),
        )
        for row in chosen
    ]
    return Table(title, headings, lines)


def scaling_table(rows: Sequence[Row]) -> Table:
    """Ours beside the yardstick as one thing or another grows."""
    headings = (
        *("case", "voxels", "pixels", "views a call", "threads", "CPU ms", "wall ms"),
        *("Joseph CPU ms", "Joseph wall ms", "Joseph ÷ ours, CPU", "error %", "Joseph's error %"),
    )
    lines = [
        (
            *(row.case, row.voxels, f"{row.pixels}²", str(row.views_a_call), str(row.threads)),
            *map(number, (row.cpu_ms, row.wall_ms, row.joseph_cpu_ms, row.joseph_wall_ms, 1 / row.ratio)),
            *map(number, (100 * row.error, 100 * row.joseph_error)),
        )
        for row in rows
    ]
    return Table("How ours scales, a view", headings, lines)


def number(value: float) -> str:
    """Three digits, or a dash."""
    if not math.isfinite(value):
        return "–"
    return f"{float(f'{value:.3g}'):.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def page(tables: Sequence[Table], verdict: Sequence[str], rows: Sequence[Row]) -> str:
    """All of it as Markdown."""
    dates = sorted({row.date for row in rows})
    when = f" {' to '.join(dict.fromkeys((dates[0], dates[-1])))}" if dates else ""
    about = (
        f"Measured{when} on {rows[0].machine if rows else 'no machine yet'}, written by `make bench`. Milliseconds are "
        "medians a view, one thread unless said; wall times also tell how busy the machine was. Each engine is a "
        "process of its own and takes turns with a plain single-precision Joseph projector in C++: ÷ Joseph is the "
        "median of the ratios of their CPU times in a turn, ÷ ours the ratio of two such ratios. Errors are "
        "||found - exact|| / ||exact|| for 45 ellipsoids, also divided by the Joseph projector's on the same views, "
        "and, smooth, for two Gaussian blobs in 256³ voxels. Peak memory is all a process held, with its libraries and "
        "the volume."
    )
    absent = (
        "Not measured: ASTRA (3-D), TIGRE and DeepDRR need an NVIDIA GPU; LEAP is not on PyPI; gVirtualXRay sees "
        "surface meshes, not voxels."
    )
    parts = [
        "# How fast line integrals are, ours and others'",
        about,
        *verdict,
        *(t.markdown() for t in tables),
        absent,
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def draw(rows: Sequence[Row], case: str, path: Path) -> None:
    """CPU time a view of each engine as a bar on a logarithmic scale, with its error beside it."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    chosen = sorted((r for r in rows if r.case == case and r.measured), key=lambda r: -r.ratio)
    with pyplot.rc_context({"svg.hashsalt": "skiagraph", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(8.0, 0.8 + 0.28 * len(chosen)))
        colors = ["#1f6f8b" if row.engine.startswith("Skiagraph") else "#b4b4b4" for row in chosen]
        axes.barh([row.engine for row in chosen], [row.cpu_ms for row in chosen], color=colors)
        for place, row in enumerate(chosen):
            times = "" if row.engine == OURS else f"{number(times_ours(rows, row))} × ours, "
            words = f"{number(row.cpu_ms)} ms, {times}error {row.error / row.joseph_error:.2f} × Joseph's"
            axes.text(1.15 * row.cpu_ms, place, words, va="center")
        axes.set_xscale("log")
        axes.set_xlim(1, 1000 * max(row.cpu_ms for row in chosen))
        axes.set_xlabel(f"CPU ms a view: {chosen[0].voxels} voxels, {chosen[0].pixels}² pixels, one thread")
        axes.spines[["top", "right"]].set_visible(False)
        figure.tight_layout()
        with writing(path) as part:
            figure.savefig(part, format="svg", metadata={"Date": None})
        pyplot.close(figure)


def _parsed(kind: object, text: str) -> str | int | float:
    if kind is float:
        return float(text) if text else NAN
    return int(text) if kind is int else text


def _printed(value: str | int | float) -> str:
    if isinstance(value, float):
        return f"{value:.5g}" if math.isfinite(value) else ""
    return str(value)
