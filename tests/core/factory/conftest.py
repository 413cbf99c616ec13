"""A small labelled body and a quick recipe, shared by the tests of the factory."""

from dataclasses import replace
from pathlib import Path

import pytest

from skiagraph.bodies import Person, build
from skiagraph.experiments.presets import HIP
from skiagraph.factory.order import Order
from skiagraph.factory.recipe import Recipe, Technique
from skiagraph.factory.subjects import stored
from skiagraph.io.patient import Patient, write_body


@pytest.fixture(scope="session")
def patient() -> Patient:
    return Patient.of(build(Person(), spacing=5.0))


@pytest.fixture
def recipe() -> Recipe:
    return replace(HIP, technique=Technique("naive"))


@pytest.fixture(scope="session")
def bodies(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bodies")
    for seed in range(3):
        write_body(folder / f"person-{seed}", build(Person(seed=seed, fat=10.0 + 8 * seed), spacing=6.0))
    return folder


@pytest.fixture
def order(bodies, recipe) -> Order:
    return Order(recipe, tuple(stored(bodies)), count=14, size=48, seed=5, per_shard=3)
