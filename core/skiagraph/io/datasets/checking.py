"""What can be wrong with a body or a radiograph that is read, and what is annotated in it: each in one line."""

import math
from collections.abc import Iterator

import torch

from skiagraph.anatomy import LANDMARK_NAMES, STRUCTURE_NAMES
from skiagraph.geometry import box_around
from skiagraph.io.datasets.dataset import Radiograph
from skiagraph.io.patient import Patient
from skiagraph.volume import Keypoints, Labels, Landmarks

FAR = 10.0
"""Pixels between a landmark in the picture and the body's, in the median, beyond which the view must be another's."""


def wrong_with_body(patient: Patient) -> Iterator[str]:
    """What is wrong with a CT and what is known of it."""
    labels, landmarks = patient.labels, patient.landmarks
    if labels is not None:
        yield from _wrong_with_labels(labels)
    outside = ~patient.volume.grid.contains(landmarks.points)
    if outside.any():
        lost = [name for name, out in zip(landmarks.names, outside.tolist()) if out]
        yield f"{len(lost)} of {len(landmarks.names)} landmarks lie outside the CT, such as {lost[0]}"
    for name in landmarks.names:
        twin = name.replace("left_", "right_", 1)
        if name.startswith("left_") and twin in landmarks and landmarks[name][0] < landmarks[twin][0]:
            yield f"{name} lies to the right of its twin: the frame is mirrored, or the file is RAS and says LPS"
            break


def wrong_with_radiograph(shot: Radiograph) -> Iterator[str]:
    """What is wrong with a picture and its annotations."""
    low, high = float(shot.picture.pixels.min()), float(shot.picture.pixels.max())
    if low == high:
        yield f"every pixel is {low:g}"
    points = shot.keypoints
    if points is not None:
        strange = [name for name in points.names if name not in LANDMARK_NAMES]
        if strange:
            yield f"{len(strange)} landmarks of unknown names, such as {strange[0]}"
        if len(points.names) and not points.visible.any():
            yield "no landmark lies in the picture"
        crossed = _crossed(points) if shot.picture.view is None else None
        if crossed is not None:
            yield f"{crossed} lies on the image's left of its twin: the picture is mirrored, or the names are swapped"


def wrong_with_view(shot: Radiograph, landmarks: Landmarks) -> Iterator[str]:
    """Whether a picture's view puts the landmarks of the body where the picture has them."""
    points, view = shot.keypoints, shot.picture.view
    if points is None or view is None:
        return
    known = dict(zip(landmarks.names, view.project(landmarks.points)))
    both = [
        known[name] - uv for name, uv in zip(points.names, points.uv) if name in known and bool(uv.isfinite().all())
    ]
    miss = float(torch.stack(both).norm(dim=-1).median()) if both else 0.0
    if miss > FAR:
        yield f"its view puts the body's landmarks {miss:.0f} pixels from where the picture has them"


def annotated_in_body(patient: Patient) -> Iterator[str]:
    """What is known of a body."""
    if patient.labels is not None:
        yield from (f"labels of {name}" for name in patient.labels.names.values() if name in STRUCTURE_NAMES)
        others = [name for name in patient.labels.names.values() if name not in STRUCTURE_NAMES]
        if others:
            yield "labels of other structures"
    if patient.landmarks.names:
        yield "landmarks"


def annotated_in_radiograph(shot: Radiograph) -> Iterator[str]:
    """What is known of a picture."""
    if shot.keypoints is not None:
        yield "landmarks"
    if shot.masks is not None:
        yield from (f"masks of {name}" for name, mask in zip(shot.structures, shot.masks) if mask.any())
    if shot.findings:
        yield "findings"
    if shot.picture.view is not None:
        yield "views"


def _wrong_with_labels(labels: Labels) -> Iterator[str]:
    names = labels.names.values()
    if not {*STRUCTURE_NAMES} & {*names}:
        said = ", ".join(list(names)[:3]) or "nothing"
        yield f"its labels name none of the hip task's structures but {said}; name their numbers in the .json beside it"
    for left in ("left_hemipelvis", "left_femur"):
        right = left.replace("left", "right")
        boxes = {name: box_around(labels.mask(name)) for name in (left, right) if name in names}
        across = {name: float(labels.grid.cropped(box).center[0]) for name, box in boxes.items() if box is not None}
        if len(across) == 2 and across[left] < across[right]:
            yield f"{left} lies to the right of its twin: the frame is mirrored, or left and right are swapped"


def _crossed(points: Keypoints) -> str | None:
    """A left landmark on the image's left of its twin, if most pairs lie so: pictures are shown as from the front."""
    known = {name: u for name, (u, _) in zip(points.names, points.uv.tolist()) if math.isfinite(u)}
    twins = [(name, name.replace("left_", "right_", 1)) for name in known if name.startswith("left_")]
    pairs = {left: known[left] - known[right] for left, right in twins if right in known}
    crossed = [name for name, apart in pairs.items() if apart < 0]
    return crossed[0] if len(crossed) > len(pairs) / 2 else None
