"""Make `models/pelvis_shape/hip_readings.json` again: `python core/benchmarks/pelvis_readings.py pelvis_atlas.npz`.

Half a minute. Needs `trimesh` and `scikit-image`. The archive holds the surfaces of the pelvis atlas of Han et al. as
published, in the atlas's order of subjects: `LeftHip_v`, `RightHip_v` and `Sacrum_v` are the vertices of
`surface/*/*_cpd.vtk` (40 x 5000 x 3, millimetres, LPS), `LeftHip_f` the triangles of a left hip bone, counted from 0.

From the 40 subjects to the tables: their mean shape, turned into its anterior pelvic plane, as voxels; seen from the
side and from the front, the outline of what two bent plates would be, where their middle lies and how thick they are.
"""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from matplotlib.path import Path as Polygon
from scipy import ndimage
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from skimage.measure import find_contours

from skiagraph.io.files import writing

OUTPUT = Path(__file__).parents[2] / "models" / "pelvis_shape" / "hip_readings.json"

MIRROR = np.array([-1.0, 1.0, 1.0])
CUP = np.array([87.8, 0.0, 0.0])
"""The left femoral head in the frame of the tables, as `hip_center` finds it."""
CUP_RADIUS = 26.5
"""Enough to fill the acetabulum, whose sphere has 25.4 mm."""
CUP_AXIS = np.array([0.70, -0.35, -0.62]) / np.linalg.norm([0.70, -0.35, -0.62])
"""Out of the acetabulum's mouth."""

ACETABULUM = (40.0, 150.05)
"""Millimetres above the ischium between which the acetabulum is looked for.

To the hundredth, because its sphere is drawn at random: a vertex more or less draws another."""

CORNER, LAST = np.array([-5.0, -60.0, -70.0]), np.array([145.0, 95.0, 150.0])
"""Middles of the first and the last voxel around the left hip bone; voxels are 1 mm wide."""

OPENED = {
    (15.5, -24.0): (15.5, -21.0),
    (9.0, -21.5): (9.0, -13.0),
    (2.0, -21.5): (2.0, -7.0),
    (-4.5, -19.5): (-4.5, -5.0),
    (-11.0, -16.5): (-11.0, -4.0),
    (-16.5, -12.5): (-16.5, -5.0),
    (-23.5, -12.5): (-23.5, -7.0),
    (-30.0, -10.5): (-30.0, -8.0),
}
"""The one edit by hand: corners of SIDE_OUTLINE, (y, z), lifted to the acetabular notch.

As measured they follow the superior ramus, which is in the front view already and would close the notch."""


@dataclass(frozen=True)
class Pelvis:
    """Vertices of the two hip bones and the sacrum in one frame."""

    left: np.ndarray
    right: np.ndarray
    sacrum: np.ndarray

    def points(self) -> np.ndarray:
        return np.concatenate([self.left, self.right, self.sacrum])

    def moved(self, turn: np.ndarray, origin: np.ndarray) -> "Pelvis":
        """What lay at `origin` lies at zero, and is turned."""
        return Pelvis(*((part - origin) @ turn.T for part in (self.left, self.right, self.sacrum)))


def mean_shape(left: np.ndarray, right: np.ndarray, sacrum: np.ndarray, rounds: int = 8) -> Pelvis:
    """The Procrustes mean of all subjects, at their mean size."""
    shapes = np.concatenate([left, right, sacrum], axis=1)
    shapes = shapes - shapes.mean(1, keepdims=True)
    sizes = np.sqrt((shapes**2).sum(2).mean(1))
    shapes /= sizes[:, None, None]
    mean = shapes[0]
    for _ in range(rounds):
        shapes = np.stack([shape @ rotation_onto(shape, mean) for shape in shapes])
        mean = shapes.mean(0)
    ends = np.cumsum([left.shape[1], right.shape[1]])
    return Pelvis(*np.split(mean * sizes.mean(), ends))


