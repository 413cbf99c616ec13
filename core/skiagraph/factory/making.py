"""Making a set: body by body, shard by shard, on all cores; whatever stops it, it goes on where it was.

A shard appears under its name when it is whole, and what is in it depends on the order alone. So a run that was
killed is simply run again: shards that are there are kept, the others made, and the set is the same to the bit.
"""

import io
import multiprocessing
import signal
import tarfile
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

from skiagraph.errors import BackendError, DataError
from skiagraph.factory.coding import Encoded, encode
from skiagraph.factory.order import Order, Shard
from skiagraph.factory.take import Stage, take
from skiagraph.io.files import read_json, write_json, writing

ORDER_NAME = "order.json"

Progress = Callable[[int, int, str], None]
"""Called with (samples there, samples in all, what is being done)."""


def make_subject(order: Order, subject: int, folder: Path) -> int:
    """Make the shards of one body that are not there yet; how many samples were made."""
    to_do = [shard for shard in order.of_subject(subject) if not (folder / shard.name).exists()]
    if not to_do:
        return 0
    who = order.subjects[subject]
    patient = who.load()
    for shard in to_do:
        stage = Stage.of(who.name, patient, order.recipe, order.seed, shard.nth, who.poses)
        write_shard(folder / shard.name, samples_of(order, shard, stage))
    return sum(shard.count for shard in to_do)


def samples_of(order: Order, shard: Shard, stage: Stage) -> list[Encoded]:
    """The samples of a shard."""
    return [
        encode(take(stage, order.recipe, order.size, shard.first + n, shard.nth + n, order.seed))
        for n in range(shard.count)
    ]


def write_shard(path: Path, samples: list[Encoded]) -> None:
    """A tar as WebDataset reads them, the same to the bit whenever and by whomever it is written."""
    with writing(path) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            for ending, content in sample.files:
                entry = tarfile.TarInfo(f"{sample.key}.{ending}")
                entry.size, entry.mode = len(content), 0o444
                tar.addfile(entry, io.BytesIO(content))


def begin(order: Order, folder: Path) -> None:
    """Leave the order in the folder. Raises DataError if another set is being made there."""
    path, wanted = folder / ORDER_NAME, order.as_json()
    if path.exists():
        there = read_json(path)
        other = [key for key in wanted if there.get(key) != wanted[key]]
        if other:
            raise DataError(f"{folder} holds another set (its {', '.join(other)} differs); give another folder")
    elif folder.is_dir() and any(folder.glob("*.tar")):
        raise DataError(f"{folder} holds shards but no {ORDER_NAME}; give another folder")
    else:
        write_json(path, wanted)


def missing(order: Order, folder: Path) -> list[Shard]:
    """The shards of an order that are not there yet."""
    there = {path.name for path in folder.glob("*.tar")}
    return [shard for shard in order.shards if shard.name not in there]


def done_in(order: Order, folder: Path) -> int:
    """How many of an order's samples are there."""
    return order.count - sum(shard.count for shard in missing(order, folder))


def make_here(order: Order, folder: Path, workers: int, report: Progress) -> None:
    """Make what is missing of a set with so many processes on this machine."""
    begin(order, folder)
    todo = unfinished(order, folder)
    report(done_in(order, folder), order.count, f"{len(todo)} of {len(order.subjects)} bodies to go")
    if not todo:
        return
    workers = min(workers, len(todo))
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_settle_in)
    try:
        waiting = {pool.submit(make_subject, order, subject, folder) for subject in todo}
        while waiting:
            finished, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
            _raise_first(finished)
            report(done_in(order, folder), order.count, f"{len(waiting)} bodies to go")
    except BrokenProcessPool as error:
        raise BackendError(
            "a worker was killed, perhaps for want of memory; run the same command again to go on, with fewer --workers"
        ) from error
    finally:
        for process in multiprocessing.active_children():
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def unfinished(order: Order, folder: Path) -> list[int]:
    """The bodies some of whose shards are missing."""
    return list(dict.fromkeys(shard.subject for shard in missing(order, folder)))


def _raise_first(finished: "set[Future[int]]") -> None:
    for future in finished:
        future.result()


def _settle_in() -> None:
    """A worker has one thread, and leaves Ctrl-C to whoever started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
