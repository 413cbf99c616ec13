"""Rays through the middles of pixels, samples along them, and what a beam's photons bring on the average."""

import numpy as np

from deepdrr.material import Material

STEPS = 500


class Projector:
    def __init__(
        self, volume, camera_intrinsics, spectrum, add_noise, neglog, source_to_detector_distance, photon_count=10000
    ):
        assert not add_noise and not neglog
        self.volume, self.size = volume, (camera_intrinsics.sensor_height, camera_intrinsics.sensor_width)
        self.energies, self.photons = spectrum[:, 0] / 1000, spectrum[:, 1] / spectrum[:, 1].sum()
        self.reach = source_to_detector_distance

    def __enter__(self):
        return self

    def __exit__(self, *what):
        return None

    def project(self, *cameras):
        return np.stack([self._one(camera) for camera in cameras]).squeeze()

    def _one(self, camera):
        v, u = np.meshgrid(*(np.arange(n) + 0.5 for n in self.size), indexing="ij")
        rays = np.linalg.inv(camera.intrinsic.data) @ np.stack([u, v, np.ones_like(u)]).reshape(3, -1)
        world_from_camera = np.linalg.inv(camera.extrinsic.data)
        ijk_from_camera = np.linalg.inv(self.volume.world_from_ijk) @ world_from_camera
        # Only as much of each ray as may meet the volume: between the nearest and the farthest corner's depth.
        n = np.array(self.volume.data.shape)
        corners = np.array(np.meshgrid(*([-1, m] for m in n))).reshape(3, -1)
        depths = (np.linalg.inv(ijk_from_camera) @ np.vstack([corners, np.ones(8)]))[2]
        near, far = max(depths.min(), 0.0), min(depths.max(), self.reach)
        length = np.linalg.norm(rays, axis=0) * (far - near) / STEPS
        mass = {name: np.zeros(rays.shape[1]) for name in self.volume.materials}
        for step in range(STEPS):
            points = rays * (near + (far - near) * (step + 0.5) / STEPS)
            at = ijk_from_camera[:3, :3] @ points + ijk_from_camera[:3, 3:]
            for name, mask in self.volume.materials.items():
                mass[name] += trilinear(self.volume.data * mask, at) * length / 10
        result = 0.0
        for energy, share in zip(self.energies.tolist(), self.photons):
            depth = sum(Material.from_string(name).get_coefficients(energy).mu_over_rho * a for name, a in mass.items())
            result = result + energy * share * np.exp(-depth)
        return np.reshape(result, self.size).astype(np.float32)


def trilinear(values, at):
    low = np.floor(at).astype(int)
    part, result = at - low, 0.0
    for corner in np.ndindex(2, 2, 2):
        here = low + np.array(corner)[:, None]
        weight = np.prod(np.where(np.array(corner)[:, None], part, 1 - part), axis=0)
        inside = ((here >= 0) & (here < np.array(values.shape)[:, None])).all(axis=0)
        result = result + np.where(inside, weight * values[tuple(np.where(inside, here, 0))], 0.0)
    return result
