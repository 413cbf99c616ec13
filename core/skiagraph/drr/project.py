"""Labels as a view sees them: masks, thickness, depth and area. They are projected, never warped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from skiagraph.drr.engines import thickness
from skiagraph.geometry import Grid, View, box_around
from skiagraph.volume import Labels


@dataclass(frozen=True, eq=False)
class Projection:
    """What a single view shows of each structure; structures overlap, so each has a mask of its own."""

    names: tuple[str, ...]
    thickness: Float[Tensor, "m v u"]
    """Millimetres of the structure along each ray."""
    depth: Float[Tensor, "m v u"]
    """Millimetres from the source to where a ray enters it; infinite where it misses."""
    pixel_area: float
    """Square millimetres of one pixel on the panel."""

    @property
    def masks(self) -> Bool[Tensor, "m v u"]:
        """Where the structure is in the way."""
        return self.thickness > 0

    @property
    def areas(self) -> Float[Tensor, "m"]:
        """The shadow of each structure on the panel, in square millimetres."""
        return self.masks.sum(dim=(1, 2)) * self.pixel_area


def project_labels(labels: Labels | Sequence[Labels], view: View, names: Iterable[str] | None = None) -> Projection:
    """The named structures (all of them, if none are named) of one or several bodies in a single view."""
    bodies = [labels] if isinstance(labels, Labels) else list(labels)
    wanted = (
        tuple(names) if names is not None else tuple(dict.fromkeys(n for body in bodies for n in body.names.values()))
    )
    through = torch.zeros(len(wanted), *view.size)
    depth = torch.full_like(through, torch.inf)
    for body in bodies:
        here = [m for m, name in enumerate(wanted) if name in body.names.values()]
        if here:
            numbers = torch.tensor([body.index_of(wanted[m]) for m in here])
            index, grid = _around(body, numbers)
            more, nearest = thickness(index, numbers, grid, view)
            through[here] += more
            depth[here] = torch.minimum(depth[here], nearest)
    rows, columns = view.pixel_spacing
    return Projection(wanted, through, depth, rows * columns)


def _around(labels: Labels, numbers: Tensor) -> tuple[Tensor, Grid]:
    """The smallest box of voxels that holds the numbered labels; a single empty voxel if there are none."""
    box = box_around(torch.isin(labels.index, numbers.to(labels.index.dtype)))
    if box is None:
        return torch.zeros_like(labels.index[:1, :1, :1]), Grid((1, 1, 1), labels.grid.world_from_ijk)
    return labels.index[box], labels.grid.cropped(box)
