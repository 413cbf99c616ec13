"""What the CT generator is made of: intensities, the frame, traits, the autoencoder, the flow, the judgement."""

from dataclasses import replace

import pytest
import torch

from skiagraph.anatomy import STRUCTURE_INDEX
from skiagraph.bodies import Person, build
from skiagraph.errors import DataError
from skiagraph.generate.autoencoder import Coder, PixelNorm, apart, decoded, encoded, stacked
from skiagraph.generate.ct import told
from skiagraph.generate.flow import Latents, drawn_times, guided, noised, walked
from skiagraph.generate.frame import Frame, Framed, framed
from skiagraph.generate.intensity import HIGHEST, LOWEST, from_hu, to_hu
from skiagraph.generate.quality import Range, judged, lopsided, norms_of, tidy
from skiagraph.generate.traits import Traits, measured
from skiagraph.io.patient import Patient
from skiagraph.planning import HEADS
from skiagraph.train.ct_coder import mirrored
from skiagraph.volume import Landmarks

COARSE = Frame(5.0, multiple=8)
TINY = Coder((8, 12, 16), latent=4)


@pytest.fixture(scope="module")
def body() -> Framed:
    return framed(Patient.of(build(Person(tilt=6.0), 4.0)), COARSE)


def test_intensities_go_from_minus_one_to_one_over_all_of_ct_and_back():
    hu = torch.linspace(LOWEST, HIGHEST, 4096)
    there = from_hu(hu)
    assert there[0] == -1 and abs(there[-1] - 1) < 1e-6 and bool((there.diff() > 0).all())
    assert torch.allclose(to_hu(there), hu, atol=0.01)


def test_a_step_of_density_in_compact_bone_is_no_smaller_than_a_window_of_1000_hu_would_leave_in_fat():
    bone = from_hu(torch.tensor([1500.0, 1600.0])).diff()
    assert bone > 0.02  # of a window that ends at 1000 HU: nothing


def test_the_frame_is_centred_on_the_hips(body):
    left, right = (body.landmarks[head] for head in HEADS)
    assert (left + right).abs().max() < 1e-9
    k, j, i = (torch.tensor(float(n)) for n in COARSE.grid.origin.flip(0))
    at = [round(float(-start) / COARSE.spacing) for start in (k, j, i)]
    assert int(body.index[at[0], at[1], at[2]]) == 0  # between the heads is no bone
    assert {*body.index.unique().tolist()} == {0, *STRUCTURE_INDEX}


def test_a_body_without_femoral_heads_is_not_framed():
    whole = Patient.of(build(Person(), 6.0))
    with pytest.raises(DataError, match="find-landmarks"):
        framed(replace(whole, landmarks=whole.landmarks.subset(["left_femoral_head"])), COARSE)


def test_traits_are_measured_as_the_body_was_built(body):
    found = measured(body, COARSE, "male")
    assert found.tilt == pytest.approx(6.0, abs=0.5)
    assert found.sex == "male" and found.head_distance is not None and 160 < found.head_distance < 190
    fat = framed(Patient.of(build(Person(fat=40.0), 4.0)), COARSE)
    assert measured(fat, COARSE).girth > found.girth + 60


def test_traits_that_are_not_asked_for_are_told_apart_from_those_in_the_middle():
    nothing, middle = Traits().numbers, Traits(tilt=5.0).numbers
    assert nothing.abs().sum() == 0 and middle[1] == 0 and middle[6] == 1


def test_a_trait_beyond_its_range_is_refused():
    with pytest.raises(DataError, match="tilt is 60; give -15 to 25"):
        Traits(tilt=60.0)


def test_a_mirror_exchanges_left_and_right_and_twice_is_nothing(body):
    once = mirrored(body.index)
    assert torch.equal(mirrored(once), body.index)
    assert int((once == 1).sum()) == int((body.index == 2).sum())
    assert torch.equal(once.flip(-1) == 3, body.index == 3)


def test_tiles_fit_together_without_a_seam():
    torch.manual_seed(0)
    coder = TINY.build().eval()
    for layer in coder.modules():
        if isinstance(layer, torch.nn.Conv3d):
            torch.nn.init.normal_(layer.weight, std=0.2)
    latent = torch.randn(4, 20, 3, 11)
    whole_hu, whole = decoded(coder, latent, tile=20)
    hu, index = decoded(coder, latent, tile=3)
    assert torch.allclose(hu, whole_hu, atol=0.5) and torch.equal(index, whole)
    body = Framed(whole_hu, whole, Landmarks.of({}))
    torch.testing.assert_close(encoded(coder, body, tile=3), encoded(coder, body, tile=20), rtol=1e-3, atol=1e-3)


