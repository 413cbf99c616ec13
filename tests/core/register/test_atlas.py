import numpy as np
import pytest
import torch

from skiagraph.bodies.shape import PelvisShape, atlas
from skiagraph.errors import DataError
from skiagraph.geometry import rotation
from skiagraph.register.atlas import fit, rigid_onto
from skiagraph.surface import Cloud, Surface


def cloud(surface: Surface) -> Cloud:
    return Cloud(surface.vertices, surface.normals)


def test_a_rigid_motion_is_found_again():
    points = np.random.default_rng(0).normal(size=(50, 3))
    turn = rotation("z", 20.0).numpy() @ rotation("x", -35.0).numpy()
    found, shift = rigid_onto(points, points @ turn.T + [1, 2, 3])
    np.testing.assert_allclose(found, turn, atol=1e-12)
    np.testing.assert_allclose(shift, [1, 2, 3], atol=1e-12)


def test_the_model_finds_the_landmarks_of_a_drawn_pelvis_that_lies_elsewhere():
    shape = PelvisShape.draw(torch.Generator().manual_seed(4))
    turn, shift = rotation("x", 8.0).numpy() @ rotation("z", 5.0).numpy(), np.array([30.0, -200.0, 90.0])
    bones = {name: cloud(Surface(one.vertices @ turn.T + shift, one.faces)) for name, one in shape.surfaces.items()}
    fitted = fit(atlas().model, bones, rounds=25)
    found = PelvisShape.from_vertices(fitted.vertices).landmarks.points.numpy()
    off = np.linalg.norm(found - shape.landmarks.points.numpy(), axis=1)
    assert off.mean() < 2.0
    assert off.max() < 5.0
    assert np.nanmean(fitted.residual) < 0.4


def test_a_bone_the_model_does_not_know_is_refused():
    with pytest.raises(DataError, match="left_hemipelvis"):
        fit(atlas().model, {"skull": Cloud(np.zeros((1, 3)), np.ones((1, 3)))})
