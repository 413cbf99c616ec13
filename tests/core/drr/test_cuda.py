"""The GPU's engine, as far as it goes without one: its kernels run on the processor, thread by thread.

Where there is a GPU, the same laws are held there too. NVRTC compiles the kernels wherever it is installed.
"""

import ctypes
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import which

import gpu_check
import pytest
import torch
from analytic import Gaussians
from torch import Tensor

from skiagraph.carm import GENERIC
from skiagraph.drr import cuda, nvrtc, reference
from skiagraph.drr.engines import engine, fastest
from skiagraph.errors import BackendError, DataError, GeometryError
from skiagraph.geometry import Grid, View, float64, rotation
from skiagraph.physics.materials import MATERIALS
from skiagraph.physics.spectrum import Spectrum
from skiagraph.physics.transmit import transmit

NO_GPU = "no GPU here that the engine can run on"
SUPPORT = Path(__file__).parents[2] / "support"
OBLIQUE = Grid.of((17, 19, 23), (1.3, 0.9, 2.1), (-12.0, 5.0, -900.0), rotation("z", 33) @ rotation("y", 21))
TILTED_GANTRY = torch.eye(4, dtype=torch.float64)
TILTED_GANTRY[1, 2] = 0.35
SHEARED = Grid(OBLIQUE.shape, OBLIQUE.world_from_ijk @ TILTED_GANTRY)
grids = pytest.mark.parametrize("grid", [OBLIQUE, SHEARED], ids=["oblique", "sheared"])
beams = pytest.mark.parametrize("angles", [(0.0, 0.0), (-33.0, 12.0), (93.0, 8.0), (20.0, 70.0), (-170.0, -20.0)])


@pytest.fixture(scope="session")
def processor(tmp_path_factory: pytest.TempPathFactory) -> nvrtc.Kernels:
    """The kernels of joseph.cu as a C++ compiler has them for the processor."""
    compiler = which("c++") or which("g++") or which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler to take the kernels for the processor")
    library = tmp_path_factory.mktemp("cuda") / "processor.so"
    flags = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-shared", "-fPIC"]
    source = [f"-I{cuda.SOURCE.parent}", str(SUPPORT / "processor.cpp"), "-o", str(library)]
    subprocess.run([compiler, *flags, *source], check=True)
    return nvrtc.Kernels.load(ctypes.CDLL(str(library)), b"joseph.cu", lambda: 0)


@pytest.fixture(params=["processor", "gpu"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Where the engine is made to run."""
    if request.param == "gpu":
        if not cuda.available():
            pytest.skip(NO_GPU)
        yield torch.device("cuda", torch.cuda.current_device())
        return
    kernels = request.getfixturevalue("processor")
    monkeypatch.setattr(cuda, "_kernels", lambda device: kernels)
    monkeypatch.setattr(cuda, "_home", lambda field: field.device)
    yield torch.device("cpu")


def panel(grid: Grid, angles: tuple[float, float], size: tuple[int, int] = (21, 34), turned: float = 20.0) -> View:
    """A few pixels that the grid fills, not square, turned on the panel so that no axis is met at a tie."""
    view = GENERIC.with_pixels(max(size)).aimed_at(grid.center, *angles)
    view = view.resized(size)
    half = float64([(size[0] - 1) / 2, (size[1] - 1) / 2])
    center = view.on_panel(half.flip(0)[None])[0]
    reach = 3 * float((grid.corners - grid.center).norm(dim=1).max())
    across, down = view.u_step / view.u_step.norm(), view.v_step / view.v_step.norm()
    c, s = torch.cos(float64(turned).deg2rad()), torch.sin(float64(turned).deg2rad())
    u, v = (c * across + s * down) * reach / size[1], (c * down - s * across) * reach / size[0]
    return View(view.source, center - half[1] * u - half[0] * v, u, v, size)


def smooth(grid: Grid, rng: torch.Generator, channels: int = 2) -> Tensor:
    """Channels of blobs that reach the grid's faces."""
    radius = float((grid.corners - grid.center).norm(dim=1).max()) / 2
    blobs = [Gaussians.draw(4, radius, radius / 3, rng) for _ in range(channels)]
    return torch.stack([one.voxels(grid.moved(_to_origin(grid))) for one in blobs])


def _to_origin(grid: Grid) -> Tensor:
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = -grid.center
    return shift


def with_gradient(view: View) -> View:
    parts = (x.clone().requires_grad_() for x in (view.source, view.origin, view.u_step, view.v_step))
    return View(*parts, view.size)


def gradients(view: View) -> list[Tensor]:
    return [x.grad for x in (view.source, view.origin, view.u_step, view.v_step)]


@grids
@beams
def test_line_integrals_are_the_references(device, grid, angles, rng):
    """On noise, where a thousandth of a voxel would show."""
    field = torch.rand(2, *grid.shape, generator=rng)
    view = panel(grid, angles)
    found = cuda.integrate(field.to(device), grid, view).cpu()
    expected = reference.integrate(field.double(), grid, view)
    assert expected.count_nonzero() > 0.2 * expected.numel()
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4 * float(expected.max()))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 8), (7, 1, 9), (8, 9, 1), (2, 2, 2), (40, 3, 3)])
def test_thin_fields_are_looked_through_too(device, shape, rng):
    grid = Grid.of(shape, (2.0, 1.5, 1.0), (4.0, 5.0, 6.0), rotation("x", 17) @ rotation("z", 29))
    field, view = torch.rand(1, *shape, generator=rng), panel(grid, (25.0, -13.0))
    found = cuda.integrate(field.to(device), grid, view).cpu()
    torch.testing.assert_close(found.double(), reference.integrate(field.double(), grid, view), rtol=1e-4, atol=1e-4)


