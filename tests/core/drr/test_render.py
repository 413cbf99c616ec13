import math
from dataclasses import replace

import pytest
import torch

from skiagraph.carm import GENERIC
from skiagraph.drr.display import balanced, picture, window
from skiagraph.drr.project import project_labels
from skiagraph.drr.render import FIDELITIES, HEURISTIC, NAIVE, REALISTIC
from skiagraph.drr.scene import Scene, articulated, resampled
from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import Grid, View, float64, rigid, rotation, transform
from skiagraph.physics.materials import material
from skiagraph.physics.panel import Panel
from skiagraph.physics.phantom import Phantom
from skiagraph.volume import Body, Labels, Landmarks, Volume


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def slab() -> Volume:
    """100 mm of water across the beam, in air."""
    hu = torch.full((50, 60, 50), -1000.0)
    hu[:, 5:55] = 0.0
    return Volume(hu, Grid.centred((50, 60, 50), (2.0, 2.0, 2.0)))


def middle(slab: Volume) -> View:
    return GENERIC.with_pixels(512).aimed_at(slab.grid.center).cropped(slice(254, 258), slice(254, 258))


def test_a_slab_of_water_transmits_what_beer_lambert_says(slab):
    view = middle(slab)
    mu = material("water").attenuation(float64([70.0])).item() / 10
    found = NAIVE(NAIVE.decompose(slab), view)
    assert -torch.log(found).mean().item() == pytest.approx(100 * mu, rel=1e-4)


def test_the_heuristic_is_xregs_formula(slab):
    """mu = (0.02683 - 0.02485e-4) / 1000 * max(HU + 130, 0) per mm."""
    calm = replace(HEURISTIC, panel=Panel.ideal())
    found = calm(calm.decompose(slab), middle(slab))
    assert -torch.log(found).mean().item() == pytest.approx(100 * (0.02683 - 0.02485e-4) * 0.130, rel=1e-4)


