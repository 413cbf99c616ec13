from dataclasses import replace

import numpy as np
import pytest
import torch

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.bodies import PelvisShape, Person, build_around
from skiagraph.bodies.annotation import HIPS, Annotation, annotate, annotate_bones, hip_bones
from skiagraph.errors import DataError
from skiagraph.geometry import float64
from skiagraph.io.volumes import read_labels
from skiagraph.planning import HEADS, SPINES
from skiagraph.volume import Body, Labels

LOWEST = [name for name in LANDMARK_NAMES if "obturator" in name or "inferior_pubic" in name]


@pytest.fixture(scope="module")
def made() -> Body:
    return build_around(PelvisShape.draw(torch.Generator().manual_seed(3)), Person(tilt=6.0), 2.5)


@pytest.fixture(scope="module")
def whole(made) -> Annotation:
    return annotate(made.labels)


@pytest.fixture(scope="module")
def cut(made) -> Annotation:
    """Of a CT that ends 25 mm below the femoral heads."""
    return annotate(above(made, -25.0))


def above(body: Body, height: float) -> Labels:
    """The labels from so many millimetres above the femoral heads up."""
    grid = body.labels.grid
    head = body.landmarks["left_femoral_head"]
    first = int((head[2] + height - grid.origin[2]) / grid.spacing[2])
    box = (slice(first, grid.shape[0]), slice(0, grid.shape[1]), slice(0, grid.shape[2]))
    return Labels(body.labels.index[box].clone(), grid.cropped(box), body.labels.names)


def off(found: Annotation, body: Body) -> np.ndarray:
    return (found.landmarks.points - body.landmarks.points).norm(dim=-1).numpy()


def test_the_landmarks_of_a_labelled_body_are_found(made, whole):
    assert whole.landmarks.names == LANDMARK_NAMES
    assert whole.seen.all()
    assert off(whole, made).mean() < 2.0
    assert (off(whole, made) < whole.within).all()


def test_what_a_ct_does_not_show_is_said_not_to_be_seen(made, cut):
    grid = above(made, -25.0).grid
    outside = {name for name, point in zip(LANDMARK_NAMES, made.landmarks.points) if not grid.contains(point)}
    assert outside and outside <= set(LOWEST)
    assert outside.isdisjoint(cut.supported.names)
    assert {*HEADS, *SPINES} <= set(cut.supported.names)


def test_what_is_not_seen_lies_where_the_model_expects_it_and_is_less_sure(made, whole, cut):
    unseen = ~cut.seen
    assert (cut.within[unseen] > whole.within[unseen]).all()
    assert (off(cut, made)[unseen] < 1.5 * cut.within[unseen]).all()


def test_the_less_of_a_pelvis_is_seen_the_less_sure_are_its_heads(made, whole):
    iliac = annotate(above(made, 35.0))
    heads = [LANDMARK_NAMES.index(name) for name in HEADS]
    assert not iliac.seen[heads].any()
    assert (iliac.within[heads] > 1.5 * whole.within[heads]).all()
    assert (off(iliac, made) < 1.5 * iliac.within).all()


def test_moving_the_ct_moves_its_landmarks(made, whole):
    away = torch.eye(4, dtype=torch.float64)
    away[:3, 3] = float64([120.0, -300.0, 45.0])
    moved = annotate(made.labels.moved(away))
    torch.testing.assert_close(moved.landmarks.points, whole.landmarks.moved(away).points, atol=0.2, rtol=0)


def test_every_landmark_has_a_word_on_how_far_off_it_may_be(cut):
    assert tuple(cut.words) == LANDMARK_NAMES
    for name, seen in zip(LANDMARK_NAMES, cut.seen):
        assert ("no bone seen" in cut.words[name]) == (not seen)
        assert "95 % within" in cut.words[name]


@pytest.mark.parametrize("name", HIPS)
def test_a_pelvis_of_one_hip_bone_is_refused(made, name):
    names = {number: known for number, known in made.labels.names.items() if known != name}
    with pytest.raises(DataError, match=f"no {name}.*TotalSegmentator"):
        annotate(Labels(made.labels.index, made.labels.grid, names))


def test_labels_without_voxels_are_refused(made):
    with pytest.raises(DataError, match="no voxel is labelled"):
        annotate(replace(made.labels, index=torch.zeros_like(made.labels.index)))


def test_a_mirrored_ct_is_refused(made):
    with pytest.raises(DataError, match="mirrored"):
        annotate(replace(made.labels, index=made.labels.index.flip(2)))


def test_labels_of_something_else_are_refused(made):
    names = {made.labels.index_of("left_femur"): HIPS[0], made.labels.index_of("right_femur"): HIPS[1]}
    with pytest.raises(DataError, match="hip bones"):
        annotate(Labels(made.labels.index, made.labels.grid, names))


def test_a_pelvis_that_stands_on_its_head_is_refused(made):
    bones = hip_bones(replace(made.labels, index=made.labels.index.flip(0)))
    with pytest.raises(DataError, match="head up"):
        annotate_bones(bones)


def test_a_real_ct_cut_below_the_heads_shows_eight_landmarks(data, tmp_path):
    folder = data / "ct_pelvis_totalseg_example"
    found = read_labels(folder / "seg117.nii.gz")
    found = annotate(Labels(found.index, found.grid, {77: HIPS[0], 78: HIPS[1]}))
    assert set(LANDMARK_NAMES) - set(found.supported.names) == set(LOWEST)
    assert np.nanmean(found.fitted.residual) < 0.5
