"""DiffDRR 0.6 (Gopalakrishnan & Golland 2022) on torch; takes its renderer, `siddon` or `trilinear`.

Its detector lies at +z of its own frame, columns along x and rows against y, so that our u, -v and beam are the
columns of its pose, which is a rotation; the volume's affine takes voxel centres to the world (`voxel_shift` 0.5 is
its default). Integrals come in the density's unit times millimetres. Defaults otherwise: 500 points for the
trilinear renderer; the Siddon one goes in patches of 128 squared pixels, as whole views want more than 15 GB.
"""

import sys
from importlib.metadata import version

import numpy as np
import torch
from diffdrr.drr import DRR
from diffdrr.pose import RigidTransform
from torchio import ScalarImage, Subject

from peers.protocol import Engine, Request, serve

PATCH = {"siddon": 128, "trilinear": None}


def prepare(request: Request) -> Engine:
    torch.set_num_threads(request.threads)
    renderer = sys.argv[3]
    volume = ScalarImage(tensor=torch.from_numpy(request.field).permute(2, 1, 0)[None], affine=request.world_from_ijk)
    subject = Subject(volume=volume, density=volume, mask=None, reorient=torch.eye(4))
    rows, columns = request.size
    u0, v0 = request.principal_point(0)
    drr = DRR(
        subject,
        sdd=request.distance(0),
        height=rows,
        width=columns,
        delx=request.pixel,
        x0=((columns - 1) / 2 - u0) * request.pixel,
        y0=(v0 - (rows - 1) / 2) * request.pixel,
        reverse_x_axis=False,
        patch_size=PATCH[renderer],
        renderer=renderer,
    )

    def single(n: int) -> np.ndarray:
        u, v, normal = request.frame(n)
        pose = np.eye(4)
        pose[:3] = np.stack([u, -v, normal, request.source[n]], axis=1)
        with torch.no_grad():
            return drr(RigidTransform(torch.from_numpy(pose).float()))[0, 0].numpy()

    return Engine(f"diffdrr {version('diffdrr')}", lambda ns: np.stack([single(n) for n in ns]))


if __name__ == "__main__":
    serve(prepare)
