"""`skiagraph make-samples`: a set of labelled X-rays."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from skiagraph.errors import DataError
from skiagraph.experiments.presets import at_poses, preset
from skiagraph.factory.card import finish
from skiagraph.factory.cluster import make_on_ray
from skiagraph.factory.making import make_here
from skiagraph.factory.order import Order
from skiagraph.factory.recipe import Fidelity
from skiagraph.factory.subjects import people, posed, showing, the_xray_generator
from skiagraph.factory.xrays import make_xrays, xray_order
from skiagraph.generate.xray_bundle import read_xray_generator
from skiagraph.io.datasets.registry import read_poses
from skiagraph.tasks.task import Report, silent

Source = Literal["phantoms", "ct-diffusion", "xray-diffusion"]
SOURCES: dict[Source, tuple[str, ...]] = {"phantoms": ("shape:20",), "ct-diffusion": ("generated:20",)}


@dataclass(frozen=True)
class MakeSamples:
    """Make a set of labelled X-rays: sharded tars, the same to the bit for the same flags. Run it again to go on."""

    command: ClassVar[str] = "make-samples"

    output: Path
    """Folder for the shards and the set's card."""
    preset: str = "hip"
    """What the set is of: hip, hip-ap, hip-views, hip-synthex, hip-hardware, tool, tool-or-none or covid."""
    count: int | None = None
    """X-rays in all, dealt evenly to the bodies; 1000 if not given, or with --poses one for each pose."""
    size: int = 384
    """Rows and columns of the pictures."""
    seed: int = 0
    """Another seed draws another set."""
    bodies: tuple[str, ...] = ()
    """Who is looked at: shape:COUNT, parametric:COUNT, generated:COUNT (by the CT generator), CTs or folders of them,
    folders made by `skiagraph body`, or a public data set as it is published (`skiagraph data check` tells which)."""
    source: Source = "phantoms"
    """Who is looked at if --bodies does not say: 20 phantoms, or 20 CTs from noise. With xray-diffusion nobody is: the
    X-rays themselves are generated, in the generator's own size, from the preset's views; hip-views are those it
    learned."""
    bundle: Path | None = None
    """With --source xray-diffusion a generator trained by `skiagraph train-xray-diffusion`; the one that comes with
    Skiagraph if not given."""
    poses: Path | None = None
    """Views to take instead of drawn ones, of bodies as they are: DeepFluoro's full-resolution file, where the femora
    lie as they did, a record beside a picture, or a folder of records."""
    jitter: tuple[float, float] = (0.0, 0.0)
    """Degrees and millimetres by which given poses stray, either way."""
    torsos: Path | None = None
    """Folder of label volumes whose muscles and skin the shape: bodies take turns with."""
    fidelity: Fidelity = "realistic"
    """How much of the physics to simulate; poses and bodies are the same for all."""
    spacing: float = 1.5
    """Millimetres between voxels of bodies that are made."""
    workers: int | None = None
    """Processes at work; as many as there are cores if not given."""
    ray: str | None = None
    """Address of a Ray cluster to work on instead, such as auto or ray-head:6379; all its nodes see the folder."""

    @property
    def record(self) -> Path:
        """In the folder."""
        return self.output / "run.json"

    @property
    def order(self) -> Order:
        """What is asked for."""
        recipe = preset(self.preset)
        recipe = replace(recipe, technique=replace(recipe.technique, fidelity=self.fidelity))
        words = self.bodies or SOURCES[self.source]
        found = [subject for word in words for subject in people(word, self.seed, self.spacing, self.torsos)]
        subjects = tuple(showing(found, recipe.structures))
        count = 1000
        if self.poses is None and self.jitter != (0.0, 0.0):
            raise DataError("a jitter of no poses; give --poses, or leave --jitter out")
        if self.poses is not None:
            given = read_poses(self.poses)
            recipe = at_poses(recipe, given.device, *self.jitter)
            subjects = tuple(posed(subjects, given))
            count = sum(len(subject.poses) for subject in subjects)
        return Order(recipe, subjects, count if self.count is None else self.count, self.size, self.seed)

    def run(self, report: Report = silent) -> list[Path]:
        """Make what is missing of the set; its card."""
        workers = self.workers if self.workers is not None else len(os.sched_getaffinity(0))
        if workers < 1:
            raise DataError(f"{workers} workers; give at least one")
        if self.source == "xray-diffusion":
            return self._generated(report)
        if self.bundle is not None:
            raise DataError("a bundle, but no --source xray-diffusion; give both or neither")
        order = self.order
        if self.ray is not None:
            make_on_ray(order, self.output, self.ray, report)
        else:
            make_here(order, self.output, workers, report)
        return [finish(order, self.output)]

    def _generated(self, report: Report) -> list[Path]:
        """Generate what is missing of a set of X-rays from noise; its card."""
        if self.bodies or self.poses is not None or self.torsos is not None or self.ray is not None:
            raise DataError("generated X-rays are of nobody; leave --bodies, --poses, --torsos and --ray out")
        bundle = self.bundle or the_xray_generator()
        generator = read_xray_generator(bundle)
        order = xray_order(preset(self.preset), bundle, generator.size, self.count or 1000, self.seed)
        make_xrays(order, generator, self.output, report)
        return [finish(order, self.output)]
