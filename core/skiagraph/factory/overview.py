"""A set at a glance: what all its records say, and which of its pictures are there twice."""

import json
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from skiagraph.factory.coding import IMAGE, RECORD
from skiagraph.factory.reading import SampleSet
from skiagraph.geometry import float64
from skiagraph.io.files import decoding
from skiagraph.io.records import Record, from_json

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Overview:
    """What the records of a set say, sample by sample and in all."""

    numbers: Int[Tensor, "n"]
    splits: tuple[str, ...]
    """Of each sample."""
    angles: Float64[Tensor, "n 2"]
    """Degrees: primary and secondary."""
    visible: Int[Tensor, "p"]
    """How often each landmark is seen."""
    known: Int[Tensor, "p"]
    """How often a body had it."""
    places: Float64[Tensor, "m 2"]
    """Where visible landmarks are, in fractions of the picture."""
    kvp: tuple[float, ...]
    """Tube voltages, where there were any."""
    shares: dict[str, float]
    """The mean share of the picture that each structure covers."""
    twins: tuple[tuple[int, ...], ...]
    """Samples whose pictures are the same to the bit."""


def overview(samples: SampleSet, report: Progress) -> Overview:
    """Read every record of a set; pictures are only compared."""
    angles, places, kvp, numbers, splits = [], [], [], [], []
    visible, known, areas, counted = Counter[str](), Counter[str](), defaultdict[str, float](float), Counter[str]()
    same: dict[bytes, list[int]] = defaultdict(list)
    shards = samples.card["shards"]
    for done, shard in enumerate(shards):
        report(done, len(shards), shard["name"])
        for key, record, picture in _records(samples, shard["name"]):
            numbers.append(int(key))
            splits.append(str(shard["split"]))
            same[picture].append(int(key))
            angles.append((record.primary, record.secondary))
            points = record.keypoints
            known.update(points.names)
            for name, uv, shown in zip(points.names, points.uv.tolist(), points.visible.tolist()):
                if shown:
                    visible[name] += 1
                    places.append([(x + 0.5) / n for x, n in zip(uv, record.view.size[::-1])])
            if record.extra.get("kvp"):
                kvp.append(float(record.extra["kvp"]))
            pixels = record.view.size[0] * record.view.size[1]
            for name, area in zip(record.extra["structures"], record.extra["areas"]):
                areas[name] += area / pixels
                counted[name] += 1
    return Overview(
        torch.tensor(numbers),
        tuple(splits),
        float64(angles).reshape(-1, 2),
        torch.tensor([visible[name] for name in samples.landmarks], dtype=torch.int64),
        torch.tensor([known[name] for name in samples.landmarks], dtype=torch.int64),
        float64(places).reshape(-1, 2),
        tuple(kvp),
        {name: areas[name] / counted[name] for name in samples.structures if counted[name]},
        tuple(tuple(twins) for twins in same.values() if len(twins) > 1),
    )


def _records(samples: SampleSet, shard: str) -> list[tuple[str, Record, bytes]]:
    """Key, record and a hash of the picture, for every sample of a shard."""
    found: dict[str, dict[str, bytes]] = defaultdict(dict)
    with decoding(samples.folder / shard, "a whole shard; run make-samples again"):
        with tarfile.open(samples.folder / shard) as tar:
            for entry in tar:
                key, _, ending = entry.name.partition(".")
                if ending in (IMAGE, RECORD):
                    file = tar.extractfile(entry)
                    found[key][ending] = file.read() if file is not None else b""
        return [
            (key, from_json(json.loads(files[RECORD]), key), sha256(files[IMAGE]).digest())
            for key, files in found.items()
        ]
