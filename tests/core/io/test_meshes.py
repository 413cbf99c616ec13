import numpy as np
import pytest

from skiagraph.bodies import PelvisShape
from skiagraph.errors import DataError
from skiagraph.io.meshes import read_surface

meshio = pytest.importorskip("meshio")


@pytest.mark.parametrize("suffix", ["stl", "ply", "obj", "vtk"])
@pytest.mark.parametrize("flip", [False, True])
def test_a_surface_survives_its_file_and_winds_outwards(tmp_path, suffix, flip):
    hip = PelvisShape.of(np.zeros(0)).surfaces["left_hemipelvis"]
    path = tmp_path / f"left_hemipelvis.{suffix}"
    faces = hip.faces[:, ::-1] if flip else hip.faces
    meshio.write(path, meshio.Mesh(hip.vertices, [("triangle", faces)]))
    found = read_surface(path)
    assert found.volume == pytest.approx(hip.volume, rel=1e-3)
    assert abs(len(found.vertices) - len(hip.vertices)) < 5


def test_what_is_no_surface_is_refused_by_name(tmp_path):
    path = tmp_path / "left_hemipelvis.ply"
    path.write_text("no surface", encoding="utf-8")
    with pytest.raises(DataError, match="left_hemipelvis"):
        read_surface(path)
