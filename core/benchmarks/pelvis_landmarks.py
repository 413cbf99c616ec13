"""How far landmarks found in a CT are off: `python core/benchmarks/pelvis_landmarks.py pelvis_atlas.npz`.

Some five seconds of one core a fit, five fits a subject. Each pelvis of the atlas of Han et al. as if unknown: the
model is made of the other 39, and the pelvis lies turned and elsewhere. With `--raters` and a folder of
VSDFullBodyBoneModels (RAS; they judge alone) also subjects no model has seen. Each is looked at whole and through CTs
that end too early.

The truth of what lies on bone is the geometric rule of `pelvis_shape.py` applied to the subject's own surface; of a
head the sphere of his own acetabulum or, as scanned, of the femoral head; of a spine also what five raters say.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
from pelvis_shape import MODES, PARTS, Subjects, framed, model_of, part_of, readings, scanned, sphere, upright
from scipy.optimize import least_squares

from skiagraph.bodies import annotation, shape
from skiagraph.bodies.annotation import HIPS, annotate_bones
from skiagraph.bodies.shape import Atlas, PelvisShape, atlas
from skiagraph.errors import DataError
from skiagraph.geometry import Grid, rotation
from skiagraph.register.atlas import fit, rigid_onto
from skiagraph.surface import Cloud, Surface

CUTS = {
    "whole": (-np.inf, np.inf),
    "from 30 mm below the heads up": (-30.0, np.inf),
    "from the heads up": (0.0, np.inf),
    "from 30 mm above the heads up": (30.0, np.inf),
    "up to 60 mm above the heads": (-np.inf, 60.0),
}
"""Millimetres from the femoral heads between which the CT is."""


@dataclass(frozen=True)
class Pelvis:
    """Somebody's bones and where his landmarks are."""

    name: str
    bones: dict[str, Surface]
    heads: dict[str, np.ndarray]
    truth: dict[str, np.ndarray]
    raters: dict[str, np.ndarray]


@dataclass(frozen=True)
class Found:
    """One landmark of one pelvis in one CT, millimetres."""

    pelvis: str
    cut: str
    kind: str
    seen: bool
    within: float
    off: float
    off_raters: float


def by_rule(bones: dict[str, Surface], vertices: np.ndarray) -> dict[str, np.ndarray]:
    """The landmarks on hip bones by the rules of the model's own, given the model's vertices on them."""
    own = PelvisShape.from_vertices(vertices)
    turn, shift = rigid_onto(own.vertices, vertices)
    hips = [Surface((bones[part].vertices - shift) @ turn, bones[part].faces) for part in HIPS]
    _, _, picks = framed(*hips, [own.landmarks[f"{side}_femoral_head"].numpy() for side in ("left", "right")], 3)
    return {
        f"{side}_{kind}": turn @ point + shift
        for side, found in zip(("left", "right"), picks)
        for kind, point in found.items()
    }


def left_out(path: Path, every: int) -> Iterator[tuple[Pelvis, Atlas]]:
    """The atlas's pelves, each with the atlas of the others."""
    subjects, _ = upright(Subjects.read(path))
    named, rng = atlas(), np.random.default_rng(0)
    for number in range(0, len(subjects.shapes), every):
        model = model_of(np.delete(subjects.shapes, number, axis=0), subjects, MODES)
        others = Atlas(model, named.corners, named.shares, named.lunate, named.endplate, named.lower_end)
        x, z, y = (float(rng.uniform(-reach, reach)) for reach in (12, 8, 5))
        turn = (rotation("x", x) @ rotation("z", z) @ rotation("y", y)).numpy()
        vertices = model.without_spikes(subjects.shapes[number]) @ turn.T + rng.uniform(-200, 200, 3)
        bones = {part: part_of(vertices, faces) for part, faces in zip(PARTS, subjects.faces)}
        heads = PelvisShape.heads_of(vertices)
        truth = by_rule(bones, vertices) | {f"{side}_femoral_head": head for side, head in heads.items()}
        yield Pelvis(str(number), bones, heads, truth, {}), others


def unseen(folder: Path) -> Iterator[tuple[Pelvis, Atlas]]:
    """The raters' subjects, each with the atlas that is shipped."""
    pelves = readings(folder, "Pelvis")
    for path in sorted(folder.glob("z*.npz")):
        bones = scanned(path)
        clouds = {part: Cloud(bones[part].vertices, bones[part].normals) for part in HIPS}
        vertices = fit(atlas().model, clouds).vertices
        heads = PelvisShape.heads_of(vertices)
        truth = by_rule(bones, vertices)
        femora = {side: bones.get(f"{side}_femur") for side in heads}
        truth |= {
            f"{side}_femoral_head": head_of(femur, heads[side]) for side, femur in femora.items() if femur is not None
        }
        raters = {
            f"{side}_anterior_superior_iliac_spine": np.mean(
                [one[f"{side.capitalize()} ASIS"] for one in pelves[path.stem]], axis=0
            )
            for side in heads
        }
        yield Pelvis(path.stem, bones, heads, truth, raters), atlas()


