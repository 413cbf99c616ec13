import pytest
import torch

from skiagraph.detect.heatmaps import gaussians
from skiagraph.detect.losses import Correlation, DiceAndEntropy, Likelihood, MeanSquares, SoftDice

UV = torch.tensor([[[10.0, 12.0], [20.5, 7.25]]])
SEEN = torch.tensor([[True, True]])
BELLS = gaussians(UV, (32, 32), 1.5)


def test_the_wanted_heatmaps_cost_the_least_each_loss_can_cost():
    assert float(MeanSquares(1.5)(BELLS, UV, SEEN)) == pytest.approx(0, abs=1e-9)
    assert float(Correlation(1.5)(BELLS, UV, SEEN)) == pytest.approx(-1, abs=1e-5)
    assert float(Likelihood(1.5)(BELLS.clamp(min=1e-30).log(), UV, SEEN)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("loss", [MeanSquares(1.5), Correlation(1.5), Likelihood(1.5)])
def test_a_heatmap_elsewhere_costs_more(loss):
    right = BELLS.clamp(min=1e-30).log() if isinstance(loss, Likelihood) else BELLS
    assert float(loss(right.roll(5, dims=-1), UV, SEEN)) > float(loss(right, UV, SEEN)) + 1e-6


def test_landmarks_that_are_not_seen_teach_likelihood_nothing(rng):
    heatmaps = torch.randn(1, 2, 32, 32, generator=rng, requires_grad=True)
    Likelihood(1.5)(heatmaps, UV, torch.tensor([[True, False]])).backward()
    assert heatmaps.grad is not None
    assert bool((heatmaps.grad[0, 1] == 0).all()) and float(heatmaps.grad[0, 0].abs().max()) > 0


@pytest.mark.parametrize("loss", [MeanSquares(1.5), Correlation(1.5), Likelihood(1.5)])
def test_a_density_is_one_in_all_and_nowhere_negative(loss, rng):
    density = loss.density(torch.randn(2, 3, 16, 16, generator=rng), temperature=2.0)
    assert float(density.min()) >= 0
    torch.testing.assert_close(density.sum(dim=(-2, -1)), torch.ones(2, 3))


def test_the_right_masks_have_a_dice_of_one_and_so_has_nothing_for_nothing(rng):
    masks = torch.rand(2, 3, 16, 16, generator=rng) > 0.7
    masks[:, 2] = False
    logits = masks.float() * 80 - 40
    assert float(SoftDice()(logits, masks)) == pytest.approx(-1, abs=1e-5)
    assert float(SoftDice()(-logits, masks)) > -0.05
    assert float(DiceAndEntropy()(logits, masks)) == pytest.approx(-1, abs=1e-5)