def rotation_onto(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation R for which `points @ R` is nearest to the target. Kabsch 1976."""
    u, _, v = np.linalg.svd(points.T @ target)
    return u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v))]) @ v


def in_pelvic_frame(pelvis: Pelvis) -> Pelvis:
    """The same in the frame of the tables: x off its plane of symmetry, z up its anterior pelvic plane."""
    upright = anterior_plane_upright(symmetric(pelvis))
    return upright.moved(np.eye(3), hip_center(upright.left, np.random.default_rng(0)) * [0, 1, 1])


def symmetric(pelvis: Pelvis) -> Pelvis:
    """The same with x measured from the plane it is most nearly mirrored by."""
    center = np.concatenate([pelvis.left, pelvis.right]).mean(0)
    tree, some = cKDTree(pelvis.points()), pelvis.points()[::7] - center

    def normal(lean: Sequence[float]) -> np.ndarray:
        return np.array([1, *lean]) / np.linalg.norm([1, *lean])

    def asymmetry(plane: np.ndarray) -> float:
        *lean, offset = plane
        across = (some @ normal(lean) - offset)[:, None] * normal(lean)
        return float((np.minimum(tree.query(some - 2 * across + center)[0], 10) ** 2).mean())

    *lean, offset = minimize(asymmetry, [0, 0, 0], method="Nelder-Mead").x
    x = normal(lean)
    z = np.cross(x, [0, 1, 0])
    z /= np.linalg.norm(z)
    return pelvis.moved(np.stack([x, np.cross(z, x), z]), center + offset * x)


def anterior_plane_upright(pelvis: Pelvis) -> Pelvis:
    """The same, turned about x until the anterior superior spines and the pubic tubercles are equally far in front."""

    def foremost(points: np.ndarray, low: float, high: float) -> np.ndarray:
        band = points[(points[:, 2] > low) & (points[:, 2] < high)]
        return band[np.argmin(band[:, 1])]

    def of_both_sides(low: float, high: float) -> np.ndarray:
        return (foremost(pelvis.left, low, high) + foremost(pelvis.right, low, high) * MIRROR) / 2

    for _ in range(10):
        bottom, top = pelvis.left[:, 2].min(), pelvis.left[:, 2].max()
        _, y, z = of_both_sides(top - 120, top) - of_both_sides(bottom, bottom + 75)
        tilt = np.arctan2(y, z)
        c, s = np.cos(tilt), np.sin(tilt)
        pelvis = pelvis.moved(np.array([[1, 0, 0], [0, c, -s], [0, s, c]]), np.zeros(3))
        if abs(tilt) < 1e-3:
            break
    return pelvis


def hip_center(left: np.ndarray, rng: np.random.Generator, tries: int = 20000) -> np.ndarray:
    """The middle of the sphere, of a femoral head's size, on which most of the left hip bone's vertices lie."""
    height = left[:, 2] - left[:, 2].min()
    near = left[(height > ACETABULUM[0]) & (height < ACETABULUM[1]) & (left[:, 0] > 60)]
    best, center = 0, np.zeros(3)
    for _ in range(tries):
        four = near[rng.integers(len(near), size=4)]
        system = np.c_[2 * four, np.ones(4)]
        if np.linalg.matrix_rank(system) < 4:
            continue
        *middle, rest = np.linalg.solve(system, (four**2).sum(1))
        radius = np.sqrt(max(rest + np.dot(middle, middle), 0))
        if not 20 < radius < 32:
            continue
        on_it = (abs(np.linalg.norm(near - middle, axis=1) - radius) < 0.8).sum()
        if on_it > best:
            best, center = on_it, np.array(middle)
    return center


def solid(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Which voxels a closed surface fills, indexed x y z."""
    filled = trimesh.Trimesh(vertices, triangles.astype(int), process=False).voxelized(1.0).fill()
    occupied = np.zeros((LAST - CORNER).astype(int) + 1, bool)
    occupied[tuple(np.round(filled.points - CORNER).astype(int).T)] = True
    return occupied


def with_filled_cup(bone: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The hip bone as a plate, without its acetabulum: the product cuts one of the person's size."""
    from_cup = places - CUP
    bone = bone | ((np.linalg.norm(from_cup, axis=-1) < CUP_RADIUS) & (from_cup @ CUP_AXIS < 2))
    bone = ndimage.binary_closing(np.pad(bone, 3), iterations=2)[3:-3, 3:-3, 3:-3]
    return ndimage.binary_fill_holes(bone)


@dataclass(frozen=True)
class Seen:
    """A part of a bone looked at along an axis: pixels of 1 mm, u before v."""

    corner: np.ndarray
    """(u, v) of the first pixel."""
    silhouette: np.ndarray
    middle: np.ndarray
    """Where along the axis the thickest of the bone is."""
    half: np.ndarray
    """Radius of the largest ball on the line of sight."""


def seen(part: np.ndarray, inside: np.ndarray, axis: int) -> Seen:
    """A part of the bone seen along an axis, given how deep each voxel of the bone lies."""
    depth = np.where(part, inside, 0)
    weight = depth**6
    along = np.expand_dims(np.arange(part.shape[axis]) + CORNER[axis], [other for other in range(3) if other != axis])
    middle = (weight * along).sum(axis) / np.maximum(weight.sum(axis), 1e-9)
    return Seen(np.delete(CORNER, axis), part.any(axis), middle, depth.max(axis))


def outlines(view: Seen, step: float = 7.0) -> list[np.ndarray]:
    """The silhouette's loops, the outer one first, with a corner about every `step` mm, to half a millimetre."""
    smooth = ndimage.gaussian_filter(ndimage.binary_opening(view.silhouette).astype(float), 0.8)
    loops = []
    for loop in find_contours(np.pad(smooth, 1), 0.5):
        if len(loop) >= 60:
            length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(loop, axis=0), axis=1))]
            at = np.linspace(0, length[-1], max(int(length[-1] / step), 6), endpoint=False)
            corners = np.stack([np.interp(at, length, coordinate) for coordinate in loop.T], axis=1)
            loops.append(to_half(corners - 1 + view.corner))
    return loops


