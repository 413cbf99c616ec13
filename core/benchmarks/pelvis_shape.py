"""Make `models/pelvis_shape/pelvis_shape.safetensors` again: `python core/benchmarks/pelvis_shape.py pelvis_atlas.npz`.

A minute. The archive is that of `pelvis_readings.py`: vertices (40 x 5000 x 3, millimetres, LPS) and triangles of
`LeftHip`, `RightHip` and `Sacrum` as the pelvis atlas of Han et al. has them. With `--judge` it prints how far modes
of 39 subjects are from the fortieth and how far the landmarks carried by their vertices are from the same rule applied
to each subject; with `--raters` and a folder of VSDFullBodyBoneModels (RAS) how far the model, fitted to
subjects it has not seen, is from what five raters say; with `--pictures` it draws the picks.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pelvis_readings import ATLAS, Pelvis, anterior_plane_upright, hip_center, rotation_onto, symmetric
from safetensors.numpy import save_file
from scipy import ndimage
from scipy.io import loadmat
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.bodies.shape import PelvisShape
from skiagraph.io.files import writing
from skiagraph.register.atlas import ShapeModel, fit, rigid_onto
from skiagraph.surface import Cloud, Surface

OUTPUT = Path(__file__).parents[2] / "models" / "pelvis_shape" / "pelvis_shape.safetensors"
PARTS = ("left_hemipelvis", "right_hemipelvis", "upper_sacrum")
BONES = ("LeftHip", "RightHip", "Sacrum")
MODES = 32
MIRROR = np.array([-1.0, 1.0, 1.0])


def aligned(shapes: np.ndarray, rounds: int = 8) -> np.ndarray:
    """The subjects turned and shifted onto their mean, at their own size."""
    shapes = shapes - shapes.mean(1, keepdims=True)
    mean = shapes[0]
    for _ in range(rounds):
        shapes = np.stack([shape @ rotation_onto(shape, mean) for shape in shapes])
        mean = shapes.mean(0)
    return shapes


def modes_of(shapes: np.ndarray, count: int) -> np.ndarray:
    """The principal components, what one standard deviation of each does."""
    centred = (shapes - shapes.mean(0)).reshape(len(shapes), -1)
    _, scale, basis = np.linalg.svd(centred, full_matrices=False)
    # A mode's sign is nobody's choice: its largest entry is positive, on every machine.
    basis = basis * np.sign(basis[np.arange(len(basis)), np.abs(basis).argmax(1)])[:, None]
    deviation = scale[:count, None] / np.sqrt(len(shapes) - 1)
    return (basis[:count] * deviation).reshape(-1, *shapes.shape[1:])


def picked(hip: Surface) -> dict[str, np.ndarray]:
    """Six landmarks of a left hip bone that stands upright in its anterior pelvic plane, zero at the head's centre.

    The spine is foremost of the ilium; the sciatic notch is the top of its arc; the foramen's are the lowest and the
    most medial point of the hole seen from the front; the symphysis' are the ends of its face.
    """
    cloud = hip.cloud(0.6)
    points, normals = cloud.points, cloud.normals
    x, y, z = points.T
    found = {}
    wing = points[z > 45]
    found["anterior_superior_iliac_spine"] = wing[wing[:, 1] < np.quantile(wing[:, 1], 0.001)].mean(0)
    found["greater_sciatic_notch"] = notch_top(points[(z > 12) & (z < 80) & (y > 10)])
    found |= foramen(points[(z < 15) & (x < x.min() + 75)])
    face = points[(normals[:, 0] < -0.75) & (x < x.min() + 5) & (z < 20)]
    middle = face.mean(0)
    axis = np.linalg.svd(face - middle, full_matrices=False)[2][0]
    along = (face - middle) @ (axis * np.sign(axis[2]))
    for name, end in (("superior", along > np.quantile(along, 0.985)), ("inferior", along < np.quantile(along, 0.015))):
        found[f"{name}_pubic_symphysis"] = face[end].mean(0)
    tree = cKDTree(points)
    return {name: points[tree.query(point)[1]] for name, point in found.items()}


def notch_top(points: np.ndarray, step: float = 0.75) -> np.ndarray:
    """The middle of where the edge of the sciatic notch runs most level, of points at the back of the ilium.

    From where it comes furthest forward the edge turns up and to the back, runs nearly level and rises again to the
    posterior inferior spine. An AP radiograph shows the level stretch as the top of the notch's arc.
    """
    heights = np.arange(points[:, 2].min() + 2, points[:, 2].max() - 2, step)
    rears = np.array([slab[slab[:, 1].argmax()] for slab in slabs(points, 2, heights)])
    foremost = rears[ndimage.gaussian_filter1d(rears[:, 1], 2).argmin()]
    under = points[(points[:, 2] > foremost[2]) & (points[:, 1] > foremost[1])]
    depths = np.arange(foremost[1] + 1, min(foremost[1] + 40, under[:, 1].max() - 2), step)
    edge = np.array([slab[slab[:, 2].argmin()] for slab in slabs(under, 1, depths)])
    rise = np.gradient(ndimage.gaussian_filter1d(edge[:, 2], 3), step)
    return edge[rise < rise.min() + 0.3].mean(0)


def slabs(points: np.ndarray, axis: int, where: np.ndarray, half: float = 0.75) -> list[np.ndarray]:
    """The points within so many millimetres of each coordinate."""
    return [points[abs(points[:, axis] - one) < half] for one in where]


def foramen(points: np.ndarray, pixel: float = 0.8) -> dict[str, np.ndarray]:
    """The lowest and the most medial point of the hole that points seen from the front leave."""
    xz = points[:, [0, 2]]
    low = xz.min(0) - 3 * pixel
    pixels = ((xz - low) / pixel).astype(int)
    full = np.zeros(pixels.max(0) + 4, dtype=bool)
    full[tuple(pixels.T)] = True
    full = ndimage.binary_closing(full, iterations=2)
    holes, _ = ndimage.label(~full)
    sizes = np.bincount(holes.ravel())
    sizes[[0, holes[0, 0]]] = 0
    hole = np.argwhere(holes == sizes.argmax())
    ends = {
        "inferior": hole[hole[:, 1] <= hole[:, 1].min() + 1].mean(0),
        "medial": hole[hole[:, 0] <= hole[:, 0].min() + 1].mean(0),
    }
    tree = cKDTree(xz)
    return {
        f"{name}_obturator_foramen": points[tree.query(low + (end + 0.5) * pixel, k=9)[1]].mean(0)
        for name, end in ends.items()
    }


def sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """The centre and radius of the sphere points lie on, in least squares."""
    system = np.c_[2 * points, np.ones(len(points))]
    *center, rest = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0]
    return np.array(center), float(np.sqrt(rest + np.dot(center, center)))


def lunate(hip: Surface, start: np.ndarray) -> np.ndarray:
    """The vertices of a left acetabulum's lunate surface, from about where its centre is.

    They face the centre, and lie on one sphere; the fossa lies deeper and the rim turns away.
    """
    center, radius = start, 26.0
    for reach in (5.0, 3.0, 2.0, 1.5, 1.2, 1.2, 1.2):
        out = hip.vertices - center
        distance = np.linalg.norm(out, axis=1)
        facing = -np.einsum("vi,vi->v", out, hip.normals) / np.maximum(distance, 1e-9)
        chosen = np.flatnonzero((abs(distance - radius) < reach) & (facing > 0.8))
        fitted = least_squares(
            lambda s, on=hip.vertices[chosen]: np.linalg.norm(on - s[:3], axis=1) - s[3],
            np.r_[center, radius],
            loss="soft_l1",
            f_scale=0.5,
        ).x
        center, radius = fitted[:3], fitted[3]
    return chosen


def closest_triangle(surface: Surface, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The triangle of a surface that comes closest to a point, as its corners and their shares."""
    corners = surface.vertices[surface.faces]
    near = np.argsort(np.linalg.norm(corners.mean(1) - point, axis=1))[:60]
    best = (np.inf, surface.faces[0], np.ones(3) / 3)
    lattice = np.array([(i, j, 40 - i - j) for i in range(41) for j in range(41 - i)]) / 40
    for face in near:
        distance = np.linalg.norm(lattice @ corners[face] - point, axis=1)
        if distance.min() < best[0]:
            best = (distance.min(), surface.faces[face], lattice[distance.argmin()])
    return best[1], best[2]


