"""How well pelves of the shape model are placed from their landmarks, and how badly one may fit and still be a pelvis.

    python core/benchmarks/pose_plausibility.py --draws 400

Pelves drawn from the modes, posed as patients lie, radiographed with tubes at 1.0 to 1.2 m; their landmarks moved by 3
mm (root mean square, in the hips' plane), some of them hidden. Prints errors of the pose where nothing is known of the
exposure, and the table that `skiagraph.detect.pose` holds as `USUAL_COSTS`.
"""

import argparse

import numpy as np
import torch

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.bodies.shape import PelvisShape
from skiagraph.detect.pose import LEVELS, Exposure, pelvic_angles, pose_of
from skiagraph.geometry import float64, rigid, rotation
from skiagraph.planning import PelvicFrame
from skiagraph.volume import Keypoints

NOISE = 3.0
SIZE, SPACING = (1000, 900), 0.43


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--draws", type=int, default=400)
    options.add_argument("--counts", type=int, nargs="+", default=[6, 8, 10, 12, 14])
    options.add_argument("--wrong", type=int, default=0, help="points put 40 to 120 mm away")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    rng = torch.Generator().manual_seed(given.seed)
    for count in given.counts:
        errors, pulls, costs, right, wrong = [], [], [], [], []
        for _ in range(given.draws):
            keypoints, true, moved = drawn(count, given.wrong, rng)
            found = pose_of(keypoints, torch.ones(len(LANDMARK_NAMES)), Exposure.usual(SIZE))
            off = np.array(found.angles) - true
            errors.append(np.abs(off))
            pulls.append(off / found.spread.numpy())
            costs.append(found.cost)
            residuals = found.residuals.numpy()
            right.extend(residuals[~moved & keypoints.visible.numpy()])
            wrong.extend(residuals[moved])
        median, worst = np.median(errors, axis=0).round(1), np.quantile(errors, 0.95, axis=0).round(1)
        print(f"{count} points, {given.wrong} of them wrong: off by {median} degrees (primary, secondary, roll),")
        print(f"    95 % within {worst}; over the spread said {np.std(pulls, axis=0).round(2)}")
        print(f"    residuals of right points, mm, 50, 90, 99, 99.9 %: {quantiles(right, (0.5, 0.9, 0.99, 0.999))}")
        if wrong:
            print(f"    residuals of wrong points, least, 1, 5, 50 %: {quantiles(wrong, (0, 0.01, 0.05, 0.5))}")
        print(f"    {count}: ({', '.join(f'{cost:.2f}' for cost in np.quantile(costs, LEVELS))}),", flush=True)


def quantiles(values: list[float], levels: tuple[float, ...]) -> np.ndarray:
    return np.quantile(values, levels).round(1)


def drawn(count: int, wrong: int, rng: torch.Generator) -> tuple[Keypoints, np.ndarray, np.ndarray]:
    """The points of a pelvis on a film, the angles it is seen from, and which points are wrong."""

    def about(deviation: float) -> float:
        return deviation * float(torch.randn(1, generator=rng))

    turn = rotation("z", about(8)) @ rotation("x", about(12)) @ rotation("y", about(4))
    motion = rigid(turn, float64([0, 0, 0]), float64([about(15), about(30), about(25)]))
    landmarks = PelvisShape.draw(rng).landmarks.subset(LANDMARK_NAMES).moved(motion)
    far = 1000.0 + 200.0 * float(torch.rand(1, generator=rng))
    exposure = Exposure.usual(SIZE, (SPACING, SPACING), far)
    pixel = SPACING * exposure.to_hips / far
    uv = exposure.view.project(landmarks.points)
    uv = uv + NOISE / 2**0.5 / pixel * torch.randn(uv.shape, generator=rng, dtype=torch.float64)
    order = torch.randperm(len(uv), generator=rng)
    visible = torch.zeros(len(uv), dtype=torch.bool)
    visible[order[:count]] = True
    moved = order[:wrong]
    away = torch.randn(wrong, 2, generator=rng, dtype=torch.float64)
    reach = (40 + 80 * torch.rand(wrong, 1, generator=rng, dtype=torch.float64)) / pixel
    uv[moved] += reach * away / away.norm(dim=1, keepdim=True)
    frame = PelvicFrame.of(landmarks)
    chosen = np.isin(np.arange(len(uv)), moved.numpy())
    return Keypoints(landmarks.names, uv, visible), np.array(pelvic_angles(exposure.view, frame)), chosen


if __name__ == "__main__":
    main()
