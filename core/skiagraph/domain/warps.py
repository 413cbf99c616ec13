"""Motions: turned, cut out, mirrored and bent pictures, whose points and masks go the same way.

A warp says of every pixel where in the picture it is taken from. Points go the other way: exactly, by the inverse
matrix, for affine warps; by solving for the pixel that is taken from the point for bent ones.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from skiagraph.anatomy import opposites
from skiagraph.domain.batch import Batch
from skiagraph.domain.effects import Effect, Range

Beyond = Literal["zeros", "reflection"]
"""What lies beyond a picture's border: black, or the picture mirrored about its outermost pixels' centres."""


@runtime_checkable
class Warp(Protocol):
    """Where each pixel is taken from, and where each point goes."""

    @property
    def beyond(self) -> Beyond:
        """What lies beyond the border."""
        ...

    def sources(self, size: tuple[int, int]) -> Float[Tensor, "b v u 2"]:
        """For each pixel the (u, v) it is taken from."""
        ...

    def targets(self, uv: Float[Tensor, "b l 2"]) -> Float[Tensor, "b l 2"]:
        """Where the points come to lie."""
        ...


class Motion(Effect):
    """An effect that moves what the picture shows."""

    @abstractmethod
    def warp(self, count: int, size: tuple[int, int], rng: torch.Generator) -> Warp:
        """A warp for so many pictures of a size, drawn for each."""

    def on(self, batch: Batch, chosen: Bool[Tensor, "b"], rng: torch.Generator) -> Batch:
        """The batch with the chosen pictures warped, and their points and masks with them."""
        if not bool(chosen.any()):
            return batch
        part = batch.part(chosen)
        return batch.with_part(chosen, warped(part, self.warp(len(part), part.size, rng)))


def warped(batch: Batch, warp: Warp) -> Batch:
    """A batch through a warp: pictures bilinearly, masks from the nearest pixel, points beside the picture invisible.

    Masks are taken from where the picture is: where that is mirrored at its border, so are they.
    """
    rows, columns = batch.size
    where = _unit(warp.sources(batch.size), batch.size)
    uv = warp.targets(batch.uv)
    inside = (uv >= -0.5).all(-1) & (uv[..., 0] < columns - 0.5) & (uv[..., 1] < rows - 0.5)
    areas = torch.cat([batch.masks, batch.field], 1).float()
    moved = functional.grid_sample(areas, where, "nearest", warp.beyond, align_corners=True) > 0.5
    pictures = functional.grid_sample(batch.pictures, where, "bilinear", warp.beyond, align_corners=True)
    return replace(batch, pictures=pictures, uv=uv, visible=batch.visible & inside, masks=moved[:, :-1],
                   field=moved[:, -1:])  # fmt: skip


@dataclass(frozen=True, eq=False)
class AffineWarp:
    """Straight lines stay straight."""

    target_from_source: Float[Tensor, "b 3 3"]
    beyond: Beyond = "reflection"

    def sources(self, size: tuple[int, int]) -> Float[Tensor, "b v u 2"]:
        """For each pixel the (u, v) it is taken from."""
        back = torch.linalg.inv(self.target_from_source).float()
        v, u = torch.arange(float(size[0]))[:, None, None], torch.arange(float(size[1]))[:, None]
        return u * back[:, None, None, :2, 0] + (v * back[:, None, None, :2, 1] + back[:, None, None, :2, 2])

    def targets(self, uv: Float[Tensor, "b l 2"]) -> Float[Tensor, "b l 2"]:
        """Where the points come to lie."""
        there = self.target_from_source.to(uv)
        return uv @ there[:, :2, :2].mT + there[:, None, :2, 2]


@dataclass(frozen=True, eq=False)
class BentWarp:
    """Each pixel taken from a little beside it; nowhere so steeply that two pixels come from one place."""

    shift: Float[Tensor, "b 2 v u"]
    """Pixels from where a pixel is to where it is taken from, (u, v)."""
    beyond: Beyond = "reflection"

    def sources(self, size: tuple[int, int]) -> Float[Tensor, "b v u 2"]:
        """For each pixel the (u, v) it is taken from."""
        return _pixels(size) + self.shift.movedim(1, -1)

    def targets(self, uv: Float[Tensor, "b l 2"]) -> Float[Tensor, "b l 2"]:
        """Where the points come to lie: x + shift(x) = uv solved by x <- uv - shift(x), which contracts."""
        found = uv
        for _ in range(40):
            where = _unit(found, (self.shift.shape[-2], self.shift.shape[-1]))[:, None]
            there = functional.grid_sample(self.shift, where.to(self.shift), "bilinear", "border", align_corners=True)
            found = uv - there[:, :, 0].mT.to(uv)
        return found


@dataclass(frozen=True)
class Affine(Motion):
    """Scaled and sheared, turned about the middle, then shifted in a random direction."""

    turn: float = 5.0
    """Degrees, most to either side."""
    shift: float = 20 / 360
    """Most, as a part of the picture's side; the length is uniform."""
    shear: float = 2.0
    """Degrees, most to either side, along u and along v."""
    scale: Range = (0.9, 1.1)
    beyond: Beyond = "reflection"

    def warp(self, count: int, size: tuple[int, int], rng: torch.Generator) -> AffineWarp:
        """A warp for so many pictures of a size."""
        turn, lean_u, lean_v = (
            (torch.rand(3, count, generator=rng, dtype=torch.float64) * 2 - 1)
            * torch.tensor([[self.turn], [self.shear], [self.shear]])
        ).deg2rad()
        low, high = self.scale
        scale, length, heading = torch.rand(3, count, generator=rng, dtype=torch.float64)
        scale, heading = low + (high - low) * scale, 2 * math.pi * heading
        turned = _matrices(turn.cos(), -turn.sin(), turn.sin(), turn.cos())
        sheared = _matrices(scale, scale * lean_u.tan(), scale * lean_v.tan(), scale)
        rows, columns = size
        middle = torch.tensor([(columns - 1) / 2, (rows - 1) / 2], dtype=torch.float64)
        moved = length[:, None] * self.shift * max(size) * torch.stack([heading.cos(), heading.sin()], 1)
        linear = turned @ sheared
        return AffineWarp(_placed(linear, middle + moved - linear @ middle), self.beyond)


