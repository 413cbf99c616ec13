"""Tools come with their labels, and displace what they are put into."""

from dataclasses import replace

import torch

from skiagraph.bodies.manipulator import BASE, BODY, TIP
from skiagraph.experiments.presets import TOOL, preset
from skiagraph.factory.dress import WithHardware, WithManipulator
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


def test_a_manipulator_beside_the_panel_is_known_to_be_nowhere_in_the_picture(patient):
    recipe = replace(TOOL, technique=Technique("naive"), dress=WithManipulator(aside=1.0))
    stage = Stage.of("somebody", patient, recipe, 0)
    for number in range(6):
        gone = take(stage, recipe, 64, number, number, 0).sample
        plain = take(stage, replace(recipe, dress=lambda scene, target, rng: scene), 64, number, number, 0).sample
        assert gone.keypoints.names == (BASE, TIP) and gone.structures == (BODY,)
        assert not gone.keypoints.visible.any() and gone.keypoints.uv.isfinite().all() and not gone.masks.any()
        torch.testing.assert_close(gone.image, plain.image)


def test_of_a_set_with_and_without_a_tool_those_with_one_are_as_in_the_other(patient):
    some = preset("tool-or-none")
    stage = Stage.of("somebody", patient, TOOL, 0)
    shown = 0
    for number in range(24):
        view = TOOL.views(stage.target, TOOL.devices(32, torch.Generator().manual_seed(number)), 0,
                          torch.Generator().manual_seed(number))  # fmt: skip
        with_one, perhaps = (
            one.dress(stage.scene, stage.target, torch.Generator().manual_seed(number)).landmarks.subset((BASE, TIP))
            for one in (TOOL, some)
        )
        if bool(view.sees(perhaps.points).any()):
            torch.testing.assert_close(perhaps.points, with_one.points)
            shown += 1
    assert 16 <= shown < 24


def test_hardware_is_now_there_and_now_not(patient):
    recipe = replace(preset("hip-hardware"), technique=Technique("naive"), variation=UNCHANGED)
    stage = Stage.of("somebody", patient, recipe, 0)
    counts = []
    for number in range(8):
        scene = WithHardware()(stage.scene, stage.target, torch.Generator().manual_seed(number))
        counts.append(len(scene.phantoms) - len(stage.scene.phantoms))
    assert min(counts) == 0 and max(counts) == 3
