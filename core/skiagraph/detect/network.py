"""One network, three answers: where the landmarks are, whether they are in the picture, and what is bone of whom."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from skiagraph.detect.losses import LandmarkLoss
from skiagraph.detect.trunks import Trunk


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network says of a batch, before anything is made of it."""

    heatmaps: Float[Tensor, "b l v u"]
    visible: Float[Tensor, "b l"]
    """Log-odds that a landmark is in the picture."""
    masks: Float[Tensor, "b c v u"]
    """Log-odds of each structure in each pixel."""
    features: Float[Tensor, "b f v u"]
    """The trunk's, from which all this was made."""

    def first(self, count: int) -> "Answers":
        """Of the first so many pictures alone."""
        return Answers(self.heatmaps[:count], self.visible[:count], self.masks[:count], self.features[:count])


class Network(nn.Module):
    """A trunk with the heads of Grupp 2020: structures from its features, landmarks from both.

    Ours is the third: what the features are where a landmark would be says whether it is there.
    """

    def __init__(self, trunk: Trunk, landmark_loss: LandmarkLoss, size: int, landmarks: int, structures: int) -> None:
        super().__init__()
        self.landmark_loss = landmark_loss
        self.trunk = trunk.build(size)
        self.structures = nn.Conv2d(trunk.features, structures, 1)
        self.mixed = nn.Conv2d(trunk.features + structures, landmarks + structures, 1, bias=False)
        self.landmarks = nn.Conv2d(landmarks + structures, landmarks, 1) if landmarks else _NoHeatmaps()
        self.seen = nn.Parameter(torch.zeros(landmarks, trunk.features + structures + 1))
        self.often = nn.Parameter(torch.zeros(landmarks))

    def forward(self, pictures: Float[Tensor, "b 1 v u"]) -> Answers:
        """The answers for pictures of mean 0 and variance 1."""
        features = self.trunk(pictures)
        masks = self.structures(features)
        both = torch.cat([features, masks], dim=1)
        heatmaps = self.landmarks(self.mixed(both)).float()
        # Heatmaps learn from where landmarks are alone, hence detached.
        density = self.landmark_loss.density(heatmaps.detach()).flatten(2)
        there = torch.einsum("blp,bfp->blf", density, both.flatten(2).float())
        peak = density.amax(dim=-1, keepdim=True).clamp(min=1e-12).log()
        evidence = torch.cat([there, peak], dim=-1)
        visible = (evidence * self.seen).sum(dim=-1) + self.often
        return Answers(heatmaps, visible, masks.float(), features)


class _NoHeatmaps(nn.Module):
    """Where no landmarks are looked for: a convolution must have an output."""

    def forward(self, features: Float[Tensor, "b f v u"]) -> Float[Tensor, "b 0 v u"]:
        return features[:, :0]
