"""What the X-ray generator is made of: what it is told, how landmarks are read, what its pictures stand up to."""

from dataclasses import replace

import pytest
import torch
from support_xray import made

from skiagraph.anatomy import LANDMARK_NAMES, STRUCTURE_NAMES
from skiagraph.detect.detector import Findings
from skiagraph.errors import DataError
from skiagraph.evaluate.views import agreement, looked
from skiagraph.experiments.presets import HIP_VIEWS
from skiagraph.factory.xrays import drawn_view, mean_pelvis
from skiagraph.generate.wanted import GIVEN, NUMBERS, RAYS, Wanted, heatmaps, numbers, peaks, rays, rivals
from skiagraph.generate.xray_coder import XrayCoder, apart, stacked
from skiagraph.generate.xray_quality import judged
from skiagraph.geometry import View, float64, rigid, rotation
from skiagraph.volume import Keypoints

LATTICE = (8, 8)


@pytest.fixture
def views() -> View:
    return View.stack([drawn_view(HIP_VIEWS, 64, 0, number) for number in range(4)])


def test_a_landmark_is_read_off_its_gaussian_to_a_fraction_of_a_pixel_even_at_the_edge(rng):
    uv = 63 * torch.rand(14, 2, generator=rng, dtype=torch.float64)
    uv[:2] = float64([[0.0, 20.0], [63.0, 63.0]])
    maps = heatmaps(uv, torch.ones(14, dtype=torch.bool), (64, 64), LATTICE)
    found, heights = peaks(maps, (64, 64))
    assert float((found - uv).abs().max()) < 0.01
    assert float(heights.min()) > 0.75
    assert float(rivals(maps).max()) < 0.1


def test_what_is_not_visible_has_an_empty_map():
    maps = heatmaps(torch.full((2, 2), torch.nan).double(), torch.zeros(2, dtype=torch.bool), (64, 64), LATTICE)
    assert torch.equal(maps, torch.zeros(2, 8, 8))


def test_a_map_with_two_gaussians_has_a_rival():
    both = torch.ones(2, dtype=torch.bool)
    maps = heatmaps(float64([[10.0, 10.0], [50.0, 50.0]]), both, (64, 64), LATTICE).sum(dim=0, keepdim=True)
    assert float(rivals(maps)) > 0.8


def test_a_ray_runs_from_the_source_to_its_pixel(views):
    found = rays(views, LATTICE).double()
    assert found.shape == (4, RAYS, *LATTICE)
    along, moment = found[:, :3], 150.0 * found[:, 3:]
    assert torch.allclose(along.norm(dim=1), torch.ones(4, *LATTICE).double(), atol=1e-6)
    assert torch.allclose((along * moment).sum(dim=1), torch.zeros(4, *LATTICE).double(), atol=1e-3)
    source = views.source[:, :, None, None].expand_as(along)
    assert torch.allclose(torch.linalg.cross(source, along, dim=1), moment, atol=1e-2)


def test_numbers_tell_views_apart_and_an_unknown_view_from_any(views):
    found = numbers(views)
    assert found.shape == (4, NUMBERS) and bool((found[:, -1] == 1).all())
    assert float(torch.pdist(found).min()) > 0.1


def test_any_part_may_be_given_and_each_says_whether_it_is(views):
    view = views[0]
    masks, drr = torch.ones(6, 64, 64, dtype=torch.bool), torch.zeros(64, 64)
    points = mean_pelvis().landmarks.seen_from(view)
    nothing = Wanted(view).maps(LATTICE)
    assert nothing.shape == (GIVEN, *LATTICE) and float(nothing.abs().sum()) == 0
    everything = Wanted(view, masks, points, drr).maps(LATTICE)
    assert bool((everything[-3:] == 1).all()) and bool((everything[:6] == 1).all())
    assert float(Wanted(view, keypoints=points).maps(LATTICE)[-3:].sum()) == 64


