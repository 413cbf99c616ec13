"""A set on disk, read as fast as a training wants it: shards in a shuffled order, streamed, decoded in the workers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import webdataset
from webdataset.tariterators import group_by_keys, tar_file_expander

from skiagraph.errors import DataError
from skiagraph.factory.card import CARD_NAME
from skiagraph.factory.coding import IMAGE, MASKS, RECORD, decode
from skiagraph.factory.order import SPLITS
from skiagraph.factory.take import Taken
from skiagraph.io.files import read_json

BUFFER = 512
"""Samples among which the next one is drawn when shuffling: some 100 MB of them still packed."""


@dataclass(frozen=True)
class SampleSet:
    """A finished set of samples."""

    folder: Path

    def __post_init__(self) -> None:
        if not (self.folder / CARD_NAME).is_file():
            raise DataError(
                f"no {CARD_NAME} in {self.folder}; give a set finished by `skiagraph make-samples`, or run that again"
            )

    @cached_property
    def card(self) -> dict[str, Any]:
        """What the set says of itself."""
        return read_json(self.folder / CARD_NAME)

    @property
    def landmarks(self) -> tuple[str, ...]:
        """The points that are labelled, in the recipe's order."""
        return tuple(self.card["order"]["landmarks"])

    @property
    def structures(self) -> tuple[str, ...]:
        """The masks there are, in the recipe's order."""
        return tuple(self.card["order"]["structures"])

    @property
    def size(self) -> int:
        """Rows and columns of the pictures."""
        return int(self.card["order"]["size"])

    def count(self, split: str) -> int:
        """How many samples a split has."""
        return int(self.card["samples"][_known(split)])

    def shards(self, *splits: str) -> list[Path]:
        """The files of some splits, of all of them if none is named. Raises DataError if one is gone."""
        wanted = [_known(split) for split in splits] or list(SPLITS)
        paths = [self.folder / shard["name"] for shard in self.card["shards"] if shard["split"] in wanted]
        gone = [path.name for path in paths if not path.is_file()]
        if gone:
            raise DataError(f"{self.folder} has lost {gone[0]} and {len(gone) - 1} more; run make-samples again")
        return paths

    def samples(self, *splits: str) -> Iterator[Taken]:
        """The samples of some splits, in order."""
        return iter(self.stream(*splits))

    def stream(self, *splits: str, shuffle: int | None = None, part: tuple[int, int] = (0, 1)) -> Iterable[Taken]:
        """The samples of some splits as a torch `IterableDataset`, dealt to workers.

        With `shuffle`, a seed, shards and samples come in another order every epoch. `part` says which part of the
        shards this is, and of how many: what one of several machines gets.
        """
        first, parts = part
        return _stream(self.shards(*splits)[first::parts], shuffle)


def read(shard: Path) -> Iterator[Taken]:
    """The samples of one shard, in order."""
    return iter(_stream([shard], None))


def _stream(paths: list[Path], shuffle: int | None) -> Iterable[Taken]:
    stages: list[Any] = [webdataset.SimpleShardList([str(path) for path in paths])]
    if shuffle is not None:
        stages.append(webdataset.detshuffle(len(paths), len(paths), seed=shuffle))
    stages += [webdataset.split_by_worker, _opened, tar_file_expander, group_by_keys]
    if shuffle is not None:
        stages.append(webdataset.detshuffle(BUFFER, BUFFER, seed=shuffle))
    return webdataset.DataPipeline(*stages, webdataset.map(_decoded))


def _opened(urls: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Shards as open files, closed when they have been read: WebDataset's own opener leaves that to chance."""
    for url in urls:
        with Path(url["url"]).open("rb") as stream:
            yield {**url, "stream": stream}


def _decoded(files: Mapping[str, Any]) -> Taken:
    missing = [ending for ending in (IMAGE, MASKS, RECORD) if ending not in files]
    if missing:
        raise DataError(f"{files['__key__']} has no {', '.join(missing)}; run make-samples again")
    return decode(files[IMAGE], files[MASKS], files[RECORD], f"{files['__url__']}: {files['__key__']}")


def _known(split: str) -> str:
    if split not in SPLITS:
        raise DataError(f"no split {split!r}; give one of {', '.join(SPLITS)}")
    return split
