"""What can be asked of a generated X-ray, and how a network is told.

A view is told twice: as numbers, by which every layer is scaled and shifted (Perez 2018), and as the ray of every
latent pixel in Pluecker's coordinates, direction and moment. All of it is in the pelvis's own axes, zero midway
between the femoral heads: the world of a `Wanted` is `skiagraph.planning.pelvis_from_world`.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from skiagraph.anatomy import LANDMARK_NAMES, STRUCTURE_NAMES
from skiagraph.errors import DataError
from skiagraph.geometry import View
from skiagraph.volume import Keypoints

POINTS, MASKS = len(LANDMARK_NAMES), len(STRUCTURE_NAMES)
OCTAVES = 3
"""Frequencies of the Fourier features: half a turn over the range of a number, a whole one, two."""
FAR, WIDE, ARM = 1000.0, 400.0, 150.0
"""Millimetres that count as 1: of distances, of a panel, and of a ray's moment about the hips."""
RAYS = 6
"""Channels of the rays."""
PARTS = {"masks": MASKS, "heatmaps": POINTS, "drr": 1}
"""What may be given beside a view, and in how many channels."""
GIVEN = sum(PARTS.values()) + len(PARTS)
"""Channels that tell of them: each part, and for each whether it is given."""
NUMBERS = 12 * (1 + 2 * OCTAVES) + 1
"""Numbers that tell of a view: twelve and their Fourier features, and whether it is known."""
SIGMA = 1.25
"""Latent pixels: of the Gaussian that stands for a landmark."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """An X-ray to be generated: from where, and if wanted what is to be where."""

    view: View
    """In the pelvis's axes, zero midway between the femoral heads."""
    masks: Bool[Tensor, "m v u"] | None = None
    """Of every structure, in the order of `skiagraph.anatomy.STRUCTURE_NAMES`."""
    keypoints: Keypoints | None = None
    """Landmarks; those that are not among them, or not visible, are not to be seen."""
    drr: Float[Tensor, "v u"] | None = None
    """A coarse picture 0...1 to go by."""

    def __post_init__(self) -> None:
        for name, given in (("masks", self.masks), ("drr", self.drr)):
            if given is not None and tuple(given.shape[-2:]) != self.view.size:
                raise DataError(f"{name} of {tuple(given.shape[-2:])} pixels for a view of {self.view.size}")
        if self.masks is not None and len(self.masks) != MASKS:
            raise DataError(f"{len(self.masks)} masks; give one of each of {', '.join(STRUCTURE_NAMES)}")

    def maps(self, lattice: tuple[int, int]) -> Float[Tensor, "g y x"]:
        """What is given beside the view, as the network is told it."""
        points = None if self.keypoints is None else _heatmaps_of(self.keypoints, self.view.size, lattice)
        masks = None if self.masks is None else shares(self.masks.float(), lattice)
        drr = None if self.drr is None else 2 * shares(self.drr[None], lattice) - 1
        return told({"masks": masks, "heatmaps": points, "drr": drr}, lattice)


def told(parts: dict[str, Float[Tensor, "_ y x"] | None], lattice: tuple[int, int]) -> Float[Tensor, "g y x"]:
    """Parts that are given or not, in the channels of `GIVEN`: zeros where not."""
    channels, flags = [], []
    for name, count in PARTS.items():
        part = parts[name]
        channels.append(torch.zeros(count, *lattice) if part is None else part)
        flags.append(torch.full((1, *lattice), float(part is not None)))
    return torch.cat(channels + flags)


def shares(pictures: Float[Tensor, "*b c v u"], lattice: tuple[int, int]) -> Float[Tensor, "*b c y x"]:
    """The mean of pictures over each latent pixel."""
    return adaptive_avg_pool2d(pictures, lattice)


def numbers(views: View) -> Float[Tensor, "b t"]:
    """Views as numbers: where the beam and the columns point, distances, the panel's size, and where the hips lie."""
    rows, columns = views.size
    across = views.u_step / views.u_step.norm(dim=-1, keepdim=True)
    hips = torch.zeros(1, 3, dtype=torch.float64)
    middle = views.project(hips)[:, 0] / torch.tensor([columns, rows], dtype=torch.float64) - 0.5
    sizes = torch.stack([columns * views.u_step.norm(dim=-1), rows * views.v_step.norm(dim=-1)], dim=-1) / WIDE
    distances = torch.stack([views.source_to_panel, views.depth(hips)[:, 0]], dim=-1) / FAR
    plain = torch.cat([views.normal, across, sizes, distances, middle], dim=-1).float()
    turns = math.pi / 2 * plain[..., None] * 2.0 ** torch.arange(OCTAVES)
    features = torch.cat([plain[..., None], turns.sin(), turns.cos()], dim=-1).flatten(1)
    return torch.cat([features, torch.ones_like(features[:, :1])], dim=1)


