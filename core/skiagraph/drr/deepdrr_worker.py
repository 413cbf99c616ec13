"""Run by the Python of DeepDRR's own environment, never imported by skiagraph: a request file in, an answer file out.

    python -I deepdrr_worker.py check                       says which GPU DeepDRR would use
    python -I deepdrr_worker.py project REQUEST ANSWER      both .npz; drr/deepdrr.py says what they hold

It knows DeepDRR by its public interface alone and needs nothing of ours. What goes wrong is the last line on stderr,
after `SAID`, and exit code 1.
"""

import os
import sys
from typing import Any

import numpy as np

SAID = "deepdrr_worker: "
EV_PER_KEV = 1000.0


def check() -> None:
    """Print the GPU's name; raises whatever keeps DeepDRR from running."""
    import cupy

    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    from deepdrr import geo  # noqa: F401
    from deepdrr.projector import Projector  # noqa: F401

    print(name)


def project(request: str, answer: str) -> None:
    """Look through each body of a request from each of its cameras."""
    from deepdrr.material import Material

    with np.load(request) as file:
        asked = dict(file)
    names = [str(name) for name in asked["materials"]]
    energies = asked["energies"].tolist()
    tables = [Material.from_string(name) for name in names]
    attenuation = [[table.get_coefficients(energy).mu_over_rho for energy in energies] for table in tables]
    intensity = [
        pictures(density, np.broadcast_to(label, density.shape), names, asked)
        for density, label in zip(asked["density"], asked["label"])
    ]
    part = answer + ".part"
    with open(part, "wb") as file:
        np.savez(file, intensity=np.asarray(intensity, np.float32), attenuation=np.asarray(attenuation, float))
    os.replace(part, answer)


def pictures(
    density: np.ndarray, label: np.ndarray, names: list[str], asked: dict[str, np.ndarray]
) -> list[np.ndarray]:
    """Mean energy of a photon, keV, at each pixel of each view of one body: no noise, no scatter, no logarithm."""
    from deepdrr import Volume, geo
    from deepdrr.projector import Projector

    volume = Volume(
        density,
        {name: label == n for n, name in enumerate(names) if (label == n).any()},
        anatomical_from_IJK=geo.FrameTransform(asked["anatomical_from_ijk"]),
        world_from_anatomical=geo.FrameTransform(asked["world_from_anatomical"]),
        anatomical_coordinate_system="LPS",
    )
    spectrum = np.stack([asked["energies"] * EV_PER_KEV, asked["photons"]], axis=1)
    (rows, columns), found = asked["size"].tolist(), []
    for k, r, t, distance in zip(asked["k"], asked["r"], asked["t"], asked["source_to_panel"]):
        seen = camera(geo, k, r, t, (rows, columns))
        projector = Projector(
            volume,
            camera_intrinsics=seen.intrinsic,
            spectrum=spectrum,
            add_noise=False,
            neglog=False,
            source_to_detector_distance=float(distance),
        )
        with projector:
            picture = np.squeeze(np.asarray(projector.project(seen)))
        if picture.shape != np.empty((rows, columns)).squeeze().shape:
            raise ValueError(f"DeepDRR made a picture of {picture.shape}, not {(rows, columns)}")
        found.append(picture.reshape(rows, columns))
    return found


def camera(geo: Any, k: np.ndarray, r: np.ndarray, t: np.ndarray, size: tuple[int, int]) -> Any:
    """DeepDRR's camera of an intrinsic matrix in pixels (corners at whole numbers), R and t, and (rows, columns)."""
    intrinsic = geo.CameraIntrinsicTransform(k, sensor_height=size[0], sensor_width=size[1])
    return geo.CameraProjection(intrinsic, geo.FrameTransform.from_rt(r, t))


if __name__ == "__main__":
    try:
        check() if sys.argv[1:] == ["check"] else project(*sys.argv[2:])
    except Exception as error:  # whatever it is, the other side has one line for it
        print(f"{SAID}{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