def test_a_batch_is_its_views_in_one_launch(device, rng):
    field = torch.rand(3, *OBLIQUE.shape, generator=rng).to(device)
    views = [panel(OBLIQUE, angles) for angles in ((0.0, 0.0), (90.0, 0.0), (31.0, 20.0), (-60.0, -10.0))]
    batch = cuda.integrate(field, OBLIQUE, View.stack(views))
    assert batch.shape == (4, 3, 21, 34)
    for one, view in zip(batch, views):
        torch.testing.assert_close(one, cuda.integrate(field, OBLIQUE, view), rtol=1e-6, atol=1e-6)


def ends_inside(grid: Grid) -> View:
    """A source within the voxels, and a panel that cuts through them."""
    source = grid.center + float64([0.4, -7.3, 1.1])
    u, v = float64([0.9, 0.1, 0.2]), float64([-0.1, 0.15, 1.1])
    return View(source, grid.center + float64([-6.2, 5.9, -6.6]), u, v, (13, 15))


def test_rays_end_at_the_source_and_at_the_panel(device, rng):
    grid, view = replace(OBLIQUE), ends_inside(OBLIQUE)
    field = torch.rand(1, *grid.shape, generator=rng)
    expected = reference.integrate(field.double(), grid, view)
    found = cuda.integrate(field.to(device), grid, view).cpu()
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4 * float(expected.max()))


def test_what_is_empty_is_skipped_and_nothing_else(device, rng):
    grid = OBLIQUE
    field = torch.zeros(4, *grid.shape)
    field[0, 8, 9, 11] = 1.0
    field[1, 0, :, 0] = torch.rand(19, generator=rng)
    field[2, -1, -1, -1] = -2.0
    view = panel(grid, (12.0, 5.0), (60, 70))
    expected = reference.integrate(field.double(), grid, view)
    found = cuda.integrate(field.to(device), grid, view).cpu()
    assert (expected[:3].abs().amax(dim=(1, 2)) > 0.1).all() and not found[3].any()
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(9, 10, 11), (1, 10, 11), (9, 1, 11), (9, 10, 1), (2, 2, 2)])
@pytest.mark.parametrize("angles", [(p, s) for p in (-90, 0, 33, 90) for s in (-85, 0, 40)])
def test_no_ray_reads_beyond_the_field(device, shape, angles, rng):
    """Beyond it lies NaN, which would show however little it weighed."""
    grid = Grid.centred(shape, (1.0, 1.0, 1.0))
    values = torch.rand(1, *shape, generator=rng)
    fenced = torch.full((3 * values.numel(),), torch.nan, device=device)
    field = fenced[values.numel() : 2 * values.numel()].view(values.shape)
    field.copy_(values)
    assert cuda.integrate(field, grid, panel(grid, angles, turned=0.0)).isfinite().all()
    assert cuda.integrate(field, grid, ends_inside(grid)).isfinite().all()


