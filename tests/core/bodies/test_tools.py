import numpy as np
import pytest
import torch

from skiagraph.bodies.tools import Tool, implant, k_wire, screw, voxelize
from skiagraph.errors import GeometryError
from skiagraph.geometry import transform


def sphere(radius: float, center: tuple[float, float, float], rings: int = 48):
    """A closed mesh of latitudes and longitudes."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    turn = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    p, t = np.meshgrid(polar, turn, indexing="ij")
    body = np.stack([np.sin(p) * np.cos(t), np.sin(p) * np.sin(t), np.cos(p)], -1).reshape(-1, 3)
    vertices = np.concatenate([[[0, 0, 1]], body, [[0, 0, -1]]]) * radius + np.array(center)
    n, last = 2 * rings, len(vertices) - 1
    faces = []
    for c in range(n):
        d = (c + 1) % n
        faces.append((0, 1 + c, 1 + d))
        for r in range(rings - 2):
            a, b = 1 + r * n + c, 1 + r * n + d
            faces += [(a, a + n, b + n), (a, b + n, b)]
        a, b = 1 + (rings - 2) * n + c, 1 + (rings - 2) * n + d
        faces.append((a, last, b))
    return vertices, np.array(faces)


def centroid(occupancy, grid):
    weights = occupancy.double()
    return (grid.centers() * weights[..., None]).sum((0, 1, 2)) / weights.sum()


@pytest.mark.parametrize("spacing", [0.5, 1.0, 3.0])
def test_a_voxelised_sphere_keeps_its_volume_and_its_centre(spacing):
    center = (3.3, -7.1, 12.4)
    occupancy, grid = voxelize(*sphere(9.0, center), spacing)
    volume = occupancy.double().sum().item() * spacing**3
    assert volume == pytest.approx(4 / 3 * np.pi * 9.0**3, rel=0.01)
    np.testing.assert_allclose(centroid(occupancy, grid).numpy(), center, atol=0.03 * spacing + 0.01)
    assert occupancy.max() <= 1
    assert occupancy.min() >= 0


def test_a_box_on_voxel_edges_fills_whole_voxels_only():
    corners = np.array([[x, y, z] for x in (0.5, 4.5) for y in (0.5, 2.5) for z in (0.5, 3.5)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([f for a, b, c, d in quads for f in ((a, b, c), (a, c, d))])
    occupancy, grid = voxelize(corners, faces, 1.0)
    assert occupancy.sum() == pytest.approx(4 * 2 * 3, abs=1e-4)
    assert ((occupancy < 1e-3) | (occupancy > 1 - 1e-3)).all()
    low = transform(grid.world_from_ijk, occupancy.nonzero().flip(-1).double().min(0).values)
    torch.testing.assert_close(low, torch.ones(3, dtype=torch.float64))


def test_a_mesh_with_faces_along_the_rays_is_as_full_as_any():
    """A ring of upright faces that lie across the lattice: seen along z they have no area."""
    turn = np.radians(30.0 * np.arange(12) + 7.0)
    rim = np.stack([10.0 * np.cos(turn), 10.0 * np.sin(turn)], axis=1)
    corners = np.concatenate([np.c_[rim, np.full(12, z)] for z in (-3.5, 3.5)])
    sides = [((n, (n + 1) % 12, n + 12), ((n + 1) % 12, (n + 1) % 12 + 12, n + 12)) for n in range(12)]
    ends = [((0, n + 1, n), (12, n + 12, n + 13)) for n in range(1, 11)]
    faces = np.array([face for pair in (*sides, *ends) for face in pair])
    occupancy, _ = voxelize(corners, faces, 1.0)
    assert occupancy.sum().item() == pytest.approx(7.0 * 6.0 * 100.0 * np.sin(np.radians(30.0)), rel=0.01)


def test_a_hollow_mesh_is_hollow():
    outer, faces = sphere(9.0, (0.0, 0.0, 0.0))
    inner, _ = sphere(6.0, (0.0, 0.0, 0.0))
    shell = np.concatenate([outer, inner]), np.concatenate([faces, faces[:, ::-1] + len(outer)])
    occupancy, _ = voxelize(*shell, 1.0)
    assert occupancy.sum().item() == pytest.approx(4 / 3 * np.pi * (9**3 - 6**3), rel=0.01)


def test_an_open_mesh_is_refused():
    vertices, faces = sphere(5.0, (0.0, 0.0, 0.0))
    with pytest.raises(GeometryError, match="not closed"):
        voxelize(vertices, faces[1:], 1.0)
    with pytest.raises(GeometryError, match="no triangles"):
        voxelize(vertices, faces[:0], 1.0)


def test_a_mesh_inside_out_is_refused():
    vertices, faces = sphere(5.0, (0.0, 0.0, 0.0))
    with pytest.raises(GeometryError, match="inside out"):
        voxelize(vertices, faces[:, ::-1], 1.0)


def test_a_wire_has_the_volume_of_its_cylinder_and_cone():
    wire = k_wire((0, 0, 0), (60, 20, 30), diameter=3.0, spacing=0.5)
    length, cone = 70.0, 6.0
    expected = np.pi * 1.5**2 * (length - cone + cone / 3)
    assert wire.occupancy.sum().item() * 0.5**3 == pytest.approx(expected, rel=0.03)
    assert wire.material_name == "steel_316l"


def test_a_screws_head_is_at_its_head():
    one = screw((0, 0, 0), (0, 0, 80), spacing=0.5)
    area = one.occupancy.sum((1, 2)) * 0.25
    z = one.grid.origin[2] + 0.5 * torch.arange(len(area))
    head, shaft = area[(z > 76) & (z < 79)].mean(), area[(z > 30) & (z < 60)].mean()
    assert head > 3 * shaft > 0


def test_an_implant_carries_its_material():
    made = implant(*sphere(5.0, (0.0, 0.0, 0.0)), spacing=1.0, material="steel")
    assert isinstance(made, Tool)
    assert made.material_name == "steel"


@pytest.mark.parametrize("bad", [{"diameter": 0.0}, {"spacing": -1.0}, {"tail": (0.0, 0.0, 0.0)}])
def test_a_tool_without_extent_is_refused(bad):
    with pytest.raises(GeometryError, match="give positive"):
        k_wire(**{"tip": (0.0, 0.0, 0.0), "tail": (0.0, 0.0, 50.0), **bad})
