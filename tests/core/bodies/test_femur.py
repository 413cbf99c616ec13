from dataclasses import replace

import numpy as np
import pytest

from skiagraph.bodies import Person
from skiagraph.bodies.femur import NECK_BASE, SHAFT, Thigh, cortex, marrow
from skiagraph.bodies.pelvis import Pelvis
from skiagraph.bodies.person import HipAngles

STRAIGHT = HipAngles(0.0, 0.0, 0.0)


def thigh(side: str = "left", **changes: float) -> Thigh:
    return Thigh(Pelvis(replace(Person(left_hip=STRAIGHT, right_hip=STRAIGHT), **changes)), side)


def neck_shaft(one: Thigh) -> float:
    """Degrees between neck and shaft, from the front."""
    head, base, *ends = one.place(np.array([np.zeros(3), NECK_BASE, *np.array(SHAFT)[[3, 5], :3]]))[:, ::2]
    neck, up = head - base, ends[0] - ends[1]
    return 180 - np.degrees(np.arccos(neck @ up / np.linalg.norm(neck) / np.linalg.norm(up)))


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_neck_is_as_much_steeper_as_asked_and_the_head_stays(side):
    for more in (-8.0, 10.0):
        bent = thigh(side, neck_shaft=more)
        assert neck_shaft(bent) - neck_shaft(thigh(side)) == pytest.approx(more, abs=1.0)
        np.testing.assert_allclose(bent.place(np.zeros((1, 3)))[0], bent.center, atol=1e-9)


def test_a_neck_of_more_version_points_further_to_the_front():
    ahead = thigh(version=12.0)
    head, base = ahead.place(np.stack([np.zeros(3), NECK_BASE])) - thigh().place(np.stack([np.zeros(3), NECK_BASE]))
    assert base[1] - head[1] > 5


def test_points_of_the_shaft_come_back_to_where_they_were():
    points = np.array(SHAFT)[3:, :3]
    for one in (thigh(), thigh("right", neck_shaft=6.0, version=-9.0)):
        np.testing.assert_allclose(one.local(one.place(points)), points, atol=1e-9)


def test_worn_cartilage_brings_the_head_nearer_to_its_socket():
    assert thigh(joint_space=2.4).head_radius - thigh(joint_space=4.4).head_radius == pytest.approx(2.0)


def test_bone_is_densest_along_the_compressive_group_and_gone_in_wards_triangle():
    one = thigh()
    pressed, ward, canal = marrow(one, one.place(np.array([[11.0, 3, -20], [24.0, 4, -22], [30.0, 2, -160]])))
    assert pressed > 1.5 * ward > 0 > canal


def test_the_cortex_thickens_down_the_shaft():
    one = thigh()
    thickness = cortex(one, one.place(np.array([[43.0, 8, -34], [39.0, 5, -85], [29.0, 2, -165]])))
    assert (np.diff(thickness) > 0.3).all()
