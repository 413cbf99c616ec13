from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import label
from scipy.optimize import least_squares

from skiagraph.anatomy import LANDMARK_NAMES, LANDMARKS, STRUCTURE_INDEX, STRUCTURE_NAMES
from skiagraph.bodies import HipAngles, Person, build
from skiagraph.errors import DataError
from skiagraph.geometry import homogeneous, transform
from skiagraph.planning import PelvicFrame
from skiagraph.volume import Body

SPACING = 4.0
SYMMETRIC = Person(asymmetry=0.0, obliquity=0.0, scoliosis=0.0)


@pytest.fixture(scope="module")
def average() -> Body:
    return build(Person(), SPACING)


@pytest.fixture(scope="module")
def fine() -> Body:
    return build(Person(sex="male", asymmetry=0.6), 2.0)


def where(body: Body, structure: str) -> torch.Tensor:
    """The centres of a structure's voxels in the world."""
    kji = body.labels.mask(structure).nonzero()
    return transform(body.labels.grid.world_from_ijk, kji.flip(-1).double())


def nearest_of(body: Body, structure: str, point: torch.Tensor) -> float:
    """Millimetres from a point to the centre of the structure's nearest voxel."""
    return (where(body, structure) - point).norm(dim=-1).min().item()


def test_a_body_has_all_landmarks_and_structures_of_the_hip_task(average):
    assert average.landmarks.names == LANDMARK_NAMES
    assert average.labels.names == STRUCTURE_INDEX
    assert set(average.labels.index.unique().tolist()) == set(range(len(STRUCTURE_NAMES) + 1))
    average.labels.check_on(average.volume)


@pytest.mark.parametrize("name", LANDMARK_NAMES)
def test_a_landmark_lies_on_its_own_structure(fine, name):
    structure = next(term.structure for term in LANDMARKS if term.name == name)
    assert nearest_of(fine, structure, fine.landmarks[name]) < 1.5 * fine.labels.grid.spacing[0]


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_head_centre_is_the_centre_of_a_sphere_through_the_heads_surface(fine, side):
    femur = fine.labels.mask(f"{side}_femur").numpy()
    center = fine.landmarks[f"{side}_femoral_head"].numpy()
    inner = np.stack([np.roll(femur, shift, axis) for shift in (-1, 1) for axis in range(3)]).all(0)
    kji = np.argwhere(femur & ~inner)
    points = transform(fine.labels.grid.world_from_ijk, torch.from_numpy(kji[:, ::-1].copy()).double()).numpy()
    outward = np.array([1.0 if side == "left" else -1.0, 0, -0.6])
    cap = points[(np.linalg.norm(points - center, axis=1) < 27) & ((points - center) @ outward < 0)]
    fit = least_squares(lambda s: np.linalg.norm(cap - s[:3], axis=1) - s[3], np.r_[center + 3, 20], loss="soft_l1")
    np.testing.assert_allclose(fit.x[:3], center, atol=1.0)
    assert 20 < fit.x[3] < 25


def test_the_grid_is_right_handed_along_the_axes_and_the_body_floats_in_air(average):
    grid = average.volume.grid
    torch.testing.assert_close(grid.direction, torch.eye(3, dtype=torch.float64))
    hu = average.volume.hu
    for side in (hu[:, 0], hu[:, -1], hu[:, :, 0], hu[:, :, -1]):
        assert side.median() < -950


def test_the_mirror_of_a_symmetric_person_is_the_same_person(average):
    body = build(SYMMETRIC, SPACING)
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    for name in LANDMARK_NAMES:
        if name.startswith("left"):
            other = body.landmarks[name.replace("left", "right")]
            torch.testing.assert_close(body.landmarks[name] * flip, other, atol=1e-6, rtol=0)
    for name in ("hemipelvis", "femur"):
        left, right = (body.labels.mask(f"{side}_{name}").sum().item() for side in ("left", "right"))
        assert left == pytest.approx(right, rel=0.01)


def test_the_same_person_is_the_same_body_to_the_last_voxel(average):
    again = build(Person(), SPACING)
    assert torch.equal(again.volume.hu, average.volume.hu)
    assert torch.equal(again.labels.index, average.labels.index)
    assert torch.equal(again.landmarks.points, average.landmarks.points)


def test_the_seed_changes_texture_but_not_anatomy(average):
    other = build(Person(seed=1), SPACING)
    assert not torch.equal(other.volume.hu, average.volume.hu)
    assert torch.equal(other.labels.index, average.labels.index)


@pytest.mark.parametrize("structure", [name for name in STRUCTURE_NAMES if name != "vertebrae"])
def test_a_bone_is_in_one_piece(fine, structure):
    mask = fine.labels.mask(structure).numpy()
    parts, _ = label(mask, np.ones((3, 3, 3)))
    largest = np.bincount(parts[mask]).max()
    assert largest / mask.sum() > 0.99


def test_left_and_right_are_on_their_sides(average):
    for side, sign in (("left", 1), ("right", -1)):
        for name in ("hemipelvis", "femur"):
            assert sign * where(average, f"{side}_{name}").mean(0)[0] > 20


