"""How fast line integrals are, ours and everyone else's, in one run: `make bench`, half an hour.

Each engine is a process of its own and takes turns with the bundled plain Joseph projector, one thread each: what
counts is the ratio of their CPU times, whatever else the machine does. All see the same 45 ellipsoids, whose exact
integrals their pictures are held against. Peers are installed into `out/bench/venv`, plastimatch from Debian if we are
root. What is measured stays in `results/`; rows of peers that are there are kept unless `--again`. Exit 1 when the
promise is missed or a picture is wrong.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import scores
from analytic import Ellipsoids, Gaussians
from peers.duel import Failed, Program, duel
from peers.environment import ITK, TORCHIO, Environment, install, install_program
from peers.protocol import Request, Turn
from rich.console import Console
from rich.progress import Progress
from scores import JOSEPH, OURS, RTK, Row
from speed import CARM, VIEWS, body

from skiagraph.drr import sliced
from skiagraph.geometry import Grid, View, float64
from skiagraph.io.files import writing

HERE = Path(__file__).parent
RESULTS = HERE / "results"
FIGURE = HERE.parent / "docs" / "images" / "speed.svg"
OUT = HERE.parents[1] / "out" / "bench"

PROMISED = 40.0
"""CPU time of RTK's Joseph over ours, on the large body."""
EQUAL = 1.02
"""How much larger our error may be than its to be called equal."""
WRONG = 3.0
"""How many times Joseph's error on the ellipsoids a picture may have: more, and its geometry was set up wrongly."""


@dataclass(frozen=True, eq=False)
class Case:
    """What is integrated."""

    name: str
    phantom: Ellipsoids | Gaussians
    grid: Grid
    angles: Sequence[tuple[float, float]]
    pixels: int = 512
    views_a_call: int = 1
    threads: int = 1

    @property
    def views(self) -> list[View]:
        return [CARM.with_pixels(self.pixels).aimed_at(self.grid.center, *angles) for angles in self.angles]

    @property
    def voxels(self) -> str:
        return " × ".join(map(str, self.grid.shape[::-1]))


@dataclass(frozen=True)
class Contestant:
    """An engine, how it is started and how much of it is measured."""

    name: str
    module: str
    variant: str = ""
    packages: tuple[str, ...] = ()
    """What it needs in the peers' environment; none if it runs in ours."""
    program: str = ""
    """What it needs from Debian."""
    calls: int = 5
    """At most, each of the next view."""
    warm: int = 1
    """Calls before them."""
    repeats: int = 1
    """Of each call; the median counts."""
    note: str = ""

    @property
    def is_peer(self) -> bool:
        return bool(self.packages or self.program)

    def ready(self, environment: Environment) -> str:
        """See that it can be started; the empty string, or why it cannot."""
        failure = install(environment, self.packages) if self.packages else ""
        return failure or (install_program(self.program) if self.program else "")

    def started_from(self, environment: Environment) -> Program:
        return Program(environment.python if self.packages else Path(sys.executable), self.module, self.variant)


BODY = body()
BLOBS = Gaussians(float64([[20.0, -15, 10], [-30, 25, -20]]), float64([25.0, 30.0]), float64([0.02, 0.015]))

BIG = Case("big", BODY, Grid.centred((400, 512, 512), (0.8,) * 3), VIEWS[512])
SMALL = Case("small", BODY, Grid.centred((256, 256, 256), (1.6,) * 3), VIEWS[512])
SMOOTH = Case("smooth", BLOBS, SMALL.grid, VIEWS[512][1:2])
CASES = (SMALL, SMOOTH, BIG)

AROUND = [(6.0 * n - 45.0, 0.0) for n in range(16)]
TWO = BIG.angles[:2]
SCALING = (
    *(replace(BIG, name=f"{n}² pixels", pixels=n, angles=TWO) for n in (256, 512, 768, 1024, 1536)),
    *(
        replace(BIG, name=f"{n}³ voxels", grid=Grid.centred((n,) * 3, (409.6 / n,) * 3), angles=TWO)
        for n in (128, 256, 384, 512)
    ),
    *(replace(BIG, name=f"{n} views a call", views_a_call=n, angles=AROUND) for n in (1, 4, 16)),
    *(replace(BIG, name=f"{n} threads", threads=n) for n in (1, 2)),
)

