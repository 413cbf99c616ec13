"""Odd fields, grids and views by the thousand: every picture is right, or refused with a sentence.

Each case is drawn from its number alone, so that a find can be made again. Engines are held to the reference in double
precision, within what each may lose: rounding for the native one, for the sliced one its interpolation too, which
errs where a field bends. Run `make fuzz` with the address and undefined-behaviour sanitizers in the library; exit 1
when anything was found.
"""

import argparse
import faulthandler
import math
import os
import random
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import max_pool3d, pad

from skiagraph import compiled
from skiagraph.drr import engines, native, reference, sliced
from skiagraph.errors import SkiagraphError
from skiagraph.geometry import Grid, View, float64, rotation, transform

BENDS = 0.1
"""How much of a field's bend, summed along a ray, the sliced engine may miss: twice that where it mixes axes."""

HANGS = 600
"""Seconds after which a case counts as hung."""

FAR = 1e7
"""Millimetres beyond which double precision does not tell voxels apart, so that any finite picture will do."""

EDGE = 2
"""Voxels of zeros around a field within which it still bends."""


class Find(Exception):
    """What an engine got wrong."""


@dataclass(frozen=True, eq=False)
class Case:
    """A field and a view of it, and how they are to be rendered."""

    grid: Grid
    field: Tensor
    view: View
    labels: Tensor
    numbers: Tensor
    threads: int
    few: float

    @classmethod
    def draw(cls, number: int) -> "Case":
        """The case of a number. Raises SkiagraphError where the numbers drawn make no grid or no view."""
        dice, rng = random.Random(number), torch.Generator().manual_seed(number)
        grid = draw_grid(dice, rng)
        labels, numbers = draw_labels(dice, rng, grid)
        field, view = draw_field(dice, rng, grid), draw_view(dice, rng, grid)
        return cls(grid, field, view, labels, numbers, dice.choice((1, 2, 3, 7)), dice.choice((0.0, 0.0, 0.0, 2e4)))

    def __str__(self) -> str:
        field, view = self.field, self.view
        return (
            f"{field.dtype} {tuple(field.shape)} in strides {field.stride()}, spacing {self.grid.spacing}, "
            f"view {tuple(view.source.shape[:-1])} of {view.size} pixels, {self.threads} threads"
        )


def draw_grid(dice: random.Random, rng: torch.Generator) -> Grid:
    """One voxel thick, long and thin, or plain; oblique, mirrored, sheared; near the origin or far from it."""
    ranges = {"tiny": (1, 6), "small": (4, 24), "plain": (20, 48), "long": (1, 9)}
    kind = dice.choices(tuple(ranges), (3, 4, 2, 3))[0]
    shape = [dice.randint(*ranges[kind]) for _ in range(3)]
    if kind == "long":
        shape[dice.randrange(3)] = dice.choice((100, dice.randint(60, 300), dice.randint(300, 1100)))
    if dice.random() < 0.2:
        shape[dice.randrange(3)] = 1
    spacing = [dice.choice((1.0, 10 ** dice.uniform(-1.3, 1.3))) for _ in range(3)]
    axes = torch.eye(3, dtype=torch.float64)[torch.randperm(3, generator=rng)]
    if dice.random() < 0.6:
        axes = rotation("z", dice.uniform(0, 360)) @ rotation("y", dice.uniform(0, 360)) @ axes
    if dice.random() < 0.3:
        axes = axes @ (torch.eye(3) + 0.4 * torch.randn(3, 3, generator=rng).triu(1)).double()
    axes = axes * float64([dice.choice((1.0, 1.0, -1.0)) for _ in range(3)])
    origin = [dice.choice((0.0, 100.0, 1e5)) * dice.uniform(-1, 1) for _ in range(3)]
    return Grid.of((shape[0], shape[1], shape[2]), spacing, origin, axes / axes.norm(dim=0))


