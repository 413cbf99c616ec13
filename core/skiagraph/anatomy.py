"""The names of the hip task: 14 landmarks and 6 structures, and what others call them; and those of tools.

The hip's list, its order and the short names are those of DeepFluoro (Grupp 2020) and SyntheX (Gao 2022).
"""

from dataclasses import dataclass

from skiagraph.errors import DataError


@dataclass(frozen=True)
class Code:
    """A SNOMED CT concept."""

    value: str
    meaning: str


ANATOMY, DEVICE = Code("91723000", "Anatomical Structure"), Code("260787004", "Physical object")


@dataclass(frozen=True)
class Term:
    """A landmark or structure, by all its names."""

    name: str
    """lower_snake English, side first."""
    title: str
    """For people."""
    alias: str
    """The short name of DeepFluoro's files."""
    site: Code
    """The finding site, or what kind of device it is: the nearest concept of the SNOMED CT subset that DICOM licenses
    (PS3.16)."""
    structure: str
    """The structure a landmark belongs to; a structure names itself."""
    category: Code = ANATOMY

    @property
    def side(self) -> str | None:
        """`left`, `right` or None for what lies in the middle."""
        first = self.name.split("_")[0]
        return first if first in LATERALITY else None


LATERALITY = {"left": Code("7771000", "Left"), "right": Code("24028007", "Right")}

FEMORAL_HEAD = Code("2812003", "Head of Femur")
ILIUM = Code("22356005", "Ilium")
ISCHIUM = Code("85710004", "Ischium")
SYMPHYSIS = Code("82561000", "Symphysis pubis")
PELVIS = Code("118645006", "Pelvis")
SACRUM = Code("54735007", "Sacrum")
FEMUR = Code("71341001", "Femur")
VERTEBRA = Code("51282000", "Vertebra")
INSTRUMENT = Code("57134006", "Instrument, device")
BONE_PIN = Code("77444004", "Bone pin, device")
BONE_SCREW = Code("68183006", "Bone screw, device")


def _both_sides(name: str, title: str, alias: str, site: Code, structure: str) -> tuple[Term, Term]:
    left, right = (
        Term(f"{side}_{name}", f"{side.capitalize()} {title}", f"{alias}-{side[0]}", site, f"{side}_{structure}")
        for side in ("left", "right")
    )
    return left, right


LANDMARKS: tuple[Term, ...] = (
    *_both_sides("femoral_head", "femoral head centre", "FH", FEMORAL_HEAD, "femur"),
    *_both_sides("greater_sciatic_notch", "greater sciatic notch", "GSN", ILIUM, "hemipelvis"),
    *_both_sides("inferior_obturator_foramen", "inferior obturator foramen", "IOF", ISCHIUM, "hemipelvis"),
    *_both_sides("medial_obturator_foramen", "medial obturator foramen", "MOF", PELVIS, "hemipelvis"),
    *_both_sides("superior_pubic_symphysis", "superior pubic symphysis", "SPS", SYMPHYSIS, "hemipelvis"),
    *_both_sides("inferior_pubic_symphysis", "inferior pubic symphysis", "IPS", SYMPHYSIS, "hemipelvis"),
    *_both_sides("anterior_superior_iliac_spine", "anterior superior iliac spine", "ASIS", ILIUM, "hemipelvis"),
)

STRUCTURES: tuple[Term, ...] = (
    Term("left_hemipelvis", "Left hemipelvis", "pelvis-l", PELVIS, "left_hemipelvis"),
    Term("right_hemipelvis", "Right hemipelvis", "pelvis-r", PELVIS, "right_hemipelvis"),
    Term("vertebrae", "Vertebrae", "vertebrae", VERTEBRA, "vertebrae"),
    Term("upper_sacrum", "Upper sacrum", "sacrum", SACRUM, "upper_sacrum"),
    Term("left_femur", "Left femur", "femur-l", FEMUR, "left_femur"),
    Term("right_femur", "Right femur", "femur-r", FEMUR, "right_femur"),
)

MANIPULATOR: tuple[Term, Term, Term] = (
    Term("manipulator_base", "Manipulator base", "CM-base", INSTRUMENT, "manipulator", DEVICE),
    Term("manipulator_tip", "Manipulator tip", "CM-tip", INSTRUMENT, "manipulator", DEVICE),
    Term("manipulator", "Continuum manipulator", "CM", INSTRUMENT, "manipulator", DEVICE),
)
"""Both ends of its bending part, and itself: the tool task's."""
HARDWARE: tuple[Term, ...] = (
    Term("k_wire", "Kirschner wire", "K-wire", BONE_PIN, "k_wire", DEVICE),
    Term("screw", "Screw", "screw", BONE_SCREW, "screw", DEVICE),
)

LANDMARK_NAMES: tuple[str, ...] = tuple(term.name for term in LANDMARKS)
STRUCTURE_NAMES: tuple[str, ...] = tuple(term.name for term in STRUCTURES)
STRUCTURE_INDEX: dict[int, str] = dict(enumerate(STRUCTURE_NAMES, start=1))
"""The numbers of the hip task's label maps, as DeepFluoro's."""

TOTALSEGMENTATOR: dict[str, str] = {
    "hip_left": "left_hemipelvis",
    "hip_right": "right_hemipelvis",
    "femur_left": "left_femur",
    "femur_right": "right_femur",
    "sacrum": "upper_sacrum",
    "vertebrae_s1": "upper_sacrum",
    **{f"vertebrae_c{n}": "vertebrae" for n in range(1, 8)},
    **{f"vertebrae_t{n}": "vertebrae" for n in range(1, 13)},
    **{f"vertebrae_l{n}": "vertebrae" for n in range(1, 7)},
}
"""What TotalSegmentator (Wasserthal 2023), versions 1 and 2, calls our structures or their parts, in lower case."""

TERMS: dict[str, Term] = {term.name: term for term in LANDMARKS + STRUCTURES + MANIPULATOR + HARDWARE}
"""All of them, by name."""
_ALIASES = {term.alias.lower(): name for name, term in TERMS.items()}


def term(name: str) -> Term:
    """What is known of a landmark or structure, by its name or alias. Raises DataError if nothing is."""
    found = TERMS.get(canonical(name))
    if found is None:
        raise DataError(f"no anatomy or tool called {name!r}; give one of {', '.join(TERMS)}")
    return found


def structure_with(name: str) -> str | None:
    """The structure on which a landmark lies, by its name or alias; None if we do not know the landmark."""
    found = TERMS.get(canonical(name))
    return None if found is None else found.structure


def canonical(name: str) -> str:
    """Our name for a landmark or structure someone else named; names we do not know stay as they are."""
    tidy = name.strip().lower().replace(" ", "_")
    return _ALIASES.get(tidy.replace("_", "-"), tidy if tidy in TERMS else name)


def structure_of(name: str) -> str:
    """Our name for the structure that a label others named is, or is a part of; as `canonical` for all the rest."""
    ours = canonical(name)
    return TOTALSEGMENTATOR.get(ours.strip().lower().replace(" ", "_"), ours)


def opposite(name: str) -> str:
    """What a name is called on the other side; what lies in the middle is its own opposite."""
    for here, there in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(here):
            return there + name.removeprefix(here)
    return name


def opposites(names: tuple[str, ...]) -> list[int]:
    """For each name the index of its opposite, or its own where that is not among them."""
    return [names.index(other) if (other := opposite(name)) in names else k for k, name in enumerate(names)]