YARDSTICK = Contestant(JOSEPH, "peers.ours", "native", warm=5, note="against itself")
SLICED = Contestant(OURS, "peers.ours", "sliced", warm=5, repeats=7)
REGISTRATION = (*ITK, "itk-twoprojectionregistration==2.0.1")
NANODRR = (*TORCHIO, "nanodrr==0.1.7", "platformdirs==4.14.7")
DIFFDRR = (*TORCHIO, "diffdrr==0.6.1", "fastcore==2.2.39")
NET = "net of starting, reading and writing"
SAMPLES = "500 samples a ray"
CONTESTANTS = (
    SLICED,
    YARDSTICK,
    Contestant("Skiagraph, reference", "peers.ours", "reference", calls=1, note="torch, to be read"),
    Contestant(RTK, "peers.rtk_joseph", packages=(*ITK, "itk-rtk==2.7.0")),
    Contestant("ITK, Siddon-Jacobs", "peers.siddon_jacobs", packages=REGISTRATION),
    Contestant("ITK, RayCast", "peers.itk_raycast", packages=ITK, calls=2),
    Contestant("plastimatch, exact", "peers.plastimatch", "exact", program="plastimatch", note=NET),
    Contestant("plastimatch, uniform", "peers.plastimatch", "uniform", program="plastimatch", note=NET),
    Contestant("nanodrr", "peers.nanodrr", "eager", NANODRR, calls=3, note=SAMPLES),
    Contestant("nanodrr, torch.compile", "peers.nanodrr", "compiled", NANODRR, calls=3, note=SAMPLES),
    Contestant("DiffDRR, trilinear", "peers.diffdrr", "trilinear", DIFFDRR, calls=2, note=SAMPLES),
    Contestant("DiffDRR, Siddon", "peers.diffdrr", "siddon", DIFFDRR, calls=1, note="patches of 128²"),
)


def main() -> int:
    names = [*(case.name for case in CASES), "scaling"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="*", choices=names, default=names)
    parser.add_argument("--only", nargs="*", default=[""], help="engines whose names contain one of these words")
    parser.add_argument("--again", action="store_true", help="measure what has been measured on this machine, too")
    parser.add_argument("--torch", default="torch==2.13.0", help="the build of torch the peers are given")
    chosen = parser.parse_args()
    environment = Environment(OUT / "venv", chosen.torch)
    contestants = [c for c in CONTESTANTS if any(word in c.name for word in chosen.only)]
    races = [(RESULTS / "peers.csv", case, contestants) for case in CASES if case.name in chosen.case]
    if "scaling" in chosen.case and SLICED in contestants:
        races += [(RESULTS / "scaling.csv", case, [SLICED]) for case in SCALING]
    OUT.mkdir(parents=True, exist_ok=True)
    console, here = Console(width=180), machine()
    with Progress(console=console) as progress, tempfile.TemporaryDirectory(dir=OUT) as folder:
        task = progress.add_task("", total=sum(len(runners) for _, _, runners in races))
        for path, case, runners in races:
            volume = Path(folder) / "volume.raw"
            case.phantom.voxels(case.grid).numpy().tofile(volume)
            for contestant in runners:
                progress.update(task, description=f"{case.name}: {contestant.name}")
                rows, row = scores.read(path), Row(case.name, contestant.name, machine=here)
                kept = contestant.is_peer and any(row.is_of(other) and other.measured for other in rows)
                if chosen.again or not kept:
                    scores.write(path, scores.put(rows, measured(row, contestant, case, volume, environment)))
                progress.advance(task)
            integral.cache_clear()
    return report([row for row in scores.read(RESULTS / "peers.csv") if row.machine == here], console)


def measured(row: Row, contestant: Contestant, case: Case, volume: Path, environment: Environment) -> Row:
    """A row with an engine's figures on a case, or with why there are none."""
    row = replace(
        row,
        voxels=case.voxels,
        pixels=case.pixels,
        views_a_call=case.views_a_call,
        threads=case.threads,
        note=contestant.ready(environment),
        date=date.today().isoformat(),
    )
    if row.note:
        return row
    n = case.views_a_call
    firsts = range(0, len(case.angles), n)[: contestant.calls]
    warm = len(firsts[: contestant.warm])
    turns = [(Turn(first, n), Turn(first, n)) for first in firsts[:warm]]
    turns += [(Turn(first, n, contestant.repeats), Turn(first, n)) for first in firsts]
    programs = contestant.started_from(environment), YARDSTICK.started_from(environment)
    folder = OUT / case.name.replace(" ", "_") / contestant.name.replace(", ", "_").replace(" ", "_")
    try:
        found, josephs = duel(*programs, request(case, volume), turns, folder)
    except Failed as failed:
        return replace(row, note=f"failed: {failed}")
    cpu, wall, joseph_cpu, joseph_wall = (
        1e3 * seconds[warm:] / n for seconds in (found.cpu, found.wall, josephs.cpu, josephs.wall)
    )
    return replace(
        row,
        calls=len(firsts),
        cpu_ms=statistics.median(cpu),
        wall_ms=statistics.median(wall),
        first_cpu_ms=1e3 * found.cpu[0] / n,
        joseph_cpu_ms=statistics.median(joseph_cpu),
        joseph_wall_ms=statistics.median(joseph_wall),
        ratio=statistics.median(cpu / joseph_cpu),
        error=statistics.mean(error(case, view, found.pictures[view]) for view in firsts),
        joseph_error=statistics.mean(error(case, view, josephs.pictures[view]) for view in firsts),
        peak_mb=found.peak / 1e6,
        version=found.version,
        note=contestant.note,
    )


