"""Masks by the thousand: the shadows of a body's structures by the engine that takes its pictures.

`project.project_labels` takes voxels whole and goes ray by ray, and tells depth. Here a structure is a field of its
own, full where it is and cropped to it, so that it costs next to nothing where it is not; its outline is that of the
whole voxels to half a voxel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from skiagraph.drr.engines import fastest
from skiagraph.geometry import Grid, View, box_around
from skiagraph.volume import Labels

FAINT = 1.0
"""Of the finest voxel spacing: less of a structure than this along a ray is the blur of its edge, on average."""


@dataclass(frozen=True, eq=False)
class Occupancy:
    """Where a structure is: 1 in its voxels."""

    field: Float[Tensor, "1 k j i"]
    grid: Grid


_KEPT: WeakKeyDictionary[Labels, dict[str, Occupancy | None]] = WeakKeyDictionary()
"""By labels, then by structure; None for one without a voxel. Gone with the labels."""


def shadows(bodies: Sequence[Labels], view: View, names: Sequence[str]) -> Bool[Tensor, "m v u"]:
    """Which pixels of a single view each named structure lies before; structures overlap."""
    masks = torch.zeros(len(names), *view.size, dtype=torch.bool)
    for labels in bodies:
        for m, name in enumerate(names):
            occupancy = occupied(labels, name)
            if occupancy is not None:
                through = fastest(occupancy.field, occupancy.grid, view)[0]
                masks[m] |= through > FAINT * min(occupancy.grid.spacing)
    return masks


def occupied(labels: Labels, name: str) -> Occupancy | None:
    """Where a structure is, cropped to it; None if the labels do not have it."""
    known = _KEPT.setdefault(labels, {})
    if name not in known:
        known[name] = _cropped(labels, name)
    return known[name]


def _cropped(labels: Labels, name: str) -> Occupancy | None:
    if name not in labels.names.values():
        return None
    where = labels.mask(name)
    box = box_around(where)
    return None if box is None else Occupancy(where[box].float()[None].contiguous(), labels.grid.cropped(box))
