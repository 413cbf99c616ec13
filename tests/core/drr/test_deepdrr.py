"""DeepDRR's engine through its files: against a stand-in of it here, against DeepDRR itself where there is one.

The stand-in in tests/support answers the real worker in plain numpy. Set SKIAGRAPH_DEEPDRR_PYTHON to the Python of a
DeepDRR environment, on a machine with an NVIDIA GPU, to run the laws that hold for the real one.
"""

import importlib.util
import os
import sys
import venv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from analytic import Gaussians

from skiagraph.carm import GENERIC
from skiagraph.drr import deepdrr, reference
from skiagraph.drr.engines import ENGINES, runnable
from skiagraph.drr.render import REALISTIC, Renderer
from skiagraph.errors import BackendError, DataError, GeometryError
from skiagraph.geometry import Grid, View, float64, rotation, transform
from skiagraph.physics.materials import material
from skiagraph.physics.panel import Panel
from skiagraph.physics.phantom import Phantom, by_curve, by_density
from skiagraph.physics.spectrum import Spectrum
from skiagraph.volume import Volume

STAND_IN = Path(__file__).parents[2] / "support" / "deepdrr_stand_in"
GRID = Grid.of((17, 15, 13), (4.0, 3.0, 5.0), (-20.0, 10.0, -900.0), rotation("z", 25) @ rotation("x", -12))
ANGLES = [(0.0, 0.0), (30.0, 10.0), (-75.0, -20.0)]


