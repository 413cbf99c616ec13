"""Lesions are grown in lungs and nowhere else, and their labels go where the sheared CT goes."""

import numpy as np
import pytest
import torch

from skiagraph.bodies.lesions import LESION, Lesions, find_lungs
from skiagraph.errors import DataError
from skiagraph.geometry import Grid
from skiagraph.physics.phantom import as_water
from skiagraph.volume import Body, Labels, Landmarks, Volume


@pytest.fixture(scope="module")
def chest() -> Body:
    """Two ellipsoids of air in an ellipse of water, as coarse as will do."""
    grid = Grid.centred((50, 60, 70), (5.0, 5.0, 5.0))
    x, y, z = grid.centers().unbind(dim=-1)
    hu = torch.full(grid.shape, -1000.0)
    hu[(x / 160) ** 2 + (y / 110) ** 2 < 1] = 30.0
    for side in (-70, 70):
        hu[((x - side) / 50) ** 2 + (y / 80) ** 2 + (z / 105) ** 2 < 1] = -850.0
    nothing = Labels(torch.zeros(1, 1, 1, dtype=torch.uint8).expand(grid.shape), grid, {})
    return Body(Volume(hu, grid), nothing, Landmarks.of({"carina": (0.0, 0.0, 0.0)}))


def test_both_lungs_are_found_and_the_air_around_is_not(chest):
    lungs = find_lungs(chest.volume.hu.numpy(), chest.volume.grid)
    truth = (chest.volume.hu == -850.0).numpy()
    assert (lungs & truth).sum() > 0.99 * truth.sum() and (lungs & ~truth).sum() < 0.02 * truth.sum()


def test_lesions_are_denser_than_lung_and_only_there(chest):
    scene = Lesions(shear=0.0)(chest, as_water, torch.Generator().manual_seed(1))
    (labels,), (phantom,) = scene.labels, scene.phantoms
    lesion = labels.mask(LESION)
    lungs = torch.from_numpy(find_lungs(chest.volume.hu.numpy(), chest.volume.grid))
    assert lesion.any() and not (lesion & ~lungs).any()
    before = as_water(chest.volume).density[0]
    changed = phantom.density[0] != before
    assert not (changed & ~lesion).any()
    assert (phantom.density[0] >= before - 1e-6).all()
    assert phantom.density[0][lesion].mean() > before[lesion].mean() + 0.1


def test_shearing_takes_ct_labels_and_landmarks_along(chest):
    scene = Lesions(shear=30.0)(chest, as_water, torch.Generator().manual_seed(2))
    (labels,), (phantom,) = scene.labels, scene.phantoms
    assert torch.equal(labels.grid.world_from_ijk, phantom.grid.world_from_ijk)
    axes = labels.grid.direction
    assert 0 < abs(float(axes[:, 0] @ axes[:, 2])) <= np.sin(np.radians(30.0)) + 1e-9
    assert torch.allclose(scene.landmarks["carina"], chest.landmarks["carina"], atol=1e-9), "the middle stays"


def test_what_is_drawn_depends_on_the_generator_alone(chest):
    one, two = (Lesions()(chest, as_water, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.labels[0].index, two.labels[0].index)


def test_a_ct_without_lungs_is_refused(chest):
    solid = Body(Volume(chest.volume.hu.clamp(min=-100), chest.volume.grid), chest.labels, chest.landmarks)
    with pytest.raises(DataError, match="no lungs"):
        Lesions()(solid, as_water, torch.Generator().manual_seed(0))
