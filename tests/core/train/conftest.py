"""A small set and a small regimen, shared by the tests of trainings."""

from dataclasses import replace

import pytest

from skiagraph.detect.losses import Likelihood
from skiagraph.detect.trunks import ResidualUNet
from skiagraph.experiments.presets import HIP_AP
from skiagraph.factory.card import finish
from skiagraph.factory.making import begin, make_subject
from skiagraph.factory.order import Order
from skiagraph.factory.reading import SampleSet
from skiagraph.factory.recipe import Technique
from skiagraph.factory.subjects import parametric
from skiagraph.factory.variation import UNCHANGED
from skiagraph.train.regimen import SKIAGRAPH, Adam, Regimen


@pytest.fixture(scope="session")
def tiny() -> Regimen:
    return replace(
        SKIAGRAPH, trunk=ResidualUNet((8, 16, 16), features=8), size=48, landmark_loss=Likelihood(1.5), steps=6,
        batch=4, optimiser=Adam(5e-3), average=0.5,
    )  # fmt: skip


@pytest.fixture(scope="session")
def samples(tmp_path_factory) -> SampleSet:
    folder = tmp_path_factory.mktemp("set")
    recipe = replace(HIP_AP, technique=Technique("naive"), variation=UNCHANGED)
    order = Order(recipe, tuple(parametric(3, 0, 6.0)), 18, 48, 2, (0.34, 0.0), 6)
    begin(order, folder)
    for subject in range(3):
        make_subject(order, subject, folder)
    finish(order, folder)
    return SampleSet(folder)
