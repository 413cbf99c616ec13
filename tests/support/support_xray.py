"""A stand-in for a trained X-ray generator: the mean pelvis's landmarks where the view has them."""

from collections.abc import Sequence

import torch

from skiagraph.anatomy import LANDMARK_NAMES, LANDMARKS, STRUCTURE_NAMES
from skiagraph.factory.xrays import mean_pelvis
from skiagraph.generate.flow import Latents
from skiagraph.generate.wanted import Wanted
from skiagraph.generate.xray import MadeXray, Progress, XrayDrift, XrayGenerator
from skiagraph.generate.xray_coder import XrayCoder
from skiagraph.geometry import View


class PerfectGenerator(XrayGenerator):
    """Makes what is asked for, the first `failing` times with left and right exchanged."""

    def __init__(self, size: int, failing: int = 0) -> None:
        coder = XrayCoder((8, 8, 8), latent=4)
        drift = XrayDrift((16,), (False,), layers=1, context=4).build(4)
        super().__init__(coder.build(), drift, Latents((0.0,) * 4, (1.0,) * 4, 2), coder, size, 1, 1.0)
        self.failures = [True] * failing

    def at(self, steps: int | None = None, guidance: float | None = None) -> "PerfectGenerator":
        return self

    def __call__(self, wanted: Sequence[Wanted], rngs: Sequence[torch.Generator], progress: Progress) -> list[MadeXray]:
        progress(0, 1)
        mirrored = bool(self.failures) and self.failures.pop()
        return [made(one.view, mirrored) for one in wanted]

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @staticmethod
    def picture(view: View) -> torch.Tensor:
        u, v = view.project(mean_pelvis().landmarks["left_femoral_head"][None])[0]
        rows, columns = (torch.arange(n) for n in view.size)
        return torch.exp(-((rows[:, None] - v) ** 2 + (columns - u) ** 2) / 200).float()


def made(view: View, mirrored: bool = False) -> MadeXray:
    keypoints = mean_pelvis().landmarks.subset(LANDMARK_NAMES).seen_from(view)
    masks = torch.zeros(len(STRUCTURE_NAMES), *view.size, dtype=torch.bool)
    v, u = (torch.arange(n) for n in view.size)
    for term, at in zip(LANDMARKS, keypoints.uv):
        near = (v[:, None] - at[1]).abs().maximum((u - at[0]).abs()) <= 2
        masks[STRUCTURE_NAMES.index(term.structure)] |= near
    if mirrored:
        keypoints = type(keypoints)(keypoints.names, keypoints.uv.reshape(7, 2, 2).flip(1).reshape(14, 2),
                                    keypoints.visible)  # fmt: skip
    heights = keypoints.visible.float()
    return MadeXray(PerfectGenerator.picture(view), view, keypoints, heights, torch.zeros(14), masks)