def head_of(femur: Surface, near: np.ndarray) -> np.ndarray:
    """The middle of a femoral head as scanned, from about where it is."""
    out = femur.vertices - near
    cap = femur.vertices[
        (np.linalg.norm(out, axis=1) < 30) & (np.einsum("vi,vi->v", femur.normals, out) > 15) & (out[:, 2] > -5)
    ]
    start = np.r_[sphere(cap)[0], 24]
    return least_squares(
        lambda s: np.linalg.norm(cap - s[:3], axis=1) - s[3], start, loss="soft_l1", f_scale=0.5
    ).x[:3]  # fmt: skip


def looked_at(pelvis: Pelvis, low: float, high: float) -> tuple[dict[str, Cloud], Grid]:
    """The hip bones' surfaces in a CT between two heights over the heads, and the CT's voxels."""
    level = np.mean([head[2] for head in pelvis.heads.values()])
    clouds = {}
    for part in HIPS:
        cloud = pelvis.bones[part].cloud(1.5)
        height = cloud.points[:, 2] - level
        clouds[part] = Cloud(*(of[(height > low) & (height < high)] for of in (cloud.points, cloud.normals)))
    points = np.concatenate([cloud.points for cloud in clouds.values()])
    first, last = points.min(0) - 40, points.max(0) + 40
    first[2], last[2] = max(first[2], level + low), min(last[2], level + high)
    i, j, k = np.floor(last - first).astype(int).tolist()
    return clouds, Grid.of((k, j, i), (1.0, 1.0, 1.0), first.tolist())


def judged(pelvis: Pelvis, model: Atlas) -> Iterator[Found]:
    """Every landmark of a pelvis in every CT of it."""
    for cut, (low, high) in CUTS.items():
        with patch.object(shape, "atlas", lambda: model), patch.object(annotation, "atlas", lambda: model):
            try:
                found = annotate_bones(*looked_at(pelvis, low, high))
            except DataError as error:
                print(f"{pelvis.name}, {cut}: {error}", flush=True)
                continue
        points = zip(found.landmarks.names, found.landmarks.points.numpy(), found.seen.tolist(), found.within.tolist())
        for name, point, seen, within in points:
            off, off_raters = (
                float(np.linalg.norm(point - said[name])) if name in said else np.nan
                for said in (pelvis.truth, pelvis.raters)
            )
            yield Found(pelvis.name, cut, name.split("_", 1)[1], seen, within, off, off_raters)


def tell(title: str, found: list[Found]) -> None:
    """Print errors of what is seen by landmark, of what is not by CT, and how many lie within what was said."""
    print(f"{title}: {len({one.pelvis for one in found})} pelves")
    whole = [one for one in found if one.cut == "whole"]
    for kind in dict.fromkeys(one.kind for one in found):
        line("  whole, " + kind, [(one.off, one.within) for one in whole if one.kind == kind])
        line("    from the raters' mean", [(one.off_raters, one.within) for one in whole if one.kind == kind])
    for cut in CUTS:
        for seen, word in ((True, "seen"), (False, "not seen")):
            mine = [one for one in found if one.cut == cut and one.seen == seen]
            line(f"  {cut}, {word}", [(one.off, one.within) for one in mine])


def line(what: str, pairs: list[tuple[float, float]]) -> None:
    known = np.array([pair for pair in pairs if np.isfinite(pair[0])])
    if len(known):
        off, within = known.T
        held = 100 * (off <= within).mean()
        print(
            f"{what}: {off.mean():.1f} mm on average, 95 % within {np.quantile(off, 0.95):.1f}, most {off.max():.1f}; "
            f"said {within.mean():.1f}, which holds {held:.0f} % ({len(off)})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("atlas", type=Path, help="pelvis_atlas.npz")
    parser.add_argument("--raters", type=Path, help="folder of VSDFullBodyBoneModels")
    parser.add_argument("--every", type=int, default=1, help="of the atlas's pelves one in so many")
    arguments = parser.parse_args()
    tell("Left out of the atlas", [one for pair in left_out(arguments.atlas, arguments.every) for one in judged(*pair)])
    if arguments.raters:
        tell("Never in it", [one for pair in unseen(arguments.raters) for one in judged(*pair)])


if __name__ == "__main__":
    main()
