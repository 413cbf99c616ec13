from dataclasses import replace

import pytest
import torch
from scatter import FITTED, MIDDLE, images, predicted
from scatter_reference import Case, references
from torch import Tensor

from skiagraph.errors import DataError
from skiagraph.physics.panel import Panel
from skiagraph.physics.scatter import Scatter
from skiagraph.physics.transmit import Exposure

SLABS = [case for case in FITTED if case.water >= 100]


def scattered(scatter: Scatter, primary: Tensor, spacing: float) -> Tensor:
    return scatter(Exposure(primary, primary), (spacing, spacing)).signal - primary


def edged() -> Tensor:
    """A thick body with sharp edges and a hole, on 256 mm of panel."""
    primary = torch.ones(256, 256, dtype=torch.float64)
    primary[40:216, 60:200] = 0.02
    primary[110:118, 100:160] = 1.0
    return primary


@pytest.mark.parametrize("case", SLABS, ids=lambda case: case.name)
@pytest.mark.parametrize("grid", [True, False], ids=["grid", "no grid"])
def test_behind_water_it_is_within_a_tenth_of_the_monte_carlo(case: Case, grid: bool):
    mc, _ = images(references()[case.name], grid)
    model = predicted(Scatter() if grid else Scatter.without_grid(), case, case.exposure(64))
    assert model[MIDDLE, MIDDLE].mean().item() == pytest.approx(mc[MIDDLE, MIDDLE].mean().item(), rel=0.10)


def test_nothing_scatters_in_the_open_field():
    torch.testing.assert_close(Panel(scatter=Scatter()).expose(open_field(), 0.4), open_field().signal)


def open_field() -> Exposure:
    return Exposure(torch.ones(50, 60), torch.ones(50, 60))


@pytest.mark.parametrize("scatter", [Scatter(), Scatter.without_grid()], ids=["grid", "no grid"])
def test_no_more_scatters_than_was_lost(scatter: Scatter):
    bodies = [torch.full((300, 300), level, dtype=torch.float64) for level in (0.99, 0.7, 0.3, 0.1, 0.01, 1e-4, 1e-12)]
    for primary in [*bodies, edged()]:
        assert 0 < scattered(replace(scatter, gap=20.0), primary, 1.0).sum() < 0.7 * (1 - primary).sum()


def test_less_reaches_the_panel_than_leaves_a_slab_of_water_scattered():
    for case in SLABS:
        model = predicted(Scatter.without_grid(), case, case.exposure(64))
        assert model.mean().item() < 0.5 * references()[case.name].thrown


@pytest.mark.parametrize("scatter", [Scatter(), Scatter.without_grid()], ids=["grid", "no grid"])
def test_it_is_smooth(scatter: Scatter):
    found = scattered(scatter, edged(), 1.0)
    power = torch.fft.fft2(found).abs() ** 2
    f = torch.fft.fftfreq(256, dtype=torch.float64)
    low = f[:, None] ** 2 + f[None] ** 2 < 0.1**2
    assert power[low].sum() / power.sum() > 0.95
    assert found.diff(dim=0).abs().max() < 0.03 * found.max()


def test_the_size_of_the_pixels_does_not_matter():
    fine = edged().repeat_interleave(3, 0).repeat_interleave(3, 1)
    coarse, finer = scattered(Scatter(), edged(), 1.0), scattered(Scatter(), fine, 1 / 3)
    finer = torch.nn.functional.avg_pool2d(finer[None], 3)[0]
    assert (coarse - finer).abs().max() < 0.02 * coarse.max()


def test_a_wider_gap_lets_more_of_it_miss_the_panel():
    case = SLABS[2]
    near, far = (scattered(Scatter(gap=gap), case.exposure(64).signal, 6.72).mean() for gap in (200.0, 388.0))
    assert far < 0.9 * near


def test_more_of_it_arrives_beside_a_thick_part_than_behind_it():
    primary = torch.full((100, 100), 0.3, dtype=torch.float64)
    primary[:, 50:] = 1e-4
    found = scattered(Scatter.without_grid(), primary, 4.0)
    assert found[50, 25] > 1.5 * found[50, 75]


def test_its_quanta_are_as_energetic_as_the_primarys():
    primary = edged()
    found = Scatter()(Exposure(primary, 1.3 * primary), (1.0, 1.0))
    torch.testing.assert_close(found.variance, 1.3 * found.signal)


@pytest.mark.parametrize("size", [(1, 1), (7, 301), (301, 5)])
def test_any_panel_will_do(size: tuple[int, int]):
    primary = torch.full((2, *size), 0.1)
    found = scattered(Scatter(), primary, 0.3)
    assert found.shape == primary.shape and torch.isfinite(found).all() and (found > 0).all()


@pytest.mark.parametrize("wrong", [{"amplitude": -1.0}, {"spread": 0.0}, {"gap": float("nan")}, {"shade": -0.1}])
def test_scatter_that_cannot_be_is_refused(wrong):
    with pytest.raises(DataError, match="give"):
        Scatter(**wrong)
