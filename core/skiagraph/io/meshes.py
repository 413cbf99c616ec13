"""Surfaces from files: whatever meshio reads, STL, PLY, OBJ and VTK among it. Needs the extra `surfaces`."""

from pathlib import Path

import numpy as np

from skiagraph.errors import BackendError, DataError
from skiagraph.io.files import decoding
from skiagraph.surface import Surface


def read_surface(path: Path) -> Surface:
    """The triangles of a file, in its own millimetres; LPS is up to who wrote it, as 3D Slicer does.

    Corners at one place are one vertex, and triangles wind outwards whichever way the file has them. Raises DataError
    if there are none, BackendError without meshio.
    """
    try:
        import meshio
    except ImportError as error:
        raise BackendError("reading surfaces needs meshio; install skiagraph[surfaces]") from error
    # meshio tells a binary STL by a product that overflows, and ends the process over what it cannot read.
    with decoding(path, "a surface of triangles: STL, PLY, OBJ or VTK"), np.errstate(over="ignore"):
        try:
            mesh = meshio.read(path)
        except SystemExit as error:
            raise DataError(f"cannot read {path}; give a surface of triangles: STL, PLY, OBJ or VTK") from error
        cells = [block.data for block in mesh.cells if block.type == "triangle"]
        if not cells:
            raise DataError(f"{path} holds no triangles; give a surface of triangles")
        points, same = np.unique(np.asarray(mesh.points, dtype=float)[:, :3], axis=0, return_inverse=True)
        surface = Surface(points, same.reshape(-1)[np.concatenate(cells)].astype(int))
    return surface if surface.volume >= 0 else Surface(surface.vertices, surface.faces[:, ::-1])
