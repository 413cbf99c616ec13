"""What was found, drawn over the X-ray it was found on."""

from pathlib import Path

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from skiagraph.detect.detector import Findings
from skiagraph.io.files import writing
from skiagraph.tasks.page import ALIASES
from skiagraph.tasks.sheet import COLORS
from skiagraph.tasks.xray import stretched
from skiagraph.volume import Keypoints

SURE, UNSURE = "#ffd166", "#ff5d5d"
TRUTH = "#4cc9f0"


def draw(axes: Axes, picture: Float[Tensor, "v u"], found: Findings, truth: Keypoints | None = None) -> None:
    """An X-ray with outlines of the structures and the visible points: yellow if sure, red if not; the truth blue."""
    axes.imshow(stretched(picture).numpy(), cmap="gray", interpolation="antialiased")
    for mask, color in zip(found.masks, COLORS * 2):
        if mask.any() and not mask.all():
            axes.contour(mask.float().numpy(), levels=[0.5], colors=[color], linewidths=0.6)
    if truth is not None:
        at = truth.uv[truth.visible]
        axes.scatter(at[:, 0].numpy(), at[:, 1].numpy(), s=26, marker="+", c=TRUTH, linewidths=0.9)
    points = found.keypoints
    for name, (u, v), confidence, visible in zip(
        points.names, points.uv.tolist(), found.confidence.tolist(), points.visible.tolist()
    ):
        if visible:
            color = SURE if confidence > 0.5 else UNSURE
            axes.scatter([u], [v], s=9, c=color, edgecolors="black", linewidths=0.3)
            axes.annotate(ALIASES.get(name, name), (u, v), (3, 3), textcoords="offset points", color=color, fontsize=5)
    axes.set_axis_off()


def write_overlay(path: Path, picture: Float[Tensor, "v u"], found: Findings, truth: Keypoints | None = None) -> None:
    """The drawing as a picture of its own."""
    rows, columns = picture.shape
    figure = Figure(figsize=(7, 7 * rows / columns), facecolor="black")
    draw(figure.add_axes((0, 0, 1, 1)), picture, found, truth)
    with writing(path) as part:
        figure.savefig(part, dpi=160, format="png")
