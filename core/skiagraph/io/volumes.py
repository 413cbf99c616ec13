"""CTs and labels on disk: NIfTI, NRRD, MetaImage and DICOM folders in, LPS millimetres out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from jaxtyping import Float
from torch import Tensor

from skiagraph.anatomy import STRUCTURE_INDEX, STRUCTURE_NAMES, TOTALSEGMENTATOR, structure_of
from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import Grid, transform
from skiagraph.io.dicom_ct import read_ct_series
from skiagraph.io.files import read_json, stem_of, suffix_of, there, write_json
from skiagraph.io.itk import READABLE, grid_of, read_itk, tensor_of, write_itk
from skiagraph.io.nifti import label_table
from skiagraph.volume import Labels, Volume

CT = "a CT: NIfTI, NRRD, MetaImage or a DICOM folder"
LABELS = "labels: NIfTI, NRRD or MetaImage"


def read_volume(path: Path, series: str | None = None) -> Volume:
    """A CT from a file or a DICOM folder, with its own origin and direction; `series` picks one of several."""
    there(path, CT)
    if path.is_dir() or _is_dicom(path):
        volume = read_ct_series(path, series)
    else:
        _check_suffix(path, CT)
        image = read_itk(path, CT)
        voxels = tensor_of(image, path)
        _check_not_picture(image, voxels, path)
        volume = Volume(voxels.to(torch.float32), grid_of(image, path))
    check_hounsfield(volume.hu, path)
    return volume


def check_hounsfield(hu: Float[Tensor, "k j i"], path: Path | str) -> None:
    """Raise DataError unless the numbers can be a CT's: air near -1000, the body near 0."""
    low, high = float(hu.min()), float(hu.max())
    found = f"{path} holds {low:g} to {high:g}"
    if low >= 0 and high > 255:
        raise DataError(f"{found}; a CT in HU has air near -1000, so rescale it (often: subtract 1024)")
    if low >= 0:
        raise DataError(f"{found}; this looks like a picture or labels, not a CT in HU, which has air near -1000")
    if high < -500:
        raise DataError(f"{found}, nothing but air; give a CT with a body in it")
    if low < -32768 or high > 131072:
        raise DataError(f"{found}; no Hounsfield units are that large, give the CT in HU")


def write_volume(path: Path, volume: Volume) -> None:
    """A CT on disk: .nii.gz, .nii, .nrrd or .mha; whole numbers as int16, others as float32."""
    hu = volume.hu.detach().cpu().numpy()
    if not np.isfinite(hu).all():
        raise DataError(f"the CT for {path.name} holds NaN or infinity; fill those voxels before writing")
    whole = hu.size == 0 or (hu.min() >= -32768 and hu.max() <= 32767 and bool((hu == np.rint(hu)).all()))
    write_itk(path, hu.astype(np.int16 if whole else np.float32), volume.grid)


def read_labels(path: Path) -> Labels:
    """Anatomy per voxel and its names.

    Names come from `<stem>.json` or `<stem>_names.json` beside the file, from Slicer's header of a .seg.nrrd or the
    table of labels in a NIfTI file, else are the hip task's if the numbers are 1 to 6 (and more than one of them), else
    `label_N`. What TotalSegmentator has as parts is joined: its vertebrae are `vertebrae`, its sacrum and S1
    `upper_sacrum`. Of a folder with a mask for each of its structures those of the hip task are read.
    """
    there(path, LABELS)
    if path.is_dir():
        return _from_folder(path)
    _check_suffix(path, LABELS)
    image = read_itk(path, LABELS)
    voxels = tensor_of(image, path)
    if voxels.is_floating_point() and not bool((voxels == voxels.round()).all()):
        raise DataError(f"{path} holds fractions; labels are whole numbers, resample them with nearest neighbour")
    low, high = int(voxels.min()), int(voxels.max())
    if low < 0 or high > 32767:
        raise DataError(f"{path} holds {low} to {high}; labels are 0 to 32767, is it a CT?")
    index = voxels.to(torch.uint8 if high < 256 else torch.int16)
    present = np.zeros(high + 1, dtype=bool)
    present[index.numpy()] = True
    given = _given_names(image, path, [int(n) for n in np.flatnonzero(present) if n])
    wholes = _wholes(given)
    for number, whole in wholes.items():
        if number != whole and number <= high and present[number]:
            index[index == number] = whole
    names = {number: structure_of(given[number]) for number in sorted(set(wholes.values()))}
    _refuse_twins(list(names.values()), path)
    return Labels(index, grid_of(image, path), names)


def write_labels(path: Path, labels: Labels) -> None:
    """Labels on disk, and their names in `<stem>.json` beside them."""
    index = labels.index.detach().cpu().numpy()
    if index.size and not 0 <= int(index.min()) <= int(index.max()) <= 32767:
        raise DataError(f"labels from {index.min()} to {index.max()}; files hold 0 to 32767")
    write_itk(path, index.astype(np.uint8 if index.size == 0 or index.max() < 256 else np.int16), labels.grid)
    write_json(names_path(path), {str(number): name for number, name in labels.names.items()})


