"""What asking a server costs beside the detector alone: the same picture, over HTTP and in this process, in turns.

`python core/benchmarks/serve_overhead.py http://127.0.0.1:8000 xray.png`, the token in SKIAGRAPH_TOKEN. The picture is
sent along anew each time, so nothing is at hand. Compared with it are its file read and the detector run on it, and the
detector alone. Turns are taken one after the other, so a busy machine slows all alike; give nobody else anything to do.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from monailabel_app.client import Client

from skiagraph.detect.bundle import read_bundle
from skiagraph.tasks.detect import the_bundle
from skiagraph.tasks.xray import growing


def timed(what) -> float:
    began = time.perf_counter()
    what()
    return 1000 * (time.perf_counter() - began)


def said(name: str, milliseconds: np.ndarray) -> None:
    p25, p50, p75 = np.percentile(milliseconds, [25, 50, 75])
    print(f"{name:44s} {p50:7.1f} ms (quartiles {p25:.1f} and {p75:.1f})")


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
    ways = {
        "over HTTP": lambda: client.infer_file(given.xray),
        "the file read, and the detector": lambda: detector(growing(given.xray, "bright")),
        "the detector alone": lambda: detector(picture),
        "a question that asks nothing of it (whoami)": client.who,
    }
    for way in ways.values():
        way()
    took = np.array([[timed(way) for way in ways.values()] for _ in range(given.turns)])
    for name, column in zip(ways, took.T):
        said(name, column)
    said("over HTTP beyond reading and detecting", took[:, 0] - took[:, 1])
    said("over HTTP beyond the detector alone", took[:, 0] - took[:, 2])


if __name__ == "__main__":
    main()
