"""The CT generator's second half: a rectified flow in the autoencoder's latents."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from skiagraph.factory.chance import choice, generator_for, uniform
from skiagraph.generate.autoencoder import CoderNetwork, encoded
from skiagraph.generate.ct import Drift, DriftNetwork, told
from skiagraph.generate.flow import Latents, drawn_times, noised
from skiagraph.generate.frame import Framed
from skiagraph.generate.traits import Traits
from skiagraph.train.course import Progress, device, precision
from skiagraph.train.ct_coder import mirrored
from skiagraph.train.flow import FlowCourse
from skiagraph.train.shelf import Shelf


@dataclass(frozen=True)
class DriftRegimen:
    """How the flow is trained."""

    drift: Drift
    batch: int = 4
    rate: float = 2e-4
    steps: int = 6000
    unasked: float = 0.25
    """How often each trait is kept from the network, and all of them together."""
    labelled: float = 0.3
    """How often it is told the labels."""
    average: float = 0.999
    """Decay a step of the running mean of the weights."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """What the network learns from one body, and from its mirror image."""

    latent: Float[Tensor, "c z y x"]
    given: Float[Tensor, "g z y x"]
    traits: Traits


def encode_all(coder: CoderNetwork, shelf: Shelf, names: list[str], shrink: int, report: Progress) -> list[Encoded]:
    """Every body and its mirror image as latents."""
    coder.eval()
    found = []
    for done, name in enumerate(names):
        report(done, len(names), "encoding bodies")
        kept = shelf.read(name)
        body = kept.body
        for one in (body, Framed(body.hu.flip(-1), mirrored(body.index), body.landmarks)):
            with precision(torch.device("cpu")):
                latent = encoded(coder, one).float()
            found.append(Encoded(latent, told(one.index[None], shrink)[0], kept.traits))
    return found


def spread_of(bodies: list[Encoded]) -> Latents:
    """Mean and deviation of each number of a latent voxel."""
    latents = torch.stack([one.latent for one in bodies]).movedim(1, 0).flatten(1)
    return Latents(tuple(latents.mean(1).tolist()), tuple(latents.std(1).tolist()))


class DriftCourse(FlowCourse[DriftNetwork]):
    """The flow, on its way."""

    columns = ("velocity", "validation_velocity")

    def __init__(self, regimen: DriftRegimen, train: list[Encoded], held: list[Encoded], latents: Latents, seed: int):
        torch.manual_seed(seed)
        self.regimen, self.train, self.held, self.latents, self.seed = regimen, train, held, latents, seed
        network = regimen.drift.build(len(latents.mean))
        network = network.to(device(), memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        super().__init__(network, regimen.rate, regimen.steps, regimen.average)

    def leg(self) -> Iterable[tuple[Tensor, ...]]:
        """Latents, noise, times, traits and labels."""
        return self._drawn(self.train, generator_for(self.seed, "flow", self.step))

    def advance(self, batch: tuple[Tensor, ...]) -> Float[Tensor, "1"]:
        """One step; the mean square of the velocity's error."""
        self.network.train()
        loss = self._loss(self.network, batch)
        self.learn(loss[None])
        return loss.detach().cpu()[None]

    def row(self, means: Float[Tensor, "1"]) -> tuple[float, ...]:
        """The loss, and that of held-out bodies with the same noise every time."""
        stream = self._drawn(self.held, generator_for(self.seed, "held"))
        with torch.inference_mode():
            found = [float(self._loss(self.mean.module, batch)) for _, batch in zip(range(8), stream)]
        return (*means.tolist(), sum(found) / len(found))

    def _loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Float[Tensor, ""]:
        x, noise, times, traits, given = (one.to(device()) for one in batch)
        with precision(x.device):
            said = network(noised(x, noise, times), times, traits, given)
        return (said.float() - (noise - x)).square().mean()

    def _drawn(self, bodies: list[Encoded], rng: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        while True:
            chosen = [bodies[choice(rng, len(bodies))] for _ in range(self.regimen.batch)]
            x = torch.stack([self.latents.standard(one.latent) for one in chosen])
            traits = torch.stack([self._asked(one.traits, rng) for one in chosen])
            given = torch.stack([self._told(one.given, rng) for one in chosen])
            yield x, torch.randn(x.shape, generator=rng), drawn_times(len(x), rng), traits, given

    def _asked(self, traits: Traits, rng: torch.Generator) -> Float[Tensor, "t"]:
        numbers = traits.numbers
        half = len(numbers) // 2
        kept = (torch.rand(half, generator=rng) > self.regimen.unasked) & (uniform(rng, 0, 1) > self.regimen.unasked)
        return numbers * kept.repeat(2)

    def _told(self, given: Float[Tensor, "g z y x"], rng: torch.Generator) -> Float[Tensor, "g z y x"]:
        return given if uniform(rng, 0, 1) < self.regimen.labelled else torch.zeros_like(given)
