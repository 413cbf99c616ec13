"""Points as heatmaps, and heatmaps as points below the pixel. All in pixels (u, v); integers are pixel centres."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def gaussians(uv: Float[Tensor, "*n 2"], size: tuple[int, int], sigma: float) -> Float[Tensor, "*n v u"]:
    """A Gaussian density about each point, one in all on a panel without end: 1 / (2 pi sigma^2) at its peak."""
    v = _bell(uv[..., 1], size[0], sigma)
    u = _bell(uv[..., 0], size[1], sigma)
    return v[..., :, None] * u[..., None, :]


def brightest(heatmaps: Float[Tensor, "*n v u"]) -> Int[Tensor, "*n 2"]:
    """The pixel (u, v) of each heatmap's largest value."""
    columns = heatmaps.shape[-1]
    at = heatmaps.flatten(-2).argmax(dim=-1)
    return torch.stack([at % columns, at // columns], dim=-1)


def centred(density: Float[Tensor, "*n v u"], radius: float) -> Float[Tensor, "*n 2"]:
    """The centre of mass of each density within `radius` of its brightest pixel: a local soft-argmax.

    A density of nothing but zeros is at its brightest pixel.
    """
    peak = brightest(density)
    weight = density * _near(peak, density, radius)
    rows, columns = _axes(density)
    total = weight.sum(dim=(-2, -1))
    u = (weight.sum(dim=-2) * columns).sum(dim=-1) / total.clamp(min=1e-30)
    v = (weight.sum(dim=-1) * rows).sum(dim=-1) / total.clamp(min=1e-30)
    return torch.where((total > 0)[..., None], torch.stack([u, v], dim=-1), peak.to(u))


def mass_near(density: Float[Tensor, "*n v u"], uv: Float[Tensor, "*n 2"], radius: float) -> Float[Tensor, "*n"]:
    """How much of each density lies within `radius` of its point."""
    return (density * _near(uv, density, radius)).sum(dim=(-2, -1))


def resemblance(heatmaps: Float[Tensor, "*n v u"], sigma: float, reach: int) -> Float[Tensor, "*n"]:
    """How like a Gaussian each heatmap is about its peak: their normalised cross-correlation, -1 to 1.

    Over a patch that reaches so many pixels each way, as Grupp 2020 accepts landmarks; what lies beyond the picture
    counts as nothing there.
    """
    peak = brightest(heatmaps)
    padded = torch.nn.functional.pad(heatmaps, (reach, reach, reach, reach)).flatten(0, -3)
    across = torch.arange(2 * reach + 1, device=heatmaps.device)
    u, v = peak.reshape(-1, 2).unbind(-1)
    number = torch.arange(len(padded), device=heatmaps.device)
    patches = padded[number[:, None, None], (v[:, None] + across)[:, :, None], (u[:, None] + across)[:, None, :]]
    template = gaussians(torch.full((2,), float(reach)), (2 * reach + 1, 2 * reach + 1), sigma)
    return correlation(patches, template.to(patches)).reshape(heatmaps.shape[:-2])


def correlation(a: Float[Tensor, "*n v u"], b: Float[Tensor, "*#n v u"]) -> Float[Tensor, "*n"]:
    """Normalised cross-correlation of pictures, -1 to 1; 0 where one of them is flat."""
    a, b = (x - x.mean(dim=(-2, -1), keepdim=True) for x in (a, b))
    spread = (a.square().sum(dim=(-2, -1)) * b.square().sum(dim=(-2, -1))).sqrt()
    return (a * b).sum(dim=(-2, -1)) / spread.clamp(min=1e-12)


def _bell(at: Float[Tensor, "*n"], count: int, sigma: float) -> Float[Tensor, "*n x"]:
    pixels = torch.arange(count, dtype=at.dtype, device=at.device)
    return torch.exp(-0.5 * ((pixels - at[..., None]) / sigma) ** 2) / (sigma * (2 * torch.pi) ** 0.5)


def _near(uv: Tensor, like: Float[Tensor, "*n v u"], radius: float) -> Float[Tensor, "*n v u"]:
    rows, columns = _axes(like)
    du = (columns - uv[..., 0, None]).square()[..., None, :]
    dv = (rows - uv[..., 1, None]).square()[..., :, None]
    return (du + dv <= radius**2).to(like)


def _axes(like: Float[Tensor, "*n v u"]) -> tuple[Float[Tensor, "v"], Float[Tensor, "u"]]:
    rows, columns = like.shape[-2:]
    return torch.arange(rows, dtype=like.dtype, device=like.device), torch.arange(
        columns, dtype=like.dtype, device=like.device
    )
