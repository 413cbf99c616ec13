"""Metal, fractures and calcium put into bodies: matter moves, labels and landmarks with it, exactly."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skiagraph.bodies import Person, build
from skiagraph.bodies.clutter import calcified, catheter, clothes, contrast, heads_of, leads, phleboliths
from skiagraph.bodies.fractures import (
    below_trochanters,
    broken,
    neck_of_femur,
    pubic_rami,
    rough_plane,
    through_trochanters,
    wing_of_ilium,
)
from skiagraph.bodies.implants import (
    IMPLANT,
    OF_A_HIP,
    Proximal,
    plated_symphysis,
    replaced_hip,
    screwed_sacrum,
    voxels_of,
)
from skiagraph.carm import GENERIC
from skiagraph.drr.project import project_labels
from skiagraph.drr.render import NAIVE
from skiagraph.drr.scene import Scene
from skiagraph.geometry import float64, rigid, rotation, transform
from skiagraph.physics.phantom import by_curve

HEAD = "left_femoral_head"
FEMUR_BREAKS = (neck_of_femur, through_trochanters, below_trochanters)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.of(build(Person(), 3.0), by_curve)


@pytest.fixture(scope="module")
def hip(scene) -> Proximal:
    found = Proximal.found(scene, "left")
    assert found is not None
    return found


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(1)


def matter(scene: Scene, material: str) -> float:
    """Grams of a material."""
    return sum(
        phantom.density[n].sum().item() * float(np.prod(phantom.grid.spacing)) / 1000
        for phantom in scene.phantoms
        for n, one in enumerate(phantom.materials)
        if one.name == material
    )


def mass(scene: Scene) -> float:
    """Grams of everything."""
    return sum(matter(scene, name) for name in {one.name for phantom in scene.phantoms for one in phantom.materials})


def test_a_femur_is_measured_as_it_was_built(scene, hip):
    assert hip.head_radius == pytest.approx(22.5, abs=2.0)
    assert 11 < hip.shaft_radius < 16
    assert hip.medial[0] < -0.9 and hip.up[2] > 0.95 and hip.front[1] < -0.8
    assert abs(np.degrees(np.arccos(hip.neck @ hip.up)) - 53) < 8


def test_the_landmark_of_a_replaced_head_is_the_centre_of_its_ball(scene, hip):
    for seed in range(4):
        made = replaced_hip(scene, hip, np.random.default_rng(seed))
        ball = made.labels[-1]
        assert ball.names == {1: IMPLANT}
        points = transform(ball.grid.world_from_ijk, ball.index.nonzero().flip(-1).double())
        torch.testing.assert_close(points.mean(dim=0), made.landmarks[HEAD], atol=0.15, rtol=0)
        assert (made.landmarks[HEAD] - scene.landmarks[HEAD]).norm() < 9
        others = [name for name in scene.landmarks.names if name != HEAD]
        torch.testing.assert_close(made.landmarks.subset(others).points, scene.landmarks.subset(others).points)


def test_a_replaced_head_is_gone_from_the_bone(scene, hip):
    made = replaced_hip(scene, hip, np.random.default_rng(0))
    left = voxels_of(made, "left_femur")
    assert np.linalg.norm(left - hip.head, axis=1).min() > 18
    assert 0.4 < len(left) / len(voxels_of(scene, "left_femur")) < 0.95


@pytest.mark.parametrize("operate", OF_A_HIP)
def test_metal_is_labelled_metal_and_no_bone_is_where_it_is(scene, hip, draw, operate):
    made = operate(scene, hip, draw)
    assert IMPLANT in made.structures
    femur = made.labels[0]
    for labels in made.labels[1:]:
        kji = labels.index.nonzero()
        there = transform(femur.grid.ijk_from_world @ labels.grid.world_from_ijk, kji.flip(-1).double())
        k, j, i = there.round().long().flip(-1).clamp(min=0).T
        inside = (k < femur.index.shape[0]) & (j < femur.index.shape[1]) & (i < femur.index.shape[2])
        assert not femur.index[k[inside], j[inside], i[inside]].any()


@pytest.mark.parametrize("operate", OF_A_HIP)
def test_an_implant_weighs_what_such_implants_weigh(scene, hip, draw, operate):
    made = operate(scene, hip, draw)
    metal = sum(matter(made, name) for name in ("ti6al4v", "steel_316l", "cobalt_chrome"))
    assert 15 < metal < 800
    assert matter(scene, "steel_316l") == 0


def test_plates_and_sacral_screws_lie_where_they_belong(scene, draw):
    plated = plated_symphysis(scene, draw).labels[-1]
    middle = transform(plated.grid.world_from_ijk, plated.index.nonzero().flip(-1).double()).mean(dim=0)
    symphysis = scene.landmarks.subset(["left_superior_pubic_symphysis", "right_superior_pubic_symphysis"]).points
    assert (middle - symphysis.mean(dim=0)).norm() < 20
    screw = screwed_sacrum(scene, draw).labels[-1]
    points = transform(screw.grid.world_from_ijk, screw.index.nonzero().flip(-1).double()).numpy()
    sacrum = voxels_of(scene, "upper_sacrum")
    assert np.linalg.norm(sacrum[:, None] - points[None, ::200], axis=-1).min(1).min() < 3


@pytest.mark.parametrize("snap", FEMUR_BREAKS)
def test_a_broken_femur_keeps_its_head_where_it_was_and_its_matter(scene, hip, snap):
    made = snap(scene, hip, np.random.default_rng(3))
    assert len(made.phantoms) == len(scene.phantoms) + 2
    torch.testing.assert_close(made.landmarks.points, scene.landmarks.points)
    assert len(voxels_of(made, "left_femur")) == len(voxels_of(scene, "left_femur"))
    bone, before = matter(made, "cortical_bone"), matter(scene, "cortical_bone")
    assert bone == pytest.approx(before, rel=0.02)
    assert mass(made) == pytest.approx(mass(scene), rel=0.02)


def test_a_fragment_takes_its_landmarks_along_and_no_others(scene, draw):
    for snap in (pubic_rami, wing_of_ilium):
        made = snap(scene, "left", draw)
        moved = (made.landmarks.points - scene.landmarks.points).norm(dim=-1) > 1e-9
        names = {name for name, one in zip(made.landmarks.names, moved.tolist()) if one}
        assert names and all(name.startswith("left") and name != HEAD for name in names)


def test_a_fragment_and_its_landmark_land_on_the_same_pixel(scene):
    spine = "left_anterior_superior_iliac_spine"
    at = scene.landmarks[spine].numpy() - np.array([0, 0, 35.0])
    beyond = rough_plane(at, np.array([0, 0, 1.0]), np.random.default_rng(0))
    motion = rigid(rotation("y", 8), float64(at.tolist()), float64([12.0, 0, 9.0]))
    made = broken(scene, "left_hemipelvis", beyond, motion)
    torch.testing.assert_close(made.landmarks[spine], transform(motion, scene.landmarks[spine]))
    view = GENERIC.with_pixels(256).aimed_at(made.landmarks[spine])
    fragment = replace(made, labels=made.labels[-1:])
    mask = project_labels(fragment.labels, view, ["left_hemipelvis"]).masks[0]
    u, v = view.project(made.landmarks[spine][None])[0].round().long().tolist()
    assert mask[v - 2 : v + 3, u - 2 : u + 3].any()


def test_a_fracture_of_nearly_nothing_is_none(scene):
    beyond = rough_plane(np.array([0, 0, 900.0]), np.array([0, 0, 1.0]), np.random.default_rng(0))
    assert broken(scene, "left_femur", beyond, torch.eye(4, dtype=torch.float64)) is scene


@pytest.mark.parametrize("thing", [calcified, phleboliths, contrast, catheter, leads, clothes])
def test_clutter_changes_the_picture_but_no_label_and_no_landmark(scene, thing):
    known = heads_of(scene)
    assert known is not None
    made = thing(scene, *known, np.random.default_rng(6))
    assert made.labels == scene.labels and made.landmarks is scene.landmarks
    assert mass(made) > mass(scene)
    view = GENERIC.with_pixels(96).aimed_at(float64(known[0].tolist()))
    assert (NAIVE(made.phantoms, view) != NAIVE(scene.phantoms, view)).any()


def test_the_same_seed_is_the_same_operation(scene, hip):
    once, again = (replaced_hip(scene, hip, np.random.default_rng(9)) for _ in range(2))
    for one, other in zip(once.phantoms, again.phantoms):
        assert torch.equal(one.density, other.density)
    assert torch.equal(once.landmarks.points, again.landmarks.points)