def test_a_latent_voxel_stands_for_eight_voxels_along_an_axis(body):
    coder = TINY.build().eval()
    latent = encoded(coder, body)
    assert latent.shape == (4, *(n // 8 for n in COARSE.shape))
    assert decoded(coder, latent)[0].shape == COARSE.shape


def test_a_voxels_norm_does_not_look_at_its_neighbours():
    x = torch.randn(1, 8, 4, 4, 4)
    alone = PixelNorm()(x)
    x[..., 2:] *= 100
    assert torch.equal(PixelNorm()(x)[..., :2], alone[..., :2])


def test_what_the_autoencoder_sees_can_be_read_back(body):
    hu, index = apart(stacked(body.hu[None], body.index[None]))
    assert torch.equal(index[0], body.index) and torch.allclose(hu[0], body.hu, atol=0.5)


def test_standard_latents_have_mean_0_and_deviation_1_and_are_made_natural_again(rng):
    latent = 3 + 2 * torch.randn(50, 2, 4, 4, 4, generator=rng)
    spread = Latents((3.0, 3.0), (2.0, 2.0))
    standard = spread.standard(latent)
    assert abs(standard.mean()) < 0.05 and abs(standard.std() - 1) < 0.05
    assert torch.allclose(spread.natural(standard), latent, atol=1e-5)


def test_told_labels_are_shares_of_a_latent_voxel(body):
    given = told(body.index[None], 8)
    assert torch.allclose(given[:, 1:].sum(dim=1), torch.ones(1)) and bool((given[:, 0] == 1).all())


@pytest.mark.parametrize("steps", [1, 3, 20])
def test_along_the_true_velocity_any_number_of_steps_leads_from_noise_to_the_data(rng, steps):
    x, noise = torch.randn(2, 3, 4, 4, generator=rng), torch.randn(2, 3, 4, 4, generator=rng)
    seen = []
    found = walked(lambda _, t: noise - x, noise, steps, lambda done, total: seen.append((done, total)))
    assert torch.allclose(found, x, atol=1e-4) and seen == [(n, steps) for n in range(steps)]


def test_the_way_begins_at_the_data_and_ends_at_the_noise(rng):
    x, noise = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    assert torch.equal(noised(x, noise, torch.tensor([0.0, 1.0]))[:, 0, 0, 0], torch.tensor([0.0, 1.0]))
    times = drawn_times(4000, rng)
    assert times.min() > 0 and times.max() < 1 and abs(times.median() - 0.5) < 0.02


def test_guidance_of_one_is_what_is_asked_for():
    asked, free = torch.ones(1, 2), torch.zeros(1, 2)
    assert torch.equal(guided(asked, free, 1.0), asked) and float(guided(asked, free, 2.0)[0, 0]) == 2


def test_specks_are_wiped_off(body):
    speckled = body.index.clone()
    speckled[:2, :2, :2] = 1
    assert torch.equal(tidy(speckled), tidy(body.index))


def test_a_body_learned_from_is_judged_good_and_one_without_a_hip_bone_is_not():
    frame = Frame(4.0)
    whole = framed(Patient.of(build(Person(), 4.0)), frame)
    norms = norms_of([(whole.hu, whole.index), (whole.hu + 30, whole.index)], frame)
    good = judged(whole.hu, whole.index, frame, norms)
    assert good.wrong == ()
    gap = good.body.landmarks["left_femoral_head"] - whole.landmarks["left_femoral_head"]
    assert float(gap.norm()) < 6
    lame = judged(whole.hu, torch.where(whole.index == 1, 0, whole.index).to(torch.uint8), frame, norms)
    assert any("left_hemipelvis of 0 ml" in one for one in lame.wrong) and lame.annotation is None


def test_a_lopsided_pelvis_is_noticed(body):
    assert lopsided(body.landmarks) == []
    moved = body.landmarks.points.clone()
    moved[body.landmarks.names.index("left_inferior_pubic_symphysis"), 2] += 40
    assert lopsided(replace(body.landmarks, points=moved)) == ["inferior_pubic_symphysis 40 mm lopsided"]


def test_a_range_leaves_some_room():
    assert Range(10, 20).holds(8) and not Range(10, 20).holds(7)
