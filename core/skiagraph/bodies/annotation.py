"""The hip task's landmarks in somebody's CT: the pelvis atlas brought onto its hip bones, and how far to trust it.

A landmark is where the fitted model carries it, but an anterior superior iliac spine is what is foremost of the bone
itself. How far off each may be is what was measured on pelves the model had not seen, and, where the CT shows no bone,
what the model leaves open given the bone it does show.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.spatial import cKDTree

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.bodies.shape import PARTS, atlas, carried, foremost, landmarks_of
from skiagraph.errors import DataError
from skiagraph.geometry import Grid
from skiagraph.planning import HEADS, SPINES, PelvicFrame
from skiagraph.register.atlas import Fitted, cloud_of, fit, leeways
from skiagraph.surface import Cloud
from skiagraph.volume import Labels, Landmarks

HIPS = PARTS[:2]
WANTED = (
    "give a segmentation that names left_hemipelvis and right_hemipelvis, such as TotalSegmentator's with its "
    'hip_left and hip_right; a .json beside it, such as {"77": "hip_left"}, gives its numbers their names'
)
AROUND = 12.0
"""Millimetres about a landmark within which bone has to be seen for it to count as seen."""
REACH = 20.0
"""Millimetres about the model's iliac spine within which the bone's own is looked for."""
SEEN = {
    "femoral_head": 3.0,
    "greater_sciatic_notch": 7.5,
    "inferior_obturator_foramen": 5.5,
    "medial_obturator_foramen": 5.0,
    "superior_pubic_symphysis": 5.0,
    "inferior_pubic_symphysis": 6.0,
    "anterior_superior_iliac_spine": 6.0,
}
"""Millimetres within which 95 % of landmarks were whose bone is seen: `core/benchmarks/pelvis_landmarks.py`.

Heads and spines from scanned femoral heads and raters' spines, the rest from pelves left out of the atlas."""
SHARE_95 = 1.61
"""Of a normal error in space 95 % lies within so many times its root mean square: chi-squared, three degrees."""
NEAR, COVERED = 4.0, 0.8
"""Millimetres from the model within which a hip bone is explained by it, and the share of it that has to be."""


@dataclass(frozen=True, eq=False)
class Annotation:
    """The 14 landmarks of somebody, and how well each is known."""

    landmarks: Landmarks
    """All of them, LPS millimetres; what is not seen lies where the model expects it."""
    within: Float[ndarray, "l"]
    """Millimetres within which 95 % of such landmarks lie of the right place."""
    seen: Bool[ndarray, "l"]
    """Whether there is bone about it. Of what is not seen the place is a guess, however near `within` says it is."""
    fitted: Fitted
    """The model on the hip bones."""

    @property
    def supported(self) -> Landmarks:
        """Those seen."""
        return self.landmarks.subset(name for name, seen in zip(self.landmarks.names, self.seen) if seen)

    @property
    def words(self) -> dict[str, str]:
        """What to say of each, for its description."""
        said = {}
        for name, point, within, seen in zip(self.landmarks.names, self.landmarks.points, self.within, self.seen):
            if seen:
                said[name] = f"by the pelvis atlas; 95 % within {within:.1f} mm"
            else:
                place = ", ".join(f"{x:.0f}" for x in point.tolist())
                said[name] = f"no bone seen; the pelvis atlas expects it at ({place}) LPS, 95 % within {within:.1f} mm"
        return said


def annotate(labels: Labels) -> Annotation:
    """The landmarks of the body whose hip bones are labelled on a CT's voxels; they may be cut off where the CT ends.

    Labels that are a crop of the CT's have to be put back on it first: `skiagraph.io.volumes.onto`.

    Raises DataError if a hip bone is not labelled or empty, left lies to the right, or the atlas does not find them.
    """
    return annotate_bones(hip_bones(labels), labels.grid)


