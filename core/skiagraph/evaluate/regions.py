"""How well a region is found, pixel by pixel: the six figures of SyntheX's table 3."""

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

EPS = 1e-4
"""Pixels added above and below each fraction, so that nothing found where nothing is counts as right."""


@dataclass(frozen=True)
class Confusion:
    """Of one picture, 0 to 1. Gao 2022, table 3, after Degerli 2021."""

    sensitivity: float
    specificity: float
    precision: float
    f1: float
    f2: float
    accuracy: float

    @classmethod
    def of(cls, found: Bool[Tensor, "v u"], true: Bool[Tensor, "v u"]) -> "Confusion":
        """What was found beside what is there."""
        both, alone = int((found & true).sum()), int((found & ~true).sum())
        missed, neither = int((~found & true).sum()), int((~found & ~true).sum())

        def share(part: float, of: float) -> float:
            return (part + EPS) / (of + EPS)

        return cls(
            share(both, both + missed),
            share(neither, neither + alone),
            share(both, both + alone),
            share(2 * both, 2 * both + alone + missed),
            share(5 * both, 5 * both + alone + 4 * missed),
            share(both + neither, found.numel()),
        )
