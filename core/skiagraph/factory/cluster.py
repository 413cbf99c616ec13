"""Making a set on a Ray cluster: the same work, sent to wherever there are cores, and sent again when a node dies.

All nodes must see the set's folder under the same path. What a dead node left undone is done elsewhere; what two
nodes do twice comes out the same, and takes its place as a whole.
"""

import socket
from collections.abc import Callable
from pathlib import Path

import torch

from skiagraph.errors import BackendError, DataError
from skiagraph.factory.making import ORDER_NAME, begin, done_in, make_subject, unfinished
from skiagraph.factory.order import Order

Progress = Callable[[int, int, str], None]


def make_on_ray(order: Order, folder: Path, address: str, report: Progress) -> None:
    """Make what is missing of a set on a cluster. Raises BackendError if Ray is not installed, or no cluster there."""
    try:
        import ray
    except ImportError as error:
        raise BackendError('Ray is not installed; run `pip install "skiagraph[ray]"`, or leave --ray out') from error
    begin(order, folder)
    folder = folder.resolve()
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, ignore_reinit_error=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise BackendError(f"no Ray cluster at {address}: {error}; start one with `ray start --head`") from error
    try:
        remote = ray.remote(num_cpus=1, max_retries=-1)(_make_there)
        kept = ray.put(order)
        waiting = [remote.remote(kept, subject, folder) for subject in unfinished(order, folder)]
        while waiting:
            finished, waiting = ray.wait(waiting, timeout=1.0)
            ray.get(finished)
            report(done_in(order, folder), order.count, f"{len(waiting)} bodies to go")
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError if nobody answers at HOST:PORT: Ray itself waits for minutes, and then ends the process."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=5.0).close()


def _make_there(order: Order, subject: int, folder: Path) -> int:
    if not (folder / ORDER_NAME).is_file():
        raise DataError(f"{folder} is not seen from every node; give a folder on a shared disk")
    torch.set_num_threads(1)
    return make_subject(order, subject, folder)