def draw_field(dice: random.Random, rng: torch.Generator, grid: Grid) -> Tensor:
    """Smooth, rough, sparse, empty, huge, tiny or not a number; of any precision, and laid out in any way."""
    channels = dice.choices((0, 1, 2, 3, 5), (0.1, 5, 2, 1, 1))[0]
    size = (channels, *grid.shape)
    kind = dice.choice(("smooth", "uniform", "rough", "signed", "sparse", "speck", "empty", "denormal"))
    if kind == "smooth":
        bells = [torch.exp(-0.5 * ((torch.arange(n) - (n - 1) / 2) / (n / 6)) ** 2) for n in grid.shape]
        field = torch.einsum("k,j,i->kji", *bells).expand(size).clone()
    elif kind in ("empty", "speck", "uniform"):
        field = torch.full(size, float(kind == "uniform"))
    else:
        field = torch.rand(size, generator=rng) * (1e-40 if kind == "denormal" else 1.0)
    if kind == "signed":
        field = field - 0.5
    if kind == "sparse":
        field = field * (torch.rand(size, generator=rng) < 0.05)
    if kind == "speck" and field.numel():
        field.view(-1)[dice.randrange(field.numel())] = 1.0
    if kind != "denormal":
        scales = [dice.choice((1.0, -3.0, 10 ** dice.uniform(-35, 30))) for _ in range(channels)]
        field = field * torch.tensor(scales)[:, None, None, None]
    if dice.random() < 0.04 and field.numel():
        field.view(-1)[dice.randrange(field.numel())] = dice.choice((math.nan, math.inf, -math.inf))
    if dice.random() < 0.15 and field.abs().max() < 1e4 if field.numel() else False:
        field = field.to(dice.choice((torch.float64, torch.float16, torch.bfloat16)))
    match dice.choice(("plain", "plain", "turned", "strided", "spread", "wanted", "inference")):
        case "turned":
            field = field.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
        case "strided":
            field = torch.stack([field, torch.full_like(field, 7.0)], dim=-1)[..., 0]
        case "spread":
            field = field[:, :, :, :1].expand(size)
        case "wanted":
            field = field.clone().requires_grad_()
        case "inference":
            with torch.inference_mode():
                field = field.clone()
    return field


