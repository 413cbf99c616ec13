"""ITK's `RayCastInterpolateImageFunction` in a `ResampleImageFilter`: the way its own examples make DRRs.

The output image's pixels are the panel's in the world; the function casts a ray from each to the focal point, in the
world as well. Its integrals are in the volume's unit times millimetres.
"""

from importlib.metadata import version

import itk
import numpy as np

from peers.protocol import Engine, Request, serve

VOLUME = itk.Image[itk.F, 3]


def prepare(request: Request) -> Engine:
    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(request.threads)
    volume = itk.image_from_array(request.field)
    volume.SetSpacing(request.spacing.tolist())
    volume.SetOrigin(request.world_from_ijk[:3, 3].tolist())
    rows, columns = request.size

    def single(n: int) -> np.ndarray:
        ray = itk.RayCastInterpolateImageFunction[VOLUME, itk.D].New()
        ray.SetTransform(itk.IdentityTransform[itk.D, 3].New())
        ray.SetThreshold(0.0)
        ray.SetFocalPoint(request.source[n].tolist())
        resample = itk.ResampleImageFilter[VOLUME, VOLUME].New()
        resample.SetInput(volume)
        resample.SetInterpolator(ray)
        resample.SetTransform(itk.IdentityTransform[itk.D, 3].New())
        resample.SetSize([columns, rows, 1])
        resample.SetOutputSpacing([request.pixel, request.pixel, 1.0])
        resample.SetOutputOrigin(request.origin[n].tolist())
        resample.SetOutputDirection(itk.matrix_from_array(np.stack(request.frame(n), axis=1)))
        resample.Update()
        return itk.array_from_image(resample.GetOutput())[0]

    return Engine(f"itk {version('itk-core')}", lambda ns: np.stack([single(n) for n in ns]))


if __name__ == "__main__":
    serve(prepare)
