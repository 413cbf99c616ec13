"""What a labelled sample costs, beside the bare line integral of the same view by others: `make bench-samples`.

Ours is a whole sample as `make-samples` leaves it: a realistic X-ray of several materials with spectrum, scatter,
blur and noise, six masks, 14 landmarks, a record, packed as PNG and JSON. RTK's Joseph projector and DiffDRR give the
line integrals of one material of the same body in the same view and nothing else; a loop that labels with them would
integrate each structure as well. One thread each, in turns; CPU time. The body is decomposed beforehand in all cases.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from bench import OUT, memory
from peers.duel import Program, started
from peers.environment import ITK, TORCHIO, Environment, install
from peers.protocol import Answer, Request, Turn

from skiagraph.experiments.presets import HIP_AP
from skiagraph.factory.coding import encode
from skiagraph.factory.subjects import shaped
from skiagraph.factory.take import Stage, take

SIZE, SEED = 384, 5
LOOP = 7
"""Integrals of a loop that labels with a projector: one for the picture, one for each structure."""
PEERS = (
    ("RTK, Joseph", "peers.rtk_joseph", "", (*ITK, "itk-rtk==2.7.0")),
    ("DiffDRR, trilinear", "peers.diffdrr", "trilinear", (*TORCHIO, "diffdrr==0.6.1", "fastcore==2.2.39")),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=6, help="views of each engine")
    parser.add_argument("--torch", default="torch==2.13.0", help="the build of torch the peers are given")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    subject = shaped(1, SEED, 1.5)[0]
    patient = subject.load()
    stage = Stage.of(subject.name, patient, HIP_AP, SEED)
    takens = [take(stage, HIP_AP, SIZE, n, n, SEED) for n in range(chosen.turns + 1)]
    views = [one.sample.view for one in takens]
    environment = Environment(OUT / "venv", chosen.torch)
    voxels = " x ".join(map(str, patient.volume.grid.shape[::-1]))
    print(f"a body of {voxels} voxels of 1.5 mm in {SIZE}² pixels, {chosen.turns} views, CPU ms of one thread each")
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder) / "volume.raw"
        per_mm = 0.02 * (1 + patient.volume.hu / 1000).clamp(min=0)
        per_mm.numpy().astype(np.float32).tofile(volume)
        source, origin, u_step, v_step = (
            np.stack([getattr(view, name).numpy() for view in views])
            for name in ("source", "origin", "u_step", "v_step")
        )
        grid = patient.volume.grid
        request = Request(volume, grid.shape, grid.world_from_ijk.numpy(), source, origin, u_step, v_step,
                          (SIZE, SIZE), 1, int(0.9 * memory("MemAvailable")))  # fmt: skip
        for name, module, variant, packages in PEERS:
            failure = install(environment, packages)
            if failure:
                print(f"{name}: {failure}")
                continue
            ours, theirs = _paired(Program(environment.python, module, variant), request, stage, Path(folder))
            ratio = statistics.median(b / a for a, b in zip(ours, theirs))
            print(f"{name}: {1e3 * statistics.median(theirs):.0f} for the line integrals of one material, "
                  f"ours {1e3 * statistics.median(ours):.0f} for the sample: {ratio:.1f} times, "
                  f"{LOOP * ratio:.0f} times with {LOOP} integrals, a picture and six masks")  # fmt: skip
    return 0


def _paired(program: Program, request: Request, stage: Stage, folder: Path) -> tuple[list[float], list[float]]:
    """CPU seconds of our samples and of another's line integrals, turn by turn; the first turn warms up."""
    path, ours = folder / "request.npz", []
    request.save(path)
    with started(program, path, folder / "peer") as peer:
        for n in range(len(request.source)):
            peer.take(Turn(n))
            began = time.process_time()
            encode(take(stage, HIP_AP, SIZE, n, n, SEED))
            ours.append(time.process_time() - began)
        answer: Answer = peer.finish()
    return ours[1:], answer.cpu.tolist()[1:]


if __name__ == "__main__":
    sys.exit(main())