def draw_view(dice: random.Random, rng: torch.Generator, grid: Grid) -> View:
    """From anywhere on to any panel: steep, off-centre, within the body, behind it; one pixel, one row, a batch."""
    reach = float((grid.corners - grid.center).norm(dim=1).max())
    beam, across = torch.randn(2, 3, generator=rng, dtype=torch.float64)
    if dice.random() < 0.3:
        beam = grid.direction[:, dice.randrange(3)] * dice.choice((1.0, -1.0)) + 0.0 * beam
    beam = beam / beam.norm()
    u = torch.linalg.cross(beam, across)
    u = u / u.norm()
    v = torch.linalg.cross(beam, u) * dice.uniform(0.5, 2) + u * dice.uniform(-0.4, 0.4)
    u = u + beam * dice.choice((0.0, 0.0, dice.uniform(-0.4, 0.4), dice.uniform(-8, 8)))
    target = grid.center + reach * dice.choice((0.0, 0.3, 1.5)) * torch.randn(3, generator=rng).double()
    near = reach * dice.choice((dice.uniform(1.2, 6), dice.uniform(1.0, 1.1), 10 ** dice.uniform(1, 7)))
    if dice.random() < 0.03:
        near = 10 ** dice.uniform(8, 30)
    fars = (dice.uniform(1.1, 3), dice.uniform(0.1, 1), -dice.uniform(0.1, 3), 10 ** dice.uniform(1, 4))
    far = reach * dice.choice(fars)
    source = target - near * beam
    corner = -0.5 * float64(dice.choice(((0, 0, 0), (1, 1, 1), (1, 0, 0))))
    within = [dice.choice((0, n // 2, n - 1)) for n in grid.shape[::-1]]
    if dice.random() < 0.2:  # on a voxel, between voxels, on the surface
        source = transform(grid.world_from_ijk, float64(within) + corner * dice.choice((1.0, -1.0)))
    rows, columns = dice.choices((1, 2, dice.randint(3, 16), dice.randint(17, 70), 140), (1, 0.5, 3, 3, 0.3), k=2)
    if math.prod(grid.shape) > 40_000 or max(grid.shape) > 300:
        rows, columns = min(rows, 16), min(columns, 16)
    width = abs(near + far) / near if dice.random() < 0.8 else dice.uniform(0.01, 30)
    u, v = (axis * reach * width * dice.uniform(0.3, 2.5) / n for axis, n in ((u, columns), (v, rows)))
    origin = source + (near + far) * beam - u * columns * dice.uniform(0.2, 0.8) - v * rows * dice.uniform(0.2, 0.8)
    match dice.choices(("one", "batch", "none", "flat", "parallel"), (20, 3, 0.3, 0.3, 0.3))[0]:
        case "batch":
            shifts = reach * dice.choice((0.0, 0.5)) * torch.randn(dice.randint(1, 3), 3, generator=rng).double()
            parts = source + shifts, origin + shifts, u + 0 * shifts, v + 0 * shifts
            return View(*(part[None] if len(shifts) == 3 else part for part in parts), (rows, columns))
        case "none":
            return View(*(torch.zeros(0, 3, dtype=torch.float64) for _ in range(4)), (rows, columns))
        case "flat":
            return View(source, origin, 0 * u, v, (rows, columns))
        case "parallel":
            return View(source, origin, u, 2 * u, (rows, columns))
    return View(source, origin, u, v, (rows, columns))


def draw_labels(dice: random.Random, rng: torch.Generator, grid: Grid) -> tuple[Tensor, Tensor]:
    """Labels of any whole numbers, and numbers asked for that are there, are not, or are asked for twice."""
    kind, low, high = dice.choice(
        (
            (torch.uint8, 0, 255),
            (torch.int8, -128, 127),
            (torch.int16, -32768, 32767),
            (torch.int32, -(2**31), 2**31 - 1),
            (torch.int64, -(2**62), 2**62),
        )
    )
    some = [0, 1, 2, low, high, max(low, min(high, 65537)), dice.randint(low, high)]
    index = torch.tensor(some, dtype=kind)[torch.randint(0, dice.randint(1, 7), grid.shape, generator=rng)]
    asked = [dice.choice([*some, 65536, 65537, -65535, 257, 3]) for _ in range(dice.randint(0, 4))]
    return index, torch.tensor(asked, dtype=torch.int64)


def check(number: int) -> str:
    """Render one case by all engines. Says how it went; raises Find where it went wrong."""
    try:
        case = Case.draw(number)
    except SkiagraphError:
        return "refused"
    with threads(1), always_sliced(case.few):
        check_labels(case)
        return check_field(case)


def check_field(case: Case) -> str:
    field, grid, view = case.field, case.grid, case.view
    values = field.detach().double()
    if not values.isfinite().all():
        native.integrate(field, grid, view)
        try:
            sliced.integrate(field, grid, view)
        except SkiagraphError as error:
            return say(error)
        raise Find("a field that is not finite was not refused")
    expected, rounding, bending = bounds(values, grid, view)
    with threads(case.threads):
        rays, picture = native.integrate(field, grid, view), sliced.integrate(field, grid, view)
    hold("native", rays, expected, rounding + 1e-5 * bending, case)
    hold("fastest", engines.fastest(field, grid, view), expected, rounding + 2 * BENDS * bending, case)
    axis = sliced.axis_for(field, grid, view) if view.source.ndim == 1 and field.numel() else None
    if axis is not None:
        with along(axis):
            expected, rounding, bending = bounds(values, grid, view, axis)
    allowed = rounding + (2 if axis is None else 1) * BENDS * bending
    hold("sliced", picture, expected, allowed, case)
    again = sliced.integrate(field.detach().clone(), grid, view)
    if not (same(picture, sliced.integrate(field, grid, view)) and same(picture, again)):
        raise Find(f"sliced differs from itself: {case}")
    if not same(rays, native.integrate(field, grid, view)):
        raise Find(f"native depends on the number of threads: {case}")
    with level("portable"):
        hold("portable", sliced.integrate(field, grid, view), picture.double(), rounding + 1e-4 * bending, case)
    if not field.is_inference() and not field.requires_grad and field.is_contiguous():
        field.mul_(0.5)
        hold("changed in place", sliced.integrate(field, grid, view), expected / 2, allowed, case)
    return "rays" if axis is None else "sliced"


@contextmanager
def along(axis: int) -> Iterator[None]:
    """The reference with all rays cut into slices across one axis, as the sliced engine cuts them."""
    before = reference.bundles

    def bundle(grid: Grid, source: Tensor, pixels: Tensor, device: torch.device) -> Iterator[reference.Rays]:
        every = torch.ones(pixels.shape[:2], dtype=torch.bool)
        start, ends = transform(grid.ijk_from_world, source), transform(grid.ijk_from_world, pixels).reshape(-1, 3)
        lengths = (pixels - source).norm(dim=-1).reshape(-1)
        yield reference.Rays(every, axis, start.expand_as(ends), ends - start, lengths)

    reference.bundles = bundle
    try:
        yield
    finally:
        reference.bundles = before


def bounds(values: Tensor, grid: Grid, view: View, axis: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """The picture in double precision, what rounding may do to it, and how much the field bends along each ray.

    A second difference of the field is what separates linear interpolation from any other and one rule of quadrature
    from the next; it is taken over all pairs of axes (within the slices across `axis`, if one is given), the largest
    of a voxel and its neighbours.
    """
    scale = values.abs().amax(dim=(1, 2, 3), keepdim=True) if values.numel() else values.sum((1, 2, 3), keepdim=True)
    scale = torch.where(scale > 0, scale, 1.0)
    wide = pad(values / scale, [EDGE] * 6)
    bends = torch.zeros_like(wide)
    dims = [3 - n for n in range(3) if n != axis]
    for a, b in combinations_with_replacement(dims, 2):
        bends += second_difference(wide, a, b).abs()
    if bends.numel():
        reach = tuple(int(dim in dims) for dim in (1, 2, 3))
        k, j, i = (2 * n + 1 for n in reach)
        bends = max_pool3d(bends.clone(memory_format=torch.contiguous_format), (k, j, i), stride=1, padding=reach)
    k, j, i = grid.shape
    around = grid.world_from_ijk.clone()
    around[:3, 3] = transform(grid.world_from_ijk, float64([-EDGE, -EDGE, -EDGE]))
    wider = Grid((k + 2 * EDGE, j + 2 * EDGE, i + 2 * EDGE), around)
    layers = torch.cat([wide, wide.abs(), bends, torch.ones_like(wide[:1]) if len(wide) else wide])
    found = reference.integrate(layers, wider, view)
    n = len(values)
    expected, sizes, bending = (found[..., part : part + n, :, :] for part in (0, n, 2 * n))
    path, longest = found[..., 3 * n :, :, :], max(grid.shape)
    # Sums and positions in single precision; half a step of the 16 bits for each voxel.
    rounding = (2e-6 + 1e-7 * longest) * sizes + 1e-6 * longest * bending + 5e-5 * path
    scale = scale[:, :, :, 0]
    if max(view.source.abs().max(), view.origin.abs().max()) > FAR:
        rounding = rounding + torch.inf
    return expected * scale, rounding * scale + 1e-43 * longest * (1 + path), bending * scale


def second_difference(field: Tensor, a: int, b: int) -> Tensor:
    """Of neighbours along one axis, or around the corner of two."""
    if a == b:
        return field.roll(1, a) - 2 * field + field.roll(-1, a)
    return field - field.roll(1, a) - field.roll(1, b) + field.roll((1, 1), (a, b))


def hold(name: str, found: Tensor, expected: Tensor, tolerance: Tensor, case: Case) -> None:
    """Raise Find unless a picture is the expected one."""
    if found.shape != expected.shape:
        raise Find(f"{name} gave {tuple(found.shape)} for {tuple(expected.shape)}: {case}")
    if not found.isfinite().all():
        raise Find(f"{name} gave NaN or infinity: {case}")
    if found.numel():
        excess = (found.detach().double() - expected).abs() / tolerance.clamp(min=1e-300)
        if excess.max() > 1:
            raise Find(f"{name} is off by {float(excess.max()):.3g} of what it may be: {case}")


def check_labels(case: Case) -> None:
    """Thickness and depth of labels against rays in double precision, but for rays that run between two voxels."""
    if case.view.source.ndim > 1:
        return
    for name, by in (("native", native), ("reference", reference)):
        through, first = by.thickness(case.labels, case.numbers, case.grid, case.view)
        sure, lengths, expected, nearest = label_rays(case)
        for m in range(len(case.numbers)):
            off = (through[m].double() - expected[m]).abs() > 2e-5 * lengths
            late = ((first[m].double() - nearest[m]).abs() > 2e-5 * lengths) & (expected[m] > 1e-6 * lengths)
            missed = (expected[m] == 0) & (through[m] > 0)
            if bool(((off | late | missed) & sure).any()):
                raise Find(f"{name} thickness of label {case.numbers[m]} in {case.labels.dtype}: {case}")


def label_rays(case: Case) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Which rays are beyond doubt, how long they are, and for each label the way through it and to it."""
    grid, view = case.grid, case.view
    source = transform(grid.ijk_from_world, view.source)
    step = transform(grid.ijk_from_world, view.pixels()) - source
    lengths = (view.pixels() - view.source).norm(dim=-1)
    order = step.abs().sort(dim=-1, descending=True)
    sure = order.values[..., 1] < order.values[..., 0] * (1 - 1e-9)
    expected = torch.zeros(len(case.numbers), *view.size, dtype=torch.float64)
    nearest = torch.full_like(expected, torch.inf)
    doubt = 1e-5 * (1 + max(grid.shape)) + 1e-13 * float(source.abs().max() + step.abs().max())
    for axis in range(3):
        for n in range(grid.shape[2 - axis]):
            mine = order.indices[..., 0] == axis
            at, half = (n - source[axis]) / step[..., axis], 0.5 / step[..., axis].abs()
            share = (at + half).clamp(0, 1) - (at - half).clamp(0, 1)
            mine &= share > 0
            if not mine.any():
                continue
            where = source + at[..., None] * step
            where[..., axis] = n
            sure &= ~mine | (((where - where.floor() - 0.5).abs() > doubt).sum(-1) == 3)
            cell = where.round()
            inside = mine & ((cell >= 0) & (cell < float64(grid.shape[::-1]))).all(dim=-1)
            i, j, k = cell.where(inside[..., None], 0).long().unbind(-1)
            met = case.labels[k, j, i].long()
            for m, number in enumerate(case.numbers.tolist()):
                here = inside & (met == number)
                expected[m] += torch.where(here, share * lengths, 0.0)
                nearest[m] = torch.where(here, torch.minimum(nearest[m], at * lengths), nearest[m])
    return sure, lengths, expected, nearest


def same(one: Tensor, other: Tensor) -> bool:
    return bool(torch.equal(one.detach(), other.detach()))


def say(error: SkiagraphError) -> str:
    if len(str(error)) < 20 or "; " not in str(error):
        raise Find(f"an error that does not say what to do: {error}")
    return "refused"


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def always_sliced(few: float) -> Iterator[None]:
    """Small pictures too, which are otherwise left to rays, and parted as large ones are."""
    before = sliced.FEW, sliced.SMALLEST
    sliced.FEW, sliced.SMALLEST = few, 12
    try:
        yield
    finally:
        sliced.FEW, sliced.SMALLEST = before


@contextmanager
def level(name: str) -> Iterator[None]:
    before = os.environ.get("SKIAGRAPH_LEVEL", sliced.levels()[0])
    os.environ["SKIAGRAPH_LEVEL"] = name
    try:
        yield
    finally:
        os.environ["SKIAGRAPH_LEVEL"] = before


def crowd(number: int) -> None:
    """Threads that render the same and different fields at once, while others come, change and go."""
    dice, rng = random.Random(number), torch.Generator().manual_seed(number)
    grid = Grid.centred((dice.randint(4, 20), dice.randint(4, 20), dice.randint(4, 20)), (2.0, 2.0, 2.0))
    reach = float((grid.corners - grid.center).norm(dim=1).max())
    sides = [axis * sign for axis in torch.eye(3, dtype=torch.float64) for sign in (1.0, -1.0)]
    views = [
        View(-5 * reach * side, 2 * reach * side - 20 * (u + v), u, v, (40, 40))
        for side in sides
        for u, v in [(side.roll(1), side.roll(2))]
    ]
    fields = [torch.rand(1, *grid.shape, generator=rng) for _ in range(3)]
    wrong = []

    def work(own: random.Random) -> None:
        for _ in range(30):
            n, m = own.randrange(len(fields)), own.randrange(len(views))
            field = own.choice((fields[n], fields[n].clone()))
            if not same(sliced.integrate(field, grid, views[m]), expected[n][m]):
                wrong.append((n, m))
            changed = fields[n].clone()
            sliced.integrate(changed, grid, views[m])
            changed.mul_(-1.0)
            if not torch.allclose(sliced.integrate(changed, grid, views[m]), -expected[n][m], rtol=1e-3, atol=1e-2):
                wrong.append((n, m))

    with always_sliced(0.0):
        expected = [[sliced.integrate(field.clone(), grid, view) for view in views] for field in fields]
        team = [threading.Thread(target=work, args=(random.Random(dice.random()),)) for _ in range(3)]
        for member in team:
            member.start()
        for member in team:
            member.join()
    if wrong:
        raise Find(f"{len(wrong)} pictures made at the same time as others are wrong: fields and views {wrong[:5]}")


def grow(calls: int = 10_000) -> int:
    """How many more bytes are held after thousands of fields were rendered than after the first thousand."""
    grid = Grid.centred((12, 12, 12), (2.0, 2.0, 2.0))
    u, v = float64([2.0, 0.0, 0.0]), float64([0.0, 0.0, 2.0])
    view = View(float64([0.0, -200.0, 0.0]), float64([-20.0, 100.0, -20.0]), u, v, (20, 20))
    held = 0
    with always_sliced(0.0):
        for call in range(calls):
            if call == calls // 10:
                held = resident()
            sliced.integrate(torch.full((1, 12, 12, 12), float(call)), grid, view)
    return resident() - held


def resident() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]
    return int(pages) * resource.getpagesize()


def work(first: int, stride: int, minutes: float) -> None:
    """Case after case, each named on a line before it is tried; what is found, on another."""
    until = time.monotonic() + 60 * minutes
    number = first
    while time.monotonic() < until:
        print(f"case {number}", flush=True)
        faulthandler.dump_traceback_later(HANGS, exit=True)
        try:
            print(f"went {check(number)}", flush=True)
            if number % 100 == first % 100:
                crowd(number)
        except Exception as error:  # whatever it is, it is to be told with its number
            kind = "" if isinstance(error, Find) else f"{type(error).__name__}: "
            print(f"find {number} {kind}{' '.join(str(error).split())[:600]}", flush=True)
        number += stride


def watch(name: str, first: int, minutes: float, library: Path | None) -> int:
    """Cases at one level in a process of its own, started again after a crash. Returns how many finds there were."""
    until, finds, went, number = time.monotonic() + 60 * minutes, 0, Counter[str](), first
    while (left := until - time.monotonic()) > 0:
        command = [sys.executable, "-X", "faulthandler", __file__, "--work", "--seed", str(number), "--minutes"]
        options = ["--library", str(library)] if library else []
        environment, begun = {**os.environ, "SKIAGRAPH_LEVEL": name}, False
        with subprocess.Popen(
            [*command, str(left / 60), *options], stdout=subprocess.PIPE, text=True, env=environment
        ) as child:
            for line in child.stdout or ():
                word, _, rest = line.rstrip().partition(" ")
                if word == "case":
                    number, begun = int(rest), True
                elif word == "went":
                    went[rest] += 1
                elif word == "find":
                    finds += 1
                    print(f"{name}: case {rest}", flush=True)
        if child.returncode == 0:
            break
        finds += 1
        if not begun:
            print(f"{name}: the process ended with {child.returncode} before any case; see above", flush=True)
            break
        print(f"{name}: case {number} ended the process with {child.returncode}; see above", flush=True)
        number += 1
    told = ", ".join(f"{count} {kind}" for kind, count in went.most_common())
    print(f"{name}: {went.total()} cases from {first} on ({told}), {finds} finds", flush=True)
    return finds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="for all levels together")
    parser.add_argument("--seed", type=int, default=None, help="the first case's number; any, and told, if not given")
    parser.add_argument(
        "--level", action="append", help="avx512, avx2 or portable; all this processor has, if not given"
    )
    parser.add_argument("--library", type=Path, help="another build of the library, as with sanitizers")
    parser.add_argument("--once", action="store_true", help="only the case of --seed, with its traceback")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.library:
        compiled._path = lambda: asked.library.resolve()
    first = random.SystemRandom().randrange(10**9) if asked.seed is None else asked.seed
    if asked.once:
        print(Case.draw(first), check(first), sep="\n")
        return 0
    if asked.work:
        work(first, 1, asked.minutes)
        return 0
    print(f"case numbers from {first} on; one again: --once --seed NUMBER", flush=True)
    names = asked.level or sliced.levels()
    finds = sum(watch(name, first, asked.minutes / len(names), asked.library) for name in names)
    more = grow()
    print(f"{more / 1e6:.1f} MB more held after 10000 fields than after 1000")
    return 1 if finds or more > 20e6 else 0


if __name__ == "__main__":
    sys.exit(main())
