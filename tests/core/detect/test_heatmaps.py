import math

import pytest
import torch

from skiagraph.detect.heatmaps import brightest, centred, gaussians, mass_near, resemblance

POINTS = torch.tensor([[20.3, 11.8], [5.0, 30.5], [33.49, 8.51]])


def test_the_centre_of_a_gaussian_is_its_point_to_a_fraction_of_a_pixel():
    found = centred(gaussians(POINTS, (40, 48), 1.5), radius=5.0)
    assert (found - POINTS).abs().max() < 0.05


def test_the_brightest_pixel_is_the_one_nearest_to_the_point():
    assert (brightest(gaussians(POINTS, (40, 48), 1.5)) - POINTS).abs().max() <= 0.5


def test_two_deviations_hold_what_rayleigh_says_of_a_gaussian():
    inside = mass_near(gaussians(POINTS[:1], (64, 64), 4.0), POINTS[:1], radius=8.0)
    assert float(inside) == pytest.approx(1 - math.exp(-2), abs=0.01)


def test_a_gaussian_resembles_itself_and_noise_does_not(rng):
    bells = gaussians(POINTS.round(), (40, 48), 2.0)
    assert resemblance(bells, 2.0, reach=4).min() > 0.999
    assert resemblance(torch.rand(3, 40, 48, generator=rng), 2.0, reach=4).max() < 0.6


def test_a_heatmap_of_nothing_has_its_point_where_it_is_brightest():
    assert centred(torch.zeros(8, 8), 3.0).tolist() == [0.0, 0.0]