def gauge(view: Seen, outline: np.ndarray, step: int) -> np.ndarray:
    """Readings (u, v, middle, half thickness): on a lattice where the bone is thick enough, then along its rim."""
    lattice = np.zeros_like(view.silhouette)
    lattice[step // 2 :: step, step // 2 :: step] = True
    pixels = np.concatenate([np.argwhere(lattice & view.silhouette & (view.half > 1.5)), rim(view, outline)])
    at = tuple(pixels.T)
    rows = np.c_[pixels + view.corner, np.round(view.middle[at]), to_half(view.half[at])]
    _, first = np.unique(rows[:, :2], axis=0, return_index=True)
    rows = rows[first]
    return rows[np.lexsort((rows[:, 0], rows[:, 1]))]


def rim(view: Seen, outline: np.ndarray, depth: float = 4.0) -> np.ndarray:
    """The pixels `depth` mm inside every second corner of an outline."""
    tangent = np.roll(outline, -1, 0) - np.roll(outline, 1, 0)
    normal = np.c_[-tangent[:, 1], tangent[:, 0]] / np.linalg.norm(tangent, axis=1)[:, None]
    within = Polygon(outline).contains_points(outline + 2 * normal)
    inward = np.where(within[:, None], normal, -normal)
    pixels = np.round(outline + depth * inward - view.corner).astype(int)[::2]
    pixels = pixels[((pixels >= 0) & (pixels < view.silhouette.shape)).all(1)]
    return pixels[(view.silhouette & (view.half > 1))[tuple(pixels.T)]]


def to_half(values: np.ndarray) -> np.ndarray:
    return np.round(values * 2) / 2


def opened(outline: np.ndarray) -> np.ndarray:
    """The outline after the edit by hand. Raises ValueError if a corner to be moved is not there."""
    corners = [tuple(corner) for corner in outline.tolist()]
    if missing := set(OPENED) - set(corners):
        raise ValueError(f"SIDE_OUTLINE has no corners at {sorted(missing)}; look at it and edit OPENED")
    return np.array([OPENED.get(corner, corner) for corner in corners])


def tables(left: np.ndarray, triangles: np.ndarray) -> dict[str, np.ndarray]:
    """The five tables, from the left hip bone in its frame."""
    bone = solid(left, triangles)
    places = np.moveaxis(np.indices(bone.shape), 0, -1) + CORNER
    bone = with_filled_cup(bone, places)
    inside = ndimage.distance_transform_edt(bone)
    x, y, z = np.moveaxis(places, -1, 0)
    ilium_and_ischium = bone & ((x > 46) | (z > 20))
    pubis_and_ischium = bone & (x < 62) & (z < 15) & ~((z > -15) & (y > 12)) & ~((x > 50) & (z > 0))
    side, front = seen(ilium_and_ischium, inside, 0), seen(pubis_and_ischium, inside, 1)
    side_outline = outlines(side)[0]
    front_outline, foramen = outlines(front)
    return {
        "SIDE_OUTLINE": opened(side_outline),
        "SIDE_GAUGE": gauge(side, side_outline, 9),
        "FRONT_OUTLINE": front_outline,
        "FORAMEN": foramen,
        "FRONT_GAUGE": gauge(front, front_outline, 7),
    }


ATLAS = {
    "licence": "CC-BY-4.0",
    "licence_url": "https://creativecommons.org/licenses/by/4.0/",
    "source": "Open Source Atlas of Pelvis Segmentations and Surgical Trajectories, I-STAR Lab, Johns Hopkins "
    "University; https://github.com/rhan93/Altas-of-Pelvis-Segmentation-and-Trajectory-Planning, commit b287d0b, "
    "CC BY 4.0; its surfaces are of CTs of the TCIA collection CT Lymph Nodes, https://doi.org/10.7937/K9/TCIA.2015.AQIIDCNM",
    "credit": "Han R, Uneri A, De Silva T, Ketcha M, Goerres J, Vogt S, Kleinszig G, Osgood G, Siewerdsen J H. "
    "Atlas-based automatic planning and 3D-2D fluoroscopic guidance in pelvic trauma surgery. "
    "Phys Med Biol 64 (2019) 095022. https://doi.org/10.1088/1361-6560/ab1456",
}
ABOUT = {
    "title": "Readings of the average left hip bone of 40 adults, from the side and from the front",
    **ATLAS,
    "changes": "mean of all subjects; acetabulum filled; read off as two outlines, a foramen and two plates; thinned "
    "and rounded; eight corners of SIDE_OUTLINE moved by hand to the acetabular notch",
    "frame": "anterior pelvic plane, left side: x to the left, y to the back, z to the head, "
    "zero midway between the femoral heads",
    "units": "mm",
    "rounding": "outlines and half thickness to 0.5, all else to 1",
    "made_by": "python core/benchmarks/pelvis_readings.py pelvis_atlas.npz",
}
COLUMNS = {
    "SIDE_OUTLINE": ["y", "z"],
    "SIDE_GAUGE": ["y", "z", "x_of_middle", "half_thickness"],
    "FRONT_OUTLINE": ["x", "z"],
    "FORAMEN": ["x", "z"],
    "FRONT_GAUGE": ["x", "z", "y_of_middle", "half_thickness"],
}


def as_json(made: dict[str, np.ndarray]) -> str:
    """The file's text, a row of a table to a line."""
    content = {
        name: {"columns": COLUMNS[name], "rows": [[int(v) if v == int(v) else v for v in row] for row in rows.tolist()]}
        for name, rows in made.items()
    }
    text = json.dumps({**ABOUT, "tables": content}, indent=1)
    return re.sub(r"\[[^][{}]+\]", lambda row: " ".join(row[0].split()), text) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("atlas", type=Path, help="pelvis_atlas.npz")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    with np.load(arguments.atlas) as atlas:
        subjects = [atlas[f"{bone}_v"].astype(float) for bone in ("LeftHip", "RightHip", "Sacrum")]
        triangles = atlas["LeftHip_f"]
    made = tables(in_pelvic_frame(mean_shape(*subjects)).left, triangles)
    with writing(arguments.output) as part:
        part.write_text(as_json(made), encoding="utf-8")
    print(arguments.output, {name: rows.shape for name, rows in made.items()})


if __name__ == "__main__":
    main()
