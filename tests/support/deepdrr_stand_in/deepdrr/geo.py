"""Frames and cameras: matrices with names."""

import numpy as np


class FrameTransform:
    def __init__(self, data):
        self.data = np.asarray(data, dtype=float)

    @classmethod
    def from_rt(cls, rotation, translation):
        assert np.allclose(rotation @ rotation.T, np.eye(3)) and np.linalg.det(rotation) > 0
        data = np.eye(4)
        data[:3, :3], data[:3, 3] = rotation, translation
        return cls(data)


class CameraIntrinsicTransform:
    def __init__(self, data, sensor_height=None, sensor_width=None):
        assert data[0, 0] > 0 and data[1, 1] > 0, "focal lengths are positive"
        self.data, self.sensor_height, self.sensor_width = np.asarray(data, dtype=float), sensor_height, sensor_width


class CameraProjection:
    def __init__(self, intrinsic, extrinsic):
        self.intrinsic, self.extrinsic = intrinsic, extrinsic
