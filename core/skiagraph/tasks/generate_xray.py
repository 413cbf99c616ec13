"""`skiagraph generate-xray`: labelled X-rays of nobody, from a view that is asked for."""

import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
import tyro

from skiagraph.anatomy import LANDMARK_NAMES, STRUCTURE_NAMES
from skiagraph.carm import clinical
from skiagraph.detect.pose import pelvic_angles
from skiagraph.errors import DataError
from skiagraph.experiments.presets import HIP_VIEWS
from skiagraph.factory.chance import generator_for
from skiagraph.factory.recipe import Recipe
from skiagraph.factory.subjects import the_xray_generator
from skiagraph.factory.views import Aim, Cone, SolidAngle, TubeInFront, ViewSampler
from skiagraph.factory.xrays import STATEMENT, drawn_view, mean_pelvis
from skiagraph.generate.wanted import Wanted
from skiagraph.generate.xray_bundle import read_xray_generator
from skiagraph.generate.xray_quality import TRIES, JudgedXray, drawn
from skiagraph.io.files import write_json, writing_together
from skiagraph.io.markups import read_keypoints, write_keypoints
from skiagraph.io.pictures import read_mask, write_mask, write_picture
from skiagraph.io.records import Record, write_record
from skiagraph.planning import PelvicFrame, standard_view
from skiagraph.tasks.sheet import Panel, write_sheet
from skiagraph.tasks.shot import beside, masks_folder
from skiagraph.tasks.task import Report, silent
from skiagraph.tasks.xray import growing, stretched

ON_SHEET = 24
"""X-rays on the contact sheet."""


@dataclass(frozen=True)
class GenerateXray:
    """Generate X-rays of a pelvis from noise, with landmarks and masks. Nobody's, and not for clinical use."""

    command: ClassVar[str] = "generate-xray"

    output: tyro.conf.Positional[Path]
    """Folder for the X-rays: NAME.png, NAME.json, NAME.mrk.json and NAME_masks/, a contact sheet and a report."""
    view: str | None = None
    """A standard view, such as inlet or left-obturator-oblique; with neither view nor angles, as they were learned."""
    primary: float | None = None
    """Degrees in the pelvis's own frame, LAO positive; with no standard view."""
    secondary: float | None = None
    """Degrees in the pelvis's own frame, cranial positive; with no standard view."""
    cone: float = 0.0
    """Degrees by which the beam may stray from that."""
    shift: float = 15.0
    """Millimetres by which the aim may stray, along each axis."""
    in_front: bool = False
    """The tube before the pelvis and the panel behind, as radiographs are taken."""
    n: int = 16
    """How many."""
    seed: int = 0
    """Another seed draws other X-rays, devices and aims."""
    keypoints: Path | None = None
    """Where landmarks are to be, in pixels of the generator's pictures: .json, .mrk.json or .fcsv."""
    masks: Path | None = None
    """Where structures are to be: a folder of STRUCTURE.png; those that are missing are nowhere."""
    coarse: Path | None = None
    """A picture to go by roughly, such as a DRR."""
    steps: int | None = None
    """Of the way from noise, 10 to 20; the generator's own if not given."""
    guidance: float | None = None
    """How much of the view; 1 as it was learned, more exaggerates."""
    tries: int = TRIES
    """How often to draw an X-ray that does not hold together."""
    bundle: Path | None = None
    """A generator trained by `skiagraph train-xray-diffusion`; the one that comes with Skiagraph if not given."""

    @property
    def record(self) -> Path:
        """In the folder."""
        return self.output / "run.json"

    @property
    def recipe(self) -> Recipe:
        """Where X-rays are asked for from, and by which devices."""
        aim = Aim(self.shift, 0.0)
        sampler: ViewSampler = HIP_VIEWS.views
        if self.view is not None:
            if self.primary is not None or self.secondary is not None:
                raise DataError("a standard view and angles; give one of them")
            sampler = Cone((standard_view(self.view).name,), self.cone, aim)
        elif self.primary is not None or self.secondary is not None:
            p, s = self.primary or 0.0, self.secondary or 0.0
            sampler = SolidAngle((p - self.cone, p + self.cone), (s - self.cone, s + self.cone), aim)
        return replace(HIP_VIEWS, views=TubeInFront(sampler) if self.in_front else sampler)

    def run(self, report: Report = silent) -> list[Path]:
        """Generate, judge, draw anew where need be; the files written."""
        if self.n < 1 or self.tries < 1:
            raise DataError(f"{self.n} X-rays in {self.tries} tries; give at least one of each")
        recipe = self.recipe
        report(0, self.n + 1, "reading the generator")
        generator = read_xray_generator(self.bundle or the_xray_generator()).at(self.steps, self.guidance)
        wanted = [self._wanted(recipe, generator.size, number) for number in range(self.n)]
        began = time.process_time()
        made, rejected = drawn(
            generator, wanted, lambda number, attempt: generator_for(self.seed, "xray", number, attempt),
            lambda done, total: report(done, total + 1, "generating"), self.tries,
        )  # fmt: skip
        seconds = time.process_time() - began
        report(self.n, self.n + 1, "writing")
        found = [(number, one) for number, one in enumerate(made) if one is not None]
        with writing_together(self.output) as stage:
            for number, one in found:
                _write(stage / f"{number:05d}.png", one, self.seed, number, rejected[number])
            some = [_panel(one) for _, one in found[:ON_SHEET]]
            write_sheet(stage / "contact_sheet.png", some, self.view or "generated X-rays", columns=6, across=2.6)
            reasons = Counter(_kind(part) for tries in rejected for said in tries for part in said.split(", "))
            draws = sum(map(len, rejected)) + len(found)
            write_json(
                stage / "generated.json",
                {
                    "statement": STATEMENT, "kept": len(found), "given_up": self.n - len(found), "drawn": draws,
                    "rejected": draws - len(found), "reasons": dict(reasons.most_common()),
                    "cpu_seconds_a_draw": round(seconds / draws, 3), "steps": generator.steps,
                    "guidance": generator.guidance,
                },
            )  # fmt: skip
            names = sorted(path.relative_to(stage) for path in stage.rglob("*") if path.is_file())
        report(self.n + 1, self.n + 1, "done")
        return [self.output / name for name in names]

    def _wanted(self, recipe: Recipe, size: int, number: int) -> Wanted:
        view = drawn_view(recipe, size, self.seed, number)
        masks = None
        if self.masks is not None:
            nothing = torch.zeros(size, size, dtype=torch.bool)
            files = [self.masks / f"{name}.png" for name in STRUCTURE_NAMES]
            if not any(file.is_file() for file in files):
                raise DataError(f"no mask in {self.masks}; give files such as {files[0].name}")
            masks = torch.stack([read_mask(file) if file.is_file() else nothing for file in files])
        keypoints = None if self.keypoints is None else read_keypoints(self.keypoints, view)
        coarse = None if self.coarse is None else stretched(growing(self.coarse, "bright"))
        return Wanted(view, masks, keypoints, coarse)


