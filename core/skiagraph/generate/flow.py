"""Rectified flow: straight ways from noise to data, and a network that knows which way to go.

Liu 2022; times drawn as Esser 2024. x_t = (1 - t) x + t n, the network says v = n - x, and sampling walks along it from
t = 1 to 0 with the steps of diffusers' scheduler.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Velocity = Callable[[Float[Tensor, "b *n"], Float[Tensor, "b"]], Float[Tensor, "b *n"]]
"""What the network says of (x_t, t)."""
TIMES = 1000
"""Times the networks are told run from 0 to this."""


@dataclass(frozen=True)
class Latents:
    """How the latents learned from are spread, so that a network works on numbers of mean 0 and deviation 1."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    axes: int = 3
    """Of space: 3 for bodies, 2 for pictures."""

    def standard(self, latent: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Of mean 0 and deviation 1."""
        return (latent - self._column(self.mean, latent)) / self._column(self.deviation, latent)

    def natural(self, latent: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """As the autoencoder made them."""
        return latent * self._column(self.deviation, latent) + self._column(self.mean, latent)

    def _column(self, values: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=like.dtype, device=like.device).reshape(-1, *[1] * self.axes)


def drawn_times(count: int, rng: torch.Generator, middle: float = 0.0) -> Float[Tensor, "b"]:
    """Times for training, those in the middle more often: the logistic of a normal number."""
    return (torch.randn(count, generator=rng) + middle).sigmoid()


def noised(x: Float[Tensor, "b *n"], noise: Float[Tensor, "b *n"], t: Float[Tensor, "b"]) -> Float[Tensor, "b *n"]:
    """The point at time t on the way from data to noise."""
    t = t.reshape(-1, *[1] * (x.ndim - 1)).to(x)
    return (1 - t) * x + t * noise


def walked(
    velocity: Velocity, noise: Float[Tensor, "b *n"], steps: int, progress: Callable[[int, int], None]
) -> Float[Tensor, "b *n"]:
    """From noise to data in so many Euler steps."""
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=TIMES)
    scheduler.set_timesteps(steps)
    x = noise
    for number, (time, sigma) in enumerate(zip(scheduler.timesteps, scheduler.sigmas)):
        progress(number, steps)
        x = scheduler.step(velocity(x, sigma.expand(len(x))), time, x, return_dict=False)[0]
    return x


def guided(asked: Float[Tensor, "b *n"], free: Float[Tensor, "b *n"], weight: float) -> Float[Tensor, "b *n"]:
    """What is asked for, exaggerated against what comes unasked: classifier-free guidance. Ho 2022."""
    return free + weight * (asked - free)
