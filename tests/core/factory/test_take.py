"""Every label of a sample agrees with the picture's own geometry."""

from dataclasses import replace

import pytest
import torch

from skiagraph.errors import DataError
from skiagraph.factory.coding import STEPS, decode, encode
from skiagraph.factory.devices import Collimator
from skiagraph.factory.recipe import Technique
from skiagraph.factory.take import LEAK, Stage, take
from skiagraph.factory.variation import UNCHANGED
from skiagraph.io.patient import Patient
from skiagraph.physics.phantom import as_water
from skiagraph.volume import Body, Landmarks


def sample_of(patient, recipe, number=0, seed=1):
    return take(Stage.of("somebody", patient, recipe, seed), recipe, 96, number, number, seed)


def test_keypoints_are_where_the_view_projects_the_landmarks(patient, recipe):
    still = replace(recipe, variation=UNCHANGED)
    for number in range(4):
        sample = sample_of(patient, still, number).sample
        expected = sample.view.project(patient.landmarks.subset(sample.keypoints.names).points)
        assert torch.allclose(sample.keypoints.uv, expected, atol=1e-9)


def test_a_moved_hip_takes_its_landmark_and_mask_along(patient, recipe):
    """The head's centre stays, for the femur turns about it; its shadow still lies in the femur's mask."""
    moving = replace(recipe, variation=replace(recipe.variation, moving=1.0), collimator=Collimator(chance=0.0))
    for number in range(4):
        taken = sample_of(patient, moving, number, seed=number)
        sample = taken.sample
        for side in ("left", "right"):
            index = sample.keypoints.names.index(f"{side}_femoral_head")
            if sample.keypoints.visible[index]:
                u, v = sample.keypoints.uv[index].round().long().clamp(0, 95).tolist()
                assert sample.masks[sample.structures.index(f"{side}_femur"), v, u]


def test_stretching_a_body_stretches_ct_labels_and_landmarks_alike(patient, recipe):
    rng = torch.Generator().manual_seed(3)
    body = Body(patient.volume, patient.labels, patient.landmarks)
    scene = replace(recipe.variation, moving=0.0, density=0.0)(body, as_water, rng)
    (phantom,), (labels,) = scene.phantoms, scene.labels
    assert torch.equal(phantom.grid.world_from_ijk, labels.grid.world_from_ijk)
    there = phantom.grid.world_from_ijk @ patient.volume.grid.ijk_from_world
    moved = patient.landmarks.points @ there[:3, :3].T + there[:3, 3]
    assert torch.allclose(scene.landmarks.points, moved, atol=1e-9)
    assert not torch.allclose(scene.landmarks.points, patient.landmarks.points, atol=0.1)


def test_nothing_is_visible_behind_the_collimator(patient, recipe):
    closed = replace(recipe, collimator=Collimator(chance=1.0, most=0.45))
    hidden = 0
    for number in range(6):
        taken = sample_of(patient, closed, number)
        v0, v1, u0, u1 = taken.record.extra["window"]
        image, masks = taken.sample.image.clone(), taken.sample.masks
        image[v0:v1, u0:u1] = LEAK
        assert (image == LEAK).all()
        assert masks[:, v0:v1, u0:u1].sum() == masks.sum()
        beside = ~taken.sample.keypoints.visible & taken.sample.view.sees(
            Stage.of("somebody", patient, closed, 1).scene.landmarks.points
        )
        hidden += int(beside.sum())
        inside = taken.sample.keypoints.uv[taken.sample.keypoints.visible]
        assert (inside[:, 0] >= u0 - 0.5).all() and (inside[:, 0] < u1 - 0.5).all()
    assert hidden


def test_the_fidelity_changes_the_picture_and_nothing_else(patient, recipe):
    naive, heuristic = (
        sample_of(patient, replace(recipe, technique=Technique(fidelity)), 2) for fidelity in ("naive", "heuristic")
    )
    assert torch.equal(naive.sample.keypoints.uv, heuristic.sample.keypoints.uv)
    assert torch.equal(naive.sample.masks, heuristic.sample.masks)
    assert not torch.allclose(naive.sample.image, heuristic.sample.image, atol=0.01)


def test_realistic_samples_draw_voltage_and_dose(patient, recipe):
    realistic = replace(recipe, technique=Technique("realistic"))
    settings = {sample_of(patient, realistic, number).record.extra["kvp"] for number in range(6)}
    assert len(settings) > 1 and all(70 <= kvp <= 110 and kvp % 5 == 0 for kvp in settings)


def test_a_sample_depends_on_its_number_alone(patient, recipe):
    stage = Stage.of("somebody", patient, recipe, 1)
    later = [encode(take(stage, recipe, 48, n, n, 1)) for n in (3, 2)]
    sooner = [encode(take(stage, recipe, 48, n, n, 1)) for n in (2, 3)]
    assert later == sooner[::-1]


def test_a_sample_comes_back_from_its_three_files(patient, recipe):
    taken = sample_of(patient, recipe, 1)
    back = decode(*(content for _, content in encode(taken).files))
    deep = taken.sample.image.clamp(min=torch.exp(torch.tensor(-65535 / STEPS)))
    assert torch.allclose(back.sample.image.log(), deep.log(), atol=0.51 / STEPS)
    assert torch.equal(back.sample.masks, taken.sample.masks)
    assert back.sample.structures == taken.sample.structures
    assert torch.allclose(back.sample.keypoints.uv, taken.sample.keypoints.uv, equal_nan=True)
    assert torch.allclose(back.sample.view.matrix(), taken.sample.view.matrix(), atol=1e-9)


def test_a_body_without_labels_gives_landmarks_and_one_without_either_is_refused(patient, recipe):
    unlabelled = Patient(patient.volume, None, patient.landmarks)
    sample = sample_of(unlabelled, recipe).sample
    assert sample.masks.shape[0] == 0 and len(sample.keypoints.names) == 14
    back = decode(*(content for _, content in encode(sample_of(unlabelled, recipe)).files))
    assert back.sample.masks.shape == sample.masks.shape
    with pytest.raises(DataError, match="none of the landmarks and structures"):
        Stage.of("nobody", Patient(patient.volume, None, Landmarks.of({})), recipe, 0)


@pytest.mark.parametrize("part", range(3))
def test_a_broken_sample_is_named(patient, recipe, part):
    files = [content for _, content in encode(sample_of(patient, recipe)).files]
    files[part] = files[part][: len(files[part]) // 2]
    with pytest.raises(DataError, match="00000000"):
        decode(*files, name="00000000")
