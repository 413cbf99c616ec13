"""Landmarks and structures of one X-ray."""

import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from monailabel_app.lib import dicom
from monailabel_app.lib.study import READING, Seen, Study
from skiagraph.active.labels import Frame, points_from
from skiagraph.active.refit import completed
from skiagraph.anatomy import LANDMARK_NAMES, STRUCTURE_INDEX
from skiagraph.errors import DataError
from skiagraph.io.markups import keypoint_markups
from skiagraph.tasks.detect import keypoints_said, pose_said
from skiagraph.volume import Keypoints


class HipLandmarks(InferTask):
    """The detector in use, on a picture of the study or a file. Answers points, and a label map on request."""

    def __init__(self, study: Study) -> None:
        super().__init__(
            type=InferType.DETECTION,
            labels={name: number for number, name in enumerate(LANDMARK_NAMES, start=1)},
            dimension=2,
            description="14 landmarks and 6 structures of the pelvis on an X-ray; not for clinical use",
            config={"bone": ["bright", "dark"], "uncertainty": False, "pose": False},
        )
        self.study = study

    def is_valid(self) -> bool:
        """Whether there is a detector at all."""
        return self.study.shelf.bundle(self.study.shelf.current).is_dir()

    def get_path(self, validate: bool = True) -> str:
        """The weights in use."""
        return str(self.study.shelf.bundle(self.study.shelf.current) / "models" / "model.safetensors")

    def __call__(self, request: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """A file that the caller deletes, markups or what `output` names, none for `json` alone; and JSON."""
        began = time.perf_counter()
        path = Path(request["image"])
        seen = self.study.seen(path, request.get("bone", "bright"))
        fixed = fixed_points(request["fixed"], seen.frame) if request.get("fixed") is not None else None
        points = seen.found.keypoints if fixed is None else completed(seen.found, seen.where, fixed)
        answer: dict[str, Any] = {
            "model": request.get("model"),
            "weights": seen.weights,
            "size": list(seen.frame.size),
            "landmarks": _landmarks(seen, points, fixed),
        }
        if request.get("uncertainty"):
            look = seen.look
            answer["uncertainty"] = {
                "entropy": look.entropy,
                "disagreement": look.disagreement,
                "implausibility": look.implausibility,
                "spread": dict(zip(points.names, np.round(seen.where.spread, 2).tolist())),
            }
        if request.get("pose"):
            pose = seen.pose(points)
            answer["pose"] = None if pose is None else pose_said(pose, points.names)
        wanted = request.get("output")
        file = None if wanted == "json" and not request.get("save_label") else self._file(wanted, seen, points)
        answer["seconds"] = round(time.perf_counter() - began, 4)
        return file, answer

    def _file(self, output: str | None, seen: Seen, points: Keypoints) -> str:
        weights = self.study.shelf.bundle(seen.weights).name
        if output == dicom.SEG:
            return dicom.segmentation(seen, weights)
        if output == dicom.SR:
            return dicom.report(seen, points, weights)
        return label_map(seen) if output == "image" else markups(seen, points)


def markups(seen: Seen, points: Keypoints) -> str:
    """The points as a file that stock Slicer loads as fiducials; it goes by the ending .json."""
    content = keypoint_markups(points, seen.frame.view, seen.frame.spacing)
    handle, name = tempfile.mkstemp(suffix=".json")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file)
    return name


def label_map(seen: Seen) -> str:
    """The structures as one label map, numbered as DeepFluoro's; where they overlap, the later one counts."""
    index = np.zeros(seen.frame.size, dtype=np.uint8)
    numbers = {name: number for number, name in STRUCTURE_INDEX.items()}
    for name, mask in zip(seen.found.structures, seen.found.masks.numpy()):
        index[mask] = numbers[name]
    image = sitk.GetImageFromArray(index[None])
    rows, columns = seen.frame.spacing or (1.0, 1.0)
    image.SetSpacing([columns, rows, 1.0])
    handle, name = tempfile.mkstemp(suffix=".nrrd")
    os.close(handle)
    with READING:
        sitk.WriteImage(image, name, useCompression=True)
    return name


def fixed_points(value: Any, frame: Frame) -> Keypoints:
    """Points that a reader is certain of: `{NAME: [u, v]}`, null for one that is not in the picture."""
    if not isinstance(value, dict) or not value:
        raise DataError('fixed points are a table such as {"left_femoral_head": [u, v]}')
    return points_from(json.dumps(value), frame)


def _landmarks(seen: Seen, points: Keypoints, fixed: Keypoints | None) -> list[dict[str, object]]:
    certain = () if fixed is None else fixed.names
    rows = keypoints_said(replace(seen.found, keypoints=points), None, None)
    return [{**row, "confidence": 1.0, "fixed": True} if row["name"] in certain else row for row in rows]
