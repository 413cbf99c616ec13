"""nanodrr 0.1 (Gopalakrishnan) on torch; takes `eager` or `compiled`.

It takes an inverse intrinsic matrix, whose pixels have their centres at halves, and a camera-to-world matrix whose
columns are the directions of the image's columns, of its rows and of the beam, and the source. Integrals come in the
volume's unit times millimetres. Defaults otherwise: 500 samples on the part of the ray that is in the volume.
"""

import sys
from importlib.metadata import version

import numpy as np
import torch
from nanodrr.camera import make_k_inv
from nanodrr.data import Subject
from nanodrr.drr import DRR
from torchio import ScalarImage

from peers.protocol import Engine, Request, serve


def prepare(request: Request) -> Engine:
    torch.set_num_threads(request.threads)
    volume = ScalarImage(tensor=torch.from_numpy(request.field).permute(2, 1, 0)[None], affine=request.world_from_ijk)
    subject = Subject.from_images(volume, convert_to_mu=False)
    rows, columns = request.size
    u0, v0 = request.principal_point(0)
    shift = ((u0 - (columns - 1) / 2) * request.pixel, (v0 - (rows - 1) / 2) * request.pixel)
    k_inv = make_k_inv(request.distance(0), request.pixel, request.pixel, *shift, rows, columns)
    drr = DRR(k_inv, torch.tensor([request.distance(0)]), rows, columns)
    render = torch.compile(drr) if sys.argv[3] == "compiled" else drr

    def single(n: int) -> np.ndarray:
        pose = np.eye(4)
        pose[:3] = np.stack([*request.frame(n), request.source[n]], axis=1)
        with torch.no_grad():
            return render(subject, torch.from_numpy(pose[None]).float())[0, 0].numpy()

    return Engine(f"nanodrr {version('nanodrr')}", lambda ns: np.stack([single(n) for n in ns]))


if __name__ == "__main__":
    serve(prepare)