def request(case: Case, volume: Path) -> Request:
    source, origin, u_step, v_step = (
        np.stack([getattr(view, name).numpy() for view in case.views])
        for name in ("source", "origin", "u_step", "v_step")
    )
    return Request(
        volume=volume,
        shape=case.grid.shape,
        world_from_ijk=case.grid.world_from_ijk.numpy(),
        source=source,
        origin=origin,
        u_step=u_step,
        v_step=v_step,
        size=case.views[0].size,
        threads=case.threads,
        memory=int(0.9 * memory("MemAvailable")),
    )


def error(case: Case, view: int, picture: np.ndarray) -> float:
    """||picture - exact|| / ||exact||."""
    exact = integral(case, view)
    return float(np.linalg.norm(picture - exact) / np.linalg.norm(exact))


@cache
def integral(case: Case, view: int) -> np.ndarray:
    return case.phantom.integral(case.views[view]).numpy()


def memory(what: str) -> int:
    """Bytes: a line of /proc/meminfo."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))


def machine() -> str:
    """The processor, the memory and the system, in a line."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    about = dict(map(str.strip, line.split(":", 1)) for line in lines if ":" in line)
    family = f"{about.get('model name', platform.machine())} (family {about.get('cpu family', '?')})"
    gigabytes = f"{memory('MemTotal') / 1e9:.0f} GB"
    return f"{family}, {os.cpu_count()} cores, {sliced.level()}, {gigabytes}, {platform.system()}"


def report(rows: Sequence[Row], console: Console) -> int:
    """Print the tables, write the page and the figure; 1 if the promise is missed or a picture is wrong."""
    scaling = [row for row in scores.read(RESULTS / "scaling.csv") if rows and row.machine == rows[0].machine]
    tables = [scores.peers_table(rows, case.name) for case in (BIG, SMALL)] + [scores.scaling_table(scaling)]
    tables = [table for table in tables if table.lines]
    for table in tables:
        console.print(table.rich())
    lines, ok = verdict(rows)
    console.print("\n".join(lines))
    with writing(RESULTS / "README.md") as part:
        part.write_text(scores.page(tables, lines, rows), encoding="utf-8")
    if any(row.case == BIG.name and row.measured for row in rows):
        scores.draw(rows, BIG.name, FIGURE)
    return 0 if ok else 1


def verdict(rows: Sequence[Row]) -> tuple[list[str], bool]:
    """Whether the promise is kept and no picture is wrong, in words."""
    lines, ok = [], True
    big = {row.engine: row for row in rows if row.case == BIG.name and row.measured}
    if OURS in big and RTK in big:
        ours, theirs = big[OURS], big[RTK]
        times = theirs.ratio / ours.ratio
        kept = times >= PROMISED and ours.error <= EQUAL * theirs.error
        ok &= kept
        word = "kept" if kept else "MISSED"
        lines.append(
            f"RTK's Joseph takes {times:.0f} × our CPU time on {ours.voxels} voxels and {ours.pixels}² pixels "
            f"(promised {PROMISED:.0f} ×), with an error of {theirs.error:.5f}, ours {ours.error:.5f}: {word}"
        )
    else:
        lines.append(f"the promise of {PROMISED:.0f} × RTK is about the big case: not measured yet")
    for row in rows:
        if row.case != SMOOTH.name and row.error > WRONG * row.joseph_error:
            ok = False
            lines.append(f"WRONG: {row.engine}, {row.case}: error {row.error:.4f}, Joseph's {row.joseph_error:.4f}")
    return lines, ok


if __name__ == "__main__":
    sys.exit(main())
