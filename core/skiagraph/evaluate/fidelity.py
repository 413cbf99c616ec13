"""How near a set of pictures is to real ones, and how varied, by the features of a network.

Real against real, split by subject, is the floor that no generator can pass under; give it beside every figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from skiagraph.errors import DataError
from skiagraph.evaluate.copies import distances

ENOUGH = 2048
"""Items of either set below which a Frechet distance says more of their number than of their likeness."""


@dataclass(frozen=True)
class Kernel:
    """A kernel distance and what it leaves open."""

    distance: float
    """The squared maximum mean discrepancy, unbiased: 0 on the average for sets drawn alike, and so at times below."""
    error: float
    """Standard error over subsets."""
    subset: int
    """Items drawn at a time."""


def kernel_distance(
    ours: Float[ndarray, "n d"], real: Float[ndarray, "m d"], subset: int = 500, draws: int = 100, seed: int = 0
) -> Kernel:
    """KID: Binkowski 2018, section 4, with the kernel (x·y / d + 1)³, over subsets drawn without putting back."""
    size = min(subset, len(ours), len(real))
    if size < 2:
        raise DataError(f"{len(ours)} and {len(real)} items; give at least two of each")
    draw = np.random.default_rng(seed)
    found = [
        _discrepancy(ours[draw.permutation(len(ours))[:size]], real[draw.permutation(len(real))[:size]])
        for _ in range(draws)
    ]
    return Kernel(float(np.mean(found)), float(np.std(found) / np.sqrt(draws)), size)


def frechet_distance(ours: Float[ndarray, "n d"], real: Float[ndarray, "m d"]) -> float:
    """FID: Heusel 2017, equation 6. Raises DataError with fewer than `ENOUGH` of either: then use the kernel's."""
    if min(len(ours), len(real)) < ENOUGH:
        raise DataError(f"{len(ours)} and {len(real)} items; a Frechet distance takes {ENOUGH} of each")
    gap = ours.mean(axis=0) - real.mean(axis=0)
    one, other = np.cov(ours, rowvar=False), np.cov(real, rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(one @ other).real.clip(min=0))
    return float(gap @ gap + np.trace(one) + np.trace(other) - 2 * roots.sum())


@dataclass(frozen=True)
class Overlap:
    """How two sets cover each other: Kynkäänniemi 2019 and, less moved by strays, Naeem 2020."""

    precision: float
    """Of ours that lie where real ones do."""
    recall: float
    """Of the real that lie where ours do."""
    density: float
    """How many real neighbourhoods ours lie in, over how many were to be expected."""
    coverage: float
    """Of the real neighbourhoods that hold one of ours."""


def overlap(ours: Float[ndarray, "n d"], real: Float[ndarray, "m d"], neighbours: int = 5) -> Overlap:
    """With neighbourhoods that reach to the so manieth neighbour. Raises DataError with no more items than that."""
    if min(len(ours), len(real)) <= neighbours:
        raise DataError(f"{len(ours)} and {len(real)} items; give more than {neighbours} of each")
    within_real = _within(real, neighbours, distances(ours, real))
    within_ours = _within(ours, neighbours, distances(real, ours))
    return Overlap(
        precision=float(within_real.any(axis=1).mean()),
        recall=float(within_ours.any(axis=1).mean()),
        density=float(within_real.sum(axis=1).mean() / neighbours),
        coverage=float(within_real.any(axis=0).mean()),
    )


def told(pairs: Mapping[str, tuple[Float[ndarray, "n d"], Float[ndarray, "m d"]]], most: int) -> list[str]:
    """A line of Markdown for each pair of sets, under a head; the overlap of `most` items of each at most."""
    lines = ["| sets | KID | standard error | precision | recall | density | coverage | n |", "|" + " --- |" * 8]
    for name, (one, other) in pairs.items():
        kid = kernel_distance(one, other, 200)
        some, more = (x[np.random.default_rng(0).permutation(len(x))[:most]] for x in (one, other))
        cover = overlap(some, more)
        lines.append(
            f"| {name} | {kid.distance:.2f} | {kid.error:.2f} | {cover.precision:.2f} | {cover.recall:.2f} | "
            f"{cover.density:.2f} | {cover.coverage:.2f} | {len(one)}, {len(other)} |"
        )
    return lines


def _within(items: Float[ndarray, "m d"], neighbours: int, gaps: Float[ndarray, "n m"]) -> Bool[ndarray, "n m"]:
    """Whether others, at such distances, lie in the neighbourhoods of items."""
    reach = np.sort(distances(items, items), axis=1)[:, neighbours]
    return gaps <= reach


def _discrepancy(x: Float[ndarray, "n d"], y: Float[ndarray, "n d"]) -> float:
    n = len(x)

    def kernel(a: ndarray, b: ndarray) -> ndarray:
        return (a.astype(np.float64) @ b.T.astype(np.float64) / a.shape[1] + 1) ** 3

    xx, yy = kernel(x, x), kernel(y, y)
    within = (xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / (n * (n - 1))
    return float(within - 2 * kernel(x, y).mean())
