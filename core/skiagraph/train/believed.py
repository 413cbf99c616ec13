"""Real X-rays that nobody labelled, as an album: what a detector finds on them and a pelvis bears out.

The pose of that pelvis is the view, in the exposure of a usual radiograph. X-rays on which too few points are borne out
are dropped; points that are not are neither there nor absent. Pictures are cut to the square about the hips.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from skiagraph.anatomy import LANDMARK_NAMES, STRUCTURE_NAMES
from skiagraph.detect.averaged import Consensus
from skiagraph.errors import DataError
from skiagraph.planning import pelvis_from_world
from skiagraph.train.album import Album
from skiagraph.train.course import Progress
from skiagraph.train.selftaught import SelfTaught, Teacher, borne_out
from skiagraph.train.unlabelled import Unlabelled


@dataclass(frozen=True, eq=False)
class Believed:
    """Real X-rays with what is believed of them."""

    album: Album
    dropped: tuple[str, ...]
    """Those on which no pelvis was found."""


def believed(way: SelfTaught, teacher: Teacher, real: Unlabelled, report: Progress) -> Believed:
    """The real X-rays as an album of squares of `real.side` pixels. Raises DataError if a pelvis is on none."""
    pages, dropped = list[Album](), list[str]()
    for done, (name, picture) in enumerate(zip(real.names, real.pictures)):
        report(done, len(real.pictures), "looking at real X-rays")
        page = _page(way, teacher(picture), picture, real.side, name)
        if page is None:
            dropped.append(name)
        else:
            pages.append(page)
    if not pages:
        raise DataError(f"a pelvis was found on none of {len(real.pictures)} X-rays; give X-rays of pelves")
    return Believed(Album.joined(pages), tuple(dropped))


def _page(way: SelfTaught, consensus: Consensus, picture: Float[Tensor, "v u"], side: int, name: str) -> Album | None:
    rows, columns = picture.shape
    pose, kept = borne_out(way, consensus, (rows, columns))
    if pose is None or int(kept.sum()) < way.fewest:
        return None
    found = consensus.findings
    u, v = pose.view.project(pose.middle[None])[0].tolist()
    left, top = (max(0, min(round(at - side / 2), n - side)) for at, n in ((u, columns), (v, rows)))
    square = (slice(top, top + side), slice(left, left + side))
    places = [found.keypoints.names.index(one) for one in LANDMARK_NAMES]
    uv = found.keypoints.uv[places] - torch.tensor([left, top])
    inside = ((uv >= -0.5) & (uv <= side - 0.5)).all(dim=-1)
    visible, kept = found.keypoints.visible[places] & inside, kept[places]
    cut = pose.view.cropped(*square)
    beside = ~cut.sees(pose.landmarks.subset(LANDMARK_NAMES).points)
    view = cut.moved(pelvis_from_world(pose.landmarks))
    bits = torch.zeros(side, side, dtype=torch.uint8)
    for m, one in enumerate(STRUCTURE_NAMES):
        bits |= found.masks[found.structures.index(one)][square].to(torch.uint8) << m
    return Album(
        (255 * picture[square]).round().to(torch.uint8)[None], bits[None], uv[None], visible[None],
        (kept | (beside & ~visible))[None], view.source[None], view.origin[None], view.u_step[None],
        view.v_step[None], (name,),
    )  # fmt: skip