def hip_bones(labels: Labels) -> dict[str, Cloud]:
    """The surfaces of both hip bones. Raises DataError if one is missing or empty."""
    missing = [part for part in HIPS if part not in labels.names.values()]
    if missing:
        known = ", ".join(list(labels.names.values())[:8]) or "nothing"
        raise DataError(f"the labels name {known}, but no {' and no '.join(missing)}; {WANTED}")
    masks = {part: labels.mask(part) for part in HIPS}
    empty = [part for part, mask in masks.items() if not mask.any()]
    if empty:
        raise DataError(f"no voxel is labelled {' or '.join(empty)}; {WANTED}")
    return {part: cloud_of(mask, labels.grid) for part, mask in masks.items()}


def annotate_bones(bones: Mapping[str, Cloud], within: Grid | None = None) -> Annotation:
    """The landmarks of the body whose hip bones have these surfaces, LPS; see `annotate`."""
    left, right = (bones[part].points.mean(0) for part in HIPS)
    if left[0] <= right[0]:
        raise DataError(
            "the left hip bone lies to the right of the other; is the CT mirrored, or are labels exchanged?"
        )
    fitted = fit(atlas().model, bones, within=within)
    explained = _explained(bones, fitted)
    if explained < COVERED:
        raise DataError(
            f"the pelvis atlas explains {100 * explained:.0f} % of the hip bones, {100 * COVERED:.0f} % are needed; "
            "look at the labels: are they whole hip bones, and is the CT head up in LPS?"
        )
    seen = _seen(fitted)
    landmarks = _on_bone(landmarks_of(fitted.vertices), bones, seen)
    return Annotation(landmarks, _within(fitted, seen), seen, fitted)


def _explained(bones: Mapping[str, Cloud], fitted: Fitted) -> float:
    """The share of the hip bones' points that the model comes near."""
    model = atlas().model
    off = [cKDTree(fitted.vertices[model.of_part(part)]).query(bone.points[::7])[0] for part, bone in bones.items()]
    return float((np.concatenate(off) < NEAR).mean())


def _seen(fitted: Fitted) -> Bool[ndarray, "l"]:
    """About which landmarks most of the model found bone; of a head, in its socket."""
    found = np.isfinite(fitted.residual)
    tree = cKDTree(fitted.vertices)
    points = carried(fitted.vertices)
    about = {name: tree.query_ball_point(point, AROUND) for name, point in points.items()}
    about |= {head: list(atlas().lunate[head.split("_")[0]]) for head in HEADS}
    return np.array([found[about[name]].mean() > 0.5 for name in LANDMARK_NAMES])


def _on_bone(landmarks: Landmarks, bones: Mapping[str, Cloud], seen: Bool[ndarray, "l"]) -> Landmarks:
    """The landmarks with the iliac spines that are seen at what is foremost of the bones themselves."""
    points = {name: point.numpy() for name, point in zip(landmarks.names, landmarks.points)}
    crests = {
        spine: bones[part].points[np.linalg.norm(bones[part].points - points[spine], axis=1) < REACH]
        for part, spine in zip(HIPS, SPINES)
        if seen[LANDMARK_NAMES.index(spine)]
    }
    for _ in range(3):
        frame = PelvicFrame.of(Landmarks.of({name: point.tolist() for name, point in points.items()}))
        for spine, crest in crests.items():
            points[spine] = crest[foremost((crest - frame.origin.numpy()) @ frame.world_from_pelvis.numpy())]
    return Landmarks.of({name: point.tolist() for name, point in points.items()})


def _within(fitted: Fitted, seen: Bool[ndarray, "l"]) -> Float[ndarray, "l"]:
    """How far off the landmarks may be: as measured where bone is seen, else by what the model leaves open too."""
    here = np.stack(list(carried(fitted.vertices).values()))
    ways = [np.stack(list(carried(fitted.vertices + way).values())) - here for way in leeways(atlas().model, fitted)]
    open_ = np.sqrt((np.stack(ways) ** 2).sum((0, 2)))
    known = np.array([SEEN[name.split("_", 1)[1]] for name in LANDMARK_NAMES])
    return np.where(seen, known, np.hypot(known, SHARE_95 * open_))
