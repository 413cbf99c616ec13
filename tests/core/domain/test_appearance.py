from dataclasses import replace

import numpy as np
import pytest
import torch

from skiagraph.anatomy import LANDMARK_NAMES, STRUCTURE_NAMES
from skiagraph.carm import CArm
from skiagraph.domain import (
    DISPLAYED,
    PLAIN,
    REGULAR,
    REGULAR_NMI,
    REGULAR_PREPRINT,
    STRONG,
    STRONG_NMI,
    STRONG_PREPRINT,
    Appearance,
    Batch,
)
from skiagraph.domain.damage import (
    AverageBlur,
    AveragePooled,
    Boxes,
    Coarse,
    Compressed,
    Dropout,
    Embossed,
    GaussianBlur,
    GaussianNoise,
    Impulses,
    MaxPooled,
    MedianPooled,
    MinPooled,
    Multiplied,
    Pepper,
    Salt,
    Scattered,
    Sharpened,
    Speckled,
)
from skiagraph.domain.effects import Effect, Look, Maybe, Some, maybe, one_of
from skiagraph.domain.exposure import Belongings, GridLines, Quanta, Saturated, Shading, Veil
from skiagraph.domain.grey import (
    Equalised,
    Film,
    Gamma,
    Inverted,
    LinearContrast,
    LocalContrast,
    Logarithm,
    LogContrast,
    Negative,
    Normalised,
    SigmoidContrast,
)
from skiagraph.domain.marks import Letterboxed, Marks, Oblong, Shutter
from skiagraph.domain.warps import Affine, AffineWarp, Bent, Crop, Mirrored, PiecewiseAffine, warped
from skiagraph.errors import DataError
from skiagraph.geometry import float64
from skiagraph.sample import Sample
from skiagraph.volume import Keypoints

PRESETS = {"regular_preprint": REGULAR_PREPRINT, "strong_preprint": STRONG_PREPRINT, "regular_nmi": REGULAR_NMI,
           "strong_nmi": STRONG_NMI, "regular": REGULAR, "strong": STRONG}  # fmt: skip

EXPOSED = [Belongings(), GridLines(), Quanta(), Saturated(), Shading(), Veil()]
"""Transmission in, transmission out."""

SHOWN = [Equalised(), LocalContrast(), Negative(), Marks(), Compressed(), Coarse(), GaussianBlur(), AverageBlur(),
         Inverted(), Gamma(), LinearContrast(), LogContrast(), SigmoidContrast(), Impulses(), Salt(), Pepper(),
         Impulses(grain=(0.01, 0.1)), Dropout(), Dropout(grain=(0.02, 0.05)), AveragePooled(), MaxPooled(), MinPooled(),
         MedianPooled(), Scattered()]  # fmt: skip
"""A picture 0...1 in, a picture 0...1 out."""

BOUNDLESS = [GaussianNoise(), Sharpened(), Embossed(), Multiplied(), Speckled(), Boxes(), Normalised()]
"""These leave 0...1, as published."""

MOTIONS = [
    Affine(),
    Affine(turn=30.0, shift=0.1, shear=8.0, scale=(0.7, 1.4), beyond="zeros"),
    Crop(),
    Crop(0.6),
    Mirrored(),
    PiecewiseAffine(),
    PiecewiseAffine((0.03, 0.03), corners=5),
    Bent(),
    Bent(1.0, (8, 8)),
]


def called(effect: object) -> str:
    return str(effect)[:60]


def everyone(batch: Batch) -> torch.Tensor:
    return torch.ones(len(batch), dtype=torch.bool)


def labelled(pictures: torch.Tensor, uv: torch.Tensor, masks: torch.Tensor | None = None) -> Batch:
    """Pictures with the hip task's landmarks, of which `uv` are the first ones."""
    count, _, rows, columns = pictures.shape
    places = torch.full((count, len(LANDMARK_NAMES), 2), rows / 2)
    places[:, : uv.shape[1]] = uv
    if masks is None:
        masks = torch.zeros(count, len(STRUCTURE_NAMES), rows, columns, dtype=torch.bool)
    seen = torch.ones(count, len(LANDMARK_NAMES), dtype=torch.bool)
    return Batch(pictures, places, seen, masks, torch.ones_like(pictures, dtype=torch.bool), LANDMARK_NAMES,
                 STRUCTURE_NAMES)  # fmt: skip


