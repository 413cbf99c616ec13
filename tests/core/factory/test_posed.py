"""Sets at given poses: every pose once, in order, to the bit; bones where their own pose has them."""

from dataclasses import replace

import pytest
import torch

from skiagraph.carm import CIOS_FUSION
from skiagraph.drr.scene import Loosened
from skiagraph.errors import DataError
from skiagraph.experiments.presets import at_poses
from skiagraph.factory.making import make_subject
from skiagraph.factory.order import Order
from skiagraph.factory.reading import read
from skiagraph.factory.subjects import posed, stored
from skiagraph.factory.take import Stage, take
from skiagraph.factory.variation import Variation
from skiagraph.geometry import rigid, rotation
from skiagraph.io.poses import Pose, Poses
from skiagraph.volume import Body

SIZE = 48


@pytest.fixture
def poses(patient) -> tuple[Pose, ...]:
    """Views of a patient whose left femur is flexed by more each time."""
    head = patient.landmarks["left_femoral_head"]
    return tuple(
        Pose(
            CIOS_FUSION.with_pixels(96).aimed_at(patient.center, 10.0 * n),
            {"left_femur": rigid(rotation("x", -15.0 * n), head)} if n else {},
        )
        for n in range(3)
    )


@pytest.fixture
def still(recipe):
    return at_poses(recipe, CIOS_FUSION)


def test_the_nth_sample_has_the_nth_view_exactly(patient, poses, still):
    stage = Stage.of("somebody", patient, still, 0, poses=poses)
    for n in range(4):
        taken = take(stage, still, SIZE, n, n, 0)
        assert torch.equal(taken.sample.view.matrix(), poses[n % 3].view.resized((SIZE, SIZE)).matrix())
        assert taken.record.extra["window"] == [0, SIZE, 0, SIZE]
        assert taken.record.device["name"] == "cios-fusion"


def test_landmarks_and_masks_of_a_moved_femur_move_with_it(patient, poses, still):
    """The knee's side of the shaft goes where its own motion takes it, the pelvis stays."""
    stage = Stage.of("somebody", patient, still, 0, poses=poses)
    bare = Stage.of("somebody", patient, still, 0, poses=tuple(Pose(pose.view) for pose in poses))
    taken, unmoved = (take(one, still, SIZE, 2, 2, 0).sample for one in (stage, bare))
    changed = {name: bool((a != b).any()) for name, a, b in zip(taken.structures, taken.masks, unmoved.masks)}
    assert changed["left_femur"] and not changed["left_hemipelvis"] and not changed["right_femur"]
    torch.testing.assert_close(taken.keypoints.uv, unmoved.keypoints.uv)  # the head is what it turns about
    assert float((taken.image.log() - unmoved.image.log()).abs().max()) > 0.1


def test_bones_put_back_where_they_were_make_the_same_line_integrals(patient, poses, still):
    body = Body(patient.volume, patient.labels, patient.landmarks)
    renderer = still.technique.base
    scene = Loosened.of(body, renderer.decompose, ["left_femur", "right_femur"]).scene({})
    view = poses[0].view
    whole, apart = renderer((renderer.decompose(body.volume),), view), renderer(scene.phantoms, view)
    assert float((whole.log() - apart.log()).abs().max()) < 0.02


def test_a_recipe_that_moves_bones_too_is_refused(patient, poses, still):
    with pytest.raises(DataError, match="left_femur lay"):
        Stage.of("somebody", patient, replace(still, variation=Variation()), 0, poses=poses)


def test_every_pose_of_every_body_is_taken_once_in_order(bodies, poses, still, tmp_path):
    views = tuple(Pose(pose.view) for pose in poses)
    given = Poses(CIOS_FUSION, {"person-0": views, "person-1": views[:1], "person-2": views[:2]})
    order = Order(still, tuple(posed(stored(bodies), given)), count=6, size=SIZE, per_shard=2)
    assert [sum(shard.count for shard in order.of_subject(n)) for n in range(3)] == [3, 1, 2]
    make_subject(order, 0, tmp_path)
    made = [taken for shard in order.of_subject(0) for taken in read(tmp_path / shard.name)]
    for taken, pose in zip(made, views, strict=True):
        assert torch.equal(taken.sample.view.matrix(), pose.view.resized((SIZE, SIZE)).matrix())
    assert order.as_json()["subjects"][0]["poses"] != order.as_json()["subjects"][1]["poses"]


def test_a_count_that_takes_some_poses_more_often_is_refused(bodies, poses, still):
    subjects = tuple(posed(stored(bodies)[:1], Poses(CIOS_FUSION, {"": poses})))
    assert Order(still, subjects, count=6, size=SIZE).shards[0].count == 6
    with pytest.raises(DataError, match="give a multiple, such as 3"):
        Order(still, subjects, count=4, size=SIZE)
    with pytest.raises(DataError, match="some of the bodies only"):
        Order(still, (*subjects, stored(bodies)[1]), count=3, size=SIZE)


def test_poses_of_somebody_else_are_refused(bodies, poses):
    with pytest.raises(DataError, match="no pose of person-1, person-2, only of person-0"):
        posed(stored(bodies), Poses(CIOS_FUSION, {"person-0": poses}))
    with pytest.raises(DataError, match="somebody not named"):
        posed(stored(bodies), Poses(CIOS_FUSION, {"": poses}))