def test_a_fidelity_is_a_value_and_its_noise_is_its_seeds(slab):
    view = GENERIC.with_pixels(48).aimed_at(slab.grid.center)
    for renderer in FIDELITIES.values():
        phantom = renderer.decompose(slab)
        first, again, other = (renderer(phantom, view, seeded(seed)) for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert torch.equal(first, other) != renderer.panel.noisy
        assert float(first.min()) >= 0


def test_a_batch_of_views_renders_as_its_views(slab):
    views = [GENERIC.with_pixels(32).aimed_at(slab.grid.center, primary) for primary in (0.0, 20.0)]
    calm = replace(REALISTIC, panel=Panel.ideal())
    batch = calm(calm.decompose(slab), View.stack(views))
    for n, view in enumerate(views):
        assert torch.allclose(batch[n], calm(calm.decompose(slab), view), atol=1e-6)


def test_scatter_spreads_over_the_gap_from_the_body_to_the_panel(slab):
    """The same rays on a panel further away: what the body scatters lands on a wider circle, and less of it."""
    calm = replace(REALISTIC, panel=replace(Panel.flat(), photons=math.inf, aim=0.0, readout=0.0, blur=0.0, bits=None))
    bare = replace(calm, panel=replace(calm.panel, scatter=None))
    phantom = calm.decompose(slab)
    shares = []
    for distance in (1200.0, 1600.0):
        carm = replace(GENERIC, source_to_panel=distance, pixel_spacing=GENERIC.pixel_spacing * distance / 1200.0)
        view = carm.with_pixels(48).view(slab.grid.center)
        without = bare(phantom, view)
        shares.append(float(((calm(phantom, view) - without) / without)[24, 24]))
    assert 0 < shares[1] < 0.8 * shares[0]


def test_a_source_inside_the_body_is_refused(slab):
    view = GENERIC.aimed_at(slab.grid.center + float64([0.0, -1000.0, 0.0]))
    with pytest.raises(GeometryError, match="inside the body"):
        NAIVE(NAIVE.decompose(slab), view)
    with pytest.raises(DataError, match="nothing to look through"):
        NAIVE([], view)


def test_a_tool_displaces_what_it_is_put_into(slab):
    """A steel rod in water: its own length in steel, and that much less water."""
    view = middle(slab)
    grid = Grid.centred((20, 80, 20), (0.5, 0.5, 0.5), (0.1, 0.1, 0.1))
    steel = material("steel_316l")
    scene = Scene((NAIVE.decompose(slab),), (), Landmarks.of({})).with_tool(torch.ones(20, 80, 20), grid, steel, "rod")
    mass, materials = NAIVE.masses(scene.phantoms, view)
    column = {m.name: mass[n].mean().item() for n, m in enumerate(materials)}
    assert column["steel_316l"] == pytest.approx(4.0 * steel.density, rel=1e-4)
    assert column["water"] == pytest.approx(6.0, rel=2e-3)
    assert project_labels(scene.labels, view).names == ("rod",)


@pytest.fixture
def jointed() -> Body:
    """A bone ball in a water box, with a landmark at its middle."""
    grid = Grid.centred((40, 40, 40), (2.0, 2.0, 2.0), (0.0, 0.0, -500.0))
    away = (grid.centers() - grid.center).norm(dim=-1)
    hu = torch.where(away < 14, 900.0, 40.0)
    labels = Labels((away < 14).to(torch.uint8) * 5, grid, {5: "left_femur"})
    return Body(Volume(hu, grid), labels, Landmarks.of({"left_femoral_head": grid.center.tolist()}))


def test_a_bone_that_has_not_moved_looks_as_before(jointed):
    view = GENERIC.with_pixels(128).aimed_at(jointed.volume.grid.center)
    still = articulated(jointed, NAIVE.decompose, {"left_femur": torch.eye(4, dtype=torch.float64)})
    whole = NAIVE(NAIVE.decompose(jointed.volume), view)
    assert (NAIVE(still.phantoms, view).log() - whole.log()).abs().max() < 0.02


def test_a_bone_that_moves_takes_its_label_and_landmark_along(jointed):
    motion = rigid(rotation("y", 30), about=jointed.volume.grid.center, shift=float64([12.0, 0.0, 6.0]))
    moved = articulated(jointed, NAIVE.decompose, {"left_femur": motion})
    head = moved.landmarks["left_femoral_head"]
    assert torch.allclose(head, transform(motion, jointed.landmarks["left_femoral_head"]))
    view = GENERIC.with_pixels(256).aimed_at(jointed.volume.grid.center)
    mask = project_labels(moved.labels, view, ["left_femur"]).masks[0]
    centroid = mask.nonzero().double().mean(dim=0).flip(0)
    assert (centroid - view.project(head[None])[0]).norm() < 0.5
    brightest = NAIVE(moved.phantoms, view).log().neg()
    assert (brightest[mask].mean() > brightest[~mask].mean()).item()
    with pytest.raises(DataError, match="no structure"):
        articulated(jointed, NAIVE.decompose, {"sacrum": motion})


def test_resampling_onto_its_own_grid_changes_nothing(rng):
    phantom = Phantom(
        torch.rand(2, 5, 6, 7, generator=rng),
        (material("water"), material("cortical_bone")),
        Grid.of((5, 6, 7), (1, 2, 3)),
    )
    assert torch.allclose(resampled(phantom, phantom.grid), phantom.density, atol=1e-5)


def test_a_landmark_and_its_voxel_land_on_the_same_pixel(body):
    for angles in ((0.0, 0.0), (35.0, -20.0), (-60.0, 15.0)):
        view = GENERIC.with_pixels(256).aimed_at(body.volume.grid.center, *angles)
        seen = body.landmarks.seen_from(view)
        for name in ("left_femoral_head", "right_femoral_head"):
            mask = project_labels(body.labels, view, [name.split("_")[0] + "_femur"]).masks[0]
            u, v = seen.uv[seen.names.index(name)].round().long().tolist()
            assert mask[v, u], "the middle of a femoral head lies in its femur's shadow"


def test_a_box_has_its_thickness_depth_and_area():
    grid = Grid.centred((60, 60, 60), (2.0, 2.0, 2.0))
    index = torch.zeros(60, 60, 60, dtype=torch.uint8)
    index[20:40, 10:50, 20:40] = 3
    view = GENERIC.with_pixels(1000).aimed_at(grid.center).cropped(slice(300, 700), slice(300, 700))
    shown = project_labels(Labels(index, grid, {3: "box", 4: "nothing"}), view)
    assert shown.names == ("box", "nothing")
    assert shown.thickness[0, 200, 200].item() == pytest.approx(80.0, rel=1e-3)
    assert shown.depth[0, 200, 200].item() == pytest.approx(1000 - 40, abs=1.01)
    near = (1200 / 960 * 40) ** 2
    assert shown.areas[0].item() == pytest.approx(near, rel=0.02)
    assert shown.areas[1].item() == 0
    assert torch.isinf(shown.depth[1]).all()


def test_a_picture_fills_its_range_and_turns_over(slab):
    view = GENERIC.with_pixels(64).aimed_at(slab.grid.center, 20.0)
    transmission = REALISTIC(REALISTIC.decompose(slab), view, seeded())
    bright, dark = picture(transmission), picture(transmission, "dark")
    assert bright.min() == 0 and bright.max() == 1
    assert torch.allclose(bright, 1 - dark, atol=1e-6)
    ramp = torch.linspace(1, 2, 64).repeat(64, 1)
    assert balanced(ramp).std() < ramp.std(), "a broad swell counts for less"
    assert torch.all(window(ramp, ramp > 0).diff(dim=1) >= 0)