def dots(places: torch.Tensor, rows: int, columns: int, sigma: float = 1.5) -> torch.Tensor:
    """A picture for each place, with a round dot there and nothing else."""
    v, u = torch.meshgrid(torch.arange(float(rows)), torch.arange(float(columns)), indexing="ij")
    away = (u - places[:, 0, None, None]) ** 2 + (v - places[:, 1, None, None]) ** 2
    return torch.exp(-away / (2 * sigma**2))[:, None]


def centroid(picture: torch.Tensor) -> torch.Tensor:
    v, u = torch.meshgrid(*(torch.arange(float(n)) for n in picture.shape), indexing="ij")
    return torch.stack([(picture * u).sum(), (picture * v).sum()]) / picture.sum()


def patient(count: int = 4, rows: int = 96, columns: int = 96) -> torch.Tensor:
    """The transmission of a body with bones and gas, air beside it."""
    v, u = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
    depth = 4 * (1 - (u / 0.9) ** 2).clamp(min=0).sqrt() + 1.2 * ((u.abs() - 0.4) ** 2 + v**2 < 0.05)
    depth = depth - 0.8 * ((u - 0.1) ** 2 + (v + 0.4) ** 2 < 0.01)
    return torch.exp(-depth.clamp(min=0)).expand(count, 1, rows, columns).clone()


@pytest.mark.parametrize("effect", MOTIONS, ids=called)
def test_keypoints_follow_a_dot_through_every_motion(effect, rng):
    rows, columns, tested = 160, 160, 0
    places = 12 + torch.rand(40, 2, generator=rng) * torch.tensor([columns - 25.0, rows - 25.0])
    pictures = dots(places, rows, columns, sigma=1.0)
    batch = labelled(pictures, places[:, None])
    moved = effect.on(batch, everyone(batch), rng)
    point = 1 if isinstance(effect, Mirrored) else 0
    for picture, uv, seen in zip(moved.pictures[:, 0], moved.uv[:, point], moved.visible[:, point]):
        if not seen or uv.min() < 10 or uv.max() > rows - 11:
            continue
        v, u = (int(x) for x in uv.round().flip(0))
        near = picture[v - 9 : v + 10, u - 9 : u + 10]
        assert (centroid(near) + torch.tensor([u - 9.0, v - 9.0]) - uv).norm() < 0.3
        tested += 1
    assert tested >= 10


def test_affine_motion_is_exact_to_a_thousandth_of_a_pixel(rng):
    batch = labelled(dots(torch.tensor([[70.3, 81.6]]), 160, 160, sigma=4.0), torch.tensor([[[70.3, 81.6]]]))
    moved = Affine(turn=20.0, scale=(1.2, 1.2), beyond="zeros").on(batch, everyone(batch), rng)
    assert (centroid(moved.pictures[0, 0]) - moved.uv[0, 0]).norm() < 2e-3


def test_a_warp_back_is_a_warp_undone(rng):
    uv = torch.rand(3, 5, 2, generator=rng) * 60 + 18
    for motion in (Affine(), PiecewiseAffine(), Bent()):
        warp = motion.warp(3, (96, 96), rng)
        there = warp.targets(uv)
        sources = warp.sources((96, 96)).movedim(-1, 1)
        where = there * 2 / 95 - 1
        back = torch.nn.functional.grid_sample(sources, where[:, None], align_corners=True)[:, :, 0].mT
        torch.testing.assert_close(back, uv, atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    "motion", [PiecewiseAffine((1.0, 1.0)), PiecewiseAffine((1.0, 1.0), 8), Bent(1.0, (4, 8))], ids=called
)
def test_nothing_folds_however_hard_it_is_bent(motion, rng):
    for size in ((96, 96), (70, 120)):
        sources = motion.warp(20, size, rng).sources(size)
        along_u, along_v = sources.diff(dim=2)[:, :-1], sources.diff(dim=1)[:, :, :-1]
        turned = along_u[..., 0] * along_v[..., 1] - along_u[..., 1] * along_v[..., 0]
        assert turned.min() > 0


