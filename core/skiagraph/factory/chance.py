"""Random numbers that depend on what they are for alone, never on who drew before."""

import hashlib
import math

import torch
from jaxtyping import Float64
from torch import Tensor

from skiagraph.geometry import float64, rotation

Range = tuple[float, float]
"""The least and the most."""


def generator_for(seed: int, *purpose: str | int) -> torch.Generator:
    """The generator for one purpose, such as a sample's number, under a seed: the same wherever and whenever."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1)


def uniform(rng: torch.Generator, low: float, high: float) -> float:
    """A number between two others."""
    return low + (high - low) * torch.rand((), generator=rng, dtype=torch.float64).item()


def either_side(rng: torch.Generator, most: float) -> float:
    """A number between -most and most."""
    return uniform(rng, -most, most)


def log_uniform(rng: torch.Generator, low: float, high: float) -> float:
    """A number as likely to lie between 1 and 2 as between 2 and 4."""
    return math.exp(uniform(rng, math.log(low), math.log(high)))


def choice(rng: torch.Generator, count: int) -> int:
    """One of the numbers 0 ... count - 1."""
    return int(torch.randint(count, (), generator=rng).item())


def weighted(rng: torch.Generator, weights: list[float]) -> int:
    """The index of one of the weights, as often as it weighs."""
    return int(torch.multinomial(float64(weights), 1, generator=rng).item())


def turn_about_axes(rng: torch.Generator, x: float, y: float, z: float) -> Float64[Tensor, "3 3"]:
    """A turn about the world's three axes, each by no more than so many degrees: z first, then y, then x."""
    return rotation("x", either_side(rng, x)) @ rotation("y", either_side(rng, y)) @ rotation("z", either_side(rng, z))
