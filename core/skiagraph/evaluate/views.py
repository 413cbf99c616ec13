"""How far a picture's view is from the one it is said to have, and its labels from what a detector finds on it.

The judge is the same for generated pictures and for DRRs, whose views and labels are true: what it says of those is its
own error.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from skiagraph.detect.detector import Findings
from skiagraph.detect.pose import Exposure, pose_of
from skiagraph.errors import DataError
from skiagraph.generate.xray_quality import turned
from skiagraph.geometry import View
from skiagraph.volume import Keypoints


@dataclass(frozen=True, eq=False)
class Looked:
    """What a detector says of one labelled picture."""

    turned: float
    """Degrees between the picture's view and the pelvis found on it; NaN where none was."""
    gaps: Float64[Tensor, "p"]
    """Millimetres in the plane of the hips between each landmark's label and where it was found."""
    labelled: Bool[Tensor, "p"]
    found: Bool[Tensor, "p"]


@dataclass(frozen=True)
class Agreement:
    """Of many pictures."""

    pictures: int
    degrees: float
    """Median of `Looked.turned`."""
    degrees_90: float
    """90 % of the pelves found are turned by less."""
    unposed: float
    """Share of pictures on which no pelvis was found."""
    millimetres: float
    """Median gap of landmarks that are labelled and found."""
    millimetres_90: float
    recall: float
    """Share of labelled landmarks that were found at all."""
    strange: float
    """Share of landmarks labelled as not to be seen that were found all the same."""


def looked(
    detector: Callable[[Float[Tensor, "v u"]], Findings],
    picture: Float[Tensor, "v u"],
    view: View,
    labels: Keypoints,
) -> Looked:
    """What a detector says of a picture whose view is in the axes of the pelvis on it, zero midway between the heads.

    Raises DataError if the detector looks for other landmarks.
    """
    findings = detector(picture)
    missing = [name for name in labels.names if name not in findings.keypoints.names]
    if missing:
        raise DataError(f"the detector finds no {', '.join(missing)}; give one of the hip task")
    places = [findings.keypoints.names.index(name) for name in labels.names]
    pose = pose_of(findings.keypoints, findings.confidence, Exposure.known(view))
    hips = torch.zeros(1, 3, dtype=torch.float64)
    pixel = sum(view.pixel_spacing) / 2 * float(view.depth(hips)[0]) / float(view.source_to_panel)
    gaps = (findings.keypoints.uv[places] - labels.uv).norm(dim=-1) * pixel
    beside = float("nan") if pose is None else turned(pose)
    return Looked(beside, gaps, labels.visible, findings.keypoints.visible[places])


def agreement(looks: Sequence[Looked]) -> Agreement:
    """What a detector says of many pictures. Raises DataError if there is none."""
    if not looks:
        raise DataError("no pictures to look at; give at least one")
    degrees = torch.tensor([one.turned for one in looks], dtype=torch.float64)
    gaps = torch.cat([one.gaps[one.labelled & one.found] for one in looks])
    labelled, found = (torch.cat([getattr(one, name) for one in looks]) for name in ("labelled", "found"))
    posed = degrees[degrees.isfinite()]
    return Agreement(
        len(looks),
        _quantile(posed, 0.5),
        _quantile(posed, 0.9),
        float(degrees.isnan().double().mean()),
        _quantile(gaps, 0.5),
        _quantile(gaps, 0.9),
        float(found[labelled].double().mean()),
        float(found[~labelled].double().mean()),
    )


def _quantile(values: Float64[Tensor, "n"], share: float) -> float:
    return float(values.quantile(share)) if len(values) else float("nan")
