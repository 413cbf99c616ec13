"""The continuum manipulator bends as its notches say."""

import math

import numpy as np
import pytest
import torch

from skiagraph.bodies.manipulator import BASE, NOTCHES, TIP, Manipulator, frame
from skiagraph.errors import DataError
from skiagraph.geometry import float64, transform

HERE = torch.eye(4, dtype=torch.float64)


def test_a_straight_tool_is_as_long_as_it_says():
    line = Manipulator().center_line()
    assert np.allclose(line[-1], [0.0, 35.0]) and len(line) == NOTCHES + 1


@pytest.mark.parametrize("degrees", [1.0, -2.0, 3.0])
def test_equal_angles_bend_the_tool_into_an_arc(degrees):
    """The tip of an arc of length L and turn a lies at L / a (1 - cos a, sin a), to the chords' error."""
    tool = Manipulator((degrees,) * NOTCHES)
    turn = math.radians(NOTCHES * degrees)
    radius = 35.0 / turn
    expected = [radius * (1 - math.cos(turn)), radius * math.sin(turn)]
    assert np.allclose(tool.center_line()[-1], expected, atol=0.02)


def test_every_link_keeps_its_length():
    tool = Manipulator.draw(torch.Generator().manual_seed(4), spread=6.0)
    links = np.linalg.norm(np.diff(tool.center_line(), axis=0), axis=1)
    assert np.allclose(links, 35.0 / NOTCHES)


def test_drawn_angles_spread_as_asked():
    drawn = [Manipulator.draw(torch.Generator().manual_seed(n)).angles[0] for n in range(400)]
    assert np.std(drawn) == pytest.approx(2.5, rel=0.1) and abs(np.mean(drawn)) < 0.4


def test_landmarks_lie_at_the_ends_wherever_the_tool_is():
    there = frame(float64([10.0, 20.0, 30.0]), float64([0.0, 1.0, 1.0]), float64([1.0, 0.2, 0.0]))
    assert torch.allclose(there[:3, :3] @ there[:3, :3].T, torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(there[:3, :3]) == pytest.approx(1.0)
    tool = Manipulator.draw(torch.Generator().manual_seed(1))
    _, ends = tool.placed(there)
    assert torch.allclose(ends[BASE], float64([10.0, 20.0, 30.0]))
    assert torch.allclose(ends[TIP], transform(there, float64([*tool.center_line()[-1].tolist(), 0.0])))


def test_a_tube_has_the_volume_of_its_wall_less_the_notches():
    tool, _ = Manipulator(shaft=20.0).placed(HERE, spacing=0.25)
    volume = float(tool.occupancy.sum()) * 0.25**3
    wall = math.pi * (3.0**2 - 2.0**2) * 55.0
    assert 0.7 * wall < volume < 0.9 * wall
    whole, _ = Manipulator(shaft=20.0, slot=1e-9).placed(HERE, spacing=0.25)
    assert float(whole.occupancy.sum()) * 0.25**3 == pytest.approx(wall, rel=0.06)


def test_the_channel_is_empty_and_the_wall_is_full():
    tool, _ = Manipulator().placed(HERE, spacing=0.25)

    def at(*xyz: float) -> float:
        i, j, k = transform(tool.grid.ijk_from_world, float64(xyz)).round().long().tolist()
        return float(tool.occupancy[k, j, i])

    assert at(0.0, -20.0, 0.0) == 0.0 and at(2.5, -20.0, 0.0) == 1.0 and at(0.0, -20.0, 2.5) == 1.0


def test_a_manipulator_without_a_wall_is_refused():
    with pytest.raises(DataError, match="wall"):
        Manipulator(inner=7.0)
