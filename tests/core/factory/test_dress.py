"""Tools come with their labels, and displace what they are put into."""

from dataclasses import replace

import torch

from skiagraph.bodies.manipulator import BASE, BODY, TIP
from skiagraph.experiments.presets import TOOL, preset
from skiagraph.factory.dress import WithHardware
from skiagraph.factory.recipe import Technique
from skiagraph.factory.take import Stage, take
from skiagraph.factory.variation import UNCHANGED
from skiagraph.io.patient import Patient
from skiagraph.volume import Landmarks


def test_the_manipulator_is_in_the_picture_with_both_ends_on_its_shadow(patient):
    recipe = replace(TOOL, technique=Technique("naive"))
    bare = Patient(patient.volume, None, Landmarks.of({}))
    stage = Stage.of("somebody", bare, recipe, 0)
    seen = 0
    for number in range(4):
        sample = take(stage, recipe, 128, number, number, 0).sample
        assert sample.keypoints.names == (BASE, TIP) and sample.structures == (BODY,)
        for (u, v), visible in zip(sample.keypoints.uv.round().long().tolist(), sample.keypoints.visible.tolist()):
            if visible and 3 < u < 124 and 3 < v < 124:
                assert sample.masks[0, v - 3 : v + 4, u - 3 : u + 4].any()
                seen += 1
    assert seen >= 4


def test_the_manipulator_darkens_the_rays_that_meet_it(patient):
    recipe = replace(TOOL, technique=Technique("realistic"))
    stage = Stage.of("somebody", patient, recipe, 0)
    dressed = take(stage, recipe, 96, 1, 0, 0).sample
    plain = take(stage, replace(recipe, dress=lambda scene, target, rng: scene), 96, 1, 0, 0).sample
    mask = dressed.masks[0]
    assert mask.any()
    assert dressed.image[mask].mean() < 0.8 * plain.image[mask].mean()


def test_hardware_is_now_there_and_now_not(patient):
    recipe = replace(preset("hip-hardware"), technique=Technique("naive"), variation=UNCHANGED)
    stage = Stage.of("somebody", patient, recipe, 0)
    counts = []
    for number in range(8):
        scene = WithHardware()(stage.scene, stage.target, torch.Generator().manual_seed(number))
        counts.append(len(scene.phantoms) - len(stage.scene.phantoms))
    assert min(counts) == 0 and max(counts) == 3
