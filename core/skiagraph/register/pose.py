"""The pose of a body from points seen in one X-ray: perspective-n-point, for everybody who needs it."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from numpy import ndarray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from torch import Tensor

from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import View, transform
from skiagraph.volume import Keypoints, Landmarks

FEWEST = 4
"""Points below which a pose has several answers."""
STARTS = 48
"""Turns to start from when the pose at hand leads nowhere."""
GOOD = 3.0
"""Pixels of root mean square residual below which no other start is tried."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A rigid motion of the body that brings its points onto the picture's."""

    world_from_body: Float64[Tensor, "4 4"]
    """Takes the body from where its CT has it to where the X-ray saw it, LPS millimetres."""
    residuals: Float64[Tensor, "p"]
    """Pixels between each point's projection and where it was seen."""
    used: Bool[Tensor, "p"]
    """Points the fit rests on; the others are seen nowhere or lie too far off."""
    covariance: Float64[Tensor, "6 6"]
    """Of (rotation in radians, shift in millimetres) about the points' middle, from the residuals."""

    @property
    def rms(self) -> float:
        """Root mean square of the used residuals, pixels."""
        return float(self.residuals[self.used].square().mean().sqrt())


def pose_from_landmarks(landmarks: Landmarks, keypoints: Keypoints, view: View, outlier: float = 20.0) -> Fit:
    """The pose of a body whose landmarks were seen as keypoints in a single view of known source and panel.

    Names are matched; keypoints that are not visible are left out, and so are those more than `outlier` pixels off
    once the others agree. Raises DataError with fewer than four points in common, GeometryError if no pose brings
    them before the panel.
    """
    names = [n for n, seen in zip(keypoints.names, keypoints.visible.tolist()) if seen and n in landmarks]
    if len(names) < FEWEST:
        raise DataError(f"{len(names)} landmarks seen of those known; a pose needs {FEWEST} or more")
    at = [keypoints.names.index(name) for name in names]
    return pose_from_points(landmarks.subset(names).points, keypoints.uv[at], view, outlier)


def pose_from_points(
    points: Float64[Tensor, "p 3"], uv: Float64[Tensor, "p 2"], view: View, outlier: float = 20.0
) -> Fit:
    """The pose of a body whose points (LPS mm) were seen at pixels (u, v) of a single view.

    Trust-region least squares on the reprojection error with a Cauchy loss, from where the body is and, if that fails,
    from `STARTS` turns; then once more on the points within `outlier` pixels.
    """
    if len(points) < FEWEST:
        raise DataError(f"{len(points)} points; a pose needs {FEWEST} or more")
    problem = _Problem.of(points, uv, view)
    used = np.ones(len(points), dtype=bool)
    best = problem.solve(np.zeros(6), used, outlier)
    if problem.rms(best, used) > GOOD:
        for start in problem.starts():
            candidate = problem.solve(start, used, outlier)
            if problem.cost(candidate, used, outlier) < problem.cost(best, used, outlier):
                best = candidate
            if problem.rms(best, used) < GOOD:
                break
    kept = problem.distances(best) <= outlier
    if FEWEST <= kept.sum() < len(points):
        best, used = problem.solve(best, kept, outlier), kept
    motion = problem.motion(best)
    if not bool((view.depth(transform(motion, points)) > 0).all()):
        raise GeometryError("no pose brings the points between source and panel; check the view and the points' names")
    residuals, covariance = problem.distances(best), problem.covariance(best, used)
    return Fit(motion, torch.from_numpy(residuals), torch.from_numpy(used), torch.from_numpy(covariance))


@dataclass(frozen=True, eq=False)
class _Problem:
    """Six unknowns: a rotation vector and a shift of the points' middle, in the source's frame."""

    points: Float[ndarray, "p 3"]
    middle: Float[ndarray, "3"]
    uv: Float[ndarray, "p 2"]
    matrix: Float[ndarray, "3 4"]
    anchor: Float[ndarray, "3"]
    """Where the points' middle is looked for: on the ray of the pixels' middle, two thirds of the way to the panel."""

    @classmethod
    def of(cls, points: Tensor, uv: Tensor, view: View) -> "_Problem":
        landing = view.on_panel(uv.mean(dim=0, keepdim=True))[0]
        anchor = view.source + 0.7 * (landing - view.source)
        middle = points.mean(dim=0)
        arrays = (x.numpy() for x in (points, middle, uv, view.matrix(), anchor))
        return cls(*arrays)

    def starts(self) -> list[Float[ndarray, "6"]]:
        """Turns of the body, spread evenly over all there are, with its middle on the right ray."""
        turns = Rotation.random(STARTS, rng=np.random.default_rng(0))
        return [np.concatenate([turn.as_rotvec(), self.anchor - self.middle]) for turn in turns]

    def placed(self, x: Float[ndarray, "6"]) -> Float[ndarray, "p 3"]:
        return Rotation.from_rotvec(x[:3]).apply(self.points - self.middle) + self.middle + x[3:]

    def errors(self, x: Float[ndarray, "6"]) -> Float[ndarray, "p 2"]:
        pixel = self.placed(x) @ self.matrix[:, :3].T + self.matrix[:, 3]
        depth = np.where(pixel[:, 2:] > 1.0, pixel[:, 2:], 1.0)
        return pixel[:, :2] / depth - self.uv

    def distances(self, x: Float[ndarray, "6"]) -> Float[ndarray, "p"]:
        return np.linalg.norm(self.errors(x), axis=1)

    def rms(self, x: Float[ndarray, "6"], used: ndarray) -> float:
        return float(np.sqrt((self.distances(x)[used] ** 2).mean()))

    def cost(self, x: Float[ndarray, "6"], used: ndarray, outlier: float) -> float:
        scaled = (self.distances(x)[used] / outlier) ** 2
        return float(np.log1p(scaled).sum())

    def solve(self, x: Float[ndarray, "6"], used: ndarray, outlier: float) -> Float[ndarray, "6"]:
        scale = np.array([0.1, 0.1, 0.1, 10.0, 10.0, 30.0])
        found = least_squares(
            lambda y: self.errors(y)[used].ravel(), x, loss="cauchy", f_scale=outlier / 2, x_scale=scale, max_nfev=200
        )
        return np.asarray(found.x)

    def motion(self, x: Float[ndarray, "6"]) -> Tensor:
        moved = np.eye(4)
        moved[:3, :3] = Rotation.from_rotvec(x[:3]).as_matrix()
        moved[:3, 3] = self.middle + x[3:] - moved[:3, :3] @ self.middle
        return torch.from_numpy(moved)

    def covariance(self, x: Float[ndarray, "6"], used: ndarray) -> Float[ndarray, "6 6"]:
        """Of the linearised fit, with the residuals' own variance."""
        steps = np.array([1e-5] * 3 + [1e-3] * 3)
        columns = [
            (self.errors(x + step)[used].ravel() - self.errors(x - step)[used].ravel()) / (2 * size)
            for size, step in zip(steps, np.diag(steps))
        ]
        jacobian = np.stack(columns, axis=1)
        freedom = max(1, len(jacobian) - 6)
        variance = float((self.errors(x)[used] ** 2).sum()) / freedom
        return variance * np.linalg.pinv(jacobian.T @ jacobian)
