"""Which picture a reader should label next: each strategy is a value that gives every picture a worth.

Uncertainty sampling: Lewis & Gale 1994. Disagreement of a committee: Seung et al. 1992, here of altered pictures.
Diversity: the core set of Sener & Savarese 2018, whose greedy step takes what is farthest from all that is labelled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import rankdata
from torch import Tensor

from skiagraph.active.looking import Look, disagreement, entropy, evidence, features
from skiagraph.active.refit import implausibility
from skiagraph.detect.detector import Detector
from skiagraph.errors import DataError

Worth = Callable[[Sequence[Look], Sequence[Look], torch.Generator], Float[ndarray, "c"]]
"""From the looks of candidates and of labelled pictures, how much each candidate is worth; more is better."""


@dataclass(frozen=True)
class Strategy:
    """A way to choose, and what to call it."""

    name: str
    title: str
    worth: Worth
    why: str
    """Why a picture was chosen; `{worth}` stands for its worth."""
    looks: bool = True
    """Whether the detector has to look at the pictures first."""


@dataclass(frozen=True)
class Choice:
    """A picture, what it is worth, and why it was chosen."""

    picture: str
    worth: float
    why: str


def looked(picture: Float[Tensor, "v u"], detector: Detector) -> Look:
    """Everything that makes a picture worth labelling."""
    where = evidence(detector, picture)
    wandering, found = disagreement(detector, picture)
    return Look(entropy(where.density), wandering, implausibility(found, where), features(detector, picture))


def ranked(
    strategy: Strategy,
    candidates: Sequence[tuple[str, Look | None]],
    labelled: Sequence[Look],
    rng: torch.Generator,
) -> list[Choice]:
    """The candidates from the best to the last. Those no one has looked at yet come last, in the order given."""
    if not strategy.looks:
        candidates = [(name, BLANK) for name, _ in candidates]
    known = [(name, look) for name, look in candidates if look is not None]
    worth = strategy.worth([look for _, look in known], labelled, rng) if known else np.zeros(0)
    order = np.argsort(-worth, kind="stable")
    best = [Choice(known[k][0], float(worth[k]), strategy.why.format(worth=worth[k])) for k in order]
    return best + [Choice(name, 0.0, "not looked at yet") for name, look in candidates if look is None]


def strategy(name: str) -> Strategy:
    """A strategy by its name. Raises DataError naming those there are."""
    if name not in STRATEGIES:
        raise DataError(f"no strategy {name[:40]!r}; give one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def diversity(candidates: Sequence[Look], labelled: Sequence[Look], rng: torch.Generator) -> Float[ndarray, "c"]:
    """Distance of each picture's features from the nearest labelled ones, all features of one variance.

    Before anything is labelled, nearness to the middle: the most typical picture comes first.
    """
    features = np.array([look.features for look in candidates])
    spread = np.maximum(features.std(axis=0), 1e-9)
    if not labelled:
        return -np.linalg.norm((features - features.mean(axis=0)) / spread, axis=1)
    known = np.array([look.features for look in labelled])
    return np.linalg.norm((features[:, None] - known[None]) / spread, axis=-1).min(axis=1)


def hybrid(candidates: Sequence[Look], labelled: Sequence[Look], rng: torch.Generator) -> Float[ndarray, "c"]:
    """The mean of a picture's places in the orders of the others, 0 (last in all) to 1 (first in all)."""
    worths = [each(candidates, labelled, rng) for each in (_entropy, _disagreement, _implausibility, diversity)]
    return np.mean([(rankdata(worth) - 1) / max(1, len(worth) - 1) for worth in worths], axis=0)


def _random(candidates: Sequence[Look], labelled: Sequence[Look], rng: torch.Generator) -> Float[ndarray, "c"]:
    return torch.rand(len(candidates), generator=rng, dtype=torch.float64).numpy()


def _entropy(candidates: Sequence[Look], labelled: Sequence[Look], rng: torch.Generator) -> Float[ndarray, "c"]:
    return np.array([look.entropy for look in candidates])


def _disagreement(candidates: Sequence[Look], labelled: Sequence[Look], rng: torch.Generator) -> Float[ndarray, "c"]:
    return np.array([look.disagreement for look in candidates])


def _implausibility(candidates: Sequence[Look], labelled: Sequence[Look], rng: torch.Generator) -> Float[ndarray, "c"]:
    return np.array([look.implausibility for look in candidates])


BLANK = Look(0.0, 0.0, 0.0, np.zeros(0))
STRATEGIES = {
    one.name: one
    for one in (
        Strategy("random", "Any picture", _random, "drawn at random", looks=False),
        Strategy("uncertainty", "Heatmaps that are broad", _entropy, "its heatmaps are broad: entropy {worth:.3f}"),
        Strategy(
            "disagreement", "Landmarks that wander when the picture is altered", _disagreement,
            "its landmarks wander by {worth:.2%} of the picture when it is altered",
        ),
        Strategy(
            "implausibility", "Landmarks that fit no pelvis", _implausibility,
            "its landmarks are {worth:.1f} standard deviations off any pelvis",
        ),
        Strategy(
            "diversity", "Pictures unlike those labelled", diversity,
            "it is unlike all that is labelled: distance {worth:.2f}",
        ),
        Strategy(
            "hybrid", "All of these together", hybrid,
            "it is high in entropy, disagreement, implausibility and novelty together: {worth:.2f} of 1",
        ),
    )
}  # fmt: skip
"""By name."""
