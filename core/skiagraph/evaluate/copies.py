"""Whether a generator made something new or gave back what it learned from.

What was generated is compared with what was learned and with what was held out, in one space of numbers after another:
grey values, latents, the features of a network. Dar et al. 2024 (arXiv 2402.01054) find latent diffusion models on CT,
MR and X-rays to copy far more than one sees by looking.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from skiagraph.errors import DataError

QUANTILE = 0.05
"""Of the held-out ones' distances, below which a generated one counts as a copy; so does this share of new ones."""
DRAWS = 200
"""Subsets of the learned ones, as many as were held out, that stand beside the held-out ones."""


@dataclass(frozen=True)
class Space:
    """The same numbers of what was generated, learned from, and held out."""

    generated: Float[ndarray, "g d"]
    learned: Float[ndarray, "t d"]
    held: Float[ndarray, "h d"]

    @classmethod
    def of_likeness(
        cls, generated: Float[ndarray, "g d"], learned: Float[ndarray, "t d"], held: Float[ndarray, "h d"]
    ) -> "Space":
        """Each item of mean 0 and length 1: half the squared distance of two is then 1 less their correlation."""
        return cls(_alike(generated), _alike(learned), _alike(held))


@dataclass(frozen=True)
class Copies:
    """What one space says."""

    generated: int
    learned: int
    held: int
    limit: float
    """Distance below which a generated one is a copy: the held-out ones' `QUANTILE` from their nearest learned one."""
    copied: tuple[int, ...]
    """Which of the generated are nearer than that to a learned one."""
    given_back: tuple[int, ...]
    """Which of the learned they are copies of."""
    ratio: float
    """Median over the generated: distance to the nearest learned one over that to the nearest held-out one, out of
    equally many. 1 for a generator that knows what it learned from no better than what it never saw."""

    @property
    def share(self) -> float:
        """Of the generated that are copies; `QUANTILE` is what to expect without any copying."""
        return len(self.copied) / self.generated


def copies(space: Space, seed: int = 0) -> Copies:
    """Copies in a space. Raises DataError with fewer than 1 / `QUANTILE` held-out items, or none of the others."""
    learned, held = len(space.learned), len(space.held)
    least = round(1 / QUANTILE)
    if held < least or not learned or not len(space.generated):
        raise DataError(
            f"{len(space.generated)} generated, {learned} learned from and {held} held out; "
            f"give at least {least} held out and one of the others"
        )
    limit = float(np.quantile(distances(space.held, space.learned).min(axis=1), QUANTILE))
    from_learned, from_held = distances(space.generated, space.learned), distances(space.generated, space.held)
    near = from_learned.min(axis=1)
    copied = np.flatnonzero(near < limit)
    ratio = np.median(_nearest_of_few(from_learned, held, seed) / from_held.min(axis=1).clip(min=1e-12))
    given_back = np.unique(from_learned[copied].argmin(axis=1)) if len(copied) else copied
    return Copies(
        len(space.generated), learned, held, limit, tuple(map(int, copied)), tuple(map(int, given_back)), float(ratio)
    )


def distances(one: Float[ndarray, "n d"], other: Float[ndarray, "m d"]) -> Float[ndarray, "n m"]:
    """Euclidean distances, in double precision: small ones are what is looked for."""
    from scipy.spatial.distance import cdist

    return cdist(one.astype(np.float64), other.astype(np.float64))


def told(found: Mapping[str, Copies]) -> list[str]:
    """A line of Markdown for each space, under a head."""
    lines = ["| space | generated | copies | expected of none | learned ones given back | distance ratio |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for name, one in found.items():
        lines.append(
            f"| {name} | {one.generated} | {len(one.copied)} ({one.share:.0%}) | {QUANTILE:.0%} | "
            f"{len(one.given_back)} of {one.learned} | {one.ratio:.2f} |"
        )
    return lines


def _nearest_of_few(gaps: Float[ndarray, "g t"], few: int, seed: int) -> Float[ndarray, "g"]:
    """The distance to the nearest of `few` of the learned, on the average over which few these are."""
    draw = np.random.default_rng(seed)
    few = min(few, gaps.shape[1])
    drawn = [gaps[:, draw.permutation(gaps.shape[1])[:few]].min(axis=1) for _ in range(DRAWS)]
    return np.mean(drawn, axis=0)


def _alike(items: Float[ndarray, "n d"]) -> Float[ndarray, "n d"]:
    items = items.astype(np.float64)
    items = items - items.mean(axis=1, keepdims=True)
    return items / np.linalg.norm(items, axis=1, keepdims=True).clip(min=1e-12)
