"""Whether a generated X-ray may be shown: a pelvis could have its landmarks together, and is seen as was asked for.

Its landmarks have to be where a pelvis of the shape model projects them, seen from the view that was asked for or one
near it; each has to be in one place, and beside its own bone. An X-ray that is not is drawn anew, and counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from skiagraph.anatomy import LANDMARKS, STRUCTURE_NAMES
from skiagraph.detect.pose import FEWEST, Exposure, PelvisPose, pose_of
from skiagraph.errors import ModelError
from skiagraph.generate.wanted import Wanted
from skiagraph.generate.xray import MadeXray, Progress, XrayGenerator
from skiagraph.geometry import float64

RIVAL = 0.5
"""Of a landmark's peak: as high as that elsewhere, and it stands in two places."""
TWOFOLD = 1
"""Landmarks that may do so."""
STRAYS = 1
"""Landmarks that may be where no pelvis has them."""
LARGEST_RMS = 6.0
"""Millimetres in the plane of the hips of the others, root mean square."""
MOST_TURNED = 12.0
"""Degrees between the view asked for and the one the landmarks say."""
BESIDE = 0.04
"""Of the picture's side, that a landmark may lie beside the mask of its own bone."""
ASTRAY = 2
"""Landmarks that may lie further from it."""
TRIES = 6
"""How often an X-ray is drawn that does not hold together."""

Noise = Callable[[int, int], torch.Generator]
"""Where the noise of an X-ray comes from, by its number and by which try it is."""


@dataclass(frozen=True, eq=False)
class JudgedXray:
    """A generated X-ray, the pelvis it shows, and what is wrong with it."""

    made: MadeXray
    pose: PelvisPose | None
    wrong: tuple[str, ...]

    @property
    def turned(self) -> float:
        """Degrees between the view asked for and the one the landmarks say; NaN if they say none."""
        return float("nan") if self.pose is None else turned(self.pose)


def turned(pose: PelvisPose) -> float:
    """Degrees by which a pelvis fitted in its own axes' world does not lie along them."""
    cosine = (torch.trace(pose.frame.world_from_pelvis) - 1) / 2
    return float(torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))))


def judged(made: MadeXray) -> JudgedXray:
    """All that speaks against a generated X-ray."""
    seen = made.keypoints.visible
    wrong = []
    twofold = int((seen & (made.rivals > RIVAL * made.heights)).sum())
    if twofold > TWOFOLD:
        wrong.append(f"{twofold} landmarks in two places")
    pose = pose_of(made.keypoints, made.heights.clamp(0, 1), Exposure.known(made.view))
    if pose is None:
        return JudgedXray(made, None, (*wrong, f"{int(seen.sum())} landmarks of {FEWEST} at least"))
    strays = int(pose.disagreeing.sum())
    if strays > STRAYS:
        wrong.append(f"{strays} landmarks where no pelvis has them")
    if pose.rms > LARGEST_RMS:
        wrong.append(f"landmarks {pose.rms:.1f} mm off a pelvis")
    if turned(pose) > MOST_TURNED:
        wrong.append(f"seen {turned(pose):.0f} degrees beside the view asked for")
    if (lost := beside_bone(made)) > ASTRAY:
        wrong.append(f"{lost} landmarks beside their bone")
    return JudgedXray(made, pose, tuple(wrong))


def beside_bone(made: MadeXray) -> int:
    """How many visible landmarks lie off the mask of their own bone."""
    rows, columns = made.view.size
    reach = BESIDE * max(rows, columns)
    lost = 0
    for term, at, seen in zip(LANDMARKS, made.keypoints.uv, made.keypoints.visible.tolist()):
        bone = made.masks[STRUCTURE_NAMES.index(term.structure)].nonzero()
        if seen:
            gap = (bone.double() - float64([at[1], at[0]])).norm(dim=-1)
            lost += not len(gap) or float(gap.min()) > reach
    return lost


def drawn(
    generator: XrayGenerator, wanted: Sequence[Wanted], noise: Noise, progress: Progress, tries: int = TRIES
) -> tuple[list[JudgedXray | None], list[list[str]]]:
    """An X-ray of each that holds together, None where none of so many did, and what was wrong with those before it.

    Raises ModelError if nothing of all that was drawn holds together.
    """
    found: list[JudgedXray | None] = [None] * len(wanted)
    rejected: list[list[str]] = [[] for _ in wanted]
    for attempt in range(tries):
        missing = [number for number, one in enumerate(found) if one is None]
        if not missing:
            break
        done = len(wanted) - len(missing)

        def part(step: int, total: int, done: int = done, count: int = len(missing)) -> None:
            progress(round(done + count * step / total), len(wanted))

        made = generator([wanted[number] for number in missing], [noise(number, attempt) for number in missing], part)
        for number, one in zip(missing, map(judged, made)):
            if one.wrong:
                rejected[number].append(", ".join(one.wrong))
            else:
                found[number] = one
    if all(one is None for one in found):
        raise ModelError(
            f"none of {sum(map(len, rejected))} X-rays holds together, the last for {rejected[-1][-1]}; ask for a view "
            "that was learned, or give a generator trained for longer"
        )
    return found, rejected
