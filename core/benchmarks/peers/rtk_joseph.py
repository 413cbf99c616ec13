"""RTK (Rit et al. 2014), `JosephForwardProjectionImageFilter`: line integrals in the volume's unit times millimetres.

Its geometry is taken from the vectors themselves: the source, the place of the projections' physical point (0, 0), and
the directions of rows and columns, whose cross product has to point to the source, as ours does. Volumes keep their
origin; projections are a stack along a third axis.
"""

from importlib.metadata import version

import itk
import numpy as np
from itk import RTK

from peers.protocol import Engine, Request, serve

VOLUME = itk.Image[itk.F, 3]


def image(values: np.ndarray, spacing: np.ndarray, origin: np.ndarray) -> "itk.Image":
    made = itk.image_from_array(values)
    made.SetSpacing([float(x) for x in spacing])
    made.SetOrigin([float(x) for x in origin])
    return made


def prepare(request: Request) -> Engine:
    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(request.threads)
    volume = image(request.field, request.spacing, request.world_from_ijk[:3, 3])
    rows, columns = request.size

    def single(n: int) -> np.ndarray:
        u, v, _ = (vector.tolist() for vector in request.frame(n))
        geometry = RTK.ThreeDCircularProjectionGeometry.New()
        if not geometry.AddProjection(request.source[n].tolist(), request.origin[n].tolist(), u, v):
            raise RuntimeError("RTK does not take this view")
        stack = image(np.zeros((1, rows, columns), np.float32), np.array([request.pixel] * 2 + [1.0]), np.zeros(3))
        projector = RTK.JosephForwardProjectionImageFilter[VOLUME, VOLUME].New()
        projector.SetInput(0, stack)
        projector.SetInput(1, volume)
        projector.SetGeometry(geometry)
        projector.Update()
        return itk.array_from_image(projector.GetOutput())[0]

    return Engine(f"itk-rtk {version('itk-rtk')}", lambda ns: np.stack([single(n) for n in ns]))


if __name__ == "__main__":
    serve(prepare)