@dataclass(frozen=True)
class Crop(Motion):
    """A part of the picture anywhere in it, enlarged to the whole."""

    part: float = 0.9
    """Of the picture's side."""

    def warp(self, count: int, size: tuple[int, int], rng: torch.Generator) -> AffineWarp:
        """A warp for so many pictures of a size."""
        side = torch.tensor([size[1], size[0]], dtype=torch.float64)
        corner = torch.rand(count, 2, generator=rng, dtype=torch.float64) * (1 - self.part) * side - 0.5
        grown = torch.eye(2, dtype=torch.float64).expand(count, 2, 2) / self.part
        return AffineWarp(_placed(grown, -corner / self.part - 0.5))


@dataclass(frozen=True)
class Mirrored(Motion):
    """Left for right, and every name's left for its right."""

    def warp(self, count: int, size: tuple[int, int], rng: torch.Generator) -> AffineWarp:
        """A warp for so many pictures of a size."""
        flipped = torch.tensor([[-1.0, 0.0], [0.0, 1.0]], dtype=torch.float64).expand(count, 2, 2)
        return AffineWarp(_placed(flipped, torch.tensor([size[1] - 1.0, 0.0], dtype=torch.float64).expand(count, 2)))

    def on(self, batch: Batch, chosen: Bool[Tensor, "b"], rng: torch.Generator) -> Batch:
        """The batch with the chosen pictures mirrored; what was the left side is called right."""
        if not bool(chosen.any()):
            return batch
        part = batch.part(chosen)
        points, masks = opposites(part.landmarks), opposites(part.structures)
        mirrored = replace(
            part,
            pictures=part.pictures.flip(-1),
            uv=self.warp(len(part), part.size, rng).targets(part.uv)[:, points],
            visible=part.visible[:, points],
            masks=part.masks.flip(-1)[:, masks],
            field=part.field.flip(-1),
        )
        return batch.with_part(chosen, mirrored)


