"""Several pictures with all that is labelled in them, as a training step takes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from skiagraph.errors import DataError
from skiagraph.sample import Sample

LEAD = 0.01
"""Transmission above which a row that is the same everywhere is open beam and no lead. Ours."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Pictures of one size, and in each the same landmarks and structures."""

    pictures: Float[Tensor, "b 1 v u"]
    """Transmission 0...1 before the first effect, what a network sees after the last."""
    uv: Float[Tensor, "b l 2"]
    """Pixels; integers are centres."""
    visible: Bool[Tensor, "b l"]
    masks: Bool[Tensor, "b c v u"]
    field: Bool[Tensor, "b 1 v u"]
    """Where the collimator was open when the picture was taken."""
    landmarks: tuple[str, ...]
    structures: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.landmarks) != self.uv.shape[1] or len(self.structures) != self.masks.shape[1]:
            raise DataError(
                f"{self.uv.shape[1]} points and {self.masks.shape[1]} masks but {len(self.landmarks)} and "
                f"{len(self.structures)} names; name each of them"
            )

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.pictures.shape[-2], self.pictures.shape[-1]

    @staticmethod
    def of(samples: Sequence[Sample]) -> "Batch":
        """Samples that label the same things in pictures of the same size. Raises DataError for others."""
        kinds = {(one.image.shape, one.keypoints.names, one.structures) for one in samples}
        if len(kinds) != 1:
            raise DataError(f"{len(kinds)} kinds of samples in a batch; give samples of one set")
        (_, landmarks, structures) = kinds.pop()
        pictures = torch.stack([one.image for one in samples])[:, None].float()
        return Batch(
            pictures,
            torch.stack([one.keypoints.uv for one in samples]).float(),
            torch.stack([one.keypoints.visible for one in samples]),
            torch.stack([one.masks for one in samples]),
            open_field(pictures),
            landmarks,
            structures,
        )

    @staticmethod
    def bare(pictures: Float[Tensor, "b 1 v u"]) -> "Batch":
        """Pictures in which nothing is labelled."""
        count, _, rows, columns = pictures.shape
        seen, masks = torch.zeros(count, 0, dtype=torch.bool), torch.zeros(count, 0, rows, columns, dtype=torch.bool)
        return Batch(pictures, torch.zeros(count, 0, 2), seen, masks, open_field(pictures), (), ())

    def to(self, device: torch.device) -> "Batch":
        """The same batch in another memory."""
        return replace(
            self,
            pictures=self.pictures.to(device),
            uv=self.uv.to(device),
            visible=self.visible.to(device),
            masks=self.masks.to(device),
            field=self.field.to(device),
        )

    def part(self, chosen: Bool[Tensor, "b"]) -> "Batch":
        """The chosen ones alone."""
        if bool(chosen.all()):
            return self
        return replace(
            self,
            pictures=self.pictures[chosen],
            uv=self.uv[chosen],
            visible=self.visible[chosen],
            masks=self.masks[chosen],
            field=self.field[chosen],
        )

    def with_pictures(self, chosen: Bool[Tensor, "b"], pictures: Float[Tensor, "n 1 v u"]) -> "Batch":
        """The same batch with other pictures in place of the chosen ones."""
        return replace(self, pictures=_put(self.pictures, chosen, pictures))

    def with_part(self, chosen: Bool[Tensor, "b"], part: "Batch") -> "Batch":
        """The same batch, the chosen ones as they are in `part`."""
        return replace(
            self,
            pictures=_put(self.pictures, chosen, part.pictures),
            uv=_put(self.uv, chosen, part.uv),
            visible=_put(self.visible, chosen, part.visible),
            masks=_put(self.masks, chosen, part.masks),
            field=_put(self.field, chosen, part.field),
        )


def open_field(transmission: Float[Tensor, "b 1 v u"]) -> Bool[Tensor, "b 1 v u"]:
    """Where a collimator was open: all but the rows and columns in which the same little comes through everywhere."""
    return ~(_lead(transmission, -1) | _lead(transmission, -2))


def _lead(transmission: Float[Tensor, "b 1 v u"], axis: int) -> Tensor:
    most = transmission.amax(axis, keepdim=True)
    return (most < LEAD) & (most == transmission.amin(axis, keepdim=True))


def _put(whole: Tensor, chosen: Bool[Tensor, "b"], part: Tensor) -> Tensor:
    if len(part) == len(whole):
        return part
    whole = whole.clone()
    whole[chosen] = part
    return whole
