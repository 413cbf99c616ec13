"""Quick masks are those of whole voxels to half a voxel, whichever engine they come by."""

import gc

import pytest
import torch
from torch.nn.functional import max_pool2d

from skiagraph.bodies import Person, build
from skiagraph.carm import GENERIC
from skiagraph.drr.project import project_labels
from skiagraph.drr.shadows import _KEPT, occupied, shadows
from skiagraph.geometry import Grid
from skiagraph.volume import Body, Labels


@pytest.fixture(scope="module")
def body() -> Body:
    return build(Person(), spacing=2.5)


def grown(mask: torch.Tensor, pixels: int) -> torch.Tensor:
    return max_pool2d(mask.float()[:, None], 2 * pixels + 1, stride=1, padding=pixels)[:, 0] > 0


@pytest.mark.parametrize("angles", [(0.0, 0.0), (40.0, -20.0), (90.0, 0.0)])
def test_outlines_are_those_of_whole_voxels_to_half_a_voxel(body, angles):
    view = GENERIC.with_pixels(500).aimed_at(body.volume.grid.center, *angles)
    exact = project_labels(body.labels, view)
    found = shadows([body.labels], view, exact.names)
    voxel = 2.5 * 1200 / 1000 / view.pixel_spacing[0]
    reach = int(0.5 * voxel * 1.75) + 1
    assert not (found & ~grown(exact.masks, reach)).any()
    assert not (exact.masks & ~grown(found, reach)).any()
    overlap = 2 * (found & exact.masks).sum(dim=(1, 2)) / (found.sum(dim=(1, 2)) + exact.masks.sum(dim=(1, 2)))
    assert (overlap > 0.97).all()
    assert found.sum() == pytest.approx(int(exact.masks.sum()), rel=0.02)


def test_a_structure_of_several_bodies_casts_one_shadow(body):
    view = GENERIC.with_pixels(100).aimed_at(body.volume.grid.center)
    twice = shadows([body.labels, body.labels], view, ("left_femur", "nothing"))
    once = shadows([body.labels], view, ("left_femur",))
    assert torch.equal(twice[0], once[0]) and once.any() and not twice[1].any()


def test_what_is_kept_goes_with_the_labels():
    index = torch.zeros(9, 9, 9, dtype=torch.uint8)
    index[2:5, 3:6, 4:7] = 1
    labels = Labels(index, Grid.centred((9, 9, 9), (1.0, 1.0, 1.0)), {1: "cube", 2: "empty"})
    cube = occupied(labels, "cube")
    assert cube is not None and cube.field.shape == (1, 3, 3, 3) and cube.field.all()
    assert occupied(labels, "cube") is cube
    assert occupied(labels, "empty") is None and occupied(labels, "other") is None
    kept = len(_KEPT)
    del labels
    gc.collect()
    assert len(_KEPT) == kept - 1
