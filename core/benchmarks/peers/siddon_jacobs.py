"""ITK's TwoProjectionRegistration module (Wu et al. 2010), `SiddonJacobsRayCastInterpolateImageFunction`.

It sees a volume that begins at the outer corner of its first voxel, whatever the image's origin says, from the world's
origin along -z. With its gantry at 0 and the isocentre in the focal spot, what it calls the transform takes the
volume there, but for a turn of -90 degrees about x that it adds itself. It returns the integral over the ray's
parameter, 0 at the focal spot and 1 at the pixel, so that the ray's length makes millimetres of it.
"""

from importlib.metadata import version

import itk
import numpy as np

from peers.protocol import Engine, Request, serve

VOLUME = itk.Image[itk.F, 3]
QUARTER = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""90 degrees about x."""


def prepare(request: Request) -> Engine:
    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(request.threads)
    volume = itk.image_from_array(request.field)
    volume.SetSpacing(request.spacing.tolist())
    corner = request.world_from_ijk[:3, 3] - request.spacing / 2
    rows, columns = request.size

    def single(n: int) -> np.ndarray:
        u, v, normal = request.frame(n)
        turn = np.stack([u, v, -normal])
        transform = itk.Euler3DTransform[itk.D].New()
        transform.SetMatrix(itk.matrix_from_array(QUARTER @ turn))
        transform.SetTranslation((QUARTER @ turn @ (corner - request.source[n])).tolist())
        ray = itk.SiddonJacobsRayCastInterpolateImageFunction[VOLUME, itk.D].New()
        ray.SetTransform(transform)
        ray.SetFocalPointToIsocenterDistance(0.0)
        ray.SetProjectionAngle(0.0)
        ray.SetThreshold(0.0)
        ray.SetInputImage(volume)
        ray.Initialize()
        first = turn @ (request.origin[n] - request.source[n])
        resample = itk.ResampleImageFilter[VOLUME, VOLUME].New()
        resample.SetInput(volume)
        resample.SetInterpolator(ray)
        resample.SetTransform(itk.IdentityTransform[itk.D, 3].New())
        resample.SetSize([columns, rows, 1])
        resample.SetOutputSpacing([request.pixel, request.pixel, 1.0])
        resample.SetOutputOrigin(first.tolist())
        resample.Update()
        x = first[0] + request.pixel * np.arange(columns)
        y = first[1] + request.pixel * np.arange(rows)[:, None]
        return itk.array_from_image(resample.GetOutput())[0] * np.sqrt(x**2 + y**2 + first[2] ** 2)

    name = "itk-twoprojectionregistration"
    return Engine(f"{name} {version(name)}", lambda ns: np.stack([single(n) for n in ns]))


if __name__ == "__main__":
    serve(prepare)