def _write(path: Path, judged: JudgedXray, seed: int, number: int, rejected: list[str]) -> None:
    made, pose = judged.made, judged.pose
    assert pose is not None
    said: dict[str, Any] = {
        "statement": STATEMENT, "seed": seed, "number": number, "rejected": rejected,
        "asked": dict(zip(("primary", "secondary", "roll"), pelvic_angles(made.view, _own_frame()))),
        "found": dict(zip(("primary", "secondary", "roll"), pose.angles)),
        "turned": round(judged.turned, 2), "residual_mm": round(pose.rms, 2),
        "structures": {name: {"pixels": int(mask.sum())} for name, mask in zip(STRUCTURE_NAMES, made.masks)},
    }  # fmt: skip
    write_picture(path, made.picture)
    write_record(beside(path, ".json"), Record(made.view, made.keypoints, "drawn", said))
    write_keypoints(beside(path, ".mrk.json"), made.keypoints, view=made.view)
    for name, mask in zip(STRUCTURE_NAMES, made.masks):
        write_mask(masks_folder(path) / f"{name}.png", mask)


def _own_frame() -> PelvicFrame:
    return PelvicFrame.of(mean_pelvis().landmarks.subset(LANDMARK_NAMES))


def _panel(judged: JudgedXray) -> Panel:
    primary, secondary, _ = pelvic_angles(judged.made.view, _own_frame())
    caption = f"{clinical(primary, secondary)}, found {judged.turned:.1f}° beside it"
    return Panel(judged.made.picture, caption, judged.made.keypoints, judged.made.masks)


def _kind(said: str) -> str:
    """What was wrong without its figures."""
    return " ".join(word for word in said.split() if not any(c.isdigit() for c in word))
