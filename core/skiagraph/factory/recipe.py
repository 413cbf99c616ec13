"""What a set of samples is made of, as one value: change a part with `dataclasses.replace`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

import torch

from skiagraph.drr.render import FIDELITIES, REALISTIC, Renderer
from skiagraph.drr.scene import Scene
from skiagraph.factory.chance import Range, log_uniform, uniform
from skiagraph.factory.devices import Collimator, DevicePrior, Only
from skiagraph.factory.variation import Variation
from skiagraph.factory.views import Target, ViewSampler
from skiagraph.physics.phantom import Decompose
from skiagraph.physics.spectrum import Spectrum
from skiagraph.volume import Body

Fidelity = Literal["naive", "heuristic", "realistic"]

KVP_STEP = 5.0
"""Tube voltages are drawn in steps of so many kilovolts, so that each spectrum is worked out once."""

Dress = Callable[[Scene, Target, torch.Generator], Scene]
"""What is added to a scene anew for every sample, such as a tool."""


@dataclass(frozen=True)
class Setting:
    """What the tube was set to for one sample."""

    kvp: float
    dose: float
    """Over that of `Panel.flat()`."""


@dataclass(frozen=True)
class Technique:
    """How samples are exposed. Naive and heuristic X-rays know neither voltage nor dose, and have their own."""

    fidelity: Fidelity = "realistic"
    kvp: Range = (70.0, 110.0)
    """Tube voltages, in steps of 5 kV."""
    dose: Range = (0.3, 3.0)
    """Over that of `Panel.flat()`, as often halved as doubled."""

    @property
    def base(self) -> Renderer:
        """The renderer before voltage and dose are drawn."""
        return FIDELITIES[self.fidelity]

    def setting(self, rng: torch.Generator) -> Setting | None:
        """One of the ways to expose; None for those fidelities that have but one."""
        kvp = KVP_STEP * round(uniform(rng, *self.kvp) / KVP_STEP)
        return Setting(kvp, log_uniform(rng, *self.dose)) if self.base is REALISTIC else None

    def renderer(self, setting: Setting | None) -> Renderer:
        """The X-ray machine so set."""
        if setting is None:
            return self.base
        panel = self.base.panel
        panel = replace(panel, photons=setting.dose * panel.photons, aim=setting.dose * panel.aim)
        return replace(self.base, spectrum=_tube(setting.kvp), panel=panel)


@cache
def _tube(kvp: float) -> Spectrum:
    return Spectrum.tube(kvp)


Vary = Callable[[Body, Decompose, torch.Generator], Scene]
"""What becomes of a body, and how it is decomposed, before any picture is taken of it."""


@dataclass(frozen=True)
class AsItIs:
    """Nothing is added."""

    def __call__(self, scene: Scene, target: Target, rng: torch.Generator) -> Scene:
        """The same scene."""
        return scene


@dataclass(frozen=True)
class Recipe:
    """One kind of set."""

    name: str
    """Begins the names of its shards."""
    landmarks: tuple[str, ...]
    """Points that are labelled where a body has them."""
    structures: tuple[str, ...]
    """Masks that are made, at most 16, where a body has them."""
    views: ViewSampler
    devices: DevicePrior | Only = field(default_factory=DevicePrior)
    collimator: Collimator = field(default_factory=Collimator)
    technique: Technique = field(default_factory=Technique)
    variation: Vary = field(default_factory=Variation)
    """What is changed of a body before any picture is taken of it."""
    dress: Dress = field(default_factory=AsItIs)
    reference: str = ""
    """Where the figures come from."""

    @property
    def dresses(self) -> bool:
        """Whether anything is added to the scene."""
        return not isinstance(self.dress, AsItIs)