def test_hounsfield_units_are_those_of_the_tissues(fine):
    hu, index = fine.volume.hu, fine.labels.index
    femur = hu[fine.labels.mask("left_femur")]
    assert 1000 < femur.quantile(0.97) < 1700
    head = fine.landmarks["left_femoral_head"]
    i, j, k = transform(fine.volume.grid.ijk_from_world, head).round().long().tolist()
    assert 150 < hu[k - 3 : k + 4, j - 3 : j + 4, i - 3 : i + 4].mean() < 450
    soft = hu[(index == 0) & (hu > -200) & (hu < 200)]
    counts = torch.histc(soft, bins=40, min=-200, max=200)
    modes = (torch.arange(40) * 10 - 195)[counts > 0.03 * counts.sum()]
    assert modes.min() < -85
    assert 30 < modes.max() < 75
    assert hu.min() >= -1000
    assert hu.max() < 2200


def test_a_femur_never_touches_its_socket(fine):
    femur, hip = fine.labels.mask("left_femur").numpy(), fine.labels.mask("left_hemipelvis").numpy()
    beside = np.zeros_like(femur)
    for axis in range(3):
        for shift in (-1, 1):
            beside |= np.roll(femur, shift, axis)
    assert not (beside & hip).any()


@pytest.mark.parametrize("number", range(20))
def test_anybody_drawn_is_whole(number):
    rng = torch.Generator().manual_seed(number)
    body = build(Person.draw(rng), 6.0)
    assert body.volume.grid.contains(body.landmarks.points).all()
    for name in STRUCTURE_NAMES:
        assert body.labels.mask(name).sum() > 100
    for term in LANDMARKS:
        assert nearest_of(body, term.structure, body.landmarks[term.name]) < 9.0, term.name


def test_the_same_generator_draws_the_same_person():
    first, second = (Person.draw(torch.Generator().manual_seed(7)) for _ in range(2))
    assert first == second
    assert first != Person.draw(torch.Generator().manual_seed(8))


def test_size_scales_every_length():
    small, large = (build(replace(SYMMETRIC, size=size), 6.0).landmarks.points for size in (0.9, 1.1))
    torch.testing.assert_close(small / 0.9, large / 1.1)


def test_tilt_is_the_angle_of_the_anterior_pelvic_plane(average):
    level, forward = (build(replace(SYMMETRIC, tilt=tilt), 6.0).landmarks.points for tilt in (0.0, 10.0))
    c, s = np.cos(np.radians(10)), np.sin(np.radians(10))
    turn = torch.tensor([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close((homogeneous(level) @ turn.T)[:, :3], forward)


@pytest.mark.parametrize("person", [Person(), Person(sex="male", tilt=12.0), Person(size=0.9, tilt=-6.0, flare=4.0)])
def test_tilt_is_what_the_landmarks_show(person):
    assert PelvicFrame.of(build(person, 6.0).landmarks).tilt == pytest.approx(person.tilt, abs=0.3)


def test_moving_a_thigh_leaves_the_pelvis_alone(average):
    moved = build(Person(left_hip=HipAngles(flexion=20, abduction=15, rotation=-10)), SPACING)
    torch.testing.assert_close(moved.landmarks.points, average.landmarks.points)
    torch.testing.assert_close(*(where(body, "right_hemipelvis") for body in (moved, average)))
    shift = where(moved, "left_femur").mean(0) - where(average, "left_femur").mean(0)
    assert shift[0] > 5
    assert shift[1] < -5


def test_women_have_wider_subpubic_arches():
    def arch(sex: str) -> float:
        points = build(Person(sex=sex, size=1.0), 6.0).landmarks
        spread = points["left_inferior_obturator_foramen"] - points["right_inferior_obturator_foramen"]
        return spread[0].item()

    assert arch("female") > arch("male") + 5


@pytest.mark.parametrize("parameters", [{"size": 2.0}, {"fat": 0.0}, {"tilt": 60.0}, {"bone_density": float("nan")}])
def test_an_impossible_person_is_refused_with_what_to_give(parameters):
    with pytest.raises(DataError, match="give"):
        replace(Person(), **parameters)


def test_an_impossible_hip_is_refused():
    with pytest.raises(DataError, match="flexion is 120; give -10 to 45"):
        HipAngles(flexion=120)


@pytest.mark.parametrize("spacing", [0.0, 0.1, 20.0])
def test_impossible_voxels_are_refused(spacing):
    with pytest.raises(DataError, match=r"give 0\.5 to 6"):
        build(Person(), spacing)


EXTREMES = {
    "low": Person(size=0.85, width=-6, flare=-6, asymmetry=-1, tilt=-10, obliquity=-6, fat=6, bone_density=0.6),
    "high": Person(size=1.15, width=6, flare=6, asymmetry=1, tilt=25, obliquity=6, fat=45, bone_density=1.3),
    "male": Person(sex="male", width=-6, lordosis=15, scoliosis=8, left_hip=HipAngles(45, 30, -35)),
    "bent": Person(lordosis=-15, scoliosis=-8, left_hip=HipAngles(-10, -12, 35), right_hip=HipAngles(45, 30, 35)),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_the_limits_of_the_family_still_hold_together(name):
    body = build(EXTREMES[name], 5.0)
    assert body.volume.grid.contains(body.landmarks.points).all()
    for term in LANDMARKS:
        assert nearest_of(body, term.structure, body.landmarks[term.name]) < 7.5, term.name
    for name in ("left_hemipelvis", "right_hemipelvis", "left_femur", "right_femur"):
        mask = body.labels.mask(name).numpy()
        parts, _ = label(mask, np.ones((3, 3, 3)))
        assert np.bincount(parts[mask]).max() / mask.sum() > 0.97, name
