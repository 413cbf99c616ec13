"""Whether generated X-rays are seen from where they were asked for, labelled where a detector finds things, and new.

    python core/benchmarks/xray_generator.py --samples out/views4k [--bundle out/xray] [--n 24] [--detector BUNDLE]
        [--real FOLDER...] [--keep-out FOLDER...]

For every view: how many draws were rejected and why, CPU seconds a draw, and what the same detector and the same pose
estimator say of generated X-rays and of DRRs of the set's test split that were taken from within 15 degrees of there.
The landmarks of generated X-rays themselves are asked for the view as well. Then distances to DRRs of bodies that were
not learned and to real X-rays, beside theirs to each other, variety, and copies of what was learned. Writes a contact
sheet of all views.
"""

import argparse
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from monai.metrics.regression import SSIMMetric
from torch import Tensor
from torch.nn.functional import avg_pool2d

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.carm import beam
from skiagraph.detect.bundle import read_bundle
from skiagraph.detect.detector import Detector
from skiagraph.domain.features import SIDE, FeatureNetwork, features_of, read_features, tiles
from skiagraph.evaluate import fidelity
from skiagraph.evaluate.copies import Space, copies, told
from skiagraph.evaluate.views import Agreement, Looked, agreement, looked
from skiagraph.experiments.presets import HIP_VIEWS
from skiagraph.factory.chance import generator_for
from skiagraph.factory.reading import SampleSet
from skiagraph.factory.subjects import the_xray_generator
from skiagraph.factory.views import Aim, Cone, TubeInFront
from skiagraph.factory.xrays import drawn_view
from skiagraph.generate.wanted import Wanted
from skiagraph.generate.xray import XrayGenerator
from skiagraph.generate.xray_bundle import read_xray_generator
from skiagraph.generate.xray_quality import JudgedXray, drawn
from skiagraph.planning import VIEWS
from skiagraph.tasks.detect import the_bundle
from skiagraph.tasks.sheet import Panel, write_sheet
from skiagraph.train.album import Album, album_of
from skiagraph.train.unlabelled import read_unlabelled
from skiagraph.volume import Keypoints

FEATURES = Path(__file__).parents[2] / "models" / "picture_features"

ASKED = ("ap", "inlet", "outlet", "left_obturator_oblique", "right_obturator_oblique", "left_teardrop")
CONE, NEAR = 5.0, 15.0
"""Degrees about each view: asked for, and of the DRRs beside."""