def test_parts_of_another_size_are_refused(views):
    with pytest.raises(DataError, match="masks of"):
        Wanted(views[0], masks=torch.ones(6, 32, 32, dtype=torch.bool))
    with pytest.raises(DataError, match="give one of each"):
        Wanted(views[0], masks=torch.ones(2, 64, 64, dtype=torch.bool))


def test_what_the_autoencoder_sees_can_be_read_back(rng):
    picture, masks = torch.rand(2, 16, 16, generator=rng), torch.rand(2, 6, 16, 16, generator=rng) > 0.5
    again, same = apart(stacked(picture, masks))
    assert torch.allclose(again, picture, atol=1e-6) and torch.equal(same, masks)


def test_a_latent_pixel_stands_for_eight_pixels_along_an_axis():
    coder = XrayCoder((8, 8, 8), latent=4)
    mean, deviation = coder.build().encode(torch.zeros(1, 7, 64, 48))
    assert mean.shape == deviation.shape == (1, 4, 8, 6) and coder.shrink == 8
    assert coder.build().decode(mean).shape == (1, 7, 64, 48)
    assert float(deviation.detach().max()) < 0.1  # sure to begin with


@pytest.mark.parametrize("number", range(6))
def test_a_pelvis_seen_as_asked_for_holds_together(number):
    found = judged(made(drawn_view(HIP_VIEWS, 64, 1, number)))
    assert found.wrong == () and found.turned < 3


def test_left_and_right_exchanged_do_not_hold_together():
    found = judged(made(drawn_view(HIP_VIEWS, 64, 1, 0), mirrored=True))
    assert found.wrong


def test_a_pelvis_seen_from_elsewhere_does_not_hold_together():
    view = drawn_view(HIP_VIEWS, 64, 1, 1)
    elsewhere = view.moved(rigid(rotation("x", 25), float64([0.0, 0.0, 0.0])))
    found = judged(replace(made(elsewhere), view=view))
    assert any("beside the view" in one for one in found.wrong)
    assert found.turned == pytest.approx(25, abs=3)


def test_landmarks_astray_in_two_places_or_beside_their_bone_are_noticed():
    good = made(drawn_view(HIP_VIEWS, 64, 1, 2))
    uv = good.keypoints.uv.clone()
    uv[[4, 9]] += 25.0
    assert any(
        "no pelvis has them" in one for one in judged(replace(good, keypoints=replace(good.keypoints, uv=uv))).wrong
    )
    twice = replace(good, rivals=torch.ones(14))
    assert any("in two places" in one for one in judged(twice).wrong)
    boneless = replace(good, masks=torch.zeros_like(good.masks))
    assert any("beside their bone" in one for one in judged(boneless).wrong)


def test_a_picture_with_hardly_a_landmark_is_refused():
    good = made(drawn_view(HIP_VIEWS, 64, 1, 3))
    hidden = replace(good.keypoints, visible=torch.arange(14) < 3)
    found = judged(replace(good, keypoints=hidden))
    assert found.pose is None and found.wrong == ("3 landmarks of 6 at least",)


def test_a_judge_that_finds_the_labels_agrees_with_them():
    view = drawn_view(HIP_VIEWS, 64, 2, 0)
    good = made(view)

    def judge(picture: torch.Tensor) -> Findings:
        return Findings(good.keypoints, torch.ones(14), good.masks, STRUCTURE_NAMES)

    right = looked(judge, good.picture, view, good.keypoints)
    off = Keypoints(LANDMARK_NAMES, good.keypoints.uv + float64([1.0, 0.0]), good.keypoints.visible)
    wrong = looked(judge, good.picture, view, off)
    both = agreement([right, wrong])
    assert right.turned < 3 and float(right.gaps.max()) == 0
    pixel = sum(view.pixel_spacing) / 2 * float(view.depth(float64([[0, 0, 0]]))[0] / view.source_to_panel)
    assert float(wrong.gaps.mean()) == pytest.approx(pixel)
    assert both.recall == 1 and both.unposed == 0 and both.pictures == 2
    with pytest.raises(DataError, match="no pictures"):
        agreement([])
