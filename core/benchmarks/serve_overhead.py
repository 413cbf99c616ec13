"""What asking a server costs beside the detector alone: the same picture, over HTTP and in this process, in turns.

`PYTHONPATH=. python core/benchmarks/serve_overhead.py http://127.0.0.1:8000 xray.png`, the token in
SKIAGRAPH_TOKEN. The picture is sent along anew each time, so nothing is at hand. Compared with it are its file read and
the detector run on it, and the detector alone: by the clock, where turns are taken so that a busy machine slows all
alike, and by the processor's time, the server's and the asker's together, which a busy machine hardly changes.
"""

import argparse
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monailabel_app.client import Client

from skiagraph.detect.bundle import read_bundle
from skiagraph.tasks.detect import the_bundle
from skiagraph.tasks.xray import growing


def served(client: Client) -> float:
    """Seconds of processor that the server has taken so far."""
    found = re.search(rb"(?m)^process_cpu_seconds_total (\S+)", client._send("GET", "/metrics"))
    return float(found[1]) if found else float("nan")


def timed(client: Client, what: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds by the clock, and of processors."""
    before = served(client)
    own, began = time.process_time(), time.perf_counter()
    what()
    clock, used = time.perf_counter() - began, time.process_time() - own
    return 1000 * clock, 1000 * (used + served(client) - before)


def by_clock(milliseconds: np.ndarray) -> str:
    p25, p50, p75 = np.percentile(milliseconds, [25, 50, 75])
    return f"{p50:7.1f} ms, the median (quartiles {p25:.1f} and {p75:.1f})"


def by_processor(milliseconds: np.ndarray) -> str:
    """The mean, for a system counts a process's time in hundredths of a second."""
    return f"{milliseconds.mean():7.1f} ms, the mean (± {milliseconds.std(ddof=1) / len(milliseconds) ** 0.5:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("xray", type=Path)
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--threads", type=int, default=max(1, (os.cpu_count() or 2) // 2), help="as the server takes")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    client, detector = Client(given.address, os.environ["SKIAGRAPH_TOKEN"]), read_bundle(the_bundle())
    picture = growing(given.xray, "bright")
    ways: dict[str, Callable[[], object]] = {
        "over HTTP": lambda: client.infer_file(given.xray),
        "the file read, and the detector": lambda: detector(growing(given.xray, "bright")),
        "the detector alone": lambda: detector(picture),
        "a question that asks nothing of it": client.who,
    }
    for way in ways.values():
        way()
    took = np.array([[timed(client, way) for way in ways.values()] for _ in range(given.turns)])
    # What it costs to ask the server for its time is in every turn of the others too, and is taken off.
    took[..., 1] -= np.mean([timed(client, lambda: None)[1] for _ in range(given.turns)])
    for title, part, said in (("clock", took[..., 0], by_clock), ("processor", took[..., 1], by_processor)):
        print(f"By the {title}, {given.turns} turns")
        for name, column in zip(ways, part.T):
            print(f"  {name:42s} {said(column)}")
        print(f"  {'over HTTP beyond reading and detecting':42s} {said(part[:, 0] - part[:, 1])}")
        print(f"  {'over HTTP beyond the detector alone':42s} {said(part[:, 0] - part[:, 2])}")


if __name__ == "__main__":
    main()
