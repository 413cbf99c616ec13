"""What the benchmark says to an engine in a process of its own, and what the engine answers; needs numpy only.

The engine reads a request, makes itself ready and then integrates the views it is asked for, a line of JSON on its
input at a time, saying a line when it is done: so two engines can take turns. At the end of its input it leaves an
answer with the pictures, the seconds each turn took and the most memory it held.
"""

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

READY = "ready"


@dataclass(frozen=True, eq=False)
class Request:
    """A volume, and the views it is to be seen from. LPS millimetres; integers are the centres of voxels and pixels."""

    volume: Path
    """Raw float32, [k j i], per mm."""
    shape: tuple[int, int, int]
    """(k, j, i)."""
    world_from_ijk: np.ndarray
    """[4 4]; the volume's axes are the world's."""
    source: np.ndarray
    """[n 3]: the focal spots."""
    origin: np.ndarray
    """[n 3]: the centres of pixels (0, 0), the upper left ones."""
    u_step: np.ndarray
    """[n 3]: from one column to the next."""
    v_step: np.ndarray
    """[n 3]: from one row to the next, as long and square to the columns."""
    size: tuple[int, int]
    """Rows and columns."""
    threads: int
    memory: int
    """Bytes the engine may take."""

    def save(self, path: Path) -> None:
        np.savez(path, **{name: str(x) if isinstance(x, Path) else x for name, x in vars(self).items()})

    @classmethod
    def load(cls, path: Path) -> "Request":
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in ("world_from_ijk", "source", "origin", "u_step", "v_step")}
            k, j, i = stored["shape"].tolist()
            rows, columns = stored["size"].tolist()
            volume, threads, memory = Path(str(stored["volume"])), int(stored["threads"]), int(stored["memory"])
        return cls(volume, (k, j, i), **arrays, size=(rows, columns), threads=threads, memory=memory)

    @property
    def field(self) -> np.ndarray:
        """[k j i] float32, read anew."""
        return np.fromfile(self.volume, np.float32).reshape(self.shape)

    @property
    def spacing(self) -> np.ndarray:
        """[3]: millimetres between voxels along (i, j, k)."""
        return np.diag(self.world_from_ijk)[:3]

    @property
    def pixel(self) -> float:
        """Millimetres between pixels."""
        return float(np.linalg.norm(self.u_step[0]))

    def frame(self, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit vectors of a view along its columns, along its rows and from the source square to the panel."""
        u, v = (step[n] / np.linalg.norm(step[n]) for step in (self.u_step, self.v_step))
        normal = np.cross(u, v)
        return u, v, normal * np.sign(normal @ (self.origin[n] - self.source[n]))

    def distance(self, n: int) -> float:
        """Millimetres from a view's source square to its panel."""
        return float((self.origin[n] - self.source[n]) @ self.frame(n)[2])

    def principal_point(self, n: int) -> tuple[float, float]:
        """The pixel (u, v), not always a whole one, where a view's ray square to the panel lands."""
        u, v, _ = self.frame(n)
        away = self.source[n] - self.origin[n]
        return float(away @ u) / self.pixel, float(away @ v) / self.pixel


@dataclass(frozen=True)
class Turn:
    """What is integrated in one call, and how often: the median of the repeats counts."""

    first: int
    """The first view's number."""
    count: int = 1
    """Views in the call."""
    repeats: int = 1

    def line(self) -> str:
        """The turn as it is asked for."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, line: str) -> "Turn":
        return cls(**json.loads(line))


@dataclass(frozen=True, eq=False)
class Answer:
    """What an engine found, and what it took."""

    pictures: np.ndarray
    """[n v u] float32: line integrals; NaN for the views it was not asked for."""
    cpu: np.ndarray
    """[t]: seconds of all its threads for each turn."""
    wall: np.ndarray
    """[t]: seconds."""
    peak: int
    """Bytes resident at most, with the volume and the engine's own libraries."""
    version: str

    def save(self, path: Path) -> None:
        np.savez(path, **vars(self))

    @classmethod
    def load(cls, path: Path) -> "Answer":
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in ("pictures", "cpu", "wall")}
            return cls(**arrays, peak=int(stored["peak"]), version=str(stored["version"]))


def peak_memory() -> int:
    """Bytes this process has been resident with at most; `ru_maxrss` would begin with what its parent had."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("no VmHWM in /proc/self/status")


@dataclass(frozen=True)
class Engine:
    """Something that can integrate."""

    version: str
    """Its name and version."""
    integrate: Callable[[list[int]], np.ndarray]
    """View numbers to [n v u] line integrals, in one call."""
    cpu: Callable[[], float] = time.process_time
    """Seconds of CPU time spent so far."""
    peak: Callable[[], int] = peak_memory
    """Bytes resident at most so far."""
    overhead: tuple[float, float] = (0.0, 0.0)
    """Seconds (CPU, wall) of each call that are not the integration's, such as starting a program."""


def serve(prepare: Callable[[Request], Engine]) -> None:
    """An engine's whole life: `python -m peers.NAME request.npz answer.npz`."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print belongs in the log
    request_path, answer_path = map(Path, sys.argv[1:3])
    request = Request.load(request_path)
    resource.setrlimit(resource.RLIMIT_DATA, (request.memory, request.memory))  # it may fail, the machine may not
    engine = prepare(request)
    pictures = np.full((len(request.source), *request.size), np.nan, np.float32)
    cpu, wall = [], []
    print(READY, file=told, flush=True)
    for line in sys.stdin:
        turn = Turn.read(line)
        views = list(range(turn.first, turn.first + turn.count))
        seconds = [_timed(engine, views, pictures) for _ in range(turn.repeats)]
        cpu.append(statistics.median(c for c, _ in seconds))
        wall.append(statistics.median(w for _, w in seconds))
        print(READY, file=told, flush=True)
    Answer(pictures, np.array(cpu), np.array(wall), engine.peak(), engine.version).save(answer_path)


def _timed(engine: Engine, views: list[int], pictures: np.ndarray) -> tuple[float, float]:
    cpu, wall = engine.cpu(), time.perf_counter()
    found = engine.integrate(views)
    cpu, wall = engine.cpu() - cpu, time.perf_counter() - wall
    pictures[views] = found
    return cpu - engine.overhead[0], wall - engine.overhead[1]
