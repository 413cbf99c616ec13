"""A sample as three files, and back: a 16-bit picture, a picture of bits for the masks, and a record.

The picture holds -log of the transmission in steps of 1/6000, so that the thick of a body has as many grey levels as
its rim. A pixel of the masks has bit m set where the m-th structure of the record is, so structures may overlap.
"""

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from skiagraph.errors import DataError
from skiagraph.factory.take import Taken
from skiagraph.io.files import decoding
from skiagraph.io.records import as_json, from_json
from skiagraph.sample import Sample

STEPS = 6000.0
"""Grey levels for a factor of e in transmission; 65535 of them reach down to 2e-5."""

MOST_STRUCTURES = 16

IMAGE, MASKS, RECORD = "png", "masks.png", "json"
"""Endings of a sample's files after its key."""


@dataclass(frozen=True)
class Encoded:
    """A sample as bytes, by ending."""

    key: str
    files: tuple[tuple[str, bytes], ...]


def key_of(number: int) -> str:
    """What a sample's files are called before their endings."""
    return f"{number:08d}"


def encode(taken: Taken) -> Encoded:
    """A sample as bytes."""
    sample = taken.sample
    if len(sample.structures) > MOST_STRUCTURES:
        raise DataError(f"{len(sample.structures)} structures; a sample keeps at most {MOST_STRUCTURES}")
    depth = -torch.log(sample.image.clamp(min=1e-9)) * STEPS
    bits = np.zeros(sample.view.size, dtype=np.uint16)
    for m, mask in enumerate(sample.masks.numpy()):
        bits |= mask.astype(np.uint16) << m
    narrow = bits.astype(np.uint8) if len(sample.structures) <= 8 else bits
    record = {**as_json(taken.record), "steps": STEPS}
    files = (
        (IMAGE, _png(depth.round().clamp(0, 65535).numpy().astype(np.uint16))),
        (MASKS, _png(narrow)),
        (RECORD, json.dumps(record, separators=(",", ":"), allow_nan=False).encode()),
    )
    return Encoded(key_of(taken.number), files)


def decode(image: bytes, masks: bytes, record: bytes, name: str = "a sample") -> Taken:
    """A sample from its three files; `name` is what errors call it."""
    with decoding(name, "a sample written by `skiagraph make-samples`"):
        content: dict[str, Any] = json.loads(record)
        values = np.array(Image.open(io.BytesIO(image)))
        bits = np.array(Image.open(io.BytesIO(masks)))
        steps, structures = float(content["steps"]), tuple(str(one) for one in content["structures"])
        number = int(content["number"])
    read = from_json({key: value for key, value in content.items() if key != "steps"}, name)
    if values.shape != read.view.size or bits.shape != read.view.size:
        raise DataError(f"{name}: pictures of {values.shape} and {bits.shape} pixels for a view of {read.view.size}")
    return Taken(number, Sample(_transmission(values, steps), read.view, read.keypoints, _masks(bits, structures),
                                structures), read)  # fmt: skip


def _transmission(values: np.ndarray, steps: float) -> Float[Tensor, "v u"]:
    return torch.exp(torch.from_numpy(values.astype(np.float32)) / -steps)


def _masks(bits: np.ndarray, structures: tuple[str, ...]) -> Bool[Tensor, "m v u"]:
    return torch.from_numpy(np.stack([bits >> m & 1 for m in range(len(structures))]).astype(bool)
                            if structures else np.zeros((0, *bits.shape), dtype=bool))  # fmt: skip


def _png(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG", compress_level=1)
    return out.getvalue()
