"""How a pelvis lay when its picture was taken, from the landmarks found on it, and whether they can be a pelvis's.

The most probable pose, distance and shape at once: the mean pelvis and its modes, each held back by how rare it is,
projected onto the points found, of which some may be wrong (a Cauchy loss). Where nothing is known of the exposure, a
radiograph's usual geometry is assumed, and said.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from numpy import ndarray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from torch import Tensor

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.bodies.shape import PelvisShape, atlas, carried
from skiagraph.carm import view_angles, view_roll
from skiagraph.geometry import View, float64, rigid, rotation
from skiagraph.planning import HEADS, PelvicFrame
from skiagraph.volume import Keypoints, Landmarks

FEWEST = 6
"""Points below which pose, distance and shape cannot be told apart."""
FILM_DISTANCE, HIPS_TO_FILM, HIPS_SPREAD = 1100.0, 130.0, 50.0
"""Millimetres: tube to film and hips to film of an AP pelvis where nothing is said, and how far hips may be off."""
FILM_SPREAD = 0.05
"""Of the tube's distance, as a share of it, where pixels have a known size and it has not."""
LONG_SIDE = 430.0
"""Millimetres a film's longer side has, to start from, where pixels have no known size."""
SCATTER = 4.0
"""Millimetres, one standard deviation along each axis, that a landmark surely found lies beside a fitted pelvis."""
LEAST_SURE = 0.05
"""Confidence below which a point counts as one of this."""
WRONG = 3.0
"""Standard deviations beyond which a point counts less and less."""
MODES = 12
"""Of the shape."""
DISAGREES = 12.0
"""Millimetres in the plane of the hips beyond which a point disagrees: fewer than one in a thousand right ones do."""
LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
USUAL_COSTS = {
    6: (0.08, 0.15, 0.28, 0.44, 0.69, 0.95, 1.10, 1.65),
    8: (0.12, 0.23, 0.39, 0.56, 0.76, 0.95, 1.24, 1.50),
    10: (0.24, 0.33, 0.48, 0.64, 0.82, 0.98, 1.10, 1.32),
    12: (0.28, 0.37, 0.54, 0.70, 0.89, 1.12, 1.23, 1.62),
    14: (0.30, 0.42, 0.59, 0.75, 0.92, 1.08, 1.20, 1.46),
}
"""The cost of a pelvis's fit by how many of its points are seen, at `LEVELS` of pelves drawn from the shape model whose
points were found to 3 mm. `core/benchmarks/pose_plausibility.py` makes it again."""
STEP = 1e-3
"""By which unknowns are moved to see how the angles follow."""
FOLLOWED = 2
"""How many of the directions that look best at first are followed to the end."""


@dataclass(frozen=True, eq=False)
class Exposure:
    """What is known of how a picture was taken before the pelvis on it is looked at."""

    view: View
    """Source and panel, in the world in which the pose will be."""
    to_hips: float
    """Millimetres expected between source and hips along the principal ray."""
    hips_spread: float
    """One standard deviation of that."""
    zoom_spread: float
    """One standard deviation of the logarithm of the panel's distance in pixels; 0 if it is known."""
    assumed: str
    """What was assumed, in words; nothing if the picture said it all."""

    @classmethod
    def known(cls, view: View) -> "Exposure":
        """The geometry of a picture that says it; the hips are somewhere between source and panel."""
        far = float(view.source_to_panel)
        return cls(view, 0.75 * far, 0.15 * far, 0.0, "")

    @classmethod
    def usual(
        cls, size: tuple[int, int], spacing: tuple[float, float] | None = None, distance: float | None = None
    ) -> "Exposure":
        """An AP radiograph of so many (rows, columns): the tube square before the picture's middle, head up.

        `spacing` are the millimetres of (rows, columns) on the film and `distance` those from tube to film, if known.
        """
        far = FILM_DISTANCE if distance is None else distance
        row, column = (LONG_SIDE / max(size),) * 2 if spacing is None else spacing
        corner = [-(size[1] - 1) / 2 * column, HIPS_TO_FILM, (size[0] - 1) / 2 * row]
        view = View(
            float64([0.0, HIPS_TO_FILM - far, 0.0]),
            float64(corner),
            float64([column, 0.0, 0.0]),
            float64([0.0, 0.0, -row]),
            size,
        )
        words = [f"an AP radiograph, tube before the picture's middle, hips about {HIPS_TO_FILM:.0f} mm from the film"]
        words += [f"film {far:.0f} mm from the tube"] if distance is None else []
        words += ["pixels of unknown size"] if spacing is None else []
        spread = 1.0 if spacing is None else FILM_SPREAD if distance is None else 0.0
        return cls(view, far - HIPS_TO_FILM, HIPS_SPREAD, spread, "; ".join(words))


