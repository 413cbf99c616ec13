"""One sample of a body: a view is drawn, an X-ray taken, and what is known of the body projected into it."""

from dataclasses import dataclass, replace

import torch

from skiagraph.drr.scene import Loosened, Scene
from skiagraph.drr.shadows import shadows
from skiagraph.errors import DataError
from skiagraph.factory.chance import generator_for
from skiagraph.factory.devices import Window
from skiagraph.factory.recipe import Recipe
from skiagraph.factory.variation import UNCHANGED
from skiagraph.factory.views import Target
from skiagraph.io.patient import Patient
from skiagraph.io.poses import Pose
from skiagraph.io.records import Record
from skiagraph.sample import Sample
from skiagraph.volume import Body, Keypoints, Labels

LEAK = 5e-4
"""Of the open field, what comes through the collimator's lead: enough that its logarithm exists. Ours."""


@dataclass(frozen=True, eq=False)
class Stage:
    """A body made ready: decomposed, changed as its recipe says, and known by name."""

    subject: str
    scene: Scene
    target: Target
    poses: tuple[Pose, ...] = ()
    """Those given, if any: the samples go through them one after the other."""
    loosened: Loosened | None = None
    """The body with the bones out that lie elsewhere in some of the poses."""

    @classmethod
    def of(
        cls,
        subject: str,
        patient: Patient,
        recipe: Recipe,
        seed: int,
        turn: int = 0,
        poses: tuple[Pose, ...] = (),
    ) -> "Stage":
        """A patient as a recipe wants him, changed anew at every `turn`.

        Raises DataError if nothing that the recipe labels is known of him or made for him, or if both the recipe and
        the poses move his bones.
        """
        decompose = recipe.technique.base.decompose
        body = _body(patient)
        scene = recipe.variation(body, decompose, generator_for(seed, "body", subject, turn))
        known = scene.structures | set(scene.landmarks.names)
        if not recipe.dresses and not known & {*recipe.structures, *recipe.landmarks}:
            raise DataError(
                f"{subject} has none of the landmarks and structures of {recipe.name!r}; give a body with labels or "
                f"landmarks such as {[*recipe.landmarks, *recipe.structures][0]}"
            )
        center = patient.center if len(scene.landmarks.names) < 4 else scene.landmarks.points.mean(dim=0)
        target = Target(center, scene.landmarks, tuple(pose.view for pose in poses))
        moving = sorted({name for pose in poses for name in pose.motions})
        if moving and recipe.variation != UNCHANGED:
            raise DataError(f"the poses say how {', '.join(moving)} lay; give a recipe that changes no body")
        return cls(subject, scene, target, poses, Loosened.of(body, decompose, moving) if moving else None)

    def at(self, nth: int) -> Scene:
        """What stands before the C-arm for the n-th sample: the bones lie as its pose says."""
        return self.scene if self.loosened is None else self.loosened.scene(self.poses[nth % len(self.poses)].motions)


@dataclass(frozen=True, eq=False)
class Taken:
    """A sample and how it came about."""

    number: int
    """Of the whole set."""
    sample: Sample
    record: Record


def take(stage: Stage, recipe: Recipe, size: int, number: int, nth: int, seed: int) -> Taken:
    """The sample of a number: the stage's n-th. What is drawn depends on seed and number alone, fidelity aside."""

    def rng(purpose: str) -> torch.Generator:
        return generator_for(seed, purpose, number)

    carm = recipe.devices(size, rng("device"))
    view = recipe.views(stage.target, carm, nth, rng("view"))
    setting = recipe.technique.setting(rng("technique"))
    renderer = recipe.technique.renderer(setting)
    scene = recipe.dress(stage.at(nth), stage.target, rng("dress"))
    window = recipe.collimator(view.size, rng("collimator"))
    field = window.mask(view.size)
    image = torch.where(field, renderer(scene.phantoms, view, rng("noise")), LEAK)
    known = scene.structures
    structures = tuple(name for name in recipe.structures if name in known)
    masks = shadows(scene.labels, view, structures) & field
    record = Record.of(
        view,
        scene.landmarks.subset(recipe.landmarks),
        {"name": carm.name, "source_to_panel": carm.source_to_panel, "source_to_isocenter": carm.source_to_isocenter},
        subject=stage.subject,
        number=number,
        seed=seed,
        fidelity=recipe.technique.fidelity,
        kvp=None if setting is None else setting.kvp,
        dose=None if setting is None else setting.dose,
        window=[window.v0, window.v1, window.u0, window.u1],
        structures=list(structures),
        areas=masks.sum(dim=(1, 2)).tolist(),
    )
    record = replace(record, keypoints=_collimated(record.keypoints, window))
    return Taken(number, Sample(image, view, record.keypoints, masks, structures), record)


def _collimated(keypoints: Keypoints, window: Window) -> Keypoints:
    return replace(keypoints, visible=keypoints.visible & window.holds(keypoints.uv))


def _body(patient: Patient) -> Body:
    """A body with labels, if only empty ones."""
    volume = patient.volume
    nothing = Labels(torch.zeros(1, 1, 1, dtype=torch.uint8).expand(volume.grid.shape), volume.grid, {})
    return Body(volume, patient.labels or nothing, patient.landmarks)
