"""The record beside every picture: where it was taken from, by which device, and where the landmarks are in it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skiagraph.carm import view_angles
from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import View, float64
from skiagraph.io.files import decoding, read_json, write_json
from skiagraph.volume import Keypoints, Landmarks

_OWN = ("pixel_from_world", "view", "device", "primary", "secondary", "landmarks")


@dataclass(frozen=True, eq=False)
class Record:
    """How one picture came about."""

    view: View
    keypoints: Keypoints
    """Where the landmarks are, in pixels; NaN for one behind the source."""
    device: str | Mapping[str, Any] = "generic"
    """The C-arm's name, or its figures."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else is known: fidelity, seed, versions, files."""

    @classmethod
    def of(
        cls, view: View, landmarks: Landmarks, device: str | Mapping[str, Any] = "generic", **extra: Any
    ) -> "Record":
        """The record of a view of landmarks; those behind the source have no place in the picture."""
        seen = landmarks.seen_from(view)
        behind = view.depth(landmarks.points) <= 0
        return cls(
            view, Keypoints(seen.names, seen.uv.masked_fill(behind[:, None], math.nan), seen.visible), device, extra
        )

    @property
    def primary(self) -> float:
        """Degrees, LAO positive."""
        return view_angles(self.view)[0]

    @property
    def secondary(self) -> float:
        """Degrees, cranial positive."""
        return view_angles(self.view)[1]


def write_record(path: Path, record: Record) -> None:
    """A record as JSON."""
    taken = sorted(set(record.extra) & set(_OWN))
    if taken:
        raise DataError(f"a record says {', '.join(taken)} itself; give the extra fields other names")
    write_json(path, as_json(record))


def read_record(path: Path) -> Record:
    """The record a JSON file holds."""
    return from_json(read_json(path, wanted="a record, the .json beside a picture"), path)


def as_json(record: Record) -> dict[str, Any]:
    """A record as plain JSON values."""
    view = record.view
    if view.source.ndim != 1:
        raise GeometryError(f"a record of {tuple(view.source.shape[:-1])} views; give one view a record")
    return {
        "pixel_from_world": view.matrix().tolist(),
        "view": {
            "source": view.source.tolist(),
            "origin": view.origin.tolist(),
            "u_step": view.u_step.tolist(),
            "v_step": view.v_step.tolist(),
            "size": list(view.size),
        },
        "device": record.device,
        "primary": record.primary,
        "secondary": record.secondary,
        "landmarks": [
            {"name": name, "uv": uv if all(map(math.isfinite, uv)) else None, "visible": visible}
            for name, uv, visible in zip(
                record.keypoints.names, record.keypoints.uv.tolist(), record.keypoints.visible.tolist()
            )
        ],
        **record.extra,
    }


def from_json(content: Mapping[str, Any], path: Path | str = "a record") -> Record:
    """The record that plain JSON values say; `path` is named in errors."""
    missing = [name for name in ("view", "landmarks") if name not in content]
    if missing:
        raise DataError(
            f"{path} has no {', '.join(missing)}; give a record, the .json that is written beside a picture"
        )
    with decoding(path, "a record, the .json beside a picture"):
        part = content["view"]
        rows, columns = part["size"]
        view = View(
            source=_vector(part["source"]),
            origin=_vector(part["origin"]),
            u_step=_vector(part["u_step"]),
            v_step=_vector(part["v_step"]),
            size=(rows, columns),
        )
        landmarks = content["landmarks"]
        uv = [[math.nan] * 2 if mark["uv"] is None else [float(x) for x in mark["uv"]] for mark in landmarks]
        keypoints = Keypoints(
            tuple(str(mark["name"]) for mark in landmarks),
            torch.tensor(uv, dtype=torch.float64).reshape(-1, 2),
            torch.tensor([bool(mark["visible"]) for mark in landmarks], dtype=torch.bool),
        )
        if "pixel_from_world" in content:
            _check_agrees(float64(content["pixel_from_world"]), view, path)
        device = content.get("device", "generic")
        extra = {name: value for name, value in content.items() if name not in _OWN}
        return Record(view, keypoints, device if isinstance(device, str) else dict(device), extra)


def _vector(values: list[float]) -> Tensor:
    vector = float64(values)
    if vector.shape != (3,):
        raise DataError(f"a point of shape {tuple(vector.shape)} in a record; give three millimetres")
    return vector


def _check_agrees(matrix: Tensor, view: View, path: Path | str) -> None:
    own = view.matrix()
    if matrix.shape != (3, 4) or not torch.allclose(matrix / matrix[2, :3].norm(), own, rtol=1e-6, atol=1e-6):
        raise DataError(f"{path}: pixel_from_world and view are two different views; write the record again")
