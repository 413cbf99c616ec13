import pytest
import torch

from skiagraph.domain.features import SIDE, Features, features_of, read_features, tiles, write_features
from skiagraph.errors import DataError, ModelError

SMALL = Features((4, 4, 8, 8))


def pieces(count: int = 5) -> torch.Tensor:
    return torch.rand(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def test_features_do_not_mind_brightness_and_contrast():
    network = SMALL.build()
    plain = features_of(network, pieces())
    assert plain.shape == (5, 8)
    torch.testing.assert_close(features_of(network, 0.3 * pieces() + 0.5), plain, rtol=1e-3, atol=1e-3)


def test_a_network_comes_back_from_disk(tmp_path):
    network = SMALL.build().half().float()
    write_features(tmp_path, network)
    torch.testing.assert_close(
        features_of(read_features(tmp_path), pieces()), features_of(network, pieces()), rtol=1e-3, atol=1e-3
    )


def test_weights_of_another_network_are_refused(tmp_path):
    write_features(tmp_path, SMALL.build())
    write_features(tmp_path / "other", Features((8, 8, 8, 8)).build())
    (tmp_path / "features.json").write_bytes((tmp_path / "other" / "features.json").read_bytes())
    with pytest.raises(ModelError, match="not of the network"):
        read_features(tmp_path)


def test_tiles_cover_what_there_is_to_see():
    picture = torch.zeros(3 * SIDE, 2 * SIDE)
    assert list(tiles(picture)) == []
    picture[: SIDE // 2] = 1
    found = list(tiles(picture))
    assert len(found) == 3 and all(one.shape == (SIDE, SIDE) for one in found)


def test_a_picture_smaller_than_a_tile_is_refused():
    with pytest.raises(DataError, match="at least 64 x 64"):
        list(tiles(torch.zeros(63, 100)))
