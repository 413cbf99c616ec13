"""X-rays of nobody, with their landmarks and masks, from a view that is asked for: latent diffusion in two dimensions.

What is diffused is picture and labels at once, as Hadzic 2024 and Rapuri 2026 do: the latent of an X-ray and its masks,
and beside it a Gaussian for each landmark on the latent's own pixels. So every picture comes labelled, by the same
numbers it is made of. Asked for is a `Wanted`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.errors import DataError
from skiagraph.generate.flow import TIMES, Latents, guided, walked
from skiagraph.generate.wanted import GIVEN, NUMBERS, POINTS, RAYS, Wanted, numbers, peaks, rays, rivals
from skiagraph.generate.xray_coder import XrayCoder, XrayCoderNetwork, apart
from skiagraph.geometry import View
from skiagraph.volume import Keypoints

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""
HEIGHT = 3.0
"""Of a landmark's Gaussian before noise of deviation 1: enough for the flow to settle where it stands early."""
SEEN = 0.35
"""Of a Gaussian's height, below which its landmark counts as not to be seen."""
TOGETHER = 16
"""X-rays whose noise is turned into latents at once."""


@dataclass(frozen=True)
class XrayDrift:
    """How the diffusion network is built."""

    channels: Sequence[int] = (96, 160, 224)
    """Of each level; all but the first halve the latent's rows and columns."""
    attention: Sequence[bool] = (False, True, True)
    layers: int = 2
    """Residual blocks a level on the way down, one more on the way up."""
    context: int = 128
    """Width of what the numbers of a view are turned into first."""

    def build(self, latent: int) -> "XrayDriftNetwork":
        """A new network with weights drawn anew."""
        return XrayDriftNetwork(self, latent)


class XrayDriftNetwork(nn.Module):
    """diffusers' U-Net beside what it is told: the view's numbers scale and shift its layers, maps are channels."""

    def __init__(self, drift: XrayDrift, latent: int) -> None:
        from diffusers.models.unets.unet_2d import UNet2DModel

        super().__init__()
        width = 4 * drift.channels[0]
        self.asked = nn.Sequential(nn.Linear(NUMBERS, drift.context), nn.SiLU(), nn.Linear(drift.context, width))
        self.unet = UNet2DModel(
            in_channels=latent + POINTS + RAYS + GIVEN,
            out_channels=latent + POINTS,
            block_out_channels=tuple(drift.channels),
            down_block_types=tuple("AttnDownBlock2D" if one else "DownBlock2D" for one in drift.attention),
            up_block_types=tuple("AttnUpBlock2D" if one else "UpBlock2D" for one in reversed(drift.attention)),
            layers_per_block=drift.layers,
            attention_head_dim=32,
            norm_num_groups=16,
            resnet_time_scale_shift="scale_shift",
            class_embed_type="identity",
        )

    def forward(
        self,
        x: Float[Tensor, "b c y x"],
        t: Float[Tensor, "b"],
        view: Float[Tensor, "b n"],
        along: Float[Tensor, "b r y x"],
        given: Float[Tensor, "b g y x"],
    ) -> Float[Tensor, "b c y x"]:
        """The velocity at `x` and time `t` 0...1, with a view as `numbers` and `rays` and maps as `Wanted.maps`."""
        told = torch.cat([x, along, given], dim=1).contiguous(memory_format=torch.channels_last)
        answer: Tensor = self.unet(told, t * TIMES, class_labels=self.asked(view), return_dict=False)[0]
        return answer


@dataclass(frozen=True, eq=False)
class MadeXray:
    """A generated X-ray with its labels."""

    picture: Float[Tensor, "v u"]
    """0...1, bone bright, as `skiagraph.drr.display.picture` shows one."""
    view: View
    """Asked for, in the pelvis's axes."""
    keypoints: Keypoints
    heights: Float[Tensor, "p"]
    """Of each landmark's Gaussian: 1 as learned, 0 for none."""
    rivals: Float[Tensor, "p"]
    """The highest value that is not beside that Gaussian's peak: 0 as learned."""
    masks: Bool[Tensor, "m v u"]
    """In the order of `skiagraph.anatomy.STRUCTURE_NAMES`."""


@dataclass(frozen=True, eq=False)
class XrayGenerator:
    """Trained networks and how they are used."""

    coder: XrayCoderNetwork
    drift: XrayDriftNetwork
    latents: Latents
    built: XrayCoder
    size: int
    """Rows and columns of the pictures."""
    steps: int = 16
    guidance: float = 1.5
    """1 takes the view as it was learned; more exaggerates it."""

    @property
    def lattice(self) -> tuple[int, int]:
        """Rows and columns of latents."""
        return (self.size // self.built.shrink,) * 2

    def __call__(self, wanted: Sequence[Wanted], rngs: Sequence[torch.Generator], progress: Progress) -> list[MadeXray]:
        """An X-ray of each; the same for the same generators of noise on the same machine.

        Raises DataError for views of another size than the generator's.
        """
        strange = sorted({one.view.size for one in wanted} - {(self.size, self.size)})
        if strange:
            raise DataError(f"views of {strange[0]} pixels; this generator makes {self.size} x {self.size}")
        starts = range(0, len(wanted), TOGETHER)
        made = list[MadeXray]()
        for done, start in enumerate(starts):
            part = slice(start, start + TOGETHER)

            def onward(step: int, steps: int, done: int = done) -> None:
                progress(done * steps + step, len(starts) * steps)

            made += self._together(wanted[part], rngs[part], onward)
        return made

    def at(self, steps: int | None = None, guidance: float | None = None) -> "XrayGenerator":
        """The same networks used otherwise."""
        chosen = {"steps": steps, "guidance": guidance}
        return replace(self, **{name: value for name, value in chosen.items() if value is not None})  # type: ignore[arg-type]

    def _together(
        self, wanted: Sequence[Wanted], rngs: Sequence[torch.Generator], progress: Progress
    ) -> list[MadeXray]:
        here = next(self.drift.parameters()).device
        views = View.stack([one.view for one in wanted])
        channels = len(self.latents.mean) + POINTS
        noise = torch.stack([torch.randn(channels, *self.lattice, generator=rng) for rng in rngs]).to(here)
        view, along = numbers(views).to(here), rays(views, self.lattice).to(here)
        given = torch.stack([one.maps(self.lattice) for one in wanted]).to(here)

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            asked = self.drift(x, t, view, along, given)
            if self.guidance == 1:
                return asked
            free = self.drift(x, t, torch.zeros_like(view), torch.zeros_like(along), given)
            return guided(asked, free, self.guidance)

        self.drift.eval()
        self.coder.eval()
        with torch.inference_mode():
            state = walked(velocity, noise, self.steps, progress)
            latent = self.latents.natural(state[:, :-POINTS])
            pictures, masks = apart(torch.cat([self.coder.decode(one[None]) for one in latent]).float().cpu())
        maps = state[:, -POINTS:].cpu() / HEIGHT
        return [
            _read(picture, mask, points, one.view) for picture, mask, points, one in zip(pictures, masks, maps, wanted)
        ]


def _read(
    picture: Float[Tensor, "v u"], masks: Bool[Tensor, "m v u"], maps: Float[Tensor, "p y x"], view: View
) -> MadeXray:
    uv, heights = peaks(maps, view.size)
    rows, columns = view.size
    inside = ((uv >= -0.5) & (uv <= torch.tensor([columns, rows]) - 0.5)).all(dim=-1)
    keypoints = Keypoints(LANDMARK_NAMES, uv, (heights > SEEN) & inside)
    return MadeXray(picture, view, keypoints, heights, rivals(maps), masks)
