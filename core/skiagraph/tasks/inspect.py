"""`skiagraph inspect`: a set of samples on one page."""

import math
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import ClassVar

import torch
import tyro
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from skiagraph.drr.display import picture
from skiagraph.factory.chance import generator_for
from skiagraph.factory.order import SPLITS
from skiagraph.factory.overview import Overview, overview
from skiagraph.factory.reading import SampleSet, read
from skiagraph.factory.take import Taken
from skiagraph.io.files import writing
from skiagraph.tasks.page import TITLES, as_data, embedded
from skiagraph.tasks.sheet import Panel, write_sheet
from skiagraph.tasks.task import Report, silent

QUIET, WARM, GROUND = "#93a1b0", "#ffd166", "#151b23"
DPI = 100
SPLIT_COLORS = {"train": "#4cc9f0", "val": "#ffd166", "test": "#f72585"}


@dataclass(frozen=True)
class Inspect:
    """Look at a set of samples: a contact sheet, the views on their sphere, histograms and duplicates, in one page."""

    command: ClassVar[str] = "inspect"

    dataset: tyro.conf.Positional[Path]
    """A set made by `skiagraph make-samples`."""
    output: Path | None = None
    """The page; `inspect.html` in the set if not given."""
    pictures: int = 24
    """X-rays on the contact sheet, drawn evenly from the set."""

    @property
    def record(self) -> None:
        """Nothing but the page is written."""

    def run(self, report: Report = silent) -> list[Path]:
        """Read the set and write the page, and the contact sheet beside it."""
        samples = SampleSet(self.dataset)
        page = self.output if self.output is not None else self.dataset / "inspect.html"
        sheet = page.with_suffix(".png")
        found = overview(samples, report)
        shown = _drawn(samples, self.pictures)
        write_sheet(
            sheet, [_panel(taken) for taken in shown], f"{samples.folder.name}: {len(found.numbers)} samples", 6
        )
        template = Environment(loader=PackageLoader("skiagraph.tasks", "pages"), autoescape=True, trim_blocks=True)
        text = template.get_template("inspect.html").render(
            card=samples.card,
            splits=[split for split in SPLITS if samples.count(split)],
            found=found,
            landmarks=[(TITLES.get(name, name), int(found.visible[n]), int(found.known[n]))
                       for n, name in enumerate(samples.landmarks)],
            shares=[(TITLES.get(name, name), share) for name, share in found.shares.items()],
            sheet=[(as_data(picture(taken.sample.image)), _caption(taken)) for taken in shown[:12]],
            sphere=embedded(_sphere(found), DPI),
            places=embedded(_places(found), DPI),
            voltages=embedded(_voltages(found), DPI) if found.kvp else None,
            sheet_name=sheet.name,
            version=version("skiagraph"),
        )  # fmt: skip
        with writing(page) as part:
            part.write_text(text, encoding="utf-8")
        return [page, sheet]


def _drawn(samples: SampleSet, count: int) -> list[Taken]:
    """So many samples, from shards spread evenly over the set."""
    shards = samples.shards()
    chosen = torch.randperm(len(shards), generator=generator_for(0, "inspect")).tolist()[:count]
    each = math.ceil(count / max(1, len(chosen)))
    return [taken for n in sorted(chosen) for taken in islice(read(shards[n]), each)][:count]


def _panel(taken: Taken) -> Panel:
    sample = taken.sample
    return Panel(picture(sample.image), _caption(taken), sample.keypoints, sample.masks)


def _caption(taken: Taken) -> str:
    return f"{taken.number} · {taken.record.primary:.0f}°, {taken.record.secondary:.0f}°"


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), facecolor=GROUND, layout="constrained")


def _sphere(found: Overview) -> Figure:
    """Lambert's equal-area picture of where the panels stood: AP in the middle, laterals on the inner circle."""
    figure = _figure(5, 5)
    axes = figure.add_subplot(facecolor=GROUND)
    primary, secondary = found.angles.deg2rad().unbind(dim=1)
    front = torch.cos(secondary) * torch.cos(primary)
    scale = torch.sqrt(2 / (1 + front).clamp(min=1e-3))
    x, y = scale * torch.cos(secondary) * torch.sin(primary), scale * torch.sin(secondary)
    for split, color in SPLIT_COLORS.items():
        mine = torch.tensor([one == split for one in found.splits], dtype=torch.bool)
        axes.scatter(x[mine].numpy(), y[mine].numpy(), s=4, c=color, alpha=0.6, label=split, linewidths=0)
    for degrees in (30, 60, 90):
        radius = 2 * math.sin(math.radians(degrees) / 2)
        turn = torch.linspace(0, 2 * math.pi, 200)
        axes.plot((radius * turn.cos()).numpy(), (radius * turn.sin()).numpy(), c=QUIET, lw=0.6)
        axes.text(0, radius, f"{degrees}°", color=QUIET, fontsize=8, ha="center", va="bottom")
    for word, right, up in (("LAO", 1.55, 0.0), ("RAO", -1.55, 0.0), ("CRA", 0.0, 1.62), ("CAU", 0.0, -1.62)):
        axes.text(right, up, word, color=QUIET, ha="center", va="center", fontsize=9)
    axes.set(xlim=(-1.75, 1.75), ylim=(-1.75, 1.75), aspect="equal")
    axes.set_axis_off()
    axes.legend(loc="lower right", fontsize=8, labelcolor=QUIET, facecolor=GROUND, edgecolor=GROUND, markerscale=3)
    return figure


def _places(found: Overview) -> Figure:
    """How often landmarks lie where in the picture."""
    figure = _figure(5, 5)
    axes = figure.add_subplot()
    axes.hist2d(found.places[:, 0].numpy(), found.places[:, 1].numpy(), bins=48, range=[[0, 1], [0, 1]], cmap="magma")
    axes.set(aspect="equal", xlim=(0, 1), ylim=(1, 0))
    axes.set_axis_off()
    return figure


def _voltages(found: Overview) -> Figure:
    figure = _figure(5, 2.4)
    axes = figure.add_subplot(facecolor=GROUND)
    values = sorted(set(found.kvp))
    axes.bar(values, [found.kvp.count(value) for value in values], width=3.5, color=WARM)
    axes.set_xlabel("kV", color=QUIET)
    axes.tick_params(colors=QUIET)
    return figure