@grids
@beams
def test_gradients_in_the_view_are_the_references(device, grid, angles, rng):
    field = smooth(grid, rng)
    ours, theirs = (with_gradient(panel(grid, angles)) for _ in range(2))
    weight = torch.randn(2, 21, 34, generator=rng)
    (cuda.integrate(field.to(device).float(), grid, ours).cpu() * weight).sum().backward()
    (reference.integrate(field.double(), grid, theirs) * weight).sum().backward()
    for found, expected in zip(gradients(ours), gradients(theirs)):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-4 * float(expected.abs().max()))


def test_gradients_know_that_rays_end_within_the_field(device, rng):
    field = smooth(OBLIQUE, rng)
    ours, theirs = (with_gradient(ends_inside(OBLIQUE)) for _ in range(2))
    weight = torch.randn(2, 13, 15, generator=rng)
    (cuda.integrate(field.to(device).float(), OBLIQUE, ours).cpu() * weight).sum().backward()
    (reference.integrate(field.double(), OBLIQUE, theirs) * weight).sum().backward()
    for found, expected in zip(gradients(ours), gradients(theirs)):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-4 * float(expected.abs().max()))


def test_every_pixels_jacobian_is_the_references(device, rng):
    """Twelve numbers of the view from six: how a pixel changes with its ray's two ends."""
    field, view = smooth(SHEARED, rng, 1), panel(SHEARED, (25.0, 31.0), (5, 7))

    def picture(*parts: Tensor) -> Tensor:
        return reference.integrate(field.double(), SHEARED, View(*parts, view.size))[0]

    parts = (view.source, view.origin, view.u_step, view.v_step)
    expected = torch.autograd.functional.jacobian(picture, parts)
    weight = torch.ones(1, *view.size, device=device)
    source, pixel = cuda.sensitivity(field.to(device).float(), SHEARED, view, weight).cpu().double()
    v, u = torch.meshgrid(*(torch.arange(n) for n in view.size), indexing="ij")
    for found, true in zip((source, pixel, u * pixel, v * pixel), expected):
        torch.testing.assert_close(found, true.movedim(-1, 0), rtol=1e-4, atol=1e-4 * float(true.abs().max()))


def test_a_batch_has_its_views_gradients(device, rng):
    field = smooth(OBLIQUE, rng).to(device).float()
    views = [panel(OBLIQUE, angles) for angles in ((0.0, 10.0), (90.0, 0.0), (31.0, 20.0))]
    together, alone = with_gradient(View.stack(views)), [with_gradient(view) for view in views]
    cuda.integrate(field, OBLIQUE, together).square().sum().backward()
    for view in alone:
        cuda.integrate(field, OBLIQUE, view).square().sum().backward()
    for n, part in enumerate(gradients(together)):
        torch.testing.assert_close(part, torch.stack([gradients(view)[n] for view in alone]), rtol=1e-4, atol=1e-4)


def test_a_field_that_wants_a_gradient_gets_it(device, rng):
    field = torch.rand(1, *OBLIQUE.shape, generator=rng).to(device).requires_grad_()
    cuda.integrate(field, OBLIQUE, panel(OBLIQUE, (10.0, 0.0))).sum().backward()
    assert field.grad is not None and field.grad.abs().sum() > 0


def test_the_spectrum_behind_a_body_is_the_one_transmit_finds(device, rng):
    materials, spectrum = (
        tuple(MATERIALS[name] for name in ("muscle", "cortical_bone", "titanium")),
        Spectrum.tube(90.0),
    )
    field = torch.rand(3, *OBLIQUE.shape, generator=rng) * torch.tensor([1.0, 0.8, 0.4]).reshape(3, 1, 1, 1)
    view = View.stack([panel(OBLIQUE, (15.0, 0.0)), panel(OBLIQUE, (90.0, 20.0))])
    response = 1.0 - torch.exp(-30.0 / spectrum.energies)
    found = cuda.expose(field.to(device), OBLIQUE, view, *gpu_check.by_energy(spectrum, response, materials))
    masses = reference.integrate(field.double(), OBLIQUE, view) / 10
    expected = transmit(masses, materials, spectrum, response)
    assert expected.signal.min() < 0.2 and found.signal.shape == (2, 21, 34)
    torch.testing.assert_close(found.signal.cpu().double(), expected.signal, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.variance.cpu().double(), expected.variance, rtol=1e-4, atol=1e-6)


