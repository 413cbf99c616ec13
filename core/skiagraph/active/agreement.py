"""How far apart readers are, and how far a model is from them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from skiagraph.active.labels import ORIGINAL, Version
from skiagraph.active.store import LabelStore
from skiagraph.volume import Keypoints


@dataclass(frozen=True, eq=False)
class Apart:
    """Distances between pairs of points, one landmark."""

    name: str
    distances: Float[ndarray, "n"]
    """Parts of the picture's longer side."""
    disputed: int
    """Pairs in which one says it is in the picture and the other that it is not."""

    @property
    def error(self) -> float:
        """Standard error of one reading, on each axis: Dahlberg 1940, sqrt(sum of d^2 / 2n), over two axes."""
        return float(np.sqrt((self.distances**2).mean() / 4)) if len(self.distances) else float("nan")


def apart(pairs: Iterable[tuple[Keypoints, Keypoints, float]]) -> list[Apart]:
    """Landmark by landmark, from pairs of readings of one picture and its longer side in pixels."""
    found: dict[str, list[float]] = {}
    disputed: dict[str, int] = {}
    for one, other, side in pairs:
        for name in (name for name in one.names if name in other.names):
            a, b = one.names.index(name), other.names.index(name)
            seen = bool(one.visible[a]), bool(other.visible[b])
            found.setdefault(name, [])
            disputed.setdefault(name, 0)
            if all(seen):
                found[name].append(float((one.uv[a] - other.uv[b]).norm()) / side)
            elif any(seen):
                disputed[name] += 1
    return [Apart(name, np.array(distances), disputed[name]) for name, distances in found.items()]


def between_readers(store: LabelStore) -> list[Apart]:
    """Every two readers who have finished the same picture."""
    pairs = []
    for picture in store.pictures():
        for one, other in combinations(store.readers(picture).values(), 2):
            pairs.append(_pair(one, other))
    return apart(pairs)


def of_model(store: LabelStore) -> list[Apart]:
    """The model's kept proposals against what readers then finished."""
    pairs = []
    for picture in store.pictures():
        proposal = store.label(picture, ORIGINAL)
        if proposal is not None:
            pairs += [_pair(proposal, version) for version in store.readers(picture).values()]
    return apart(pairs)


def report(rows: list[Apart]) -> Mapping[str, object]:
    """Distances as plain numbers, parts of the picture's longer side: for each landmark and for all."""
    everything = np.concatenate([row.distances for row in rows]) if rows else np.zeros(0)
    whole = Apart("all", everything, sum(row.disputed for row in rows))
    return {"unit": "part of the picture's longer side", "landmarks": [_said(row) for row in [*rows, whole]]}


def _pair(one: Version, other: Version) -> tuple[Keypoints, Keypoints, float]:
    return one.keypoints, other.keypoints, float(max(*one.size, *other.size, 1))


def _said(row: Apart) -> dict[str, object]:
    if not len(row.distances):
        return {"name": row.name, "pairs": 0, "disputed": row.disputed}
    return {
        "name": row.name,
        "pairs": len(row.distances),
        "disputed": row.disputed,
        "mean": float(row.distances.mean()),
        "median": float(np.median(row.distances)),
        "p95": float(np.quantile(row.distances, 0.95)),
        "standard_error": row.error,
    }
