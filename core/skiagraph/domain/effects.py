"""What can be done to a picture: show it, change its look, move what it shows, or hide some of it; and combinations.

A `Look` is given the pictures and nothing else, so it cannot touch a label. A `Motion` moves pictures, points and
masks by one map. A `Cover` hides part of the picture, and with it what was labelled there.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from skiagraph.domain.batch import Batch
from skiagraph.physics.blur import blur

Range = tuple[float, float]
"""The least and the most."""


class Effect(ABC):
    """Something done to the chosen pictures of a batch."""

    @abstractmethod
    def on(self, batch: Batch, chosen: Bool[Tensor, "b"], rng: torch.Generator) -> Batch:
        """The batch with the chosen ones changed, each by chances of its own."""


class Look(Effect):
    """An effect that sees the pictures alone."""

    @abstractmethod
    def __call__(self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator) -> Float[Tensor, "b 1 v u"]:
        """The pictures, each changed by chances of its own."""

    def on(self, batch: Batch, chosen: Bool[Tensor, "b"], rng: torch.Generator) -> Batch:
        """The batch with the chosen pictures changed, its labels as they are."""
        if not bool(chosen.any()):
            return batch
        return batch.with_pictures(chosen, self(batch.pictures[chosen], rng))


class Display(Effect):
    """An effect that turns transmission into a picture 0...1 for the eye, bone bright."""

    @abstractmethod
    def show(
        self, pictures: Float[Tensor, "b 1 v u"], field: Bool[Tensor, "b 1 v u"], rng: torch.Generator
    ) -> Float[Tensor, "b 1 v u"]:
        """The pictures as shown, with grey levels set by what is in the collimated field."""

    def on(self, batch: Batch, chosen: Bool[Tensor, "b"], rng: torch.Generator) -> Batch:
        """The batch with the chosen pictures as shown, its labels as they are."""
        if not bool(chosen.any()):
            return batch
        return batch.with_pictures(chosen, self.show(batch.pictures[chosen], batch.field[chosen], rng))


class Cover(Effect):
    """An effect that hides part of a picture."""

    @abstractmethod
    def hide(
        self, pictures: Float[Tensor, "b 1 v u"], rng: torch.Generator
    ) -> tuple[Float[Tensor, "b 1 v u"], Float[Tensor, "b 1 v u"]]:
        """The pictures, and how open each pixel still is: 1 shows what was there, 0 nothing of it."""

    def on(self, batch: Batch, chosen: Bool[Tensor, "b"], rng: torch.Generator) -> Batch:
        """The batch with parts of the chosen pictures hidden; what is hidden is no longer visible, nor masked."""
        if not bool(chosen.any()):
            return batch
        part = batch.part(chosen)
        pictures, opening = self.hide(part.pictures, rng)
        shown = opening > 0.5
        rows, columns = part.size
        u = part.uv[..., 0].round().long().clamp(0, columns - 1)
        v = part.uv[..., 1].round().long().clamp(0, rows - 1)
        seen = part.visible & shown[:, 0].flatten(1).gather(1, v * columns + u)
        return batch.with_part(chosen, replace(part, pictures=pictures, visible=seen, masks=part.masks & shown))


@dataclass(frozen=True)
class Maybe(Effect):
    """An effect, or several in order, with a probability: all of them or none."""

    probability: float
    effects: tuple[Effect, ...]

    def on(self, batch: Batch, chosen: Bool[Tensor, "b"], rng: torch.Generator) -> Batch:
        """The batch with some of the chosen ones changed."""
        lucky = chosen & (torch.rand(len(batch), generator=rng) < self.probability)
        for effect in self.effects:
            batch = effect.on(batch, lucky, rng)
        return batch


@dataclass(frozen=True)
class Some(Effect):
    """So many of some effects, in random order; one of them unless told."""

    effects: tuple[Effect, ...]
    least: int = 1
    most: int = 1

    def on(self, batch: Batch, chosen: Bool[Tensor, "b"], rng: torch.Generator) -> Batch:
        """The batch with each of the chosen ones changed by its own draw of effects."""
        order = torch.rand(len(batch), len(self.effects), generator=rng).argsort(dim=1)
        count = torch.randint(self.least, self.most + 1, (len(batch),), generator=rng)
        for place in range(self.most):
            for k, effect in enumerate(self.effects):
                batch = effect.on(batch, chosen & (order[:, place] == k) & (count > place), rng)
        return batch


def maybe(probability: float, *effects: Effect) -> Maybe:
    """Effects in order, with a probability: all of them or none."""
    return Maybe(probability, effects)


def one_of(*effects: Effect) -> Some:
    """One of some effects, each as likely."""
    return Some(effects)


def between(rng: torch.Generator, like: Float[Tensor, "b 1 v u"], limits: Range) -> Float[Tensor, "b 1 1 1"]:
    """A number for each picture."""
    low, high = limits
    return low + (high - low) * torch.rand(len(like), 1, 1, 1, generator=rng)


def log_between(rng: torch.Generator, like: Float[Tensor, "b 1 v u"], limits: Range) -> Float[Tensor, "b 1 1 1"]:
    """A number for each picture, as likely between 1 and 2 as between 2 and 4."""
    low, high = np.log(limits)
    return between(rng, like, (float(low), float(high))).exp()


def dice(rng: torch.Generator) -> np.random.Generator:
    """A generator for what is drawn number by number, started from ours."""
    return np.random.default_rng(int(torch.randint(2**62, (), generator=rng).item()))


def extremes(pictures: Float[Tensor, "b 1 v u"]) -> tuple[Float[Tensor, "b 1 1 1"], Float[Tensor, "b 1 1 1"]]:
    """The least value of each picture, and its range."""
    low, high = pictures.amin((1, 2, 3), keepdim=True), pictures.amax((1, 2, 3), keepdim=True)
    return low, (high - low).clamp(min=1e-6)


def broadly(pictures: Float[Tensor, "b 1 v u"], sigma: float) -> Float[Tensor, "b 1 v u"]:
    """A Gaussian of so many pixels, on a picture so coarse that they are three: for what the eye alone judges."""
    size = (pictures.shape[-2], pictures.shape[-1])
    block = max(1.0, sigma / 3)
    coarse = (max(2, round(size[0] / block)), max(2, round(size[1] / block)))
    if coarse == size:
        return blur(pictures, sigma, sigma)
    small = functional.adaptive_avg_pool2d(pictures, coarse)
    soft = blur(small, sigma * coarse[0] / size[0], sigma * coarse[1] / size[1])
    return functional.interpolate(soft, size, mode="bilinear", align_corners=False)
