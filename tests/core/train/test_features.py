import torch

from skiagraph.domain.features import SIDE, Features, features_of
from skiagraph.train.course import follow
from skiagraph.train.features import FeatureCourse, FeatureRegimen, look

REGIMEN = FeatureRegimen(Features((8, 8, 16, 16)), expander=32, batch=24, steps=40)


def quiet(done: int, total: int, doing: str) -> None: ...


def stripes(count: int, fine: int, seed: int) -> torch.Tensor:
    """Pieces of stripes so many to a piece, turned and shifted."""
    rng = torch.Generator().manual_seed(seed)
    turn, shift = 0.3 * torch.randn(count, 1, 1, generator=rng), 7 * torch.rand(count, 1, 1, generator=rng)
    v, u = torch.meshgrid(torch.arange(80.0), torch.arange(80.0), indexing="ij")
    wave = ((u * turn.cos() + v * turn.sin()) * 2 * torch.pi * fine / 80 + shift).sin()
    return ((wave + 1) * 127).to(torch.uint8)


def course() -> FeatureCourse:
    return FeatureCourse(REGIMEN, torch.cat([stripes(40, 3, 0), stripes(40, 12, 1)]), seed=0)


def test_looks_are_of_a_pieces_size_and_differ():
    found = look(torch.rand(3, 1, 80, 80), torch.Generator().manual_seed(0))
    assert found.shape == (3, 1, SIDE, SIDE)
    assert not torch.allclose(found, look(torch.rand(3, 1, 80, 80), torch.Generator().manual_seed(1)))


def test_what_looks_alike_comes_to_lie_together(tmp_path):
    one = course()
    follow(one, REGIMEN.steps, 20, tmp_path, quiet)
    cut = slice(8, 8 + SIDE)
    sets = [stripes(20, fine, 9)[:, None, cut, cut].float() / 255 for fine in (3, 12)]
    coarse, dense = (features_of(one.network, pieces) for pieces in sets)
    inside = torch.cdist(coarse, coarse).sum() / (20 * 19) + torch.cdist(dense, dense).sum() / (20 * 19)
    assert torch.cdist(coarse, dense).mean() > 0.7 * inside


def test_training_goes_on_to_the_bit(tmp_path):
    whole, parted = course(), course()
    follow(whole, 6, 3, tmp_path / "whole", quiet)
    follow(parted, 3, 3, tmp_path / "parted", quiet)
    again = course()
    follow(again, 6, 3, tmp_path / "parted", quiet)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name