@dataclass(frozen=True, eq=False)
class PelvisPose:
    """A pelvis where it explains the points best."""

    landmarks: Landmarks
    """Of the pelvis fitted, LPS millimetres in the exposure's world."""
    view: View
    """The exposure's, its pixels as large as the fit has them."""
    residuals: Float64[Tensor, "p"]
    """Millimetres in the plane of the hips between each point and the pelvis's; NaN for points that were not used."""
    spread: Float64[Tensor, "3"]
    """Degrees, one standard deviation, of primary, secondary and roll."""
    cost: float
    """Twice the negative logarithm of how probable points and pelvis are, per point; no outlier weighs much."""
    assumed: str
    """What was assumed of the exposure, in words; nothing if the picture said it all."""

    @property
    def frame(self) -> PelvicFrame:
        """The anterior pelvic plane: how the pelvis is tilted, turned and oblique in the exposure's world."""
        return PelvicFrame.of(self.landmarks)

    @property
    def angles(self) -> tuple[float, float, float]:
        """Primary, secondary and roll in the pelvis's own frame, degrees, the panel in front wherever it stood."""
        return pelvic_angles(self.view, self.frame)

    @property
    def from_front(self) -> bool:
        """Whether the tube stood before the pelvis and the panel behind."""
        return float(self.view.normal @ self.frame.world_from_pelvis[:, 1]) > 0

    @property
    def middle(self) -> Float64[Tensor, "3"]:
        """Midway between the femoral heads, in the exposure's world."""
        return self.landmarks.subset(HEADS).points.mean(dim=0)

    @property
    def to_hips(self) -> float:
        """Millimetres between source and hips along the principal ray."""
        return float(self.view.depth(self.middle[None])[0])

    @property
    def pixel(self) -> float:
        """Millimetres of a pixel in the plane of the hips."""
        return self.to_hips / float(self.view.source_to_panel) * sum(self.view.pixel_spacing) / 2

    @property
    def pixel_from_pelvis(self) -> Float64[Tensor, "3 4"]:
        """Takes points in the frame of the anterior pelvic plane, zero midway between the heads, to (u, v, 1) depth."""
        matrix, turn = self.view.matrix(), self.frame.world_from_pelvis
        return torch.cat([matrix[:, :3] @ turn, (matrix[:, :3] @ self.middle + matrix[:, 3])[:, None]], dim=1)

    @property
    def disagreeing(self) -> Bool[Tensor, "p"]:
        """Which points are not where the others say."""
        return self.residuals > DISAGREES

    @property
    def rms(self) -> float:
        """Millimetres in the plane of the hips: root mean square residual of the points that agree."""
        agreeing = self.residuals[self.residuals.isfinite() & ~self.disagreeing]
        return float(agreeing.square().mean().sqrt())

    @property
    def plausibility(self) -> float:
        """The share of pelves that fit as badly, as many points found to 3 mm; 0 is fewer than one in a hundred."""
        count = int(self.residuals.isfinite().sum())
        costs = [np.interp(count, list(USUAL_COSTS), column) for column in zip(*USUAL_COSTS.values())]
        return float(np.interp(self.cost, costs, 1 - np.array(LEVELS), left=1.0, right=0.0))

    @property
    def width(self) -> float:
        """Millimetres between the outermost landmarks, left to right."""
        across = self.landmarks.points @ self.frame.world_from_pelvis[:, 0]
        return float(across.max() - across.min())