@pytest.mark.parametrize("effect", MOTIONS, ids=called)
def test_masks_go_where_the_picture_goes(effect, rng):
    discs = dots(torch.rand(6, 2, generator=rng) * 60 + 40, 160, 160, sigma=14.0) > 0.5
    masks = torch.zeros(6, len(STRUCTURE_NAMES), 160, 160, dtype=torch.bool)
    masks[:, :1] = discs
    batch = labelled(discs.float(), torch.zeros(6, 0, 2), masks)
    moved = effect.on(batch, everyone(batch), rng)
    structure = 1 if isinstance(effect, Mirrored) else 0
    sharp = (moved.pictures[:, 0] - 0.5).abs() > 0.49
    assert torch.equal(moved.masks[:, structure][sharp], (moved.pictures[:, 0] > 0.5)[sharp])
    assert not moved.masks[:, 2:].any()


def test_a_point_moved_out_of_the_picture_is_not_visible(rng):
    batch = labelled(torch.zeros(1, 1, 100, 80), torch.tensor([[[79.0, 99.0], [0.0, 0.0], [40.0, 50.0]]]))
    shift = torch.eye(3, dtype=torch.float64)[None].clone()
    shift[:, :2, 2] = torch.tensor([0.4, 0.4])
    assert warped(batch, AffineWarp(shift)).visible[0, :3].tolist() == [True, True, True]
    shift[:, :2, 2] = torch.tensor([0.6, 0.0])
    assert warped(batch, AffineWarp(shift)).visible[0, :3].tolist() == [False, True, True]
    shift[:, :2, 2] = torch.tensor([0.0, 0.6])
    assert warped(batch, AffineWarp(shift)).visible[0, :3].tolist() == [False, True, True]


def test_what_was_invisible_stays_so(rng):
    batch = labelled(patient(), torch.full((4, 1, 2), 50.0))
    batch = replace(batch, visible=torch.zeros_like(batch.visible))
    for appearance in PRESETS.values():
        assert not appearance(batch, rng).visible.any()


def test_points_that_are_nowhere_do_no_harm(rng):
    batch = labelled(
        patient(2), torch.tensor([[[float("nan"), 3.0], [float("inf"), 3.0], [-1e12, 1e12]]]).expand(2, 3, 2)
    )
    seen = torch.ones_like(batch.visible)
    seen[:, :3] = False
    for _ in range(10):
        out = STRONG(replace(batch, visible=seen), rng)
        assert out.pictures.isfinite().all() and not (out.visible & ~out.uv.isfinite().all(-1)).any()


def test_a_mirrored_left_is_a_right_and_twice_mirrored_is_as_before(rng):
    masks = torch.rand(2, len(STRUCTURE_NAMES), 64, 64, generator=rng) > 0.5
    batch = labelled(torch.rand(2, 1, 64, 64, generator=rng), torch.rand(2, 14, 2, generator=rng) * 63, masks)
    once = Mirrored().on(batch, everyone(batch), rng)
    left, right = (LANDMARK_NAMES.index(f"{side}_femoral_head") for side in ("left", "right"))
    torch.testing.assert_close(once.uv[:, right, 0], 63 - batch.uv[:, left, 0])
    left, right = (STRUCTURE_NAMES.index(f"{side}_femur") for side in ("left", "right"))
    assert torch.equal(once.masks[:, right], batch.masks[:, left].flip(-1))
    middle = STRUCTURE_NAMES.index("vertebrae")
    assert torch.equal(once.masks[:, middle], batch.masks[:, middle].flip(-1))
    twice = Mirrored().on(once, everyone(once), rng)
    assert torch.equal(twice.pictures, batch.pictures) and torch.equal(twice.masks, batch.masks)
    torch.testing.assert_close(twice.uv, batch.uv)


@pytest.mark.parametrize("effect", [Shutter(reach=(0.2, 0.3)), Letterboxed((0.3, 0.4)), Oblong(4.0)], ids=called)
def test_what_is_hidden_is_neither_visible_nor_masked(effect, rng):
    pictures = torch.full((8, 1, 96, 96), 0.5)
    corners = torch.tensor([[48.0, 48.0], [1.0, 1.0], [94.0, 94.0], [1.0, 94.0], [94.0, 1.0]]).expand(8, 5, 2)
    masks = torch.ones(8, len(STRUCTURE_NAMES), 96, 96, dtype=torch.bool)
    hidden = effect.on(batch := labelled(pictures, corners, masks), everyone(batch), rng)
    assert hidden.visible[:, 0].all() and not hidden.visible[:, 1:5].all(1).any()
    assert torch.equal(hidden.uv, batch.uv)
    shown = hidden.masks[:, :1]
    assert (hidden.pictures[~shown] != 0.5).float().mean() > 0.9
    assert 0.05 < shown.float().mean() < 0.9


