import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from skiagraph.anatomy import LANDMARK_NAMES, LANDMARKS, STRUCTURE_NAMES
from skiagraph.bodies import HipAngles, PelvisShape, Person, build_around
from skiagraph.bodies.shape import atlas
from skiagraph.geometry import transform
from skiagraph.planning import PelvicFrame
from skiagraph.volume import Body

ON_BONE = [term for term in LANDMARKS if term.structure.endswith("hemipelvis")]


def drawn(seed: int) -> PelvisShape:
    return PelvisShape.draw(torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def made() -> Body:
    return build_around(drawn(3), Person(tilt=6.0), 2.5)


def where(body: Body, structure: str) -> torch.Tensor:
    return transform(body.labels.grid.world_from_ijk, body.labels.mask(structure).nonzero().flip(-1).double())


def test_the_mean_lies_in_its_own_anterior_pelvic_plane():
    frame = PelvicFrame.of(PelvisShape.of(np.zeros(0)).landmarks)
    torch.testing.assert_close(frame.world_from_pelvis, torch.eye(3, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("seed", range(8))
def test_a_landmark_of_a_hip_bone_lies_on_its_surface(seed):
    shape = drawn(seed)
    for term in ON_BONE:
        tree = cKDTree(shape.surfaces[term.structure].cloud(1.0).points)
        assert tree.query(shape.landmarks[term.name].numpy())[0] < 1.5, term.name


@pytest.mark.parametrize("seed", range(6))
def test_a_drawn_surface_has_no_spikes(seed):
    """Where the atlas's correspondence crosses over, edges were up to 60 mm long; half of all are under 5."""
    surfaces = drawn(seed).surfaces
    for surface in (surfaces["left_hemipelvis"], surfaces["right_hemipelvis"]):
        corners = surface.vertices[surface.faces]
        assert np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max() < 13.0


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_head_is_concentric_with_its_socket(side):
    for seed in range(8):
        shape = drawn(seed)
        radii = np.linalg.norm(
            shape.vertices[atlas().lunate[side]] - shape.landmarks[f"{side}_femoral_head"].numpy(), axis=1
        )
        assert radii.std() < 1.5
        assert 20 < radii.mean() < 32


def test_the_picks_of_left_and_right_mirror_each_other():
    carried = np.einsum("lc,lcx->lx", atlas().shares, atlas().model.mean[atlas().corners])
    left, right = carried[::2], carried[1::2] * np.array([-1.0, 1.0, 1.0])
    assert np.linalg.norm(left - right, axis=1).max() < 2.5


def test_the_same_generator_draws_the_same_pelvis_and_another_another():
    np.testing.assert_array_equal(drawn(5).vertices, drawn(5).vertices)
    apart = np.linalg.norm(drawn(5).vertices - drawn(6).vertices, axis=1)
    assert apart.mean() > 2


@pytest.mark.parametrize("seed", range(12))
def test_the_bones_of_a_drawn_pelvis_have_plausible_volumes(seed):
    volumes = {name: surface.volume / 1000 for name, surface in drawn(seed).surfaces.items()}
    assert 150 < volumes["left_hemipelvis"] < 520
    assert volumes["right_hemipelvis"] == pytest.approx(volumes["left_hemipelvis"], rel=0.15)
    assert 90 < volumes["upper_sacrum"] < 300


def test_a_body_of_a_shape_has_every_structure_and_landmark_where_it_belongs(made):
    assert made.landmarks.names == LANDMARK_NAMES
    assert torch.isfinite(made.volume.hu).all()
    for name in STRUCTURE_NAMES:
        assert made.labels.mask(name).sum() > 1000, name
    for term in LANDMARKS:
        assert (where(made, term.structure) - made.landmarks[term.name]).norm(dim=-1).min() < 4.0, term.name


def test_the_voxels_of_a_hip_bone_are_as_many_as_its_surface_holds(made):
    voxel = made.labels.grid.spacing[0] ** 3
    for side in ("left", "right"):
        whole = drawn(3).surfaces[f"{side}_hemipelvis"].volume
        assert made.labels.mask(f"{side}_hemipelvis").sum().item() * voxel == pytest.approx(whole, rel=0.05)


def test_a_body_of_a_shape_is_tilted_as_its_person_says(made):
    assert PelvicFrame.of(made.landmarks).tilt == pytest.approx(6.0, abs=0.01)


def test_the_same_shape_and_person_are_the_same_body(made):
    again = build_around(drawn(3), Person(tilt=6.0), 2.5)
    assert torch.equal(again.volume.hu, made.volume.hu)
    assert torch.equal(again.labels.index, made.labels.index)


def test_moving_a_thigh_of_a_shape_leaves_the_landmarks_where_they_are(made):
    moved = build_around(drawn(3), Person(tilt=6.0, left_hip=HipAngles(flexion=20, abduction=12)), 2.5)
    torch.testing.assert_close(moved.landmarks.points, made.landmarks.points)
    assert (where(moved, "left_femur").mean(0) - where(made, "left_femur").mean(0)).norm() > 8
