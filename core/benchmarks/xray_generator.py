"""Whether generated X-rays are seen from where they were asked for, and labelled where a detector finds things.

    python core/benchmarks/xray_generator.py --samples out/views4k [--bundle out/xray] [--n 24] [--detector BUNDLE]

For every view: how many draws were rejected and why, CPU seconds a draw, and what the same detector and the same pose
estimator say of generated X-rays and of DRRs of the set's test split that were taken from within 15 degrees of there.
The landmarks of generated X-rays themselves are asked for the view as well. Writes a contact sheet of all views.
"""

import argparse
import statistics
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.carm import beam
from skiagraph.detect.bundle import read_bundle
from skiagraph.detect.detector import Detector
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
from skiagraph.volume import Keypoints

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
    for name in ASKED:
        asked = ask(generator, name, given.n, given.seed)
        of_ours = [looked(detector, one.made.picture, one.made.view, one.made.keypoints) for one in asked.made]
        of_theirs = beside(detector, drrs, name, 2 * given.n)
        own = statistics.median(one.turned for one in asked.made)
        said(name, asked, own, agreement(of_ours), agreement(of_theirs) if of_theirs else None)
        ours, theirs = ours + of_ours, theirs + of_theirs
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
    return 0


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
    axis, views, looks = beam(VIEWS[name].primary, VIEWS[name].secondary), drrs.views, list[Looked]()
    for number in range(len(drrs)):
        view = views[number]
        normal = view.normal if float(view.normal[1]) < 0 else -view.normal
        if float(normal @ axis) > torch.cos(torch.deg2rad(torch.tensor(NEAR))) and len(looks) < most:
            labels = Keypoints(LANDMARK_NAMES, drrs.uv[number], drrs.visible[number])
            looks.append(looked(detector, drrs.pictures[number].float() / 255, view, labels))
    return looks


def said(name: str, asked: Asked, own: float, ours: Agreement, theirs: Agreement | None) -> None:
    draws = len(asked.made) + len(asked.rejected)
    other = ("-",) * 3 if theirs is None else (f"{theirs.degrees:.1f}", f"{theirs.millimetres:.1f}",
                                               f"{theirs.recall:.2f}")  # fmt: skip
    print(f"| {name} | {len(asked.rejected)} of {draws} | {asked.seconds:.1f} | {own:.1f} | {ours.degrees:.1f} "
          f"| {other[0]} | {ours.millimetres:.1f} | {other[1]} | {ours.recall:.2f} | {other[2]} |")  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
