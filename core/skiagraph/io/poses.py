"""How X-rays were taken: from where, and how the bones lay. Read off the records beside pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from skiagraph.carm import DEVICES, CArm
from skiagraph.errors import DataError
from skiagraph.geometry import View
from skiagraph.io.files import read_json, there
from skiagraph.io.records import Record, from_json

WANTED = "a record, the .json beside a picture, or a folder of them"


@dataclass(frozen=True, eq=False)
class Pose:
    """How one X-ray was taken."""

    view: View
    """In the body's own world."""
    motions: Mapping[str, Float64[Tensor, "4 4"]] = field(default_factory=dict)
    """Structures that lay elsewhere than the CT has them, each with its rigid motion of that world, millimetres."""


@dataclass(frozen=True, eq=False)
class Poses:
    """The X-rays that were taken of some subjects, all by one device."""

    device: CArm
    of: Mapping[str, tuple[Pose, ...]]
    """By the subject's name; under "" those that do not say of whom they are."""


def fingerprint(poses: tuple[Pose, ...]) -> str:
    """The same for the same poses only."""
    digest = sha256()
    for pose in poses:
        digest.update(np.array(pose.view.size).tobytes() + pose.view.matrix().numpy().tobytes())
        for name in sorted(pose.motions):
            digest.update(name.encode() + pose.motions[name].numpy().tobytes())
    return digest.hexdigest()


def read_pose_records(path: Path) -> Poses:
    """The views of a record or of a folder of them, in the order of their names.

    A record's own `subject`, which `make-samples` writes, says of whom it is. Raises DataError if there is no record,
    or if they are of several devices.
    """
    there(path, WANTED)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    contents = {file: read_json(file, WANTED) for file in files}
    records = {file: from_json(content, file) for file, content in contents.items() if _is_record(content)}
    if not records:
        raise DataError(f"{path} holds no record; give {WANTED}")
    devices = {_device(record, file) for file, record in records.items()}
    if len(devices) > 1:
        said = ", ".join(sorted(f"{carm.name} {carm.source_to_panel:g} mm" for carm in devices))
        raise DataError(f"{path} holds views of several devices ({said}); give those of one")
    of: dict[str, tuple[Pose, ...]] = {}
    for record in records.values():
        whose = str(record.extra.get("subject", ""))
        of[whose] = (*of.get(whose, ()), Pose(record.view))
    return Poses(devices.pop(), of)


def _is_record(content: Mapping[str, Any]) -> bool:
    return "view" in content and "landmarks" in content


def _device(record: Record, path: Path) -> CArm:
    """The C-arm a record is of, with the panel its view has."""
    given, view = record.device, record.view
    figures = ("name", "source_to_panel", "source_to_isocenter")
    if isinstance(given, str) and given in DEVICES:
        known = DEVICES[given]
    elif not isinstance(given, str) and all(figure in given for figure in figures):
        known = CArm(
            str(given["name"]), float(given["source_to_panel"]), float(given["source_to_isocenter"]), (1, 1), 1
        )
    else:
        raise DataError(
            f"{path} is of a device {given!r}; give {', '.join(DEVICES)}, or a table of {', '.join(figures)}"
        )
    if abs(known.source_to_panel - float(view.source_to_panel)) > 0.01:
        raise DataError(
            f"{path}: its view has {float(view.source_to_panel):.2f} mm from source to panel, its device "
            f"{known.source_to_panel:.2f}; write the record again"
        )
    return replace(known, panel_pixels=view.size, pixel_spacing=round(view.pixel_spacing[1], 9))