@pytest.mark.parametrize("effect", EXPOSED + SHOWN + BOUNDLESS, ids=called)
def test_a_look_is_given_the_picture_alone_and_keeps_its_shape(effect, rng):
    assert isinstance(effect, Look)
    for rows, columns in ((96, 96), (75, 101)):
        pictures = patient(3, rows, columns)
        before = pictures.clone()
        out = effect(pictures, rng)
        assert out.shape == pictures.shape and out.dtype == torch.float32 and out.isfinite().all()
        assert torch.equal(pictures, before), "the picture given is not written to"


@pytest.mark.parametrize("effect", EXPOSED + SHOWN, ids=called)
def test_what_takes_0_to_1_gives_0_to_1(effect, rng):
    for _ in range(3):
        out = effect(patient(), rng)
        assert out.min() >= -1e-6 and out.max() <= 1 + 1e-6


@pytest.mark.parametrize(
    "display", [Logarithm(), Film(), Film(power=(1.0, 1.0)), Film(compression=(0.0, 0.0))], ids=called
)
def test_a_display_shows_bone_bright_between_0_and_1(display, rng):
    batch = Batch.bare(patient())
    shown = display.on(batch, everyone(batch), rng).pictures
    assert shown.min() >= 0 and shown.max() <= 1
    assert (shown[..., 48, 67] > shown[..., 20, 67]).all(), "the femoral heads are brighter than flesh above"
    assert (shown[..., 48, 67] > shown[..., 48, 1]).all(), "and brighter than air"


def test_lead_does_not_decide_what_bone_looks_like(rng):
    whole = patient()
    leaded = whole.clone()
    leaded[..., :20, :], leaded[..., 90:] = 5e-4, 5e-4
    inside = (slice(None), slice(None), slice(24, 90), slice(4, 86))
    open_ones, shut = Batch.bare(whole), Batch.bare(leaded)
    assert open_ones.field.all() and shut.field[..., 20:, :90].all() and not shut.field[..., :20, :].any()
    show = Logarithm()
    a, b = (show.on(one, everyone(one), rng).pictures[inside] for one in (open_ones, shut))
    assert (a - b).abs().max() < 0.05
    dark, _ = (show.on(one, everyone(one), rng).pictures for show, one in ((Film(), shut), (Film(), shut)))
    assert (dark[~shut.field] == 0).all() and dark[inside].std() > 0.1


def test_inversion_twice_is_identity(rng):
    pictures = torch.rand(2, 1, 32, 32, generator=rng)
    torch.testing.assert_close(Negative()(Negative()(pictures, rng), rng), pictures)
    # Its darkest pixel becomes the range's end, so max(x) - x is an involution of pictures that reach down to 0.
    reaching = pictures - pictures.amin((1, 2, 3), keepdim=True)
    torch.testing.assert_close(Inverted()(Inverted()(reaching, rng), rng), reaching)


def test_noise_grows_where_less_comes_through(rng):
    pictures = torch.full((1, 1, 200, 200), 0.5)
    pictures[..., 100:] = 0.005
    counted = Quanta((1e4, 1e4))(pictures, rng)
    for half, expected in ((counted[..., :100], 0.5), (counted[..., 100:], 0.005)):
        assert half.mean() == pytest.approx(expected, rel=0.02)
        assert half.var() == pytest.approx(expected / 1e4, rel=0.05)


def test_equalisation_flattens_a_histogram(rng):
    murky = 0.5 + 0.02 * torch.randn(1, 1, 128, 128, generator=rng)
    clear = Equalised(clip=(100.0, 100.0), strength=(1.0, 1.0))(murky, rng)
    assert clear.std() == pytest.approx(1 / 12**0.5, rel=0.15)