def views() -> list[View]:
    """Small pictures, of more columns than rows, whose principal ray is off the middle; the last one is mirrored."""
    found = [
        GENERIC.with_pixels(40).aimed_at(GRID.center, *angles).cropped(slice(8, 30), slice(6, 34)) for angles in ANGLES
    ]
    last = found[-1]
    other_side = last.origin + (last.size[1] - 1) * last.u_step
    return [*found, View(last.source, other_side, -last.u_step, last.v_step, last.size)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """A Python that has numpy and the stand-in, and nothing of ours."""
    folder = tmp_path_factory.mktemp("deepdrr")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    (packages,) = [folder / "Lib" / "site-packages"] if os.name == "nt" else folder.glob("lib/python*/site-packages")
    numpys = Path(np.__file__).parents[1]
    (packages / "stand_in.pth").write_text(f"{STAND_IN}\n{numpys}\n", encoding="utf-8")
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@pytest.fixture
def stand_in(environment, monkeypatch) -> None:
    monkeypatch.setenv(deepdrr.PYTHON, str(environment))
    deepdrr.runs_on.cache_clear()
    yield
    deepdrr.runs_on.cache_clear()


@pytest.fixture
def field(rng) -> torch.Tensor:
    blobs = Gaussians.draw(5, 15, 12, rng)
    centred = Grid(GRID.shape, GRID.world_from_ijk.clone())
    centred.world_from_ijk[:3, 3] -= GRID.center
    return torch.stack([blobs.voxels(centred), 30 * blobs.voxels(centred).flip(0)])


@pytest.fixture
def lump() -> Volume:
    """Soft outside, hard inside."""
    grid = Grid.centred((30, 30, 30), (4.0, 4.0, 4.0))
    blob = Gaussians(float64([[2.0, -3.0, 1.0]]), float64([25.0]), float64([1.0])).voxels(grid)
    return Volume(2000 * blob - 1000, grid)


@pytest.mark.usefixtures("stand_in")
def test_line_integrals_come_through_the_files(field):
    batch = View.stack(views())
    found = deepdrr.integrate(field, GRID, batch)
    expected = reference.integrate(field, GRID, batch)
    assert found.shape == expected.shape
    for channel in range(2):
        apart = (found - expected)[:, channel]
        assert apart.norm() / expected[:, channel].norm() < 5e-3, "samples along rays are not Joseph's"
    assert torch.equal(found[1], deepdrr.integrate(field, GRID, batch[1]))
    assert torch.allclose(found[3], found[2].flip(-1), atol=1e-5), "a mirrored panel sees the mirrored picture"


@pytest.mark.usefixtures("stand_in")
def test_matter_at_the_edge_of_the_grid_counts_as_it_does_for_us():
    field, view = torch.ones(1, *GRID.shape), views()[1]
    found, expected = (by.integrate(field, GRID, view)[0] for by in (deepdrr, reference))
    assert (found - expected).norm() / expected.norm() < 0.01
    assert float(found.sum() / expected.sum()) == pytest.approx(1, abs=2e-3)


@pytest.mark.usefixtures("stand_in")
def test_a_left_handed_grid_holds_the_same_matter(field):
    view, flip = views()[1], torch.diag(float64([1.0, 1.0, -1.0, 1.0]))
    flip[2, 3] = GRID.shape[0] - 1
    found = deepdrr.integrate(field[:1].flip(1), Grid(GRID.shape, GRID.world_from_ijk @ flip), view)
    torch.testing.assert_close(found, deepdrr.integrate(field[:1], GRID, view), rtol=1e-4, atol=1e-3)


@pytest.mark.usefixtures("stand_in")
def test_nothing_is_nothing_and_a_scale_is_a_scale(field):
    view = views()[0]
    assert not deepdrr.integrate(torch.zeros(1, *GRID.shape), GRID, view).any()
    one, many = deepdrr.integrate(field[:1], GRID, view), deepdrr.integrate(1e4 * field[:1], GRID, view)
    torch.testing.assert_close(many, 1e4 * one, rtol=1e-5, atol=1e-2)


@pytest.mark.usefixtures("stand_in")
def test_transmission_is_what_our_own_physics_says_of_the_same_matter(lump):
    spectrum = Spectrum(float64([60.0, 80.0]), float64([0.7, 0.3]))
    view = GENERIC.with_pixels(32).aimed_at(lump.grid.center, 20.0, 5.0)
    found = deepdrr.transmission(by_density(lump), view, spectrum)
    expected = Renderer(by_density, spectrum, Panel.ideal(), reference.integrate)(by_density(lump), view)
    assert found.shape == expected.shape == (32, 32)
    assert expected.min() < 0.3
    assert (found - expected).abs().max() < 3e-3


@pytest.mark.usefixtures("stand_in")
def test_the_engine_is_listed_with_its_gpu():
    assert ENGINES["deepdrr"].runs_on() == "stand-in GPU 0"
    assert "deepdrr" in runnable()


def test_what_deepdrr_cannot_see_is_refused_before_it_is_asked(lump):
    view = views()[0]
    with pytest.raises(GeometryError, match="give one shape"):
        deepdrr.integrate(torch.zeros(1, 2, 2, 2), GRID, view)
    sheared = GRID.world_from_ijk.clone()
    sheared[:3, 2] += 0.3 * sheared[:3, 1]
    with pytest.raises(GeometryError, match="square"):
        deepdrr.integrate(torch.ones(1, *GRID.shape), Grid(GRID.shape, sheared), view)
    for value in (-1.0, float("nan"), float("inf")):
        with pytest.raises(DataError, match="negative or not finite"):
            deepdrr.integrate(torch.full((1, *GRID.shape), value), GRID, view)
    with pytest.raises(DataError, match="adipose"):
        deepdrr.transmission(by_curve(lump), view, Spectrum.mono(60.0))
    both = Phantom(torch.ones(2, *GRID.shape), (material("muscle"), material("cortical_bone")), GRID)
    with pytest.raises(DataError, match="by_density"):
        deepdrr.transmission(both, view, Spectrum.mono(60.0))


def test_without_an_environment_one_is_told_how_to_make_it(monkeypatch, tmp_path):
    deepdrr.runs_on.cache_clear()
    monkeypatch.delenv(deepdrr.PYTHON, raising=False)
    assert "deepdrr" not in runnable()
    for ask in (deepdrr.runs_on, lambda: deepdrr.integrate(torch.ones(1, *GRID.shape), GRID, views()[0])):
        with pytest.raises(BackendError, match=r"pip install.*deepdrr.*SKIAGRAPH_DEEPDRR_PYTHON"):
            ask()
    monkeypatch.setenv(deepdrr.PYTHON, str(tmp_path / "python"))
    with pytest.raises(BackendError, match="there is no file"):
        deepdrr.runs_on()


def test_what_goes_wrong_over_there_is_one_line_here(monkeypatch):
    """This Python has no DeepDRR: the worker says so, and so do we."""
    deepdrr.runs_on.cache_clear()
    monkeypatch.setenv(deepdrr.PYTHON, sys.executable)
    for ask in (deepdrr.runs_on, lambda: deepdrr.integrate(torch.ones(1, *GRID.shape), GRID, views()[0])):
        with pytest.raises(BackendError, match="ModuleNotFoundError: No module named") as caught:
            ask()
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("worker", "said"),
    [
        ("import os; os._exit(9)", "exit code 9"),
        ("import time; time.sleep(60)", "gave no answer for 1 s"),
        ("print('done')", "left no answer to be read"),
        ("import sys; open(sys.argv[3], 'wb').write(b'PK\x03\x04 broken')", "left no answer to be read"),
        ("import sys, numpy; numpy.savez(sys.argv[3], intensity=numpy.ones(3), attenuation=1.0)", "were asked for"),
    ],
)
@pytest.mark.usefixtures("stand_in")
def test_a_worker_that_fails_leaves_a_backend_error(monkeypatch, tmp_path, worker, said):
    script = tmp_path / "worker.py"
    script.write_text(worker, encoding="utf-8")
    monkeypatch.setattr(deepdrr, "WORKER", script)
    monkeypatch.setattr(deepdrr, "PATIENCE", 1.0 if "sleep" in worker else 60.0)
    with pytest.raises(BackendError, match=said):
        deepdrr.integrate(torch.ones(1, *GRID.shape), GRID, views()[0])


