"""Many annotators at once on a running server: latencies, the server's memory, and whether any label was lost.

`PYTHONPATH=. python core/benchmarks/serve_load.py http://127.0.0.1:8000 --minutes 5`, the token in
SKIAGRAPH_TOKEN. It leaves labels under the tag `load` on the pictures of the study: give it a copy.
"""

import argparse
import os
import re
import threading
import time
from collections import defaultdict
from random import Random

import numpy as np
from monailabel_app.client import Client


def annotate(client: Client, pictures: list[str], until: float, seed: int, took: dict, saved: list) -> None:
    rng = Random(seed)
    while time.monotonic() < until:
        picture = rng.choice(pictures)
        began = time.perf_counter()
        found = client.infer(picture)
        took["infer"].append(time.perf_counter() - began)
        points = {p["name"]: p["uv"] if p["visible"] else None for p in found["landmarks"]}
        began = time.perf_counter()
        saved.append((picture, client.save(picture, points, tag="load")))
        took["save"].append(time.perf_counter() - began)
        began = time.perf_counter()
        client.info()
        took["info"].append(time.perf_counter() - began)


def memory(client: Client) -> float:
    """Megabytes."""
    found = re.search(rb"(?m)^process_resident_memory_bytes (\S+)", client._send("GET", "/metrics"))
    return float(found[1]) / 2**20 if found else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--minutes", type=float, default=5.0)
    given = parser.parse_args()
    client = Client(given.address, os.environ["SKIAGRAPH_TOKEN"])
    pictures = list(client.pictures())
    took: dict[str, list[float]] = defaultdict(list)
    saved: list[tuple[str, int]] = []
    until = time.monotonic() + 60 * given.minutes
    threads = [
        threading.Thread(target=annotate, args=(client, pictures, until, n, took, saved)) for n in range(given.clients)
    ]
    for thread in threads:
        thread.start()
    sizes = []
    while any(thread.is_alive() for thread in threads):
        sizes.append(memory(client))
        time.sleep(5.0)
    for name, seconds in took.items():
        p50, p95 = np.percentile(seconds, [50, 95]) * 1000
        print(f"{name:6s} {len(seconds):6d} requests, p50 {p50:7.1f} ms, p95 {p95:7.1f} ms")
    kept = {(picture, version["version"]) for picture in pictures for version in client.versions(picture)}
    print(f"{len(saved)} labels saved, {len(set(saved) - kept)} lost")
    print(f"memory {sizes[0]:.0f} MB at first, {sizes[len(sizes) // 2]:.0f} halfway, {sizes[-1]:.0f} at the end")


if __name__ == "__main__":
    main()
