"""Several processes that train one network, each on a GPU and on samples of its own.

    torchrun --nproc-per-node 4 -m skiagraph train-detector ...

The command is the same; torchrun says in the environment how many there are. Gradients are averaged before each step,
so weights stay the same everywhere, and the first process alone validates and writes.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import distributed, nn


@contextmanager
def together() -> Iterator[None]:
    """Meet the other processes, if there are any, and part from them."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def number() -> int:
    """Of this process; 0 if it is alone."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def processes() -> int:
    """How many there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """The mean over all processes, in each of them."""
    if not distributed.is_initialized():
        return
    there = [one.grad for one in parameters if one.grad is not None]
    flat = torch.cat([one.flatten() for one in there])
    distributed.all_reduce(flat)
    flat /= processes()
    for one, mean in zip(there, flat.split([one.numel() for one in there])):
        one.copy_(mean.view_as(one))


def wait() -> None:
    """Until every process has come this far."""
    if distributed.is_initialized():
        distributed.barrier()
