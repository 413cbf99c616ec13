import pytest
import torch

from skiagraph.detect.framing import Framing
from skiagraph.detect.heatmaps import centred
from skiagraph.errors import DataError


@pytest.mark.parametrize("size", [(120, 200), (200, 120), (96, 96), (64, 47)])
def test_a_dot_stays_under_its_point_on_the_square_and_back(size):
    framing = Framing(size, 96)
    uv = torch.tensor([[0.4 * size[1], 0.7 * size[0]]], dtype=torch.float64).round()
    v, u = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    picture = torch.exp(-((u - uv[0, 0]) ** 2 + (v - uv[0, 1]) ** 2) / 18.0).float()
    square = framing.framed(picture)
    found = centred((square - square.median()).clamp(min=0)[None], 8.0)
    assert (found - framing.onto(uv)).norm() < 0.3
    torch.testing.assert_close(framing.back(framing.onto(uv)), uv)
    again = framing.unframed(square[None])[0]
    assert (centred((again - again.median()).clamp(min=0)[None], 12.0) - uv).norm() < 0.6


def test_what_is_shown_has_mean_zero_and_variance_one_and_the_rest_is_zero(rng):
    framing = Framing((50, 100), 64)
    square = framing.framed(3 + 7 * torch.rand(50, 100, generator=rng))
    (v, _), (rows, _) = framing.corner, framing.inside
    shown = square[v : v + rows]
    assert abs(float(shown.mean())) < 1e-5 and float(shown.std()) == pytest.approx(1, abs=1e-4)
    assert float(square[:v].abs().max()) == 0 and float(square[v + rows :].abs().max()) == 0


def test_a_picture_too_small_to_show_anything_is_refused():
    with pytest.raises(DataError, match="at least 16"):
        Framing((8, 300), 64)