def framed(
    left: Surface, right: Surface, heads: list[np.ndarray], rounds: int
) -> tuple[np.ndarray, np.ndarray, list[dict[str, np.ndarray]]]:
    """The turn and origin of a pelvis's own frame, and the landmarks of its sides as the rules find them in it.

    The frame is that of `skiagraph.planning.PelvicFrame`, zero midway between the femoral heads; the pelvis comes
    nearly in it.
    """
    turn, origin = np.eye(3), (heads[0] + heads[1]) / 2
    picks: list[dict[str, np.ndarray]] = []
    for _ in range(rounds):
        picks = []
        for hip, side in ((left, MIRROR**2), (right, MIRROR)):
            inside = (hip.vertices - origin) @ turn.T * side
            found = picked(Surface(inside, hip.faces if side[0] > 0 else hip.faces[:, ::-1]))
            picks.append({name: point * side @ turn + origin for name, point in found.items()})
        spines = [one["anterior_superior_iliac_spine"] for one in picks]
        up = (spines[0] + spines[1] - picks[0]["superior_pubic_symphysis"] - picks[1]["superior_pubic_symphysis"]) / 2
        up /= np.linalg.norm(up)
        across = spines[0] - spines[1]
        across -= across @ up * up
        across /= np.linalg.norm(across)
        turn = np.stack([across, np.cross(up, across), up])
    return turn, origin, picks