def test_a_changed_field_is_made_ready_again(device, rng):
    field, view = torch.rand(1, *OBLIQUE.shape, generator=rng).to(device), panel(OBLIQUE, (90.0, 5.0))
    before = cuda.integrate(field, OBLIQUE, view)
    field.mul_(2)
    torch.testing.assert_close(cuda.integrate(field, OBLIQUE, view), 2 * before)


def test_other_precisions_and_layouts_serve_as_well(device, rng):
    field, view = torch.rand(1, *OBLIQUE.shape, generator=rng).to(device), panel(OBLIQUE, (10.0, 5.0))
    expected = cuda.integrate(field, OBLIQUE, view)
    assert torch.equal(cuda.integrate(field.double(), OBLIQUE, view), expected)
    strided = field.permute(0, 3, 2, 1).contiguous().permute(0, 3, 2, 1)
    assert torch.equal(cuda.integrate(strided, OBLIQUE, view), expected)
    with torch.inference_mode():
        assert torch.equal(cuda.integrate(field * 1.0, OBLIQUE, view), expected)


def test_what_does_not_fit_is_refused(device, monkeypatch):
    view, field = panel(OBLIQUE, (0.0, 0.0)), torch.zeros(1, *OBLIQUE.shape, device=device)
    with pytest.raises(GeometryError, match="give one shape"):
        cuda.integrate(field[:, 1:], OBLIQUE, view)
    bins = torch.ones(4)
    monkeypatch.setattr(cuda, "MOST_MATERIALS", 0)
    with pytest.raises(DataError, match="materials at most"):
        cuda.expose(field, OBLIQUE, view, bins, bins, torch.ones(1, 4))
    monkeypatch.setattr(cuda, "MOST_VOXELS", 100)
    with pytest.raises(DataError, match="crop"):
        cuda.integrate(field, OBLIQUE, view)


def test_without_a_gpu_the_engine_says_so():
    if cuda.available():
        pytest.skip("there is a GPU")
    with pytest.raises(BackendError, match="or use"):
        engine("cuda")
    with pytest.raises(BackendError, match="or use"):
        cuda.integrate(torch.zeros(1, *OBLIQUE.shape), OBLIQUE, panel(OBLIQUE, (0.0, 0.0)))


def test_the_check_on_a_gpu_says_where_nothing_was_checked(monkeypatch, tmp_path, capsys):
    if cuda.available():
        pytest.skip("there is a GPU")
    monkeypatch.setattr("sys.argv", ["gpu_check.py", "--output", str(tmp_path / "out")])
    assert gpu_check.main() == 0
    assert capsys.readouterr().out.startswith("gpu-check: NOTHING WAS CHECKED: ")
    assert not (tmp_path / "out").exists()


def test_the_driver_is_quoted_when_it_refuses(processor):
    with pytest.raises(BackendError, match="symbol not found"):
        processor.launch("no such kernel", 1, 1)
    with pytest.raises(BackendError, match="image is invalid"):
        nvrtc.Kernels.load(processor.driver, b"nonsense", lambda: 0)


@pytest.mark.skipif(not cuda.available(), reason=NO_GPU)
def test_the_fastest_engine_uses_the_fields_own_gpu(rng):
    field, view = torch.rand(1, *OBLIQUE.shape, generator=rng).cuda(), panel(OBLIQUE, (10.0, 5.0))
    found = fastest(field, OBLIQUE, view)
    assert found.is_cuda and torch.equal(found, cuda.integrate(field, OBLIQUE, view))


@pytest.mark.parametrize(("version", "architectures"), [("12", ("70", "80", "90")), ("13", ("80", "90"))])
def test_nvrtc_takes_the_kernels(version, architectures):
    library = nvrtc.find_compiler(version)
    if library is None:
        pytest.skip(f"no NVRTC of CUDA {version}; pip install nvidia-cuda-nvrtc has one")
    source = cuda.SOURCE.read_text(encoding="utf-8")
    for architecture in architectures:
        ptx = nvrtc.compiled(source, f"compute_{architecture}", library)
        assert all(f".entry {kernel}(".encode() in ptx for kernel in ("integrate", "differentiate", "transmit"))
        assert nvrtc.compiled(source, f"sm_{architecture}", library).startswith(b"\x7fELF")
    with pytest.raises(BackendError, match="error: identifier"):
        nvrtc.compiled("__global__ void broken() { nothing(); }", "sm_90", library)
