"""A set before it is made: every sample has its number, its body, its split and its shard."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from skiagraph.errors import DataError
from skiagraph.factory.recipe import Recipe
from skiagraph.io.patient import Subject
from skiagraph.io.poses import fingerprint

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Shard:
    """Samples of one body that are written together."""

    name: str
    split: str
    subject: int
    """Which of the order's."""
    first: int
    """Number of its first sample."""
    count: int
    nth: int
    """Which of the body's samples the first one is."""


@dataclass(frozen=True)
class Order:
    """So many samples of these bodies, made in this way. The same order always makes the same set, bit for bit.

    Bodies share the samples evenly; if their poses are given, each pose is taken once, or as often as `count` says.
    """

    recipe: Recipe
    subjects: tuple[Subject, ...]
    count: int
    size: int
    """Rows and columns of the pictures."""
    seed: int = 0
    held_out: tuple[float, float] = (0.1, 0.1)
    """Fractions of the bodies for validation and for test."""
    per_shard: int = 64

    def __post_init__(self) -> None:
        if self.count < 1 or self.per_shard < 1:
            raise DataError(f"{self.count} samples in shards of {self.per_shard}; give at least one of each")
        if not 16 <= self.size <= 4096:
            raise DataError(f"pictures of {self.size} pixels a side; give 16 to 4096")
        if not (min(self.held_out) >= 0 and sum(self.held_out) < 1):
            raise DataError(f"{self.held_out} of the bodies held out; give fractions that leave some to train on")
        names = [subject.name for subject in self.subjects]
        if not names:
            raise DataError("no body to look at; give at least one")
        twins = sorted({name for name in names if names.count(name) > 1})
        if twins:
            raise DataError(f"two bodies are called {', '.join(twins)}; give each a name of its own")
        given = sum(len(subject.poses) for subject in self.subjects)
        if given and not all(subject.poses for subject in self.subjects):
            raise DataError("poses of some of the bodies only; give poses of each, or none")
        if given and self.count % given:
            raise DataError(f"{self.count} samples of {given} given poses; give a multiple, such as {given}")

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Each subject's split. Bodies are dealt by a hash of their names; one body alone is all for training."""
        total = len(self.subjects)
        dealt = sorted(range(total), key=lambda n: sha256(f"{self.seed}/{self.subjects[n].name}".encode()).digest())
        val, test = (min(total - 1, round(part * total)) for part in self.held_out)
        held = dict.fromkeys(dealt[:val], "val") | dict.fromkeys(dealt[val : val + test], "test")
        return tuple(held.get(n, "train") for n in range(total))

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """All of them, in order."""
        return tuple(self._dealt())

    def of_subject(self, subject: int) -> tuple[Shard, ...]:
        """The shards of one body."""
        return tuple(shard for shard in self.shards if shard.subject == subject)

    @property
    def _shares(self) -> list[int]:
        """How many samples each body gets: as many as any other, or each of its given poses as often as any other."""
        given = [len(subject.poses) for subject in self.subjects]
        if any(given):
            return [poses * (self.count // sum(given)) for poses in given]
        each, over = divmod(self.count, len(self.subjects))
        return [each + (subject < over) for subject in range(len(self.subjects))]

    def _dealt(self) -> Iterator[Shard]:
        number = shards = 0
        for subject, (split, left) in enumerate(zip(self.splits, self._shares)):
            for nth in range(0, left, self.per_shard):
                count = min(self.per_shard, left - nth)
                yield Shard(f"{self.recipe.name}-{split}-{shards:06d}.tar", split, subject, number, count, nth)
                number, shards = number + count, shards + 1

    def as_json(self) -> dict[str, Any]:
        """What the set is, in plain values: two orders that say the same make the same set."""
        return {
            "recipe": repr(self.recipe),
            "name": self.recipe.name,
            "landmarks": list(self.recipe.landmarks),
            "structures": list(self.recipe.structures),
            "reference": self.recipe.reference,
            "fidelity": self.recipe.technique.fidelity,
            "count": self.count,
            "size": self.size,
            "seed": self.seed,
            "held_out": list(self.held_out),
            "per_shard": self.per_shard,
            "subjects": [
                {"name": subject.name, "split": split, "source": subject.source}
                | ({"poses": fingerprint(subject.poses)} if subject.poses else {})
                for subject, split in zip(self.subjects, self.splits)
            ],
        }