@dataclass(frozen=True)
class Subjects:
    """The atlas: vertices of all subjects, aligned, and the triangles of the three bones."""

    shapes: np.ndarray
    faces: tuple[np.ndarray, np.ndarray, np.ndarray]
    """They number the vertices of the whole."""

    @classmethod
    def read(cls, path: Path) -> "Subjects":
        with np.load(path) as atlas:
            bones = [atlas[f"{bone}_v"].astype(float) for bone in BONES]
            faces = [atlas[f"{bone}_f"].astype(int) for bone in BONES]
        starts = np.cumsum([0, *(bone.shape[1] for bone in bones[:-1])])
        shapes = aligned(np.concatenate(bones, axis=1))
        left, right, sacrum = (face + start for face, start in zip(faces, starts))
        return cls(shapes, (left, right, sacrum))

    def moved(self, turn: np.ndarray, origin: np.ndarray) -> "Subjects":
        return Subjects((self.shapes - origin) @ turn.T, self.faces)

    def bones(self, vertices: np.ndarray) -> list[Surface]:
        """The bones of a shape."""
        return [part_of(vertices, face) for face in self.faces]


def part_of(vertices: np.ndarray, faces: np.ndarray) -> Surface:
    """One bone of a whole, its vertices numbered as the atlas has them."""
    first = faces.min()
    return Surface(vertices[first : faces.max() + 1], faces - first)


def upright(subjects: Subjects) -> tuple[Subjects, list[dict[str, np.ndarray]]]:
    """The subjects in the frame of their mean's own landmarks, and those landmarks of both sides."""
    ends = np.cumsum([face.max() + 1 - face.min() for face in subjects.faces])[:-1]
    mean = subjects.shapes.mean(0)
    turned = anterior_plane_upright(symmetric(Pelvis(*np.split(mean, ends)))).points()
    turn, shift = rigid_onto(mean, turned)
    subjects = subjects.moved(turn, -shift @ turn)
    left, right, _ = subjects.bones(subjects.shapes.mean(0))
    heads = []
    for hip, side in ((left, MIRROR**2), (right.mirrored(), MIRROR)):
        start = hip_center(hip.vertices, np.random.default_rng(0))
        heads.append(sphere(hip.vertices[lunate(hip, start)])[0] * side)
    turn, origin, picks = framed(left, right, heads, rounds=5)
    inside = [{name: (point - origin) @ turn.T for name, point in one.items()} for one in picks]
    return subjects.moved(turn, origin), inside