@dataclass(frozen=True)
class PiecewiseAffine(Motion):
    """The corners of a mesh moved, each triangle of it affinely with its corners."""

    spread: Range = (0.01, 0.05)
    """Of the picture's side, the deviation of a corner; cut at a fifth of the mesh, so that nothing folds."""
    corners: int = 4
    """Along each side."""

    def warp(self, count: int, size: tuple[int, int], rng: torch.Generator) -> BentWarp:
        """A warp for so many pictures of a size."""
        low, high = self.spread
        spread = low + (high - low) * torch.rand(count, 1, 1, 1, generator=rng)
        shift = spread * max(size) * torch.randn(count, 2, self.corners, self.corners, generator=rng)
        most = 0.2 * (min(size) - 1) / (self.corners - 1)
        return BentWarp(_triangles(shift.clamp(-most, most), size))


@dataclass(frozen=True)
class Bent(Motion):
    """Moved smoothly to and fro, as if the picture were on a rubber sheet."""

    most: float = 0.03
    """Of the picture's side; at most a seventh of the mesh, so that nothing folds."""
    corners: tuple[int, int] = (4, 6)
    """Of the mesh the shifts are drawn on, along each side: few for broad swells."""

    def warp(self, count: int, size: tuple[int, int], rng: torch.Generator) -> BentWarp:
        """A warp for so many pictures of a size."""
        low, high = self.corners
        corners = int(torch.randint(low, high + 1, (), generator=rng))
        most = min(self.most * max(size), (min(size) - 1) / (corners - 1) / 7)
        shift = most * (2 * torch.rand(count, 2, corners, corners, generator=rng) - 1)
        return BentWarp(functional.interpolate(shift, size, mode="bicubic", align_corners=True))


def _pixels(size: tuple[int, int]) -> Float[Tensor, "v u 2"]:
    v, u = torch.meshgrid(torch.arange(float(size[0])), torch.arange(float(size[1])), indexing="ij")
    return torch.stack([u, v], dim=-1)


def _unit(uv: Float[Tensor, "*n 2"], size: tuple[int, int]) -> Float[Tensor, "*n 2"]:
    """Pixels as `grid_sample` counts them, border pixels' centres at -1 and 1."""
    return uv * torch.tensor([2 / (size[1] - 1), 2 / (size[0] - 1)], dtype=uv.dtype) - 1


def _matrices(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Float[Tensor, "b 2 2"]:
    return torch.stack([torch.stack([a, b], -1), torch.stack([c, d], -1)], -2)


def _placed(linear: Float[Tensor, "b 2 2"], offset: Float[Tensor, "b 2"]) -> Float[Tensor, "b 3 3"]:
    placed = torch.eye(3, dtype=torch.float64).repeat(len(linear), 1, 1)
    placed[:, :2, :2], placed[:, :2, 2] = linear, offset
    return placed


def _triangles(shift: Float[Tensor, "b 2 i j"], size: tuple[int, int]) -> Float[Tensor, "b 2 v u"]:
    """Shifts of a mesh's corners at every pixel: linear over the two triangles of each cell."""
    n = shift.shape[-1] - 1
    v, s = _cells(size[0], n)
    u, t = _cells(size[1], n)
    s, t = s[:, None], t[None, :]
    here, right = shift[..., v, :][..., u], shift[..., v, :][..., u + 1]
    below, across = shift[..., v + 1, :][..., u], shift[..., v + 1, :][..., u + 1]
    upper = here + t * (right - here) + s * (across - right)
    lower = here + s * (below - here) + t * (across - below)
    return torch.where(t >= s, upper, lower)


def _cells(pixels: int, cells: int) -> tuple[Tensor, Tensor]:
    """The cell each pixel is in, and how far into it."""
    at = torch.arange(float(pixels)) * cells / (pixels - 1)
    cell = at.long().clamp(max=cells - 1)
    return cell, at - cell
