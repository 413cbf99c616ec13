"""A pelvis put behind points of a radiograph whose geometry nobody knows: what the others must be if some are certain.

The shape is the mean of 40 adults and its first modes (active shape models: Cootes et al. 1995); the camera a
pinhole of unknown distance that sees patient's left on the right. All unknowns have a prior, so two points suffice.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from skiagraph.active.looking import Evidence, merged, pointed
from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.bodies.shape import atlas, carried
from skiagraph.detect.detector import Findings
from skiagraph.volume import Keypoints

MODES = 8
"""Ways in which the pelvis may differ from the mean."""
UNEXPLAINED = 4.0
"""Millimetres in the body by which landmarks lie beside what so few modes and a reader's eye make of them."""
TURNS = np.radians([25.0, 12.0, 25.0])
"""Standard deviations of tilt, obliquity and axial rotation about an AP view."""
DISTANCE = 900.0
"""Millimetres from the tube to the pelvis, about: its inverse is drawn to that with as much spread."""
LIKELY = 3.0
"""Standard deviations beyond which a point that was only found is believed less and less."""
MOST = 20.0
"""Standard deviations; the implausibility of what no pelvis can be put behind."""


@dataclass(frozen=True, eq=False)
class Refit:
    """A pelvis behind points."""

    uv: Float[ndarray, "l 2"]
    """Where it would have all of `LANDMARK_NAMES`, pixels."""
    millimetre: float
    """Pixels of one, in the plane of the hips."""
    off: float
    """How unlikely they are to be its own, and it to be anybody's: standard deviations, root mean square over points.

    No single point counts beyond `MOST`."""


def refit(uv: Float[ndarray, "l 2"], sigma: Float[ndarray, "l"], certain: Bool[ndarray, "l"]) -> Refit | None:
    """The most probable pelvis behind points given as `LANDMARK_NAMES` lists them, with pixels of uncertainty.

    An infinite sigma leaves a point out; one that is not certain may be wrong altogether. None for less than two.
    """
    used = np.isfinite(sigma) & np.isfinite(uv).all(axis=1)
    if used.sum() < 2:
        return None
    mean, ways = _bones()
    flat = mean[used][:, [0, 2]] * [1.0, -1.0]
    scale = _spread(uv[used]) / max(_spread(flat), 1e-6)
    start = uv[used].mean(axis=0) - scale * flat.mean(axis=0)

    def placed(x: Float[ndarray, "x"]) -> Float[ndarray, "l 2"]:
        turned = Rotation.from_rotvec(x[:3]).apply(mean + np.tensordot(x[7:], ways, axes=1))
        near = 1.0 / np.maximum(1.0 + x[6] / DISTANCE * turned[:, 1:2], 0.2)
        return np.exp(x[3]) * scale * turned[:, [0, 2]] * [1.0, -1.0] * near + start + x[4:6] * 100 * scale

    def errors(x: Float[ndarray, "x"]) -> Float[ndarray, "n"]:
        wide = np.hypot(sigma[used], UNEXPLAINED * scale * np.exp(x[3]))
        off = (placed(x) - uv)[used] / wide[:, None]
        far = np.linalg.norm(off, axis=1)
        doubted = LIKELY * np.sqrt(np.log1p((far / LIKELY) ** 2)) / np.maximum(far, 1e-9)
        off = off * np.where(certain[used], 1.0, doubted)[:, None]
        return np.concatenate([off.ravel(), rare(x)])

    def rare(x: Float[ndarray, "x"]) -> Float[ndarray, "x"]:
        return np.concatenate([x[:3] / TURNS, x[3:4], x[4:6] / 3.0, [x[6] - 1.0], x[7:]])

    starts = [np.r_[np.radians(tilt), 0, 0, 0, 0, 0, 1, np.zeros(MODES)] for tilt in (-15.0, 15.0)]
    best = min((least_squares(errors, x, max_nfev=40) for x in starts), key=lambda found: found.cost)
    millimetre = float(np.exp(best.x[3]) * scale)
    off = np.linalg.norm((placed(best.x) - uv)[used], axis=1) / np.hypot(sigma[used], UNEXPLAINED * millimetre)
    unlikely = (np.minimum(off, MOST) ** 2).sum() + (rare(best.x) ** 2).sum()
    return Refit(placed(best.x), millimetre, float(np.sqrt(unlikely / used.sum())))


def implausibility(found: Findings, where: Evidence) -> float:
    """How far the visible landmarks are from any pelvis, standard deviations."""
    uv, sigma, _ = _listed(found, where)
    fitted = refit(uv, sigma, np.zeros(len(uv), dtype=bool))
    return MOST if fitted is None else fitted.off


def completed(found: Findings, where: Evidence, fixed: Keypoints) -> Keypoints:
    """The landmarks of a picture, given some that are certain: those stay, the others are looked for anew.

    Where the pelvis behind the certain ones has them, and there where the heatmap is brightest. Landmarks that the hip
    task does not know stay where they were found.
    """
    uv, sigma, rows = _listed(found, where)
    certain = np.zeros(len(uv), dtype=bool)
    for name, at, seen in zip(fixed.names, fixed.uv.tolist(), fixed.visible.tolist()):
        if name in LANDMARK_NAMES:
            row = LANDMARK_NAMES.index(name)
            uv[row], sigma[row], certain[row] = at, 0.0 if seen else np.inf, seen
    fitted = refit(uv, sigma, certain)
    if fitted is None or not certain.any():
        return merged(found.keypoints, fixed)
    near = found.keypoints.uv.numpy().copy()
    within = np.full(len(near), 1e6)
    for row, at in rows.items():
        near[at], within[at] = fitted.uv[row], 2 * UNEXPLAINED * fitted.millimetre
    placed = Keypoints(found.keypoints.names, pointed(where, near, within), found.keypoints.visible)
    return merged(placed, fixed)


def _listed(found: Findings, where: Evidence) -> tuple[Float[ndarray, "l 2"], Float[ndarray, "l"], dict[int, int]]:
    """What was found, as `LANDMARK_NAMES` lists it: places, uncertainties, and which finding each is."""
    names = found.keypoints.names
    rows = {row: names.index(name) for row, name in enumerate(LANDMARK_NAMES) if name in names}
    uv, sigma = np.full((len(LANDMARK_NAMES), 2), np.nan), np.full(len(LANDMARK_NAMES), np.inf)
    spread = where.spread
    for row, at in rows.items():
        if bool(found.keypoints.visible[at]):
            uv[row], sigma[row] = found.keypoints.uv[at].numpy(), spread[at]
    return uv, sigma, rows


@cache
def _bones() -> tuple[Float[ndarray, "l 3"], Float[ndarray, "m l 3"]]:
    """The mean pelvis's landmarks, and what a standard deviation of each mode does to them; millimetres."""
    model = atlas().model

    def at(mode: int, step: float) -> Float[ndarray, "l 3"]:
        points = carried(model.mean + step * model.modes[mode])
        return np.array([points[name] for name in LANDMARK_NAMES])

    return at(0, 0.0), np.array([(at(mode, 1.0) - at(mode, -1.0)) / 2 for mode in range(MODES)])


def _spread(points: Float[ndarray, "n 2"]) -> float:
    return float(np.sqrt(points.var(axis=0).sum()))
