import numpy as np
import torch

from skiagraph.bodies import Person, build
from skiagraph.bodies.bowel import Contents


def test_the_same_generator_fills_a_bowel_alike():
    once, again = (Contents.drawn(np.random.default_rng(5), 1.0) for _ in range(2))
    np.testing.assert_array_equal(once.gas.centers, again.gas.centers)
    np.testing.assert_array_equal(once.bubbles.radii, again.bubbles.radii)


def test_contents_grow_with_the_person():
    small, large = (Contents.drawn(np.random.default_rng(5), size) for size in (0.9, 1.1))
    np.testing.assert_allclose(small.gas.centers / 0.9, large.gas.centers / 1.1)
    np.testing.assert_allclose(small.stool.radii / 0.9, large.stool.radii / 1.1)


def test_people_have_between_no_and_a_litre_and_a_half_of_gas():
    litres = []
    for seed in range(6):
        body = build(Person(seed=seed), 3.0)
        hu = body.volume.hu
        inside = torch.zeros_like(hu, dtype=torch.bool)
        inside[:, 20:-20, 40:-40] = True
        gas = (hu < -600) & inside & (hu.cummin(dim=1).values < 0)
        within = (hu > -200).cumsum(dim=1) > 8
        litres.append((gas & within & (hu > -200).flip(1).cumsum(dim=1).flip(1).gt(8)).sum().item() * 27e-6)
    assert max(litres) > 0.02
    assert max(litres) < 1.5
    assert len(set(litres)) > 3