def rays(views: View, lattice: tuple[int, int]) -> Float[Tensor, "b r y x"]:
    """The ray of every latent pixel: its direction, and its moment about the hips."""
    small = views.resized(lattice)
    along = small.pixels() - small.source[:, None, None]
    along = along / along.norm(dim=-1, keepdim=True)
    moment = torch.linalg.cross(small.source[:, None, None].expand_as(along), along) / ARM
    return torch.cat([along, moment], dim=-1).movedim(-1, 1).float()


def heatmaps(
    uv: Float64[Tensor, "*b p 2"], visible: Bool[Tensor, "*b p"], size: tuple[int, int], lattice: tuple[int, int]
) -> Float[Tensor, "*b p y x"]:
    """A Gaussian of height 1 about each point on the latent pixels of a picture; nothing for those not visible."""
    (rows, columns), (tall, wide) = size, lattice
    scale = torch.tensor([wide / columns, tall / rows], dtype=torch.float64)
    at = torch.where(visible[..., None], (uv + 0.5) * scale - 0.5, 0.0).float()
    down = torch.exp(-0.5 * ((torch.arange(tall) - at[..., 1:]) / SIGMA) ** 2)
    right = torch.exp(-0.5 * ((torch.arange(wide) - at[..., :1]) / SIGMA) ** 2)
    return visible[..., None, None] * down[..., :, None] * right[..., None, :]


def peaks(maps: Float[Tensor, "p y x"], size: tuple[int, int]) -> tuple[Float64[Tensor, "p 2"], Float[Tensor, "p"]]:
    """Where each map's Gaussian stands, in pixels of a picture of so many (rows, columns), and how high it is.

    Along each axis the parabola through the logarithms of the highest value and its neighbours, which for a Gaussian is
    exact, also at the picture's edge.
    """
    tall, wide = maps.shape[-2:]
    height, at = maps.flatten(1).max(dim=1)
    v, u = at // wide, at % wide
    each = torch.arange(len(maps))
    logs = maps.clamp(min=1e-3).log()

    def refined(place: Tensor, count: int, values: Tensor) -> Float64[Tensor, "p"]:
        middle = place.clamp(1, count - 2)
        before, here, after = (values[each, middle + step] for step in (-1, 0, 1))
        bend = before - 2 * here + after
        off = torch.where(bend < -1e-3, (before - after) / (2 * bend), torch.zeros_like(bend))
        return middle.double() + off.double().clamp(-1.5, 1.5)

    x, y = refined(u, wide, logs[each, v]), refined(v, tall, logs[each, :, u])
    scale = torch.tensor([size[1] / wide, size[0] / tall], dtype=torch.float64)
    return (torch.stack([x, y], dim=-1) + 0.5) * scale - 0.5, height


def rivals(maps: Float[Tensor, "p y x"]) -> Float[Tensor, "p"]:
    """The highest value of each map further than three `SIGMA` from its highest."""
    tall, wide = maps.shape[-2:]
    at = maps.flatten(1).argmax(dim=1)
    v, u = torch.meshgrid(torch.arange(tall), torch.arange(wide), indexing="ij")
    away = (v - (at // wide)[:, None, None]) ** 2 + (u - (at % wide)[:, None, None]) ** 2
    return torch.where(away > (3 * SIGMA) ** 2, maps, -torch.inf).flatten(1).amax(dim=1)


def _heatmaps_of(keypoints: Keypoints, size: tuple[int, int], lattice: tuple[int, int]) -> Float[Tensor, "p y x"]:
    uv, visible = torch.zeros(POINTS, 2, dtype=torch.float64), torch.zeros(POINTS, dtype=torch.bool)
    for place, name in enumerate(LANDMARK_NAMES):
        if name in keypoints.names:
            there = keypoints.names.index(name)
            uv[place], visible[place] = keypoints.uv[there], keypoints.visible[there]
    return heatmaps(uv, visible, size, lattice)
