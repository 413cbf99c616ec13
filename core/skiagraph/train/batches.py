"""Sets of samples as batches a training step takes: streamed, shuffled, made to look like any hospital's."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from skiagraph.domain.appearance import Appearance
from skiagraph.domain.batch import Batch
from skiagraph.errors import DataError
from skiagraph.factory.chance import generator_for
from skiagraph.factory.reading import SampleSet
from skiagraph.factory.take import Taken
from skiagraph.train.together import number, processes


@dataclass(frozen=True)
class Diet:
    """What a network is fed."""

    sets: tuple[SampleSet, ...]
    size: int
    """Rows and columns of the pictures."""
    batch: int
    appearance: Appearance
    seed: int = 0

    def batches(self, split: str, workers: int, start: int = 0) -> Iterable[Batch]:
        """Batches without end, made in `workers` processes; another `start` begins elsewhere."""
        stream = _Stream(self, split, start)
        if workers == 0:
            return stream
        return DataLoader(
            stream, batch_size=None, num_workers=workers, prefetch_factor=4, persistent_workers=True,
            worker_init_fn=_alone,
        )  # fmt: skip


class _Stream(IterableDataset[Batch]):
    """Endless epochs over all sets, each in an order of its own."""

    def __init__(self, diet: Diet, split: str, start: int) -> None:
        self.diet, self.split, self.start = diet, split, start
        self.part = (number(), processes()) if split == "train" else (0, 1)

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        stream = 1000 * self.part[0] + (0 if worker is None else worker.id)
        diet, held = self.diet, list[Batch]()
        done = 0
        for taken in _endless(diet.sets, self.split, diet.seed + self.start, self.part):
            held.append(resized(Batch.of([taken.sample]), diet.size))
            if len(held) == diet.batch:
                rng = generator_for(diet.seed, "look", self.start, stream, done)
                yield diet.appearance(joined(held), rng)
                held, done = [], done + 1


def _endless(sets: tuple[SampleSet, ...], split: str, seed: int, part: tuple[int, int]) -> Iterator[Taken]:
    """Raises DataError if this process's share of the shards is none: it would wait for ever."""
    for epoch in count():
        some = False
        for samples in sets:
            if not samples.shards(split)[part[0] :: part[1]]:
                continue
            for taken in samples.stream(split, shuffle=seed + epoch, part=part):
                some = True
                yield taken
        if not some:
            shards = sum(len(samples.shards(split)) for samples in sets)
            raise DataError(
                f"{shards} shards of the {split} split for more processes than that; take fewer, or make larger sets"
            )


def _alone(worker: int) -> None:
    torch.set_num_threads(1)


def resized(batch: Batch, size: int) -> Batch:
    """The same batch in pictures of so many rows and columns; transmission is averaged over what becomes a pixel."""
    rows, columns = batch.size
    if (rows, columns) == (size, size):
        return batch
    scale = torch.tensor([size / columns, size / rows])

    def smaller(pictures: Tensor) -> Tensor:
        return interpolate(pictures, (size, size), mode="bilinear", antialias=True, align_corners=False)

    return replace(
        batch,
        pictures=smaller(batch.pictures),
        uv=(batch.uv + 0.5) * scale - 0.5,
        masks=smaller(batch.masks.float()) > 0.5,
        field=smaller(batch.field.float()) > 0.5,
    )


def joined(batches: list[Batch]) -> Batch:
    """Several batches of one size as one."""
    return replace(
        batches[0],
        pictures=torch.cat([one.pictures for one in batches]),
        uv=torch.cat([one.uv for one in batches]),
        visible=torch.cat([one.visible for one in batches]),
        masks=torch.cat([one.masks for one in batches]),
        field=torch.cat([one.field for one in batches]),
    )
