"""CTs of pelves that nobody has, with their anatomy: latent diffusion in three dimensions.

Rombach 2022 in three dimensions, as Guo 2024 (MAISI) and Rapuri 2026 do, but intensity and labels are one latent, so
a generated CT comes labelled. What is asked of it are `Traits`; a label map may be given too, and the CT is then made
to it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, one_hot

from skiagraph.errors import ModelError
from skiagraph.generate.autoencoder import Coder, CoderNetwork, decoded
from skiagraph.generate.flow import TIMES, Latents, guided, walked
from skiagraph.generate.frame import CLASSES, Frame
from skiagraph.generate.quality import Judged, Norm, judged
from skiagraph.generate.traits import COUNT, Traits

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""
TRIES = 5
"""How often a body is drawn that does not hold together."""


@dataclass(frozen=True)
class Drift:
    """How the diffusion network is built."""

    channels: Sequence[int] = (80, 160)
    """Of each level; all but the first halve the latent lattice."""
    attention: Sequence[bool] = (False, True)
    context: int = 64
    """Width of the token that tells what is asked for."""

    def build(self, latent: int) -> "DriftNetwork":
        """A new network with weights drawn anew."""
        return DriftNetwork(self, latent)


class DriftNetwork(nn.Module):
    """MONAI's diffusion U-Net beside what it is told: traits as a token, a label map as channels."""

    def __init__(self, drift: Drift, latent: int) -> None:
        from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet

        super().__init__()
        self.asked = nn.Sequential(nn.Linear(COUNT, drift.context), nn.SiLU(), nn.Linear(drift.context, drift.context))
        self.unet = DiffusionModelUNet(
            spatial_dims=3,
            in_channels=latent + GIVEN,
            out_channels=latent,
            channels=drift.channels,
            attention_levels=drift.attention,
            num_res_blocks=(1,) * len(drift.channels),
            num_head_channels=32,
            norm_num_groups=16,
            with_conditioning=True,
            cross_attention_dim=drift.context,
        )

    def forward(
        self,
        x: Float[Tensor, "b c z y x"],
        t: Float[Tensor, "b"],
        traits: Float[Tensor, "b t"],
        given: Float[Tensor, "b g z y x"],
    ) -> Float[Tensor, "b c z y x"]:
        """The velocity at `x` and time `t` 0...1, with traits as `Traits.numbers` and labels as `given`."""
        token = self.asked(traits)[:, None]
        told = torch.cat([x, given], dim=1).contiguous(memory_format=torch.channels_last_3d)
        answer: Tensor = self.unet(told, t * TIMES, context=token)
        return answer


GIVEN = 1 + CLASSES
"""Channels that tell of given labels: whether there are any, and how much of a latent voxel each class fills."""


def told(index: UInt8[Tensor, "b k j i"], shrink: int) -> Float[Tensor, "b g z y x"]:
    """A label map as the network is told it."""
    share = avg_pool3d(one_hot(index.long(), CLASSES).movedim(-1, 1).float(), shrink)
    return torch.cat([torch.ones_like(share[:, :1]), share], dim=1)


@dataclass(frozen=True, eq=False)
class CtGenerator:
    """Trained networks and how they are used."""

    coder: CoderNetwork
    drift: DriftNetwork
    latents: Latents
    frame: Frame
    built: Coder
    norms: Mapping[str, Norm]
    """What bodies were like that it learned from."""
    steps: int = 20
    guidance: float = 1.5
    """1 takes what is asked for as it was learned; more exaggerates it."""

    def __call__(
        self, traits: Traits, rng: torch.Generator, progress: Progress, labels: UInt8[Tensor, "k j i"] | None = None
    ) -> tuple[Float[Tensor, "k j i"], UInt8[Tensor, "k j i"]]:
        """HU and structures of a new body on the frame's lattice; the same for the same `rng` on the same machine."""
        shape = tuple(n // self.built.shrink for n in self.frame.shape)
        noise = torch.randn(1, len(self.latents.mean), *shape, generator=rng)
        asked, free = traits.numbers[None], Traits().numbers[None]
        nothing = torch.zeros(1, GIVEN, *shape)
        given = nothing if labels is None else told(labels[None], self.built.shrink)

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            if self.guidance == 1 or (traits == Traits() and labels is None):
                return self.drift(x, t, asked, given)
            both = self.drift(
                torch.cat([x, x]), torch.cat([t, t]), torch.cat([asked, free]), torch.cat([given, nothing])
            )
            return guided(both[:1], both[1:], self.guidance)

        self.drift.eval()
        self.coder.eval()
        with torch.inference_mode():
            latent = walked(velocity, noise, self.steps, progress)
        return decoded(self.coder, self.latents.natural(latent)[0])

    def body(
        self, traits: Traits, rng: torch.Generator, progress: Progress, tries: int = TRIES
    ) -> tuple[Judged, list[str]]:
        """A new body that holds together, and what was wrong with those drawn before it.

        Raises ModelError if none of so many does.
        """
        rejected: list[str] = []
        for _ in range(tries):
            made = judged(*self(traits, rng, progress), self.frame, self.norms)
            if not made.wrong:
                return made, rejected
            rejected.append(", ".join(made.wrong))
        raise ModelError(
            f"none of {tries} bodies holds together, the last for {rejected[-1]}; ask for something less extreme, "
            "give another seed, or a generator trained for longer"
        )

    def at(self, steps: int | None = None, guidance: float | None = None) -> "CtGenerator":
        """The same networks used otherwise."""
        chosen = {"steps": steps, "guidance": guidance}
        return replace(self, **{name: value for name, value in chosen.items() if value is not None})  # type: ignore[arg-type]
