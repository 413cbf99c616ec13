"""Make `models/bone_texture/bone_hu.json` again: `python core/benchmarks/bone_hu.py FOLDER`.

Some minutes. The folder holds `STS_*.nii.gz`, CTs cut to one hip (TCIA Soft-tissue-Sarcoma, CC BY 3.0). Nothing but
means and deviations over thousands of voxels leaves it: Hounsfield units by depth under the bone's surface, the spread
of spongy bone within a subject and from one to the next, and over what length it is alike.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
from scipy import ndimage

from skiagraph.io.files import writing
from skiagraph.io.volumes import read_volume

OUTPUT = Path(__file__).parents[2] / "models" / "bone_texture" / "bone_hu.json"
SURFACE = 180.0
"""HU at which a surface between muscle and compact bone is drawn."""
DEPTHS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0)
"""Millimetres under the surface between which HU are averaged."""
COMPACT = 650.0
"""HU; where any voxel about is denser, the bone is not spongy throughout."""
DEEP = 6.0
"""Millimetres under the surface from which bone is spongy throughout."""
LARGEST = 5.0
"""Millilitres; smaller pieces are calcifications or contrast."""


def bone_of(hu: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """The bones of a CT, filled."""
    hard = hu > SURFACE
    pieces, _ = ndimage.label(hard)
    sizes = np.bincount(pieces.ravel()) * np.prod(spacing) / 1000
    sizes[0] = 0
    kept = np.isin(pieces, np.flatnonzero(sizes > LARGEST))
    closed = ndimage.binary_closing(np.pad(kept, ((0, 0), (6, 6), (6, 6))), np.ones((1, 3, 3)), iterations=5)
    closed = closed[:, 6:-6, 6:-6]
    return np.stack([ndimage.binary_fill_holes(one) for one in closed])


def alike(texture: np.ndarray, inside: np.ndarray, axis: int, lags: int) -> list[float]:
    """Correlation of a texture with itself some voxels away along an axis."""
    variance = (texture[inside] ** 2).mean()
    found = []
    for lag in range(1, lags + 1):
        a = [slice(None)] * 3
        b = [slice(None)] * 3
        a[axis], b[axis] = slice(None, -lag), slice(lag, None)
        both = inside[tuple(a)] & inside[tuple(b)]
        found.append(
            float((texture[tuple(a)] * texture[tuple(b)])[both].mean() / variance) if both.sum() > 200 else np.nan
        )
    return found


def measured(path: Path) -> dict[str, np.ndarray | float]:
    """The figures of one CT; no spongy ones if too little of it is deep."""
    volume = read_volume(path)
    hu, spacing = volume.hu.numpy().astype(float), volume.grid.spacing[::-1]
    bone = bone_of(hu, spacing)
    depth = ndimage.distance_transform_edt(bone, sampling=spacing)
    shells = [(depth > low) & (depth <= high) for low, high in itertools.pairwise(DEPTHS)]
    result: dict[str, np.ndarray | float] = {"profile": np.array([hu[shell].mean() for shell in shells])}
    muscle = ndimage.binary_erosion((hu > 10) & (hu < 110), iterations=2) & ~bone
    noise = hu - ndimage.uniform_filter(hu, (1, 5, 5))
    result["noise"] = float(noise[muscle].std())
    # Marrow of shafts is deep too, and is fat; spongy bone is not.
    trend = ndimage.uniform_filter(hu, (3, 9, 9))
    quiet = ndimage.maximum_filter(hu, (1, 5, 5)) < COMPACT
    spongy = (depth > DEEP) & (trend > 60) & quiet
    if spongy.sum() > 1000:
        texture = hu - ndimage.uniform_filter(hu, (3, 11, 11))
        result |= {
            "mean": float(hu[spongy].mean()),
            "deviation": float(hu[spongy].std()),
            "texture": float(np.sqrt(max(texture[spongy].var() - result["noise"] ** 2, 0))),
            "alike": np.array(alike(texture, spongy, 2, 5)),
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of STS_*.nii.gz")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.glob("STS_*.nii.gz"))
    found = [measured(path) for path in paths]
    for path, one in zip(paths, found):
        print(path.name, {name: np.round(value, 2).tolist() for name, value in one.items()})
    deep = [one for one in found if "mean" in one]
    means = np.array([one["mean"] for one in deep])
    content = {
        "title": "Hounsfield units of bone about the hip, by depth under its surface and of its spongy part",
        "licence": "CC-BY-3.0",
        "source": "Vallieres M, Freeman C R, Skamene S R, El Naqa I. A radiomics model from joint FDG-PET and MRI "
        "texture features for the prediction of lung metastases in soft-tissue sarcomas of the extremities (2015), "
        "The Cancer Imaging Archive, https://doi.org/10.7937/K9/TCIA.2015.7GO2GSKS; 0.98 x 0.98 x 3.27 mm",
        "made_by": "python core/benchmarks/bone_hu.py ct_sts_hip_patches",
        "subjects": len(found),
        "depth_mm": list(DEPTHS),
        "hu_by_depth": np.mean([one["profile"] for one in found], axis=0).round(0).tolist(),
        "hu_by_depth_deviation_of_subjects": np.std([one["profile"] for one in found], axis=0).round(0).tolist(),
        "spongy_subjects": len(deep),
        "spongy_mean": round(float(means.mean()), 0),
        "spongy_deviation_of_subjects": round(float(means.std()), 0),
        "spongy_deviation_within": round(float(np.mean([one["deviation"] for one in deep])), 0),
        "texture_deviation": round(float(np.mean([one["texture"] for one in deep])), 0),
        "texture_alike_at_1_to_5_voxels": np.nanmean([one["alike"] for one in deep], axis=0).round(2).tolist(),
        "noise": round(float(np.mean([one["noise"] for one in found])), 0),
    }  # fmt: skip
    with writing(arguments.output) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