def carried(subjects: Subjects, picks: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What of the mean's surface is named: landmarks as corners and shares of triangles, parts as vertices.

    A landmark is where left and mirrored right agree, so that neither side is anatomy of its own.
    """
    mean = subjects.shapes.mean(0)
    bones, starts = subjects.bones(mean), [face.min() for face in subjects.faces]
    corners, shares = [], []
    for name in LANDMARK_NAMES:
        side, kind = name.split("_", 1)
        if kind == "femoral_head":
            continue
        number, flip = (0, MIRROR**2) if side == "left" else (1, MIRROR)
        middle = (picks[0][kind] + picks[1][kind] * MIRROR) / 2 * flip
        face, share = closest_triangle(bones[number], middle)
        corners.append(face + starts[number])
        shares.append(share)
    named = {"landmark_corners": np.array(corners), "landmark_shares": np.array(shares)}
    cup = np.array([86.0, 0.0, 0.0])
    named["left_lunate"] = lunate(bones[0], cup) + starts[0]
    named["right_lunate"] = lunate(bones[1].mirrored(), cup) + starts[1]
    sacrum, normals = bones[2].vertices, bones[2].normals
    x, y, z = sacrum.T
    ahead, below = np.array([0.0, -0.6, 0.8]), np.array([0.0, 0.3, -0.95])
    named["endplate"] = np.flatnonzero((normals @ ahead > 0.85) & (abs(x) < 22) & (y < 43) & (z < 118)) + starts[2]
    named["lower_end"] = np.flatnonzero((normals @ below > 0.85) & (abs(x) < 30) & (y > 72)) + starts[2]
    return named


def model_of(shapes: np.ndarray, subjects: Subjects, count: int) -> ShapeModel:
    """The mean and the modes of some shapes."""
    return ShapeModel(shapes.mean(0), modes_of(shapes, count), dict(zip(PARTS, subjects.faces)))


ABOUT = {
    "title": "Joint shape of both hip bones and the upper sacrum of 40 adults: mean, modes, and where landmarks are",
    **ATLAS,
    "changes": "subjects aligned rigidly; principal components; landmarks and surfaces named by geometric rules",
    "frame": "anterior pelvic plane: x to the left, y to the back, z to the head, "
    "zero midway between the femoral heads",
    "units": "mm; a mode is what one standard deviation does",
    "made_by": "python core/benchmarks/pelvis_shape.py pelvis_atlas.npz",
}


def write(path: Path, model: ShapeModel, named: dict[str, np.ndarray]) -> None:
    tensors = {"mean": model.mean.astype(np.float32), "modes": model.modes.astype(np.float16)}
    tensors |= {f"{name}_faces": face.astype(np.uint16) for name, face in model.faces.items()}
    tensors |= {
        name: value.astype(np.float32 if name == "landmark_shares" else np.uint16) for name, value in named.items()
    }
    with writing(path) as part:
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, part, ABOUT)


def judge(subjects: Subjects, named: dict[str, np.ndarray]) -> None:
    """Print how well modes describe a subject left out, and landmarks by vertex against landmarks by rule."""
    for count in (0, 10, 20, MODES):
        left_out = []
        for number in range(0, len(subjects.shapes), 4):
            rest = np.delete(subjects.shapes, number, axis=0)
            mean, modes = rest.mean(0), modes_of(rest, count).reshape(count, rest[0].size)
            turn, shift = rigid_onto(subjects.shapes[number], mean)
            gap = subjects.shapes[number] @ turn.T + shift - mean
            share = np.linalg.lstsq(modes.T, gap.ravel(), rcond=None)[0] if count else np.zeros(0)
            left_out.append(np.linalg.norm(gap - (share @ modes).reshape(gap.shape), axis=1).mean())
        print(f"{count} modes of 39: the subject left out is {np.mean(left_out):.2f} mm away on average")
    names = [name for name in LANDMARK_NAMES if "femoral_head" not in name]
    apart: dict[str, list[float]] = {}
    for shape in subjects.shapes:
        left, right, _ = subjects.bones(shape)
        by_vertex = landmarks_of(shape, named)
        heads = [sphere(shape[named[f"{side}_lunate"]])[0] for side in ("left", "right")]
        _, _, picks = framed(left, right, heads, rounds=2)
        for name, point in zip(names, by_vertex):
            side, kind = name.split("_", 1)
            found = picks[0 if side == "left" else 1][kind]
            apart.setdefault(kind, []).append(float(np.linalg.norm(found - point)))
    for kind, distances in apart.items():
        print(
            f"{kind}: by vertex and by rule {np.mean(distances):.2f} mm apart, "
            f"90 % within {np.quantile(distances, 0.9):.2f}"
        )
    for side in ("left", "right"):
        chosen = named[f"{side}_lunate"]
        fits = [sphere(shape[chosen]) for shape in subjects.shapes]
        off = [np.std(np.linalg.norm(s[chosen] - c, axis=1)) for s, (c, _) in zip(subjects.shapes, fits)]
        radii = [radius for _, radius in fits]
        print(
            f"{side} lunate: radius {np.mean(radii):.2f} ± {np.std(radii):.2f} mm, {np.mean(off):.2f} mm off its sphere"
        )


def landmarks_of(shape: np.ndarray, named: dict[str, np.ndarray]) -> np.ndarray:
    return np.einsum("lc,lcx->lx", named["landmark_shares"], shape[named["landmark_corners"]])


LPS = np.array([-1.0, -1.0, 1.0])
SCANNED = {
    "left_hemipelvis": "Hip_L",
    "right_hemipelvis": "Hip_R",
    "upper_sacrum": "Sacrum",
    "left_femur": "Femur_L",
    "right_femur": "Femur_R",
}


def raters(folder: Path, model: ShapeModel, named: dict[str, np.ndarray]) -> None:
    """Print how far the fitted model's spines and heads are from five raters and from the femoral heads as scanned.

    The subjects are CC BY-NC-SA 4.0 and serve for this alone. They are in RAS.
    """
    pelves = readings(folder, "Pelvis")
    femora = readings(folder, "Femur")
    names = [name for name in LANDMARK_NAMES if "femoral_head" not in name]
    off: dict[str, list[float]] = {}
    for path in sorted(folder.glob("z*.npz")):
        bones = scanned(path)
        clouds = {name: Cloud(bone.vertices, bone.normals) for name, bone in bones.items() if name in PARTS}
        fitted = fit(model, clouds)
        hips = np.concatenate([face.ravel() for face in (model.faces[part] for part in PARTS[:2])])
        off.setdefault("hip bones, the surfaces apart", []).append(float(np.nanmean(fitted.residual[np.unique(hips)])))
        shape = PelvisShape.from_vertices(fitted.vertices)
        turn, shift = rigid_onto(shape.vertices, fitted.vertices)
        placed = {name: turn @ point.numpy() + shift for name, point in zip(LANDMARK_NAMES, shape.landmarks.points)}
        upright_hips = [Surface((bones[part].vertices - shift) @ turn, bones[part].faces) for part in PARTS[:2]]
        heads = [shape.landmarks[f"{side}_femoral_head"].numpy() for side in ("left", "right")]
        _, _, picks = framed(*upright_hips, heads, rounds=3)
        by_rule = {
            f"{side}_anterior_superior_iliac_spine": turn @ pick["anterior_superior_iliac_spine"] + shift
            for side, pick in zip(("left", "right"), picks)
        }
        carried_spines = dict(zip(names, landmarks_of(fitted.vertices, named)))
        for side in ("left", "right"):
            said = [one[f"{side.capitalize()} ASIS"] for one in pelves[path.stem]]
            spine = np.mean(said, axis=0)
            for what, points in (
                ("by the rule on the surface as scanned", by_rule),
                ("as the package finds it on the fitted model", placed),
                ("by its vertex of the fitted model", carried_spines),
            ):
                off.setdefault(f"ASIS {what}, from the raters' mean", []).append(
                    float(np.linalg.norm(points[f"{side}_anterior_superior_iliac_spine"] - spine))
                )
            off.setdefault("a reading of ASIS from the raters' mean", []).append(
                float(np.linalg.norm(np.array(said) - spine, axis=1).mean())
            )
            head = sphere(fitted.vertices[named[f"{side}_lunate"]])[0]
            if f"{side}_femur" in bones:
                femur = bones[f"{side}_femur"]
                near = femur.vertices[
                    (np.linalg.norm(femur.vertices - head, axis=1) < 30)
                    & (np.einsum("vi,vi->v", femur.normals, femur.vertices - head) > 15)
                    & (femur.vertices[:, 2] > head[2] - 5)
                ]
                scan = least_squares(
                    lambda s, near=near: np.linalg.norm(near - s[:3], axis=1) - s[3],
                    np.r_[head, 24], loss="soft_l1", f_scale=0.5,
                ).x[:3]  # fmt: skip
                off.setdefault("head centre from the femoral head as scanned", []).append(
                    float(np.linalg.norm(head - scan))
                )
            for one in femora.get(f"{path.stem} {side}", []):
                read = sphere(np.stack([point for name, point in one.items() if "Femoral Head" in name]))[0]
                off.setdefault("head centre from a sphere through a rater's six points", []).append(
                    float(np.linalg.norm(head - read))
                )
    for what, distances in off.items():
        print(
            f"{what}: {np.mean(distances):.2f} mm on average, median {np.median(distances):.2f}, "
            f"90 % within {np.quantile(distances, 0.9):.2f} ({len(distances)})"
        )


def readings(folder: Path, kind: str) -> dict[str, list[dict[str, np.ndarray]]]:
    """Every rater's every reading of a subject, LPS; of femora, of a subject and a side."""
    found: dict[str, list[dict[str, np.ndarray]]] = {}
    for number in range(1, 6):
        path = folder / f"ManualLandmarks_{kind}_Rater{number}.mat"
        for *times, last in loadmat(path, squeeze_me=True)["Results"]:
            key = last
            if kind == "Femur":
                *times, subject = times
                key = f"{subject} {'left' if last == 'L' else 'right'}"
            for table in times:
                said = {str(name).split(" (")[0]: np.asarray(point, float) * LPS for name, point, *_ in table}
                found.setdefault(str(key), []).append(said)
    return found


def scanned(path: Path) -> dict[str, Surface]:
    """The bones of a subject, LPS."""
    bones = {}
    with np.load(path) as file:
        for name, bone in SCANNED.items():
            if f"{bone}_f" in file:
                vertices = file[f"{bone}_o"] + file[f"{bone}_s"] * file[f"{bone}_q"].astype(float)
                bones[name] = Surface(vertices * LPS, file[f"{bone}_f"].astype(int))
    return bones


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("atlas", type=Path, help="pelvis_atlas.npz")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--judge", action="store_true")
    parser.add_argument("--raters", type=Path, help="folder of VSDFullBodyBoneModels")
    arguments = parser.parse_args()
    subjects, picks = upright(Subjects.read(arguments.atlas))
    named = carried(subjects, picks)
    model = model_of(subjects.shapes, subjects, MODES)
    write(arguments.output, model, named)
    spread = (model.modes**2).sum((1, 2))
    total = (modes_of(subjects.shapes, 39) ** 2).sum()
    print(arguments.output, {name: len(value) for name, value in named.items()})
    print(
        f"{MODES} modes hold {100 * spread.sum() / total:.1f} % of the variance, "
        f"the first {100 * spread[0] / total:.0f} %"
    )
    for name, point in zip((n for n in LANDMARK_NAMES if "femoral_head" not in n), landmarks_of(model.mean, named)):
        print(name, point.round(1))
    if arguments.judge:
        judge(subjects, named)
    if arguments.raters:
        raters(arguments.raters, model, named)


if __name__ == "__main__":
    main()
