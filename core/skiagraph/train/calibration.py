"""Confidences made true on held-out samples: a temperature for the heatmaps, a line for the odds of visibility.

Temperature scaling: Guo et al. 2017. Platt scaling: Platt 1999.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from numpy import floating, ndarray
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

from skiagraph.detect.detector import REFINING, Detector
from skiagraph.detect.heatmaps import centred, mass_near
from skiagraph.domain.batch import Batch


@dataclass(frozen=True, eq=False)
class _Answered:
    """What a network said of held-out pictures, and what is true."""

    heatmaps: Float[Tensor, "b l v u"]
    odds: Float[Tensor, "b l"]
    uv: Float[Tensor, "b l 2"]
    visible: Bool[Tensor, "b l"]


def calibrated(detector: Detector, examples: Sequence[Batch]) -> Detector:
    """The detector with the reading that makes its confidences most likely on pictures it was not trained on.

    Some of the landmarks should be hidden in them: give pictures with looks drawn as in training.
    """
    detector.network.eval()
    answered = []
    with torch.inference_mode():
        for batch in examples:
            said = detector.network(batch.pictures)
            answered.append(_Answered(said.heatmaps, said.visible, batch.uv, batch.visible))
    reading = detector.reading
    odds, visible = torch.cat([one.odds for one in answered]), torch.cat([one.visible for one in answered])
    # Platt's targets: were all odds right, the line would otherwise be steep without end.
    there, gone = int(visible.sum()), int((~visible).sum())
    wanted = torch.where(visible, (there + 1) / (there + 2), 1 / (gone + 2))

    def unlikely(line: Float[ndarray, "2"]) -> float:
        return float(binary_cross_entropy_with_logits(odds * abs(line[0]) + line[1], wanted))

    scale, shift = minimize(unlikely, (1.0, 0.0), method="Nelder-Mead").x
    near = reading.near * reading.size

    def untrue(log_temperature: float | floating) -> float:
        claimed, found = [], []
        for one in answered:
            density = detector.network.landmark_loss.density(one.heatmaps, float(2.0**log_temperature))
            at = centred(density, REFINING)
            claimed.append(mass_near(density, at, near)[one.visible])
            found.append(((at - one.uv).norm(dim=-1) <= near)[one.visible])
        return float(binary_cross_entropy(torch.cat(claimed).clamp(1e-4, 1 - 1e-4), torch.cat(found).float()))

    best = minimize_scalar(untrue, bounds=(-3.0, 4.0), method="bounded", options={"maxiter": 16}).x
    return replace(
        detector,
        reading=replace(
            reading, temperature=float(2.0**best), visible_scale=float(abs(scale)), visible_shift=float(shift)
        ),
    )
