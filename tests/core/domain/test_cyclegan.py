import pytest
import torch
from torch import nn

from skiagraph.domain import DISPLAYED, PLAIN, REGULAR, STRONG, STRONG_NMI, STRONG_PREPRINT, Batch
from skiagraph.domain.cyclegan import ImagePool, PatchGan, ResNetGenerator, Translated, distance, shown_by, thought
from skiagraph.domain.effects import Display, Some

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def batch(count: int = 2) -> Batch:
    pictures = torch.rand(count, 1, 48, 48, generator=torch.Generator().manual_seed(1)).clamp(0.01, 0.9)
    return Batch(pictures, torch.full((count, 3, 2), 20.0), torch.ones(count, 3, dtype=torch.bool),
                 pictures[:, 0, None] > 0.5, torch.ones_like(pictures, dtype=torch.bool), ("a", "b", "c"),
                 ("bone",))  # fmt: skip


def test_a_generator_that_changes_nothing_leaves_pictures_as_they_are_shown(rng):
    shown = shown_by(Translated(nn.Identity()), DISPLAYED)(batch(), rng)
    torch.testing.assert_close(shown.pictures, DISPLAYED(batch(), rng).pictures, atol=1e-5, rtol=1e-5)


def test_a_translator_sees_the_pictures_alone(rng):
    before = batch()
    after = shown_by(Translated(ResNetGenerator(1, 4).build().eval()), PLAIN)(before, rng)
    assert torch.equal(after.uv, before.uv) and torch.equal(after.masks, before.masks)
    assert not torch.allclose(after.pictures, PLAIN(before, rng).pictures, atol=0.1)


@pytest.mark.parametrize("looks", [PLAIN, DISPLAYED, REGULAR, STRONG, STRONG_PREPRINT, STRONG_NMI])
def test_every_look_has_one_way_to_show_and_a_translator_takes_its_place(looks):
    shown = shown_by(Translated(nn.Identity()), looks)
    assert sum(isinstance(effect, Translated) for effect in shown.effects) == 1
    assert not any(isinstance(effect, Display) for effect in shown.effects if not isinstance(effect, Translated))
    assert not any(isinstance(one, Display) for e in shown.effects if isinstance(e, Some) for one in e.effects)
    assert len(shown.effects) == len(looks.effects)


@pytest.mark.parametrize("size", [48, 64])
def test_a_generator_gives_pictures_of_the_size_and_range_it_was_given(size):
    made = ResNetGenerator(1, 4).build()(torch.randn(2, 1, size, size))
    assert made.shape == (2, 1, size, size) and float(made.abs().max()) <= 1


def test_zhus_generator_has_the_weights_of_the_published_one():
    # 11.37 million with 9 blocks on 1 channel instead of 3: 2 x 2 x 49 x 64 fewer.
    weights = sum(one.numel() for one in ResNetGenerator().build().parameters())
    assert weights == 11_378_179 - 2 * 2 * 49 * 64 - 2


def test_a_discriminator_judges_patches_of_70_pixels():
    """By the gradient of one answer. Normalisation, which sees all of a picture, is taken out for it."""
    judge = PatchGan(4).build()
    for part in judge.modules():
        for name, child in list(part.named_children()):
            if isinstance(child, nn.InstanceNorm2d):
                setattr(part, name, nn.Identity())
    picture = torch.randn(1, 1, 160, 160, requires_grad=True)
    answers = judge(picture)
    answers[0, 0, answers.shape[2] // 2, answers.shape[3] // 2].backward()
    seen = picture.grad[0, 0] != 0
    assert int(seen.any(dim=0).sum()) == int(seen.any(dim=1).sum()) == 70


def test_a_pool_gives_what_it_was_given_until_it_is_full_and_older_pictures_after(rng):
    pool = ImagePool(3)
    first = torch.arange(3.0).reshape(3, 1, 1, 1)
    assert torch.equal(pool.exchanged(first, rng), first)
    given = torch.cat([pool.exchanged(torch.full((1, 1, 1, 1), 10.0 + n), rng) for n in range(40)]).flatten()
    kept = torch.stack(pool.pictures).flatten()
    assert sorted([*given.tolist(), *kept.tolist()]) == [0.0, 1.0, 2.0, *(10.0 + n for n in range(40))]
    assert any(float(one) != 10.0 + n for n, one in enumerate(given))
    assert torch.equal(ImagePool(0).exchanged(first, rng), first)


def test_losses_are_nothing_where_all_is_as_wanted():
    assert float(thought(torch.ones(1, 1, 2, 2), True)) == float(thought(torch.zeros(1, 1, 2, 2), False)) == 0
    assert float(distance(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2))) == 0
