"""The report people look at: one HTML file with everything in it."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from jaxtyping import Float
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from skiagraph.anatomy import TERMS
from skiagraph.io.files import writing
from skiagraph.io.patient import Patient
from skiagraph.planning import PelvicFrame
from skiagraph.tasks.sheet import COLORS, outline
from skiagraph.tasks.shot import Shot

TITLES = {name: term.title for name, term in TERMS.items()}
ALIASES = {name: term.alias for name, term in TERMS.items()}


@dataclass(frozen=True, eq=False)
class Exhibit:
    """One X-ray of the report."""

    name: str
    shot: Shot

    @property
    def caption(self) -> Mapping[str, object]:
        """What is said of it."""
        return self.shot.record.extra

    @property
    def image(self) -> str:
        """The picture, as a data address."""
        return as_data(self.shot.shown)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.shot.view.size

    @property
    def angles(self) -> tuple[float, float]:
        """Primary and secondary."""
        return self.shot.record.primary, self.shot.record.secondary

    @property
    def marks(self) -> list[tuple[str, str, float, float]]:
        """The visible landmarks: title, short name, u and v."""
        points = self.shot.record.keypoints
        return [
            (TITLES.get(name, name), ALIASES.get(name, name), *uv)
            for name, uv, visible in zip(points.names, points.uv.tolist(), points.visible.tolist())
            if visible
        ]

    @property
    def hidden(self) -> int:
        """How many landmarks miss the panel."""
        return int((~self.shot.record.keypoints.visible).sum())

    @cached_property
    def outlines(self) -> list[tuple[str, str, str]]:
        """The structures: title, colour and outline as an SVG path."""
        projection = self.shot.projection
        if projection is None:
            return []
        return [
            (TITLES.get(name, name), color, _path(outline(mask)))
            for name, mask, color in zip(projection.names, projection.masks, COLORS * 20)
            if mask.any()
        ]


def write_page(
    path: Path, exhibits: Sequence[Exhibit], fidelities: Mapping[str, Shot], patient: Patient, subject: str
) -> None:
    """The report of one patient's X-rays."""
    k, j, i = patient.volume.grid.shape
    page = Environment(
        loader=PackageLoader("skiagraph.tasks", "pages"), autoescape=True, trim_blocks=True
    ).get_template("report.html")
    text = page.render(
        exhibits=exhibits,
        fidelities={name: as_data(shot.shown) for name, shot in fidelities.items()},
        pelvis=PelvicFrame.if_known(patient.landmarks),
        landmarks=patient.landmarks,
        subject=subject,
        grid=f"{i} × {j} × {k} voxels of {' × '.join(f'{x:.2f}' for x in patient.volume.grid.spacing)} mm",
        version=version("skiagraph"),
    )
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")


def as_data(image: Float[Tensor, "v u"]) -> str:
    """An image 0...1 as a JPEG data address."""
    buffer = io.BytesIO()
    Image.fromarray((image * 255).round().byte().numpy()).save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def embedded(figure: Figure, dpi: int) -> str:
    """A figure as a PNG data address."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _path(lines: Sequence[Tensor]) -> str:
    """Outlines as an SVG path, every second point of long ones, to a tenth of a pixel."""
    parts = []
    for line in lines:
        points = line[:: 2 if len(line) > 40 else 1]
        parts.append("M" + "L".join(f"{u:.1f} {v:.1f}" for u, v in points.tolist()) + "Z")
    return "".join(parts)
