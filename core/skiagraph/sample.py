"""What a detector learns from, whoever made it."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from skiagraph.geometry import View
from skiagraph.volume import Keypoints


@dataclass(frozen=True, eq=False)
class Sample:
    """One X-ray with its labels."""

    image: Float[Tensor, "v u"]
    """Transmission 0...1."""
    view: View
    keypoints: Keypoints
    masks: Bool[Tensor, "m v u"]
    structures: tuple[str, ...]
    """The names of the masks."""
