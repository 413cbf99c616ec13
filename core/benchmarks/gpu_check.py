"""Is the GPU's engine right, and how fast is it? Run on a machine with an NVIDIA GPU, where nobody may be watching.

    make gpu-check            or, with nothing installed but torch, numpy and jaxtyping:
    PYTHONPATH=core python core/benchmarks/gpu_check.py [--output out/gpu_check] [--small]

Parity first: every engine this machine can run against the reference in double precision, the derivatives of the view
against its autograd, the spectrum against `physics.transmit`. Then speed on 45 ellipsoids in 512 x 512 x 400 voxels of
0.8 mm: medians of CUDA events around whole calls, queued ten deep, and of the wall clock for a single call and its
picture. What is found is written as it comes, to gpu_check.csv and gpu_check.md; what fails is written down too, with
its traceback in gpu_check.log, and the rest goes on. Exit 1 if a parity was missed, 0 otherwise, also without a GPU:
then one line says that nothing was checked.

Peers stand beside it where they can be had. nanodrr is a wheel that needs little; carry it to a machine without
network and set PYTHONPATH to where it was unpacked (torchio is only needed to read files, and is stood in for here):
    pip download --no-deps -d wheels nanodrr roma platformdirs
    pip install --no-index --no-deps --target site wheels/*.whl && export PYTHONPATH=core:site
DeepDRR needs an environment of its own; see deepdrr-requirements.txt.
"""

import argparse
import csv
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import ModuleType

import torch
from analytic import Ellipsoids, Gaussians
from speed import CARM, body
from torch import Tensor

from skiagraph.carm import GENERIC
from skiagraph.drr import cuda, native, reference
from skiagraph.drr.engines import ENGINES, engine
from skiagraph.errors import BackendError
from skiagraph.geometry import Grid, View, float64, rotation
from skiagraph.physics.materials import MATERIALS
from skiagraph.physics.quadrature import every_energy
from skiagraph.physics.spectrum import Spectrum
from skiagraph.physics.transmit import transmit

BATCHES = (1, 8, 64)
PIXELS = (512, 1536)
ORBIT = (-45.0, 45.0)
QUEUED, TURNS = 10, 7
PATIENCE = 20.0
"""Seconds after which a figure is taken from the turns there were."""


@dataclass(frozen=True)
class Row:
    what: str
    engine: str
    case: str
    figure: str
    unit: str
    verdict: str = ""


