import math

import pytest
import torch

from skiagraph.domain.adda import Entropy, Narrow, Reconstructor, Relativistic, Strided

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def test_who_cannot_tell_the_domains_apart_loses_a_bit():
    same = torch.zeros(2, 1, 3, 3)
    for game in (Entropy(), Relativistic()):
        assert float(game.told(same, same)) == float(game.fooled(same, same)) == pytest.approx(math.log(2))


def test_entropy_is_that_of_equations_5_and_6():
    source, target = torch.randn(2, 1, 3, 3), torch.randn(2, 1, 3, 3)
    d_s, d_t = source.sigmoid(), target.sigmoid()
    expected = -(torch.cat([d_s.log(), (1 - d_t).log()])).mean()
    torch.testing.assert_close(Entropy().told(source, target), expected)
    torch.testing.assert_close(Entropy().fooled(source, target), -d_t.log().mean())


def test_the_relativistic_game_is_that_of_the_released_code():
    source, target = torch.rand(2, 1, 3, 3), torch.rand(2, 1, 3, 3)
    theirs = -((target - source).sigmoid().log() + (1 - (source - target).sigmoid()).log()).mean() / 2
    torch.testing.assert_close(Relativistic().told(source, target), theirs)
    torch.testing.assert_close(Relativistic().fooled(source, target), Relativistic().told(target, source))


def test_discriminators_give_one_number_a_place():
    features = torch.randn(2, 16, 64, 64)
    assert Strided((4, 8)).build(16)(features).shape == (2, 1, 8, 8)
    answers = Narrow().build(16)(features)
    assert answers.shape == (2, 1, 64, 64) and float(answers.min()) >= 0 and float(answers.max()) <= 1
    # Conv3x3 16-16-8-4-1
    assert sum(p.numel() for p in Narrow().build(16).parameters()) == 9 * (256 + 128 + 32 + 4) + 16 + 8 + 4 + 1
    assert Reconstructor((4, 8)).build(5)(torch.randn(1, 5, 32, 32)).shape == (1, 1, 32, 32)
