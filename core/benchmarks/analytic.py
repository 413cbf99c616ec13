"""Phantoms whose line integrals are known in closed form: what every engine is held against."""

from dataclasses import dataclass

import torch
from torch import Tensor

from skiagraph.geometry import Grid, View, float64, rotation, transform


@dataclass(frozen=True, eq=False)
class Ellipsoids:
    """Superposed ellipsoids of constant value."""

    centers: Tensor
    """[n 3] mm."""
    unit_from_world: Tensor
    """[n 3 3]: takes an offset from the centre to the unit ball."""
    values: Tensor
    """[n] per mm."""

    @classmethod
    def draw(cls, count: int, radius: float, rng: torch.Generator) -> "Ellipsoids":
        """Ellipsoids of 4 % to 35 % of `radius`, all of them within it, thin and dense ones among them."""
        semi = radius * (0.04 + 0.31 * torch.rand(count, 3, generator=rng, dtype=torch.float64))
        direction = torch.randn(count, 3, generator=rng, dtype=torch.float64)
        direction /= direction.norm(dim=1, keepdim=True)
        reach = (radius - semi.max(dim=1, keepdim=True).values) * torch.rand(
            count, 1, generator=rng, dtype=torch.float64
        )
        matrices = []
        for axes in semi:
            angles = (360 * torch.rand(3, generator=rng)).tolist()
            turn = rotation("z", angles[0]) @ rotation("y", angles[1]) @ rotation("x", angles[2])
            matrices.append(torch.diag(1 / axes) @ turn.T)
        values = 0.002 + 0.03 * torch.rand(count, generator=rng, dtype=torch.float64) ** 2
        return cls(direction * reach, torch.stack(matrices), values)

    def integral(self, view: View) -> Tensor:
        """[v u]: the exact line integrals of a single view."""
        pixels = view.pixels()
        step = pixels - view.source
        total = torch.zeros(view.size, dtype=torch.float64)
        for center, matrix, value in zip(self.centers, self.unit_from_world, self.values):
            start, along = matrix @ (view.source - center), step @ matrix.T
            a, b, c = (along**2).sum(-1), along @ start, start @ start - 1
            total += value * 2 * (b**2 - a * c).clamp(min=0).sqrt() / a * step.norm(dim=-1)
        return total

    def voxels(self, grid: Grid, samples: int = 4) -> Tensor:
        """[k j i] float32: the mean over each voxel, by samples³ points wherever a surface passes."""
        total = torch.zeros(grid.shape)
        offsets = (torch.arange(samples, dtype=torch.float64) + 0.5) / samples - 0.5
        sub = torch.cartesian_prod(offsets, offsets, offsets) @ grid.world_from_ijk[:3, :3].T
        for center, matrix, value in zip(self.centers, self.unit_from_world, self.values):
            axes = torch.linalg.inv(matrix)
            extent = (torch.linalg.inv(grid.world_from_ijk[:3, :3]) @ axes).norm(dim=1)
            middle = transform(grid.ijk_from_world, center)
            low, high = (middle - extent).floor().long() - 1, (middle + extent).ceil().long() + 2
            i, j, k = (torch.arange(max(0, int(low[n])), min(grid.shape[2 - n], int(high[n]))) for n in range(3))
            if not (len(i) and len(j) and len(k)):
                continue
            steps = matrix @ grid.world_from_ijk[:3, :3]
            margin = 0.87 * float(torch.linalg.matrix_norm(steps, 2))
            plane = (i - middle[0])[:, None] * steps[:, 0] + ((j - middle[1])[:, None] * steps[:, 1])[:, None]
            for slice in k.tolist():  # a slice at a time stays in the cache
                offset = plane + (slice - middle[2]) * steps[:, 2]
                distance = offset.norm(dim=-1)
                share = (distance < 1).float()
                surface = (distance - 1).abs() < margin
                near = offset[surface]
                fine = ((near[:, None] + sub @ matrix.T).norm(dim=-1) < 1).float().mean(dim=1)
                share[surface] = fine
                total[slice, j[0] : j[-1] + 1, i[0] : i[-1] + 1] += float(value) * share
        return total