class Ledger:
    """What was found, on the screen and in files that are whole after every row."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.rows = folder, list[Row]()
        (folder / "gpu_check.log").write_text("", encoding="utf-8")

    def add(self, *row: str) -> None:
        self.rows.append(Row(*row))
        print("  ".join(f"{part:12}" for part in row), flush=True)
        names = [field.name for field in fields(Row)]
        with (self.folder / "gpu_check.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([names, *map(astuple, self.rows)])
        lines = [names, ["---"] * len(names), *map(astuple, self.rows)]
        text = "\n".join("| " + " | ".join(part.replace("|", "/") for part in line) + " |" for line in lines)
        (self.folder / "gpu_check.md").write_text(text + "\n", encoding="utf-8")

    def parity(self, engine: str, case: str, error: float, bound: float) -> None:
        self.add("parity", engine, case, f"{error:.2e}", "relative", "ok" if error <= bound else "MISSED")

    def attempt(self, what: str, name: str, work: Callable[[], None]) -> None:
        """Whatever goes wrong is written down, and the rest goes on."""
        try:
            work()
        except Exception as error:
            with (self.folder / "gpu_check.log").open("a", encoding="utf-8") as file:
                file.write(f"--- {what} {name}\n{traceback.format_exc()}\n")
            said = (str(error).splitlines() or [""])[0][:160]
            absent = isinstance(error, BackendError) and name not in ("cuda", "fastest")
            self.add(what, name, "", f"{type(error).__name__}: {said}", "", "not here" if absent else "FAILED")

    @property
    def met(self) -> bool:
        return not any(row.what == "parity" and row.verdict not in ("ok", "not here") for row in self.rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("out/gpu_check"))
    parser.add_argument("--small", action="store_true", help="256 x 256 x 200 voxels, batches of 8 at most")
    given = parser.parse_args()
    try:
        gpu = cuda.runs_on()
    except BackendError as error:
        print(f"gpu-check: NOTHING WAS CHECKED: {error}")
        return 0
    ledger = Ledger(given.output)
    ledger.add("machine", "", "gpu", gpu, "")
    ledger.add("machine", "", "torch, its CUDA", f"{torch.__version__}, {torch.version.cuda}", "")
    ledger.attempt("machine", "cuda", lambda: compile_time(ledger))
    for name in (name for name in ENGINES if name != "reference"):
        ledger.attempt("parity", name, lambda name=name: same_as_reference(ledger, name))
    ledger.attempt("parity", "cuda", lambda: same_derivatives(ledger))
    ledger.attempt("parity", "cuda", lambda: same_spectrum(ledger))
    ledger.attempt("speed", "all", lambda: speeds(ledger, given.small))
    verdict = "all parities hold" if ledger.met else "PARITY MISSED"
    print(f"{verdict}; the table is in {given.output}")
    return 0 if ledger.met else 1


def compile_time(ledger: Ledger) -> None:
    began = time.perf_counter()
    cuda.integrate(torch.ones(1, 4, 4, 4).cuda(), *two_blocks())
    torch.cuda.synchronize()
    ledger.add("machine", "cuda", "kernels compiled, first picture", f"{time.perf_counter() - began:.2f}", "s")


def two_blocks() -> tuple[Grid, View]:
    grid = Grid.centred((4, 4, 4), (9.0, 9.0, 9.0))
    return grid, GENERIC.with_pixels(20).aimed_at(grid.center, 10.0)


def oblique() -> tuple[Grid, View]:
    """Grid and beams along every axis, none of them at a tie."""
    grid = Grid.of((70, 90, 110), (1.3, 0.9, 1.7), (12.0, -5.0, 40.0), rotation("z", 23) @ rotation("y", 11))
    angles = [(3.0, 4.0), (93.0, -8.0), (20.0, 66.0), (-130.0, 20.0)]
    return grid, View.stack([GENERIC.with_pixels(120).aimed_at(grid.center, *pair) for pair in angles])


def blobs(grid: Grid, channels: int) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = -grid.center
    return torch.stack([Gaussians.draw(6, 40.0, 12.0, rng).voxels(grid.moved(shift)) for _ in range(channels)])


def relative(found: Tensor, expected: Tensor) -> float:
    error = float((found.cpu().double() - expected).norm() / expected.norm())
    return error if error == error else float("inf")


def same_as_reference(ledger: Ledger, name: str) -> None:
    grid, view = oblique()
    integrate, loose = engine(name), name in ("sliced", "fastest", "deepdrr")
    for case, field in (("blobs", blobs(grid, 2)), ("noise", torch.rand(2, *grid.shape))):
        if case == "noise" and loose:
            continue  # resampled pictures are blurred ones
        expected = reference.integrate(field.double(), grid, view)
        bound = 3e-2 if name == "deepdrr" else 5e-3 if loose else 1e-4
        ledger.parity(
            name, f"{case}, field on the CPU", relative(integrate(field.float(), grid, view), expected), bound
        )
        if name in ("cuda", "fastest"):
            found = integrate(field.float().cuda(), grid, view)
            ledger.parity(name, f"{case}, field on the GPU", relative(found, expected), 1e-4)


def same_derivatives(ledger: Ledger) -> None:
    grid, views = oblique()
    field = blobs(grid, 2)
    weight = torch.randn(len(views.source), 2, *views.size)
    found, expected = (with_gradient(views) for _ in range(2))
    (cuda.integrate(field.float().cuda(), grid, found) * weight.cuda()).sum().backward()
    (reference.integrate(field.double(), grid, expected) * weight).sum().backward()
    for part in ("source", "origin", "u_step", "v_step"):
        error = relative(getattr(found, part).grad, getattr(expected, part).grad)
        ledger.parity("cuda", f"derivative in {part}", error, 1e-3)


def with_gradient(view: View) -> View:
    parts = (x.clone().requires_grad_() for x in (view.source, view.origin, view.u_step, view.v_step))
    return View(*parts, view.size)


def same_spectrum(ledger: Ledger) -> None:
    grid, view = oblique()
    field = blobs(grid, 3) * float64([40.0, 20.0, 5.0]).reshape(3, 1, 1, 1)
    spectrum, names = Spectrum.tube(90.0), ("muscle", "cortical_bone", "titanium")
    materials = [MATERIALS[name] for name in names]
    response = 1.0 - torch.exp(-30.0 / spectrum.energies)
    expected = transmit(reference.integrate(field.double(), grid, view) / 10, materials, spectrum, response)
    found = cuda.expose(field.float().cuda(), grid, view, *by_energy(spectrum, response, materials))
    ledger.parity("cuda", "signal behind a spectrum", relative(found.signal, expected.signal), 1e-4)
    ledger.parity("cuda", "variance behind a spectrum", relative(found.variance, expected.variance), 1e-4)


def by_energy(spectrum: Spectrum, response: Tensor, materials: Sequence) -> tuple[Tensor, Tensor, Tensor]:
    beam = every_energy(materials, spectrum, response)
    return beam.signal, beam.variance, beam.attenuation.T


def speeds(ledger: Ledger, small: bool) -> None:
    phantom: Ellipsoids = body()
    shape, spacing = ((200, 256, 256), 1.6) if small else ((400, 512, 512), 0.8)
    grid = Grid.centred(shape, (spacing,) * 3)
    print("making the body ...", flush=True)
    field = phantom.voxels(grid)[None].float()
    ledger.attempt("parity", "cuda", lambda: as_good_as_joseph(ledger, phantom, field, grid))
    there = field.cuda()
    batches = BATCHES[:2] if small else BATCHES
    for pixels in PIXELS:
        for count in batches:
            view, case = orbit(grid, pixels, count, *ORBIT), f"{pixels}², batch of {count}"
            ledger.attempt("speed", "cuda", lambda v=view, c=case: our_speed(ledger, there, grid, v, c))
            ledger.attempt("speed", "nanodrr", lambda v=view, c=case: nanodrr_speed(ledger, there, grid, v, c))
        across = orbit(grid, pixels, 8, 60.0, 120.0)
        ledger.attempt(
            "speed", "cuda", lambda v=across, p=pixels: our_speed(ledger, there, grid, v, f"{p}², 8 lateral")
        )
    single = orbit(grid, 512, 1, *ORBIT)
    ledger.attempt("speed", "cuda", lambda: spectral_speed(ledger, there, grid))
    for name in ("native", "sliced", "deepdrr"):
        ledger.attempt("speed", name, lambda name=name: plain_speed(ledger, name, field, grid, single))


def orbit(grid: Grid, pixels: int, count: int, first: float, last: float) -> View:
    carm = CARM.with_pixels(pixels)
    turns = torch.linspace(first, last, count + 2)[1:-1].tolist()
    return View.stack([carm.aimed_at(grid.center, turn, 5.0) for turn in turns])


def as_good_as_joseph(ledger: Ledger, phantom: Ellipsoids, field: Tensor, grid: Grid) -> None:
    view = CARM.with_pixels(512).aimed_at(grid.center, -30.0, 10.0)
    exact = phantom.integral(view)
    ours = relative(cuda.integrate(field.cuda(), grid, view)[0], exact)
    ledger.add("accuracy", "cuda", "45 ellipsoids, 512², against the exact integrals", f"{ours:.5f}", "relative")
    if native.available():
        theirs = relative(native.integrate(field, grid, view)[0], exact)
        ledger.parity("cuda", "its error over plain Joseph's, less one", ours / theirs - 1, 0.02)


def our_speed(ledger: Ledger, field: Tensor, grid: Grid, view: View, case: str) -> None:
    report(ledger, "cuda", case, len(view.source), lambda: cuda.integrate(field, grid, view))
    moving = with_gradient(view)

    def there_and_back() -> None:
        cuda.integrate(field, grid, moving).sum().backward()

    report(ledger, "cuda", f"{case}, and the views' derivatives", len(view.source), there_and_back)


def spectral_speed(ledger: Ledger, field: Tensor, grid: Grid) -> None:
    """Three materials where the body has one: soft tissue, its denser half as bone, its densest bits as metal."""
    parts = [field.clamp(max=0.02), (field - 0.02).clamp(min=0), (field - 0.05).clamp(min=0)]
    split, view = torch.cat(parts), orbit(grid, PIXELS[-1], 8, *ORBIT)
    materials = [MATERIALS[name] for name in ("muscle", "cortical_bone", "titanium")]
    for bins in (10, 60):
        spectrum = Spectrum.tube(90.0)
        weight, spread, attenuation = by_energy(spectrum, torch.ones_like(spectrum.energies), materials)
        every = torch.linspace(0, len(weight) - 1, bins).round().long()
        given = (weight[every], spread[every], attenuation[:, every])
        case = f"{PIXELS[-1]}², batch of 8, 3 materials, {bins} energies"
        report(ledger, "cuda", case, 8, lambda given=given: cuda.expose(split, grid, view, *given))


def plain_speed(ledger: Ledger, name: str, field: Tensor, grid: Grid, view: View) -> None:
    integrate = engine(name)
    integrate(field, grid, view)
    seconds = [wall(lambda: integrate(field, grid, view)) for _ in range(3)]
    figure = f"{1e3 * statistics.median(seconds):.3f}"
    ledger.add("speed", name, f"512², 1 view, {torch.get_num_threads()} threads", figure, "ms a view, wall clock")


def nanodrr_speed(ledger: Ledger, field: Tensor, grid: Grid, view: View, case: str) -> None:
    render, poses = nanodrr(field, grid, view)

    @torch.no_grad
    def there() -> Tensor:
        return render(poses)

    moving = poses.clone().requires_grad_()

    def there_and_back() -> None:
        render(moving).sum().backward()

    away = relative(there(), cuda.integrate(field, grid, view).cpu().double())
    ledger.add("accuracy", "nanodrr", f"{case}, from ours", f"{away:.5f}", "relative", "" if away < 0.02 else "APART")
    report(ledger, "nanodrr", case, len(view.source), there)
    report(ledger, "nanodrr", f"{case}, and the views' derivatives", len(view.source), there_and_back)


def nanodrr(field: Tensor, grid: Grid, view: View) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """nanodrr with 500 samples a ray, its default, and the poses it is to be called with.

    Its pixels have their centres at halves, and its poses are from the camera to the world.
    """
    try:
        import torchio  # noqa: F401
    except ImportError:
        sys.modules["torchio"] = _StandIn("torchio")
    from nanodrr.data import Subject
    from nanodrr.drr import DRR

    world, volume = grid.world_from_ijk, field[None].contiguous()
    matrices = (world, torch.linalg.inv(world), Subject._make_voxel_to_grid(volume.shape))
    placed = [matrix.float().to(field.device) for matrix in matrices]
    subject = Subject(
        volume, torch.zeros_like(volume), *placed, grid.center.float(), max_label=0, convert_to_mu=False
    ).to(field.device)
    apart, (dv, du), middle = view.source_to_panel[0].item(), view.pixel_spacing, view.principal_point[0] + 0.5
    k_inv = torch.diag(float64([du / apart, dv / apart, 1.0]))
    k_inv[:2, 2] = -middle * k_inv.diagonal()[:2]
    drr = DRR(k_inv[None].float(), torch.tensor([apart]), *view.size).to(field.device)
    poses = torch.eye(4).repeat(len(view.source), 1, 1)
    steps = [step / step.norm(dim=-1, keepdim=True) for step in (view.u_step, view.v_step)]
    poses[:, :3] = torch.stack([*steps, view.normal, view.source], dim=-1).float()
    return lambda given: drr(subject, given), poses.to(field.device)


class _StandIn(ModuleType):
    """A package of which only the names are needed."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


def report(ledger: Ledger, name: str, case: str, views: int, work: Callable[[], object]) -> None:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    peak = (torch.cuda.max_memory_allocated() - before) / 1e6
    queued, alone = queued_ms(work) / views, 1e3 * statistics.median(wall(work) for _ in range(TURNS)) / views
    ledger.add("speed", name, case, f"{queued:.4f}", "ms a view, queued")
    ledger.add("speed", name, case, f"{alone:.4f}", "ms a view, wall clock of one call")
    ledger.add("memory", name, case, f"{peak:.0f}", "MB beside the field and what is kept of it")


def queued_ms(work: Callable[[], object]) -> float:
    """Milliseconds a call: the median over turns of CUDA events around calls that queue up one behind the other."""
    taken, began = [], time.perf_counter()
    while len(taken) < TURNS and (len(taken) < 3 or time.perf_counter() - began < PATIENCE):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        calls = QUEUED if not taken or taken[0] < 200 else 1
        start.record()
        for _ in range(calls):
            work()
        stop.record()
        stop.synchronize()
        taken.append(start.elapsed_time(stop) / calls)
    return statistics.median(taken)


def wall(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
