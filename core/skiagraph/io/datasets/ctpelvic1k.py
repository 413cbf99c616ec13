"""CTPelvic1K (Liu 2021): CTs `*_data.nii.gz` and masks `*_mask_4label.nii.gz`, in folders of any name.

1 is the sacrum, 2 and 3 the hips, 4 the lumbar spine. Which hip is left is not the number's to say: the authors' own
script calls 2 the right one, in the CLINIC files 2 lies on the patient's left by the files' own frame, and in others
of its parts on the right. We name each by where it lies. Parts 1 to 5 are masks for CTs of other collections; of
the 75 CTs with metal, part 7, only 14 have a mask, whose names go without the part's.
"""

import re
from functools import partial
from pathlib import Path

from skiagraph.anatomy import STRUCTURE_INDEX
from skiagraph.errors import DataError
from skiagraph.geometry import box_around
from skiagraph.io.datasets.dataset import Dataset, Found, Origin, named
from skiagraph.io.patient import Patient, Subject
from skiagraph.io.volumes import read_labels, read_volume
from skiagraph.volume import Labels, Landmarks

ORIGIN = Origin(
    "CTPelvic1K (Liu et al. 2021)",
    "https://doi.org/10.5281/zenodo.4588403",
    "as the record says; what is from other collections keeps their licences",
    "dataset6_CLINIC_0001_data.nii.gz and dataset6_CLINIC_0001_mask_4label.nii.gz, in any folders",
)

CT_ENDING, MASK_ENDING = "_data.nii.gz", "_mask_4label.nii.gz"

SACRUM, HIPS, LUMBAR = 1, (2, 3), 4

LEAST_APART = 30.0
"""Millimetres between the middles of two hips, left to right."""


def find(path: Path) -> Found:
    """The CTs with a mask; CTs and masks that stand alone."""
    cts, masks = _by_case(path, CT_ENDING), _by_case(path, MASK_ENDING)
    pairs = sorted(cts.keys() & masks.keys())
    if not pairs:
        raise DataError(f"{path} holds {len(cts)} CTs and {len(masks)} masks but no pair; give {ORIGIN.wanted}")
    bare, alone = sorted(cts.keys() - masks.keys()), sorted(masks.keys() - cts.keys())
    metal = [case for case in bare if "metal" in case]
    lost = [case for case in bare if case not in metal]
    wrong = named([cts[case].name for case in lost], "CTs have no mask")
    notes = [f"{len(metal)} CTs with metal have no mask, as published: they are left out"] if metal else []
    notes += named([masks[case].name for case in alone], "masks have no CT, which is in its own collection")
    subjects = [Subject(case, ORIGIN.source, partial(read, cts[case], masks[case])) for case in pairs]
    return Found(tuple(subjects), wrong=tuple(wrong), notes=tuple(notes))


def read(ct: Path, mask: Path) -> Patient:
    """One CT with its bones named. Raises if the mask does not lie on it, or its numbers are others."""
    volume, labels = read_volume(ct), read_labels(mask)
    labels.check_on(volume)
    return Patient(volume, Labels(labels.index, labels.grid, names_in(labels, mask)), Landmarks.of({}))


def names_in(labels: Labels, path: Path) -> dict[int, str]:
    """Our names for the numbers of a mask, the hips by the side on which they lie; `path` is named in errors."""
    present = {int(number) for number in labels.index.unique()} - {0}
    strange = sorted(present - {SACRUM, *HIPS, LUMBAR})
    if strange:
        raise DataError(f"{path} holds the labels {strange}; give {ORIGIN.wanted}, which has 1 to 4")
    across = {number: _across(labels, number) for number in present}
    middle = across.get(SACRUM)
    if {*HIPS} <= present:
        middle = (across[HIPS[0]] + across[HIPS[1]]) / 2
        if abs(across[HIPS[0]] - across[HIPS[1]]) < LEAST_APART:
            raise DataError(f"{path}: its hips, 2 and 3, are not left and right of each other; give {ORIGIN.wanted}")
    names = {SACRUM: "upper_sacrum", LUMBAR: "vertebrae"}
    for number in sorted(present & {*HIPS}):
        if middle is None:
            raise DataError(f"{path} holds one hip and no sacrum, so its side is not known; give {ORIGIN.wanted}")
        names[number] = "left_hemipelvis" if across[number] > middle else "right_hemipelvis"
    return {number: name for number, name in names.items() if number in present and name in STRUCTURE_INDEX.values()}


def holds(path: Path) -> bool:
    """Whether a folder has such files anywhere in it."""
    return path.is_dir() and any(path.rglob(f"*{MASK_ENDING}"))


DATASET = Dataset("ctpelvic1k", ORIGIN, holds, find)


def _by_case(path: Path, ending: str) -> dict[str, Path]:
    """Files by what they are called without their part of the set: `CLINIC_0001`."""
    found: dict[str, Path] = {}
    for file in sorted(path.rglob(f"*{ending}")):
        case = re.sub(r"^dataset\d+_", "", file.name.removesuffix(ending))
        if case in found:
            raise DataError(f"{found[case]} and {file} are one case; give a folder with each case once")
        found[case] = file
    return found


def _across(labels: Labels, number: int) -> float:
    """LPS x of the middle of a label's box."""
    box = box_around(labels.index == number)
    assert box is not None
    return float(labels.grid.cropped(box).center[0])