def pose_of(keypoints: Keypoints, confidence: Float[Tensor, "p"], exposure: Exposure) -> PelvisPose | None:
    """The most probable pose of the pelvis whose landmarks were seen as keypoints; None if fewer than `FEWEST` were.

    Points that are not visible, or no landmarks of the hip task, are left out.
    """
    at = [
        place
        for place, (name, seen) in enumerate(zip(keypoints.names, keypoints.visible.tolist()))
        if seen and name in LANDMARK_NAMES
    ]
    if len(at) < FEWEST:
        return None
    rows = [LANDMARK_NAMES.index(keypoints.names[place]) for place in at]
    mean, modes = _pelvis()
    sure = confidence[at].double().clamp(min=LEAST_SURE).numpy()
    problem = _Problem.of(mean[rows], modes[:, rows], keypoints.uv[at], sure, exposure)
    solved = min((problem.solved(start) for start in problem.starts()), key=lambda one: one.cost)
    residuals = torch.full((len(keypoints.names),), torch.nan, dtype=torch.float64)
    residuals[at] = torch.from_numpy(problem.distances(solved.best))

    def placed(body: _Placed) -> Landmarks:
        points = body.points(mean, modes) @ problem.basis.T + problem.source
        return Landmarks(LANDMARK_NAMES, torch.from_numpy(points))

    def angles(x: Float[ndarray, "n"]) -> Float[ndarray, "3"]:
        return np.array(pelvic_angles(exposure.view, PelvicFrame.of(placed(problem.unpacked(x, solved.start)))))

    change = np.stack([(angles(solved.x + step) - angles(solved.x - step) + 180) % 360 - 180
                       for step in STEP * np.eye(len(solved.x))], axis=-1) / (2 * STEP)  # fmt: skip
    spread = torch.from_numpy(np.sqrt(np.diag(change @ solved.covariance @ change.T)))
    view = _zoomed(exposure.view, solved.best.zoom)
    return PelvisPose(placed(solved.best), view, residuals, spread, solved.cost / len(at), exposure.assumed)


@cache
def _pelvis() -> tuple[Float[ndarray, "l 3"], Float[ndarray, "m l 3"]]:
    """The landmarks of the mean pelvis, and what one standard deviation of each mode does to them."""
    mean = PelvisShape.of(np.zeros(0))
    there = carried(mean.vertices)
    moved = [carried(mean.vertices + mode) for mode in atlas().model.modes[:MODES]]
    modes = np.array([[one[name] - there[name] for name in LANDMARK_NAMES] for one in moved])
    return mean.landmarks.subset(LANDMARK_NAMES).points.numpy(), modes


@dataclass(frozen=True, eq=False)
class _Start:
    """A pelvis that looks about right: its turn, and where along which ray."""

    turn: Float[ndarray, "3 3"]
    """In the camera's axes."""
    bearing: Float[ndarray, "2"]
    """Of its middle: tangents to the principal ray, before the zoom."""
    depth: float
    zoom: float
    cost: float


@dataclass(frozen=True, eq=False)
class _Placed:
    """A pelvis before the camera, in the camera's axes."""

    turn: Float[ndarray, "3 3"]
    shift: Float[ndarray, "3"]
    zoom: float
    coefficients: Float[ndarray, "m"]

    def points(self, mean: Float[ndarray, "l 3"], modes: Float[ndarray, "m l 3"]) -> Float[ndarray, "l 3"]:
        """Those of the mean that it has."""
        return (mean + np.tensordot(self.coefficients, modes, axes=1)) @ self.turn.T + self.shift


@dataclass(frozen=True, eq=False)
class _Solved:
    """The most probable pelvis near a start, as the unknowns say it."""

    start: _Start
    x: Float[ndarray, "n"]
    best: _Placed
    covariance: Float[ndarray, "n n"]
    cost: float


