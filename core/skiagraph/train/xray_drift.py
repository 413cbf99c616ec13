"""The X-ray generator's second half: a rectified flow of latents and landmarks, from views and maps that are told."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn

from skiagraph.factory.chance import generator_for
from skiagraph.generate.flow import Latents, drawn_times, noised
from skiagraph.generate.wanted import PARTS, heatmaps, numbers, rays, shares
from skiagraph.generate.xray import HEIGHT, XrayDrift, XrayDriftNetwork
from skiagraph.generate.xray_coder import XrayCoderNetwork, stacked
from skiagraph.train.album import Album
from skiagraph.train.course import Progress, device, precision
from skiagraph.train.flow import FlowCourse

AT_ONCE = 16
"""X-rays that are encoded together."""


@dataclass(frozen=True)
class XrayDriftRegimen:
    """How the flow is trained."""

    drift: XrayDrift
    batch: int = 16
    rate: float = 4e-4
    steps: int = 6000
    unseen: float = 0.15
    """How often the view is kept from the network."""
    alone: float = 0.5
    """How often it is told the view alone; else each of the maps as often as not."""
    average: float = 0.999
    """Decay a step of the running mean of the weights."""


@dataclass(frozen=True, eq=False)
class Lessons:
    """X-rays as the network learns them, and their mirror images after them."""

    latent: Float[Tensor, "n c y x"]
    masks: Float[Tensor, "n m y x"]
    """Shares of each latent pixel."""
    drr: Float[Tensor, "n 1 y x"]
    """-1...1."""
    along: Float[Tensor, "n r y x"]
    view: Float[Tensor, "n t"]
    uv: Float64[Tensor, "n p 2"]
    visible: Bool[Tensor, "n p"]
    trusted: Bool[Tensor, "n p"]
    size: tuple[int, int]
    """Rows and columns of the pictures."""

    def __len__(self) -> int:
        return len(self.latent)


def encode_album(coder: XrayCoderNetwork, album: Album, shrink: int, report: Progress) -> Lessons:
    """All X-rays of an album and their mirror images as latents and what goes with them."""
    lattice = (album.size[0] // shrink, album.size[1] // shrink)
    coder = coder.to(device()).eval()
    pages: dict[str, list[Tensor]] = {}
    both = [album, album.mirrored()]
    starts = [(one, start) for one in both for start in range(0, len(album), AT_ONCE)]
    for done, (one, start) in enumerate(starts):
        report(done, len(starts), "encoding X-rays")
        part = one.part(slice(start, start + AT_ONCE))
        pictures, masks = part.pictures.float() / 255, part.masks(slice(None))
        with torch.inference_mode(), precision(device()):
            mean, _ = coder.encode(stacked(pictures, masks).to(device()))
        page = {
            "latent": mean.float().cpu(), "masks": shares(masks.float(), lattice),
            "drr": 2 * shares(pictures[:, None], lattice) - 1, "along": rays(part.views, lattice),
        }  # fmt: skip
        for name, values in page.items():
            pages.setdefault(name, []).append(values.half())
        for name, values in (("view", numbers(part.views)), ("uv", part.uv), ("visible", part.visible),
                             ("trusted", part.trusted)):  # fmt: skip
            pages.setdefault(name, []).append(values)
    return Lessons(**{name: torch.cat(page) for name, page in pages.items()}, size=album.size)


def spread_of(lessons: Lessons) -> Latents:
    """Mean and deviation of each number of a latent pixel."""
    flat = lessons.latent.movedim(1, 0).flatten(1)
    return Latents(tuple(flat.mean(1, dtype=torch.float64).tolist()), tuple(flat.double().std(1).tolist()), axes=2)


class XrayDriftCourse(FlowCourse[XrayDriftNetwork]):
    """The flow, on its way."""

    columns = ("picture", "landmarks", "validation_picture", "validation_landmarks")

    def __init__(
        self, regimen: XrayDriftRegimen, train: tuple[Lessons, ...], held: Lessons, latents: Latents, seed: int
    ) -> None:
        """A batch is drawn from all of `train` in equal shares."""
        torch.manual_seed(seed)
        self.regimen, self.train, self.held, self.latents, self.seed = regimen, train, held, latents, seed
        network = regimen.drift.build(len(latents.mean))
        network = network.to(device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(network, regimen.rate, regimen.steps, regimen.average)

    def leg(self) -> Iterable[tuple[Tensor, ...]]:
        """Latents with landmarks, noise, times, views, rays, maps, and what counts."""
        return self._drawn(self.train, generator_for(self.seed, "flow", self.step))

    def advance(self, batch: tuple[Tensor, ...]) -> Float[Tensor, "2"]:
        """One step; the mean square of the velocity's error, of the picture's latents and of the landmarks."""
        self.network.train()
        losses = self._losses(self.network, batch)
        self.learn(losses)
        return losses.detach().cpu()

    def row(self, means: Float[Tensor, "2"]) -> tuple[float, ...]:
        """The losses, and those of held-out X-rays with the same noise every time."""
        stream = self._drawn((self.held,), generator_for(self.seed, "held"))
        with torch.inference_mode():
            found = torch.stack([self._losses(self.mean.module, batch).cpu() for _, batch in zip(range(8), stream)])
        return (*means.tolist(), *found.mean(dim=0).tolist())

    def _losses(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Float[Tensor, "2"]:
        x, noise, times, view, along, given, counts = (one.to(device()) for one in batch)
        with precision(x.device):
            said = network(noised(x, noise, times), times, view, along, given)
        off, channels = (said.float() - (noise - x)).square(), len(self.latents.mean)
        points = off[:, channels:].mean(dim=(2, 3))
        return torch.stack([off[:, :channels].mean(), (points * counts).sum() / counts.sum().clamp(min=1)])

    def _drawn(self, sources: tuple[Lessons, ...], rng: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        while True:
            each = -(-self.regimen.batch // len(sources))
            parts = [self._of(one, each, rng) for one in sources]
            yield tuple(torch.cat(columns) for columns in zip(*parts))

    def _of(self, lessons: Lessons, count: int, rng: torch.Generator) -> tuple[Tensor, ...]:
        at = torch.randint(len(lessons), (count,), generator=rng)
        latent = self.latents.standard(lessons.latent[at].float())
        lattice = (latent.shape[2], latent.shape[3])
        trusted = lessons.trusted[at]
        points = heatmaps(lessons.uv[at], lessons.visible[at] & trusted, lessons.size, lattice)
        x = torch.cat([latent, HEIGHT * points], dim=1)
        seen = torch.rand(count, generator=rng) > self.regimen.unseen
        more = torch.rand(count, 1, generator=rng) > self.regimen.alone
        flags = ((torch.rand(count, len(PARTS), generator=rng) < 0.5) & more).float()
        maps = {"masks": lessons.masks[at].float(), "heatmaps": points, "drr": lessons.drr[at].float()}
        given = [maps[name] * flags[:, place, None, None, None] for place, name in enumerate(PARTS)]
        told = torch.cat([*given, flags[:, :, None, None].expand(-1, -1, *lattice)], dim=1)
        return (
            x, torch.randn(x.shape, generator=rng), drawn_times(count, rng), lessons.view[at] * seen[:, None],
            lessons.along[at].float() * seen[:, None, None, None], told, trusted.float(),
        )  # fmt: skip
