"""A picture in; keypoints with confidence and visibility, and masks out."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import max_pool2d

from skiagraph.anatomy import structure_with
from skiagraph.detect.framing import Framing
from skiagraph.detect.heatmaps import centred, mass_near
from skiagraph.detect.network import Network
from skiagraph.errors import DataError
from skiagraph.volume import Keypoints

REFINING = 3.0
"""Pixels of the network's picture about the brightest of a heatmap, whose centre of mass the landmark is."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found on one picture."""

    keypoints: Keypoints
    """(u, v) in the picture's pixels; those that are not visible are still where they would be."""
    confidence: Float[Tensor, "p"]
    """How probable it is that a point is in the picture and within the detector's `near` of where it is said to be."""
    masks: Bool[Tensor, "m v u"]
    structures: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """How a network's answers are read: names, size, and what made its confidences true on held-out pictures."""

    landmarks: tuple[str, ...]
    structures: tuple[str, ...]
    size: int
    """Rows and columns of the network's pictures."""
    near: float = 0.02
    """What counts as found: this part of the picture's longer side; 0.02 of 430 mm is 8.6 mm on the panel."""
    temperature: float = 1.0
    """Of the heatmaps: more makes them broader."""
    visible_scale: float = 1.0
    """Times the log-odds of visibility."""
    visible_shift: float = 0.0
    """Added to them."""
    reach: float | None = None
    """How far from its structure as found a landmark is looked for, as a part of the picture's longer side; anywhere if
    None. DeepFluoro's landmarks lie on the bones of their side, so none can then be on the other."""


@dataclass(frozen=True, eq=False)
class Detector:
    """A trained network and how to read it."""

    network: Network
    reading: Reading

    def __call__(self, picture: Float[Tensor, "v u"]) -> Findings:
        """The landmarks and structures of a picture in which bone is bright, of whatever range and size.

        Raises DataError for pictures that show nothing.
        """
        if not bool(torch.isfinite(picture).all()):
            raise DataError("the picture holds NaN or infinity; fill those pixels")
        if float(picture.std()) < 1e-6:
            raise DataError("the picture is of one grey all over; give an X-ray")
        reading = self.reading
        framing = Framing((picture.shape[0], picture.shape[1]), reading.size)
        self.network.eval()
        with torch.inference_mode():
            answers = self.network(framing.framed(picture.float())[None, None])
        density = self.network.landmark_loss.density(answers.heatmaps[0], reading.temperature)
        density = density * self._within_reach(answers.masks[0])
        at = centred(density, REFINING)
        odds = answers.visible[0] * reading.visible_scale + reading.visible_shift
        confidence = odds.sigmoid() * mass_near(density, at, reading.near * reading.size)
        uv = framing.back(at.double())
        rows, columns = framing.picture
        inside = ((uv >= -0.5) & (uv <= torch.tensor([columns, rows]) - 0.5)).all(dim=-1)
        masks = framing.unframed(answers.masks[0]) > 0
        return Findings(Keypoints(reading.landmarks, uv, (odds > 0) & inside), confidence, masks, reading.structures)

    def _within_reach(self, masks: Float[Tensor, "c v u"]) -> Float[Tensor, "l v u"]:
        """1 where each landmark may be, else 0; everywhere if its structure is not known or was not found."""
        reading = self.reading
        everywhere = torch.ones(len(reading.landmarks), *masks.shape[1:])
        if reading.reach is None:
            return everywhere
        around = round(reading.reach * reading.size)
        near = max_pool2d((masks > 0).float()[None], 2 * around + 1, stride=1, padding=around)[0]
        for place, name in enumerate(reading.landmarks):
            structure = structure_with(name)
            if structure in reading.structures and bool(near[reading.structures.index(structure)].any()):
                everywhere[place] = near[reading.structures.index(structure)]
        return everywhere