@pytest.mark.parametrize("name", PRESETS)
def test_every_appearance_ends_in_normalised_pictures_with_their_labels(name, rng):
    masks = dots(torch.full((4, 2), 48.0), 96, 96, 20.0).expand(4, len(STRUCTURE_NAMES), 96, 96) > 0.5
    batch = labelled(patient(), torch.rand(4, 14, 2, generator=rng) * 95, masks)
    for _ in range(6):
        out = PRESETS[name](batch, rng)
        assert out.pictures.shape == batch.pictures.shape and out.pictures.isfinite().all()
        for picture in out.pictures:
            shown = picture[picture != 0]  # an oblong picture has exact zeros beyond it
            assert abs(float(shown.mean())) < 1e-3 and float(shown.std()) == pytest.approx(1, abs=1e-2)
        assert out.uv.shape == batch.uv.shape and out.masks.shape == batch.masks.shape and out.masks.dtype == torch.bool
        inside = ((out.uv >= -0.5) & (out.uv < 95.5)).all(-1)
        assert not (out.visible & ~inside).any()


@pytest.mark.parametrize("name", PRESETS)
def test_the_same_seed_makes_the_same_pictures(name):
    batch = labelled(patient(), torch.full((4, 1, 2), 50.0))
    first, again, other = (PRESETS[name](batch, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.pictures, again.pictures) and torch.equal(first.uv, again.uv)
    assert not torch.equal(first.pictures, other.pictures)


@pytest.mark.parametrize("appearance", [PLAIN, DISPLAYED])
def test_validation_pictures_owe_nothing_to_chance(appearance):
    batch = Batch.bare(patient())
    one, other = (appearance(batch, torch.Generator().manual_seed(seed)).pictures for seed in (0, 1))
    assert torch.equal(one, other)


def test_published_numbers_are_these():
    noise, gamma, crop = REGULAR_PREPRINT.effects[1:4]
    assert (noise, gamma, crop) == (GaussianNoise((0.005, 0.1)), Gamma((0.7, 1.3)), Crop(0.9))
    eleven = STRONG_PREPRINT.effects[4]
    assert isinstance(eleven, Some) and len(eleven.effects) == 11 and (eleven.least, eleven.most) == (0, 2)
    assert STRONG_PREPRINT.effects[1:4] == REGULAR_PREPRINT.effects[1:4]
    expected = [
        Inverted(), Impulses((0.1, 0.1)), Pepper((0.1, 0.1)), Salt((0.1, 0.1)), LinearContrast(), LogContrast(),
        SigmoidContrast(), GaussianBlur((3.0, 3.0)), AverageBlur((2, 3, 4, 5, 6, 7)), Boxes(), Dropout((0.01, 0.1)),
        Dropout((0.01, 0.1), (0.02, 0.05)), Sharpened((0.0, 1.0)), Embossed((0.0, 1.0)), AveragePooled((2, 3, 4)),
        MaxPooled((2, 3, 4)), MinPooled((2, 3, 4)), MedianPooled((2, 3, 4)), Multiplied((0.5, 1.5)),
        Speckled((0.5, 1.5)), PiecewiseAffine(), Affine(),
    ]  # fmt: skip
    assert all(effect in leaves(eleven) for effect in expected) and len(leaves(eleven)) == len(expected)


def test_the_released_codes_numbers_are_these():
    basic, strong = STRONG_NMI.effects[1:3]
    assert isinstance(strong, Maybe) and basic == REGULAR_NMI.effects[1]
    assert basic == maybe(0.5, maybe(0.5, GaussianNoise((0.005, 0.01))), maybe(0.5, Gamma((0.7, 1.3))))
    assert strong.probability == 0.5 and [one.probability for one in strong.effects[:4]] == [0.5] * 4
    affine = strong.effects[3].effects[0]
    assert affine == Affine(turn=5.0, shift=20 / 360, shear=2.0, scale=(0.9, 1.1)) and affine.beyond == "reflection"
    some = strong.effects[4]
    assert (some.least, some.most, len(some.effects)) == (1, 2, 6)
    assert all(one.probability == 0.5 for one in some.effects)
    expected = [
        Inverted(), Impulses((0.1, 0.1)), Impulses((0.05, 0.05), (0.01, 0.1)), LinearContrast((0.5, 2.0)),
        Gamma((0.5, 2.0)), LogContrast((0.6, 1.4)), SigmoidContrast((3.0, 10.0), (0.4, 0.6)), GaussianBlur((0.0, 3.0)),
        AverageBlur((4, 5, 6)), Dropout((0.1, 0.15)), Dropout((0.1, 0.15), (0.1, 0.15)),
        Sharpened((0.5, 1.0), (1.0, 1.5)), Embossed((0.5, 1.0), (1.0, 2.0)), AveragePooled((2, 4)),
        MaxPooled((2, 4)), MinPooled((2, 4)), MedianPooled((2, 4)), Multiplied((0.5, 1.5)), Speckled((0.5, 1.5)),
        Scattered((0.5, 3.5), 0.25),
    ]  # fmt: skip
    assert all(effect in leaves(strong) for effect in expected)


def leaves(effect: Effect) -> list[Effect]:
    if isinstance(effect, Maybe | Some):
        return [leaf for one in effect.effects for leaf in leaves(one)]
    return [effect]


def test_effects_come_as_often_as_they_say(rng):
    batch = Batch.bare(torch.ones(2000, 1, 4, 4))
    mark = Multiplied((3.0, 3.0))
    part = (maybe(0.3, mark).on(batch, everyone(batch), rng).pictures[:, 0, 0, 0] == 3).float().mean()
    assert part == pytest.approx(0.3, abs=0.04)
    factors = Some((mark, Multiplied((5.0, 5.0)), Multiplied((7.0, 7.0))), 0, 2).on(batch, everyone(batch), rng)
    drawn = factors.pictures[:, 0, 0, 0].round().int().tolist()
    assert sorted(set(drawn)) == [1, 3, 5, 7, 15, 21, 35]
    assert np.mean([one == 1 for one in drawn]) == pytest.approx(1 / 3, abs=0.04)
    one = one_of(mark, Multiplied((5.0, 5.0))).on(batch, everyone(batch), rng).pictures[:, 0, 0, 0]
    assert (one == 3).float().mean() == pytest.approx(0.5, abs=0.04) and ((one == 3) | (one == 5)).all()


def test_as_many_pixels_are_hit_as_are_asked_for(rng):
    pictures = torch.rand(4, 1, 200, 200, generator=rng) * 0.5 + 0.25
    assert (Impulses((0.1, 0.1))(pictures, rng) != pictures).float().mean() == pytest.approx(0.1, abs=0.005)
    coarse = Dropout((0.2, 0.2), grain=(0.1, 0.1))(pictures, rng) == 0
    assert coarse.float().mean() == pytest.approx(0.2, abs=0.1)
    assert torch.equal(coarse[..., ::10, ::10].repeat_interleave(10, -1).repeat_interleave(10, -2), coarse)
    salted, peppered = (kind((1.0, 1.0))(pictures, rng) for kind in (Salt, Pepper))
    assert salted.min() >= 0.49 and peppered.max() <= 0.51


def test_an_affine_scatters_no_further_than_published(rng):
    warp = Affine().warp(4000, (360, 360), rng)
    middle = torch.full((4000, 1, 2), 179.5)
    moved = (warp.targets(middle) - middle).norm(dim=-1)
    assert moved.max() <= 20 and moved.mean() == pytest.approx(10, rel=0.05)
    linear = warp.target_from_source[:, :2, :2]
    scale = torch.linalg.det(linear).sqrt()
    assert 0.89 < scale.min() < 0.91 and 1.09 < scale.max() < 1.11


def test_samples_of_one_set_make_a_batch_and_others_do_not():
    def sample(names: tuple[str, ...]) -> Sample:
        view = CArm("any", 1000.0, 600.0, (96, 96), 1.0).view(float64([0.0, 0.0, 0.0]))
        points = Keypoints(
            names, torch.zeros(len(names), 2, dtype=torch.float64), torch.ones(len(names), dtype=torch.bool)
        )
        return Sample(patient(1)[0, 0], view, points, torch.zeros(1, 96, 96, dtype=torch.bool), ("left_femur",))

    batch = Batch.of([sample(("left_femoral_head",))] * 3)
    assert len(batch) == 3 and batch.size == (96, 96) and batch.uv.shape == (3, 1, 2)
    with pytest.raises(DataError, match="2 kinds of samples"):
        Batch.of([sample(("left_femoral_head",)), sample(("right_femoral_head",))])
    with pytest.raises(DataError, match="name each"):
        replace(batch, landmarks=())


def test_an_appearance_is_a_value_that_can_be_changed():
    milder = Appearance(tuple(one for one in STRONG.effects if one != maybe(0.25, Bent())))
    assert len(milder.effects) == len(STRONG.effects) - 1