def test_a_camera_of_killeengeo_sends_points_where_our_view_does(rng):
    """DeepDRR's own frames: corners of pixels are whole numbers, and a left-handed picture counts from its right."""
    geo = pytest.importorskip("killeengeo", reason="killeengeo, DeepDRR's geometry, is not installed")
    worker = _worker()
    points = transform(GRID.world_from_ijk, 12 * torch.rand(20, 3, generator=rng, dtype=torch.float64))
    for view in views():
        asked = deepdrr.request(
            torch.ones(1, *GRID.shape),
            torch.zeros(1, 1, 1, 1, dtype=torch.uint8),
            ("bone",),
            GRID,
            view,
            Spectrum.mono(60.0),
        )
        camera = worker.camera(geo, asked.k[0], asked.r[0], asked.t[0], tuple(asked.size.tolist()))
        assert (camera.sensor_height, camera.sensor_width) == view.size
        world_from_ijk = geo.FrameTransform(asked.world_from_anatomical @ asked.anatomical_from_ijk)
        for point, (u, v) in zip(points, view.project(points).tolist()):
            ours = view.size[1] - 1 - u if view.krt()[0][0, 0] < 0 else u
            theirs = np.array(camera.index_from_world @ geo.point(*point.tolist()))
            assert np.abs(theirs - 0.5 - [ours, v]).max() < 0.01, "single precision at 5000 pixels' focal length"
            voxel = np.array(world_from_ijk.inv @ geo.point(*point.tolist()))
            padded = transform(GRID.ijk_from_world, point).numpy() + 1
            assert np.abs(voxel - padded).max() < 0.01
        center = np.array(camera.center_in_world)
        assert np.abs(center - view.source.numpy()).max() < 0.01


real = pytest.mark.skipif(
    deepdrr.PYTHON not in os.environ, reason=f"no DeepDRR here: {deepdrr.PYTHON} says where its Python is"
)


@real
def test_deepdrrs_own_line_integrals_are_ours(rng):
    """To a tenth of a pixel and half a per cent: frames, flips, half pixels and units."""
    grid = Grid.centred((96, 96, 96), (2.0, 2.0, 2.0), (15.0, -10.0, -900.0))
    blobs = Gaussians(
        float64([[15.0, -10.0, -880.0], [40.0, 5.0, -925.0]]), float64([12.0, 9.0]), float64([0.02, 0.03])
    )
    field = blobs.voxels(grid)[None]
    for angles in ANGLES:
        view = GENERIC.with_pixels(256).aimed_at(grid.center, *angles).cropped(slice(40, 200), slice(20, 240))
        found, expected = (by.integrate(field, grid, view)[0] for by in (deepdrr, reference))
        assert (found - expected).norm() / expected.norm() < 5e-3
        assert float(found.sum() / expected.sum()) == pytest.approx(1, abs=2e-3)


@real
def test_deepdrrs_own_picture_is_our_realistic_one_without_the_panel(body):
    """Same densities, same spectrum; their tables are ours at NIST's nodes and up to 1 % higher between them."""
    phantom = by_density(body.volume)
    view = GENERIC.with_pixels(256).aimed_at(body.volume.grid.center, 20.0, 5.0)
    found = deepdrr.transmission(phantom, view, REALISTIC.spectrum)
    expected = replace(REALISTIC, decompose=by_density, panel=Panel.ideal())(phantom, view)
    assert (found.clamp(min=1e-6).log() - expected.clamp(min=1e-6).log()).abs().median() < 0.02


def _worker():
    spec = importlib.util.spec_from_file_location("worker", deepdrr.WORKER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
