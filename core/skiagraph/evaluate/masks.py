"""How well masks agree: overlap, and how far apart their edges are. MONAI's metrics."""

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor


@dataclass(frozen=True)
class Agreement:
    """Of one structure on one picture."""

    dice: float
    """1 if both are empty, 0 if one is."""
    hausdorff: float
    """95th percentile of the distances between the edges, millimetres; NaN if a mask is empty."""
    surface: float
    """Share of the edges within 2 mm of each other (normalised surface Dice); NaN if a mask is empty."""


def agreement(found: Bool[Tensor, "v u"], true: Bool[Tensor, "v u"], millimetres: float) -> Agreement:
    """How well two masks agree whose pixels have so many millimetres."""
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance  # takes seconds to import
    from monai.metrics.surface_dice import compute_surface_dice

    overlap = dice(found, true)
    if not bool(found.any()) or not bool(true.any()):
        return Agreement(overlap, float("nan"), float("nan"))
    one, other = found[None, None].float(), true[None, None].float()
    edges = compute_hausdorff_distance(one, other, include_background=True, percentile=95, spacing=millimetres)
    surface = compute_surface_dice(one, other, [2.0], include_background=True, spacing=millimetres)
    return Agreement(overlap, float(edges), float(surface))


def dice(found: Bool[Tensor, "v u"], true: Bool[Tensor, "v u"]) -> float:
    """Twice what two masks share over what they are; 1 if both are empty."""
    total = int(found.sum()) + int(true.sum())
    return 2 * int((found & true).sum()) / total if total else 1.0
