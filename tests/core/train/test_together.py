"""Two processes train one network."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

from skiagraph.detect.bundle import read_bundle
from skiagraph.errors import DataError
from skiagraph.train.batches import Diet
from skiagraph.train.course import read_checkpoint
from skiagraph.train.regimen import SYNTHEX_NMI
from skiagraph.train.together import average_gradients, number, processes, together


def test_alone_nothing_is_averaged_and_the_number_is_0(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, 3.0])
    with together():
        average_gradients([weight])
    assert (number(), processes()) == (0, 1) and weight.grad.tolist() == [1.0, 3.0]


def averaged(rank: int, meeting: str, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    weights = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(1))]
    weights[0].grad = torch.tensor([1.0, 2.0]) * (rank + 1)
    weights[2].grad = torch.tensor([float(rank)])  # the one between them has none
    average_gradients(weights)
    assert weights[1].grad is None
    torch.save([weights[0].grad, weights[2].grad], Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


def test_each_process_has_the_mean_of_all_gradients(tmp_path):
    torch.multiprocessing.spawn(averaged, (str(tmp_path / "meeting"), str(tmp_path)), 2)
    for rank in range(2):
        first, last = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert first.tolist() == [1.5, 3.0] and last.tolist() == [0.5]


def test_the_same_command_under_torchrun_trains_one_network(samples, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "skiagraph",
               "train-detector", str(samples.folder), "--output", str(tmp_path), "--size", "64", "--batch", "2",
               "--steps", "2", "--workers", "0"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if len(samples.shards("train")) < 2:
        assert done.returncode != 0 and "shards of the train split" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert read_checkpoint(tmp_path / "checkpoint.pt")["step"] == 2
    assert read_bundle(tmp_path).reading.size == 64


def test_more_processes_than_shards_are_told_instead_of_waiting(samples):
    diet = Diet((samples,), 32, 2, SYNTHEX_NMI.plain)
    stream = diet.batches("train", 0)
    stream.part = (10**6, 10**6 + 1)
    with pytest.raises(DataError, match="take fewer"):
        next(iter(stream))
