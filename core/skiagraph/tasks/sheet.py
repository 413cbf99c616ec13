"""Contact sheets: many X-rays on one page, with what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from contourpy import contour_generator
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from torch import Tensor

from skiagraph.io.files import writing
from skiagraph.volume import Keypoints

COLORS = ("#4cc9f0", "#f72585", "#ffd166", "#b388ff", "#80ed99", "#ff9e64", "#e0e0e0", "#5e60ce")
"""One for each structure, in order."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of a sheet."""

    image: Float[Tensor, "v u"]
    """0...1."""
    caption: str
    keypoints: Keypoints | None = None
    masks: Bool[Tensor, "m v u"] | None = None
    words: tuple[str, ...] = ()
    """What is written beside each keypoint, if anything."""


def write_sheet(path: Path, panels: Sequence[Panel], title: str = "", columns: int = 4, across: float = 3.4) -> None:
    """A page of pictures, `across` inches each, with their landmarks as dots and their masks as outlines."""
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(across * columns, (across + 0.35) * rows + 0.5), facecolor="#101418", layout="constrained")
    figure.suptitle(title, color="white", fontsize=13)
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.imshow(panel.image.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
        for mask, color in zip(panel.masks if panel.masks is not None else (), COLORS * 8):
            if mask.any() and not mask.all():
                axes.contour(mask.float().numpy(), levels=[0.5], colors=[color], linewidths=0.8)
        if panel.keypoints is not None:
            shown = panel.keypoints.uv[panel.keypoints.visible]
            axes.scatter(
                shown[:, 0].numpy(), shown[:, 1].numpy(), s=10, c="#ffd166", edgecolors="black", linewidths=0.4
            )
            for word, (u, v), there in zip(panel.words, panel.keypoints.uv.tolist(), panel.keypoints.visible.tolist()):
                if there:
                    axes.annotate(word, (u, v), (4, 3), textcoords="offset points", color="#ffd166", fontsize=7)
        axes.set_title(panel.caption, color="white", fontsize=9)
        axes.set_axis_off()
    with writing(path) as part:
        figure.savefig(part, dpi=110)


def outline(mask: Bool[Tensor, "v u"]) -> list[Float[Tensor, "p 2"]]:
    """The outlines of a mask as closed lines of pixels (u, v)."""
    padded = torch.nn.functional.pad(mask.float(), (1, 1, 1, 1))
    lines = contour_generator(z=padded.numpy()).lines(0.5)
    return [torch.from_numpy(line).float() - 1 for line in lines]