@dataclass(frozen=True)
class Asked:
    """One view's X-rays."""

    made: list[JudgedXray]
    rejected: list[str]
    seconds: float
    """CPU, a draw."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, required=True, help="the set whose test split is the measure")
    parser.add_argument("--bundle", type=Path, help="the generator; the shipped one if not given")
    parser.add_argument("--detector", type=Path, help="the judge; the shipped detector if not given")
    parser.add_argument("--n", type=int, default=24, help="X-rays of each view")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--real", type=Path, nargs="*", default=[], help="folders of real X-rays to compare with")
    parser.add_argument("--keep-out", type=Path, nargs="*", default=[], help="those among them never to be used")
    parser.add_argument("--sheet", type=Path, default=Path("out/xray_views.png"))
    given = parser.parse_args()
    generator = read_xray_generator(given.bundle or the_xray_generator()).at(given.steps, given.guidance)
    detector = read_bundle(given.detector or the_bundle())
    drrs = album_of(SampleSet(given.samples), "test", generator.size, lambda done, total, doing: None)
    print(f"{given.n} X-rays a view, {generator.steps} steps, guidance {generator.guidance:g}\n")
    print("| view | rejected | CPU s a draw | own landmarks, ° | judge on generated, ° | judge on DRRs, ° "
          "| labels off, mm | on DRRs, mm | recall | on DRRs |")  # fmt: skip
    print("|" + " --- |" * 10)
    panels, ours, theirs, reasons = [], list[Looked](), list[Looked](), Counter[str]()
    made = dict[str, list[Tensor]]()
    for name in ASKED:
        asked = ask(generator, name, given.n, given.seed)
        of_ours = [looked(detector, one.made.picture, one.made.view, one.made.keypoints) for one in asked.made]
        of_theirs = beside(detector, drrs, name, 2 * given.n)
        own = statistics.median(one.turned for one in asked.made)
        said(name, asked, own, agreement(of_ours), agreement(of_theirs) if of_theirs else None)
        ours, theirs = ours + of_ours, theirs + of_theirs
        made[name] = [one.made.picture for one in asked.made]
        reasons.update(part for one in asked.rejected for part in one.split(", "))
        panels += [Panel(one.made.picture, name, one.made.keypoints) for one in asked.made[:6]]
    a, b = agreement(ours), agreement(theirs)
    print(f"\nall: {a.degrees:.1f} ({a.degrees_90:.1f} at 90 %) degrees on generated, {b.degrees:.1f} "
          f"({b.degrees_90:.1f}) on {b.pictures} DRRs; labels {a.millimetres:.1f} mm ({a.millimetres_90:.1f}) beside "
          f"{b.millimetres:.1f} ({b.millimetres_90:.1f}); recall {a.recall:.3f} beside {b.recall:.3f}; no pelvis on "
          f"{a.unposed:.0%} beside {b.unposed:.0%}; found, not labelled {a.strange:.2f}, {b.strange:.2f}")  # fmt: skip
    print("rejected for: " + "; ".join(f"{count} x {what}" for what, count in reasons.most_common(12)))
    write_sheet(given.sheet, panels, "Generated X-rays", columns=6, across=2.2)
    print(given.sheet)
    network = read_features(FEATURES)
    real = read_unlabelled(given.real, generator.size, given.keep_out).pictures if given.real else ()
    say_likeness(network, made, drrs, list(real))
    say_variety(made, drrs)
    learned = album_of(SampleSet(given.samples), "train", generator.size, lambda done, total, doing: None)
    say_copies(network, [one for some in made.values() for one in some], learned, drrs)
    return 0


def say_likeness(network: FeatureNetwork, made: dict[str, list[Tensor]], drrs: Album, real: list[Tensor]) -> None:
    """Of tiles of pictures; sets of DRRs and of real X-rays are halved between bodies and between pictures."""
    bodies = sorted(set(drrs.names))
    halves = [[at for at, name in enumerate(drrs.names) if name in some] for some in (bodies[::2], bodies[1::2])]
    seen = [shown(drrs, range(len(drrs))), *(shown(drrs, half) for half in halves)]
    all_drrs, first, second = (tile_features(network, some) for some in seen)
    pairs = {
        "generated, DRRs not learned": (
            tile_features(network, [one for some in made.values() for one in some]),
            all_drrs,
        ),
        "DRRs of some bodies, of others": (first, second),
    }
    if len(real) > 1:
        theirs, ap = tile_features(network, real), tile_features(network, shown(drrs, near(drrs, "ap")))
        pairs |= {
            "generated AP, real": (tile_features(network, made["ap"]), theirs),
            "DRRs AP, real": (ap, theirs),
            "real, real": (tile_features(network, real[::2]), tile_features(network, real[1::2])),
        }
    print("\n".join(["", *fidelity.told(pairs, 1500)]))


def say_variety(made: dict[str, list[Tensor]], drrs: Album) -> None:
    """Structural similarity of pairs of one view: lower is more varied. Wang 2004."""
    similar = SSIMMetric(spatial_dims=2, data_range=1.0)
    for words, sets in (("generated", made), ("DRRs", {name: shown(drrs, near(drrs, name)) for name in made})):
        found = [float(similar(a[None, None], b[None, None])) for some in sets.values() for a, b in pairwise(some)]
        print(f"SSIM of {len(found)} pairs of one view, {words}: {np.mean(found):.3f} ± {np.std(found):.3f}")


def say_copies(network: FeatureNetwork, made: list[Tensor], learned: Album, held: Album) -> None:
    """Of pictures as they were learned; each was learned mirrored as well."""
    known, unseen = (shown(album, range(len(album))) for album in (learned, held))
    known = [*known, *(one.flip(-1) for one in known)]
    looks: dict[str, Callable[[Tensor], Tensor]] = {
        "grey values, 64 x 64, correlation": lambda one: avg_pool2d(one[None, None], one.shape[0] // 64).flatten(),
        "picture features, mean": lambda one: features_of(
            network, torch.stack(list(tiles(one, SIDE, SIDE)))[:, None]
        ).mean(0),
    }
    found = {}
    for name, look in looks.items():
        groups = (torch.stack([look(one) for one in some]).numpy() for some in (made, known, unseen))
        found[name] = copies((Space.of_likeness if name.startswith("grey") else Space)(*groups))
    print("\n".join(["", *told(found)]))


def shown(album: Album, which: Iterable[int]) -> list[Tensor]:
    return [album.pictures[number].float() / 255 for number in which]


def tile_features(network: FeatureNetwork, pictures: Sequence[Tensor]) -> np.ndarray:
    return features_of(network, torch.stack([tile for one in pictures for tile in tiles(one)])[:, None]).numpy()


def ask(generator: XrayGenerator, name: str, count: int, seed: int) -> Asked:
    sampler = Cone((name,), CONE, Aim(15.0, 3.0))
    recipe = replace(HIP_VIEWS, views=TubeInFront(sampler) if name == "ap" else sampler)
    wanted = [Wanted(drawn_view(recipe, generator.size, seed, number)) for number in range(count)]
    began = time.process_time()
    made, wrong = drawn(
        generator, wanted, lambda number, attempt: generator_for(seed, name, number, attempt), lambda done, total: None
    )
    rejected = [one for tries in wrong for one in tries]
    found = [one for one in made if one is not None]
    return Asked(found, rejected, (time.process_time() - began) / (len(found) + len(rejected)))


def beside(detector: Detector, drrs: Album, name: str, most: int) -> list[Looked]:
    """The judge on DRRs taken from near a standard view, from whichever side."""
    views, looks = drrs.views, list[Looked]()
    for number in near(drrs, name)[:most]:
        labels = Keypoints(LANDMARK_NAMES, drrs.uv[number], drrs.visible[number])
        looks.append(looked(detector, drrs.pictures[number].float() / 255, views[number], labels))
    return looks


def near(drrs: Album, name: str) -> list[int]:
    """Which DRRs were taken from near a standard view, from whichever side."""
    axis, views = beam(VIEWS[name].primary, VIEWS[name].secondary), drrs.views
    normals = [views[number].normal for number in range(len(drrs))]
    towards = [float((one if float(one[1]) < 0 else -one) @ axis) for one in normals]
    return [number for number, cosine in enumerate(towards) if cosine > math.cos(math.radians(NEAR))]


def said(name: str, asked: Asked, own: float, ours: Agreement, theirs: Agreement | None) -> None:
    draws = len(asked.made) + len(asked.rejected)
    other = ("-",) * 3 if theirs is None else (f"{theirs.degrees:.1f}", f"{theirs.millimetres:.1f}",
                                               f"{theirs.recall:.2f}")  # fmt: skip
    print(f"| {name} | {len(asked.rejected)} of {draws} | {asked.seconds:.1f} | {own:.1f} | {ours.degrees:.1f} "
          f"| {other[0]} | {ours.millimetres:.1f} | {other[1]} | {ours.recall:.2f} | {other[2]} |")  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
