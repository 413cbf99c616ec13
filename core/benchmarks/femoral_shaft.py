"""How much bone a slice of the femoral shaft holds: HU above soft tissue, over the area within its surface.

`python core/benchmarks/femoral_shaft.py FOLDER` measures the CTs of models/bone_texture; without it, drawn people.
"""

import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

from skiagraph.bodies import Person, build
from skiagraph.factory.chance import generator_for
from skiagraph.io.volumes import read_volume

SOFT, WALL, CANAL = 50.0, 350.0, 350.0
"""HU: of soft tissue, from which it is bone, and below which the middle of a shaft is."""
AREA, ROUND, DEEP = (450.0, 1000.0), 1.35, 6
"""Square millimetres of a shaft, the most its long axis is of its short one, and voxels from its rim to its canal."""
PEOPLE, SPACING, HEIGHTS = 6, 3.0, (-130.0, -95.0)
"""Drawn, on voxels of so many millimetres, measured between these heights about the heads."""


def of_a_ct(path: Path) -> list[float]:
    """HU of each slice of a CT that shows a shaft."""
    volume = read_volume(path)
    across, along, _ = volume.grid.spacing
    found = []
    for slice_ in volume.hu.numpy():
        parts, count = ndimage.label(slice_ > WALL)
        for part in range(1, count + 1):
            whole = ndimage.binary_fill_holes(parts == part)
            j, i = np.nonzero(whole)
            if not AREA[0] < len(i) * across * along < AREA[1] or _at_the_rim(whole):
                continue
            short, long = np.sqrt(np.linalg.eigvalsh(np.cov(np.stack([j * along, i * across]))))
            canal = ndimage.binary_erosion(whole, iterations=DEEP)
            if long < ROUND * short and canal.sum() > 2 and slice_[canal].mean() < CANAL:
                found.append(float((slice_[whole] - SOFT).mean()))
    return found


def of_a_person(number: int) -> list[float]:
    """HU of each slice of a drawn person's left shaft."""
    body = build(Person.draw(generator_for(3, "person", number)), SPACING)
    hu, femur = body.volume.hu.numpy(), body.labels.mask("left_femur").numpy()
    heights = body.volume.grid.origin[2].item() + SPACING * np.arange(len(hu))
    chosen = np.flatnonzero((heights > HEIGHTS[0]) & (heights < HEIGHTS[1]))
    # What a voxel at the rim holds of the bone counts, as does its area.
    return [float(((hu[k] - SOFT) * ndimage.binary_dilation(femur[k])).sum() / femur[k].sum()) for k in chosen]


def _at_the_rim(mask: np.ndarray) -> bool:
    return bool(mask[:2].any() or mask[-2:].any() or mask[:, :2].any() or mask[:, -2:].any())


def main() -> None:
    """Print each subject's figure, and the mean."""
    if len(sys.argv) > 1:
        measured = {path.name: of_a_ct(path) for path in sorted(Path(sys.argv[1]).glob("*.nii.gz"))}
    else:
        measured = {f"person {number}": of_a_person(number) for number in range(PEOPLE)}
    means = {name: float(np.mean(slices)) for name, slices in measured.items() if slices}
    for name, value in means.items():
        print(f"{name}: {value:.0f} HU over {len(measured[name])} slices")
    print(f"mean of {len(means)}: {np.mean(list(means.values())):.0f} HU")


if __name__ == "__main__":
    main()
