"""What coding and one step of generating cost in memory and time, of lattices of so many voxels an axis.

    python core/benchmarks/ct_memory.py [--bundle out/ct] [--sizes 128 256 384 512]

Each size in a process of its own, on two cores; the volumes themselves are counted. Prints a table in Markdown.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from pathlib import Path

import torch

from skiagraph.factory.subjects import the_generator
from skiagraph.generate.autoencoder import decoded, encoded
from skiagraph.generate.bundle import read_generator
from skiagraph.generate.ct import GIVEN
from skiagraph.generate.frame import CLASSES, Framed
from skiagraph.generate.traits import COUNT
from skiagraph.volume import Landmarks


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", type=Path, help="the generator; the shipped one if not given")
    options.add_argument("--sizes", type=int, nargs="*", default=[128, 256, 384, 512])
    given = options.parse_args()
    bundle = given.bundle or the_generator()
    print("| voxels | encode, s | GB | a step of the flow, s | GB | decode, s | GB |\n|" + " --- |" * 7)
    fresh = multiprocessing.get_context("spawn")
    for size in given.sizes:
        cells: list[str] = []
        for part in (encode, step, decode):
            with fresh.Pool(1) as pool:
                cells += [f"{value:.1f}" for value in pool.apply(part, (bundle, size))]
        print(f"| {size}³ | {' | '.join(cells)} |", flush=True)


def encode(bundle: Path, size: int) -> tuple[float, float]:
    coder = read_generator(bundle).coder
    shape, none = (size, size, size), Landmarks((), torch.zeros(0, 3, dtype=torch.float64))
    body = Framed(torch.randn(shape) * 300, torch.randint(0, CLASSES, shape, dtype=torch.uint8), none)
    return spent(lambda: encoded(coder, body))


def step(bundle: Path, size: int) -> tuple[float, float]:
    generator = read_generator(bundle)
    shape = [size // generator.built.shrink] * 3
    x, nothing = torch.randn(1, len(generator.latents.mean), *shape), torch.zeros(1, GIVEN, *shape)
    with torch.inference_mode():
        return spent(lambda: generator.drift(x, torch.tensor([0.5]), torch.zeros(1, COUNT), nothing))


def decode(bundle: Path, size: int) -> tuple[float, float]:
    generator = read_generator(bundle)
    latent = torch.randn(len(generator.latents.mean), *[size // generator.built.shrink] * 3)
    return spent(lambda: decoded(generator.coder, latent))


def spent(doing: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and the process's largest memory in GB (10^9 bytes) so far."""
    began = time.perf_counter()
    doing()
    return time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
