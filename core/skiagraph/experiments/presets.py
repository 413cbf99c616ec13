"""The sets researchers ask for, by name."""

from dataclasses import replace

from skiagraph.anatomy import LANDMARK_NAMES, STRUCTURE_NAMES
from skiagraph.carm import CIOS_FUSION
from skiagraph.errors import DataError
from skiagraph.factory.devices import Collimator, DevicePrior, Only
from skiagraph.factory.recipe import Recipe
from skiagraph.factory.variation import UNCHANGED
from skiagraph.factory.views import Aim, Box, Cone, Mixture, SolidAngle
from skiagraph.planning import VIEWS

RADIOGRAPH = Cone(("ap",), 12.0, Aim(shift=25.0, roll=5.0))
"""AP pelvis as in an emergency room."""

PELPHIX = Cone(tuple(VIEWS), 15.0, Aim(shift=30.0, roll=10.0))
"""A cone around each standard view."""

HIP = Recipe(
    "hip",
    LANDMARK_NAMES,
    STRUCTURE_NAMES,
    Mixture(((0.45, RADIOGRAPH), (0.25, PELPHIX), (0.15, SolidAngle()), (0.15, Box()))),
    reference="landmarks and structures of Grupp 2020; poses: AP radiographs, cones around standard views as in "
    "Pelphix (Killeen 2023), a part of the sphere, and SyntheX's box (Gao 2022), in shares of ours",
)

HIP_AP = replace(
    HIP, name="hip-ap", views=RADIOGRAPH, devices=DevicePrior((1000.0, 1200.0), (0.8, 0.92), (350.0, 430.0))
)
"""AP radiographs only."""

HIP_SYNTHEX = replace(
    HIP,
    name="hip-synthex",
    views=Box(),
    devices=Only(replace(CIOS_FUSION, lateral_offset=0.0, orbital_range=(-180.0, 180.0))),
    collimator=Collimator(chance=0.0),
    variation=UNCHANGED,
    reference="Gao 2022 (SyntheX), hip: 45 degrees about each axis; 50, 100 and 20 mm along x, y and z; Cios Fusion",
)

PRESETS: dict[str, Recipe] = {recipe.name: recipe for recipe in (HIP, HIP_AP, HIP_SYNTHEX)}


def preset(name: str) -> Recipe:
    """A set by its name."""
    if name not in PRESETS:
        raise DataError(f"no preset {name!r}; give one of {', '.join(PRESETS)}")
    return PRESETS[name]