def onto(labels: Labels, grid: Grid) -> Labels:
    """The same anatomy on another lattice, by nearest voxel: Slicer crops what it segments, a CT does not.

    Raises GeometryError if nothing of it lies on the new lattice.
    """
    there_from_here = labels.grid.ijk_from_world @ grid.world_from_ijk
    ends = torch.tensor(labels.grid.shape).flip(0)
    index = torch.zeros(grid.shape, dtype=labels.index.dtype)
    rows, columns = torch.meshgrid(torch.arange(grid.shape[1]), torch.arange(grid.shape[2]), indexing="ij")
    for k in range(grid.shape[0]):
        here = torch.stack([columns, rows, torch.full_like(rows, k)], dim=-1).to(torch.float64)
        ijk = transform(there_from_here, here).round().long()
        inside = ((ijk >= 0) & (ijk < ends)).all(dim=-1)
        i, j, slice_ = ijk[inside].T
        index[k][inside] = labels.index[slice_, j, i]
    if bool((labels.index != 0).any()) and not bool((index != 0).any()):
        raise GeometryError("the labels lie beside the CT; give labels of this CT")
    return Labels(index, grid, labels.names)


def names_path(path: Path) -> Path:
    """Where the names of a label file are kept."""
    return path.with_name(stem_of(path) + ".json")


def _from_folder(path: Path) -> Labels:
    """The hip task's structures from a folder of masks, as TotalSegmentator writes them."""
    files = [file for file in sorted(path.iterdir()) if suffix_of(file) in READABLE]
    masks = {
        file: TOTALSEGMENTATOR[stem_of(file).lower()] for file in files if stem_of(file).lower() in TOTALSEGMENTATOR
    }
    if not masks:
        raise DataError(f"{path} is a folder without masks called hip_left.nii.gz and so on; give {LABELS}")
    numbers = {name: number for number, name in STRUCTURE_INDEX.items()}
    grid = grid_of(read_itk(files[0], LABELS), files[0])
    index = torch.zeros(grid.shape, dtype=torch.uint8)
    for file, structure in masks.items():
        image = read_itk(file, LABELS)
        if not grid_of(image, file).same_as(grid):
            raise GeometryError(f"{file.name} lies on other voxels than {files[0].name}; give masks of one CT")
        index[tensor_of(image, file) != 0] = numbers[structure]
    return Labels(index, grid, {numbers[name]: name for name in STRUCTURE_NAMES if name in masks.values()})


def _given_names(image: sitk.Image, path: Path, present: list[int]) -> dict[int, str]:
    """What the numbers are called, in others' words or ours."""
    given = _names_beside(path) or _names_in_header(image) or label_table(path)
    if not given and len(present) > 1 and set(present) <= set(STRUCTURE_INDEX):
        given = dict(STRUCTURE_INDEX)
    given = {number: name for number, name in given.items() if number != 0}
    return given | {number: f"label_{number}" for number in present if number not in given}


def _wholes(given: Mapping[int, str]) -> dict[int, int]:
    """For each number the one it counts as: the lowest of the parts that TotalSegmentator makes of a structure."""
    parts: dict[str, dict[str, int]] = {}
    for number, name in given.items():
        part = name.strip().lower().replace(" ", "_")
        if part in TOTALSEGMENTATOR:
            parts.setdefault(TOTALSEGMENTATOR[part], {})[part] = number
    joined = {number: min(numbers.values()) for numbers in parts.values() for number in numbers.values()}
    return {number: joined.get(number, number) for number in given}


def _refuse_twins(names: Sequence[str], path: Path) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise DataError(f"{path}: two labels are called {', '.join(twins)}; give every number a name of its own")


def _names_beside(path: Path) -> dict[int, str]:
    for beside in (names_path(path), path.with_name(stem_of(path) + "_names.json")):
        if beside.exists():
            content = read_json(beside, 'names of labels, such as {"1": "left_hemipelvis"}')
            names = _pairs(
                next((content[key] for key in ("names", "labels") if isinstance(content.get(key), dict)), content)
            )
            if names:
                return names
    return {}


def _pairs(content: Mapping[str, Any]) -> dict[int, str]:
    if content and all(key.strip().isdigit() and isinstance(value, str) for key, value in content.items()):
        return {int(key): value for key, value in content.items()}
    if content and all(isinstance(value, int) and not isinstance(value, bool) for value in content.values()):
        return {value: key for key, value in content.items()}
    return {}


def _names_in_header(image: sitk.Image) -> dict[int, str]:
    names = {}
    for key in image.GetMetaDataKeys():
        if key.startswith("Segment") and key.endswith("_LabelValue"):
            title = key.removesuffix("_LabelValue") + "_Name"
            value = image.GetMetaData(key).strip()
            if value.isdigit() and image.HasMetaDataKey(title):
                names[int(value)] = image.GetMetaData(title)
    return names


def _check_suffix(path: Path, wanted: str) -> None:
    if suffix_of(path) not in READABLE:
        raise DataError(f"{path.name} is not a kind of file a volume comes in; give {wanted}")


def _check_not_picture(image: sitk.Image, voxels: Tensor, path: Path) -> None:
    if image.GetPixelID() == sitk.sitkUInt8:
        low, high = int(voxels.min()), int(voxels.max())
        raise DataError(f"{path} holds {low} to {high} in 8 bits; this looks like a picture or labels, not a CT in HU")


def _is_dicom(path: Path) -> bool:
    if suffix_of(path) in (".dcm", ".ima"):
        return True
    if suffix_of(path) in READABLE:
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
