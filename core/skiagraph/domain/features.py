"""What a picture shows as a few hundred numbers that lie near for pictures that look alike, learned without labels.

Distances between sets of pictures need such numbers. Those in use come from photographs or from weights that must be
fetched; these are learned here, from pieces of X-rays and of CT slices, and come along.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from skiagraph.errors import DataError, ModelError
from skiagraph.io.files import decoding, read_json, there, write_json, write_tensors

CONFIG, WEIGHTS = "features.json", "features.safetensors"
WANTED = "picture features: a folder with features.json and features.safetensors"
SIDE = 64
"""Rows and columns of a piece."""


@dataclass(frozen=True)
class Features:
    """How the network is built."""

    channels: tuple[int, int, int, int] = (32, 64, 128, 256)
    """Of each level; a piece becomes as many numbers as the last has."""

    def build(self) -> "FeatureNetwork":
        """A new network with weights drawn anew."""
        return FeatureNetwork(self)


class FeatureNetwork(nn.Module):
    """MONAI's residual network (He 2016) of ten layers, averaged over the piece."""

    def __init__(self, features: Features) -> None:
        from monai.networks.nets.resnet import ResNet

        super().__init__()
        self.features = features
        self.body = ResNet(
            "basic", [1, 1, 1, 1], list(features.channels), spatial_dims=2, n_input_channels=1, conv1_t_size=5,
            conv1_t_stride=2, no_max_pool=True, feed_forward=False,
        )  # fmt: skip

    def forward(self, pieces: Float[Tensor, "b 1 s s"]) -> Float[Tensor, "b d"]:
        """The numbers of each piece, whatever its brightness and contrast."""
        flat = pieces.flatten(1)
        level, spread = flat.mean(1), flat.std(1).clamp(min=1e-3)
        answer: Tensor = self.body((pieces - level[:, None, None, None]) / spread[:, None, None, None])
        return answer.flatten(1)


def features_of(network: FeatureNetwork, pieces: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n d"]:
    """The numbers of many pieces."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(some) for some in pieces.split(256)])


def tiles(picture: Float[Tensor, "v u"], side: int = SIDE, stride: int = SIDE // 2) -> Iterator[Float[Tensor, "s s"]]:
    """The squares a picture is covered by, but for those without anything to see."""
    rows, columns = picture.shape
    if min(rows, columns) < side:
        raise DataError(f"a picture of {rows} x {columns}; give at least {side} x {side}")
    for v in range(0, rows - side + 1, stride):
        for u in range(0, columns - side + 1, stride):
            tile = picture[v : v + side, u : u + side]
            if float(tile.std()) > 0.02:
                yield tile


def write_features(folder: Path, network: FeatureNetwork) -> list[Path]:
    """The network on disk, of 16 bits."""
    weights = {
        name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()
    }
    write_tensors(folder / WEIGHTS, weights)
    write_json(folder / CONFIG, asdict(network.features))
    return [folder / WEIGHTS, folder / CONFIG]


def read_features(folder: Path) -> FeatureNetwork:
    """A network from disk. Raises DataError if there is none, ModelError if its parts do not fit together."""
    there(folder, WANTED)
    said = read_json(folder / CONFIG, WANTED)
    with decoding(folder / CONFIG, WANTED):
        network = Features(tuple(said["channels"])).build()
    there(folder / WEIGHTS, WANTED)
    with decoding(folder / WEIGHTS, WANTED):
        weights = load_file(folder / WEIGHTS)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"the weights of {folder} are not of the network it describes; get it again") from error
    return network.eval()
