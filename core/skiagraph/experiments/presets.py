"""The sets researchers ask for, by name."""

from dataclasses import replace

from skiagraph.anatomy import LANDMARK_NAMES, STRUCTURE_NAMES
from skiagraph.bodies.clutter import Cluttered
from skiagraph.bodies.fractures import Fractured
from skiagraph.bodies.implants import Implanted
from skiagraph.bodies.lesions import LESION, Lesions
from skiagraph.bodies.manipulator import BASE, BODY, TIP
from skiagraph.carm import CIOS_FUSION, CArm
from skiagraph.errors import DataError
from skiagraph.factory.devices import Collimator, DevicePrior, Only
from skiagraph.factory.dress import WithHardware, WithManipulator
from skiagraph.factory.recipe import Recipe, Technique
from skiagraph.factory.variation import UNCHANGED, Lived
from skiagraph.factory.views import Aim, Around, Box, Cone, Mixture, SolidAngle, TubeInFront
from skiagraph.planning import VIEWS

RADIOGRAPH = Cone(("ap",), 12.0, Aim(shift=25.0, roll=5.0))
"""AP pelvis as in an emergency room."""

PELPHIX = Cone(tuple(VIEWS), 15.0, Aim(shift=30.0, roll=10.0))
"""A cone around each standard view."""

OBLIQUES = tuple(
    f"{side}_{name}"
    for side in ("left", "right")
    for name in ("obturator_oblique", "iliac_oblique", "obturator_inlet", "teardrop")
)

HIP = Recipe(
    "hip",
    LANDMARK_NAMES,
    STRUCTURE_NAMES,
    Mixture(((0.45, RADIOGRAPH), (0.25, PELPHIX), (0.15, SolidAngle()), (0.15, Box()))),
    reference="landmarks and structures of Grupp 2020; poses: AP radiographs, cones around standard views as in "
    "Pelphix (Killeen 2023), a part of the sphere, and SyntheX's box (Gao 2022), in shares of ours",
)

HIP_AP = replace(
    HIP,
    name="hip-ap",
    views=TubeInFront(RADIOGRAPH),
    devices=DevicePrior((1000.0, 1150.0), (0.8, 0.87), (380.0, 430.0)),
    collimator=Collimator(chance=0.12, most=0.12),
    technique=Technique(kvp=(65.0, 95.0), dose=(5.0, 100.0)),
    variation=Lived(((0.25, Fractured()), (0.2, Implanted()), (1.0, Cluttered()))),
)
"""AP radiographs only, the tube before the patient and the panel behind: the whole pelvis on a 17 inch cassette or a
little less of one, at 65 to 95 kV.

A radiograph takes some 2.5 to 5 µGy at the panel, and its pixels are binned from far smaller ones to a detector's
384: on pixels of 1.1 mm that is 50 to 150 times the thousand photons exposure control aims at in a C-arm's 0.3 mm.
The dose is drawn from far below that, since pictures of large patients are not without noise.
"""

HIP_VIEWS = replace(
    HIP,
    name="hip-views",
    views=Mixture(
        (
            (0.2, TubeInFront(RADIOGRAPH)),
            (0.3, Cone(("ap", "inlet", "outlet"), 12.0, Aim(shift=25.0, roll=7.0))),
            (0.25, Cone(OBLIQUES, 12.0, Aim(shift=25.0, roll=7.0))),
            (0.25, SolidAngle((-50.0, 50.0), (-45.0, 40.0), Aim(shift=25.0, roll=7.0))),
        )
    ),
    devices=DevicePrior((950.0, 1150.0), (0.74, 0.86), (380.0, 430.0)),
    collimator=Collimator(chance=0.0),
    reference="AP radiographs, cones around AP, inlet, outlet and the obliques, and the part of the sphere between "
    "them, in shares of ours; panels that show most of a pelvis",
)
"""The whole pelvis from wherever a surgeon looks at it: what a generator of X-rays learns views from."""

HIP_SYNTHEX = replace(
    HIP,
    name="hip-synthex",
    views=Box(),
    devices=Only(replace(CIOS_FUSION, lateral_offset=0.0, orbital_range=(-180.0, 180.0))),
    collimator=Collimator(chance=0.0),
    variation=UNCHANGED,
    reference="Gao 2022 (SyntheX), hip: 45 degrees about each axis; 50, 100 and 20 mm along x, y and z; Cios Fusion",
)

HIP_HARDWARE = replace(HIP, name="hip-hardware", dress=WithHardware(), structures=(*STRUCTURE_NAMES, "k_wire", "screw"))
"""With wires and screws in the pelvis and the femoral necks."""

TOOL = Recipe(
    "tool",
    (BASE, TIP),
    (BODY,),
    SolidAngle((-30.0, 30.0), (-10.0, 10.0), Aim(shift=15.0, roll=180.0)),
    devices=DevicePrior((1020.0, 1020.0), (0.588, 0.882), (297.0, 297.0)),
    collimator=Collimator(chance=0.0),
    variation=UNCHANGED,
    dress=WithManipulator(),
    reference="Gao 2022 (SyntheX), tool: 27 notches, control points N(0, 2.5 degrees); LAO/RAO 30, CRA/CAU 10 degrees; "
    "source to isocentre 600 to 900 mm of 1020; shift N(0, 10 mm) of the tool. How the tool lies is ours",
)

TOOL_OR_NONE = replace(
    TOOL,
    name="tool-or-none",
    dress=WithManipulator(aside=0.1),
    reference=f"{TOOL.reference}. So is that every tenth X-ray shows no tool",
)
"""What a detector learns from that has to say when there is no tool."""

COVID = Recipe(
    "covid",
    (),
    (LESION,),
    Box((5.0, 5.0, 5.0), (10.0, 10.0, 10.0)),
    devices=DevicePrior((1020.0, 1020.0), (0.343, 0.637), (430.0, 430.0)),
    collimator=Collimator(chance=0.0),
    variation=Lesions(),
    reference="Gao 2022 (SyntheX), COVID-19: 5 degrees about each axis, source to isocentre 350 to 650 mm, the CT "
    "sheared by up to 30 degrees. The panel, 17 inches, is ours: so near the tube a smaller one "
    "shows half a lung. The lesions are grown by us: a demonstration, not patients' disease",
)


def at_poses(recipe: Recipe, device: CArm, rotation: float = 0.0, translation: float = 0.0) -> Recipe:
    """A set at the poses that are given of its bodies: the precisely matched set of Gao 2022, if they are real ones'.

    Bodies are as they are and nothing is collimated; every pose strays by so many degrees and millimetres either way.
    """
    return replace(
        recipe,
        name=f"{recipe.name}-posed",
        views=Around(rotation, translation),
        devices=Only(device),
        collimator=Collimator(chance=0.0),
        variation=UNCHANGED,
        reference="poses as given, one after the other, of bodies as they are",
    )


PRESETS: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (HIP, HIP_AP, HIP_VIEWS, HIP_SYNTHEX, HIP_HARDWARE, TOOL, TOOL_OR_NONE, COVID)
}


def preset(name: str) -> Recipe:
    """A set by its name."""
    if name not in PRESETS:
        raise DataError(f"no preset {name!r}; give one of {', '.join(PRESETS)}")
    return PRESETS[name]