@dataclass(frozen=True, eq=False)
class Gaussians:
    """Superposed Gaussian blobs: smooth, so that only geometry and quadrature can err."""

    centers: Tensor
    """[n 3] mm."""
    sigmas: Tensor
    """[n] mm."""
    values: Tensor
    """[n] per mm, at the middle."""

    @classmethod
    def draw(cls, count: int, radius: float, sigma: float, rng: torch.Generator) -> "Gaussians":
        """Blobs of about `sigma` within a ball."""
        centers = torch.randn(count, 3, generator=rng, dtype=torch.float64)
        centers *= radius * torch.rand(count, 1, generator=rng, dtype=torch.float64) / centers.norm(dim=1, keepdim=True)
        sigmas = sigma * (1 + torch.rand(count, generator=rng, dtype=torch.float64))
        return cls(centers, sigmas, 0.01 + 0.01 * torch.rand(count, generator=rng, dtype=torch.float64))

    def integral(self, view: View) -> Tensor:
        """[v u]: the exact line integrals of a single view, over the whole line."""
        step = view.pixels() - view.source
        unit = step / step.norm(dim=-1, keepdim=True)
        total = torch.zeros(view.size, dtype=torch.float64)
        for center, sigma, value in zip(self.centers, self.sigmas, self.values):
            away = torch.linalg.cross((center - view.source).expand_as(unit), unit).norm(dim=-1)
            total += value * sigma * (2 * torch.pi) ** 0.5 * torch.exp(-0.5 * (away / sigma) ** 2)
        return total

    def voxels(self, grid: Grid) -> Tensor:
        """[k j i] float32: the value at each voxel's centre."""
        points = grid.centers()
        total = torch.zeros(grid.shape, dtype=torch.float64)
        for center, sigma, value in zip(self.centers, self.sigmas, self.values):
            total += value * torch.exp(-0.5 * ((points - center) ** 2).sum(-1) / sigma**2)
        return total.float()


def joseph(field: Tensor, grid: Grid, view: View) -> Tensor:
    """[v u] float64: Joseph's line integrals, one ray at a time and by hand; slow, and nobody's engine."""
    field = field.double()
    turn = grid.ijk_from_world
    source = transform(turn, view.source)
    sizes = float64(grid.shape[::-1])
    out = torch.zeros(view.size, dtype=torch.float64)
    pixels = view.pixels()
    for v in range(view.size[0]):
        for u in range(view.size[1]):
            step = transform(turn, pixels[v, u]) - source
            axis = int(step.abs().argmax())
            slices = torch.arange(grid.shape[2 - axis], dtype=torch.float64)
            at = source + ((slices - source[axis]) / step[axis])[:, None] * step
            low = at.floor()
            total = torch.zeros(len(slices), dtype=torch.float64)
            others = [n for n in range(3) if n != axis]
            for du in (0, 1):
                for dv in (0, 1):
                    cell = low.clone()
                    cell[:, axis] = slices
                    cell[:, others[0]] += du
                    cell[:, others[1]] += dv
                    weight = torch.ones(len(slices), dtype=torch.float64)
                    for n, d in zip(others, (du, dv)):
                        fraction = at[:, n] - low[:, n]
                        weight = weight * (fraction if d else 1 - fraction)
                    inside = ((cell >= 0) & (cell < sizes)).all(dim=1)
                    i, j, k = cell.clamp(min=torch.zeros(3, dtype=torch.float64), max=sizes - 1).long().T
                    total += torch.where(inside, weight * field[k, j, i], 0.0)
            out[v, u] = total.sum() * (pixels[v, u] - view.source).norm() / step[axis].abs()
    return out