@dataclass(frozen=True, eq=False)
class _Problem:
    """The points seen as tangents to the principal ray; camera axes are the picture's u and v, and the ray."""

    mean: Float[ndarray, "p 3"]
    modes: Float[ndarray, "m p 3"]
    seen: Float[ndarray, "p 2"]
    sure: Float[ndarray, "p"]
    basis: Float[ndarray, "3 3"]
    """Columns: the camera's axes in the world."""
    source: Float[ndarray, "3"]
    exposure: Exposure

    @classmethod
    def of(
        cls,
        mean: Float[ndarray, "p 3"],
        modes: Float[ndarray, "m p 3"],
        uv: Float64[Tensor, "p 2"],
        sure: Float[ndarray, "p"],
        exposure: Exposure,
    ) -> "_Problem":
        view = exposure.view
        across = view.u_step / view.u_step.norm()
        down = torch.linalg.cross(view.normal, across)
        down = down * torch.sign(down @ view.v_step)
        basis = torch.stack([across, down, view.normal], dim=-1)
        rays = (view.on_panel(uv) - view.source) @ basis
        return cls(mean, modes, (rays[:, :2] / rays[:, 2:]).numpy(), sure, basis.numpy(), view.source.numpy(), exposure)

    def starts(self) -> list[_Start]:
        """The mean pelvis as if from far away, seen from a dozen directions: those that fit the points best."""
        upright = np.stack([self.basis[:, 0], np.cross(*self.basis.T[:2]), -self.basis[:, 1]], axis=-1)
        turns = [
            upright @ (rotation("z", primary) @ rotation("x", secondary)).numpy()
            for primary, secondary in product((0.0, 45.0, -45.0, 180.0), (0.0, 30.0, -30.0))
        ]
        found = sorted((self._from_afar(self.basis.T @ turn) for turn in turns), key=lambda one: one.cost)
        return found[:FOLLOWED]

    def _from_afar(self, turn: Float[ndarray, "3 3"]) -> _Start:
        """The similarity that brings the mean pelvis's shadow onto the points, as complex numbers, outliers aside."""
        flat = self.mean @ turn.T
        shadow, target = flat[:, 0] + 1j * flat[:, 1], self.seen[:, 0] + 1j * self.seen[:, 1]
        weight = self.sure
        for _ in range(10):
            middle, aim = np.average(shadow, weights=weight), np.average(target, weights=weight)
            about = shadow - middle
            factor = (weight * about.conj() * (target - aim)).sum() / (weight * abs(about) ** 2).sum()
            off = abs((target - aim) / factor - about) / (2 * WRONG * SCATTER)
            weight = self.sure / (1 + off**2)
        size, quarter = abs(factor), factor / abs(factor)
        known = self.exposure.zoom_spread == 0
        depth = 1 / size if known else self.exposure.to_hips
        bearing = (aim - factor * middle) * (1.0 if known else 1 / (size * depth))
        roll = np.array([[quarter.real, -quarter.imag, 0], [quarter.imag, quarter.real, 0], [0, 0, 1]])
        cost = float((self.sure * np.log1p(off**2)).sum())
        return _Start(roll @ turn, np.array([bearing.real, bearing.imag]), depth, size * depth, cost)

    def unpacked(self, x: Float[ndarray, "n"], start: _Start) -> _Placed:
        """The unknowns: turn (3) and ray (2) from those of a start, depth and zoom from the expected, coefficients."""
        prior = self.exposure
        turn = Rotation.from_rotvec(0.1 * x[:3]).as_matrix() @ start.turn
        depth = max(prior.to_hips + prior.hips_spread * x[5], 0.2 * prior.to_hips)
        shift = depth * np.array([*(start.bearing + 0.05 * x[3:5]), 1.0])
        return _Placed(turn, shift, float(np.exp(prior.zoom_spread * x[6])), x[7:])

    def solved(self, start: _Start) -> _Solved:
        """From a start to the least cost."""
        prior = self.exposure
        scale = start.depth / start.zoom

        def errors(x: Float[ndarray, "n"]) -> Float[ndarray, "r"]:
            off = self._off(self.unpacked(x, start)) * scale * np.sqrt(self.sure)[:, None] / SCATTER
            far = (off**2).sum(axis=1, keepdims=True) / WRONG**2
            # A Cauchy loss of each point as a sum of squares, so that the priors stay squares.
            off = off * np.sqrt(np.log1p(far) / np.maximum(far, 1e-12))
            return np.concatenate([off.ravel(), x[5:]])

        begin = np.zeros(7 + len(self.modes))
        begin[5] = (start.depth - prior.to_hips) / prior.hips_spread
        begin[6] = np.log(start.zoom) / prior.zoom_spread if prior.zoom_spread else 0.0
        found = least_squares(errors, begin, max_nfev=60, xtol=1e-6, ftol=1e-6)
        covariance = np.linalg.pinv(found.jac.T @ found.jac)
        return _Solved(start, found.x, self.unpacked(found.x, start), covariance, 2 * float(found.cost))

    def distances(self, body: _Placed) -> Float[ndarray, "p"]:
        """Millimetres in the plane of the hips between each point and the pelvis's."""
        return np.linalg.norm(self._off(body), axis=1) * body.shift[2] / body.zoom

    def _off(self, body: _Placed) -> Float[ndarray, "p 2"]:
        points = body.points(self.mean, self.modes)
        return body.zoom * points[:, :2] / np.maximum(points[:, 2:], 1.0) - self.seen


def _zoomed(view: View, zoom: float) -> View:
    """The view with the panel's pixels smaller, about the principal point."""
    foot = view.source + view.source_to_panel * view.normal
    return View(view.source, foot + (view.origin - foot) / zoom, view.u_step / zoom, view.v_step / zoom, view.size)


def pelvic_angles(view: View, frame: PelvicFrame) -> tuple[float, float, float]:
    """Primary, secondary and roll of a view in a pelvis's own frame, degrees; the panel in front wherever it stands.

    So an AP radiograph and an AP of a C-arm are both at 0, 0.
    """
    inside = view.moved(rigid(frame.world_from_pelvis.T, float64([0.0, 0.0, 0.0])))
    seen = inside.changed_over(inside.source) if float(inside.normal[1]) > 0 else inside
    return (*view_angles(seen), view_roll(seen))
