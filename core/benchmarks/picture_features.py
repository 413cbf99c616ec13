"""Train `models/picture_features` again: `python core/benchmarks/picture_features.py --help`.

Ten minutes of one core. Pieces are cut from X-rays, real and made, and from slices of CTs, real and made, at 2.5 mm.
Nothing is labelled, and nothing but weights leaves it.
"""

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from rich.progress import Progress
from torch import Tensor
from torch.nn.functional import interpolate

from skiagraph.domain.features import read_features, write_features
from skiagraph.drr.display import attenuation
from skiagraph.errors import DataError
from skiagraph.factory.reading import SampleSet
from skiagraph.generate.frame import AIR, Frame, sampled
from skiagraph.generate.intensity import from_hu
from skiagraph.geometry import Grid
from skiagraph.io.files import stem_of
from skiagraph.io.volumes import read_volume
from skiagraph.train.course import follow
from skiagraph.train.features import FeatureCourse, FeatureRegimen
from skiagraph.train.shelf import Shelf
from skiagraph.train.unlabelled import read_unlabelled

OUTPUT = Path(__file__).parents[2] / "models" / "picture_features"
PIECE, SPACING, ROWS = 80, 2.5, 256
SLICES = 12
"""Of each body and each axis."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--radiographs", type=Path, nargs="*", default=[])
    parser.add_argument("--keep-out", type=Path, nargs="*", default=[], help="radiographs never to learn from")
    parser.add_argument("--sets", type=Path, nargs="*", default=[], help="made by make-samples")
    parser.add_argument("--cts", type=Path, nargs="*", default=[], help="files or folders of them")
    parser.add_argument("--shelf", type=Path, help="bodies of train-ct-diffusion")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--checkpoints", type=Path, default=Path("out/features"))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    asked = parser.parse_args()
    rng = torch.Generator().manual_seed(0)
    found = list(pieces_of_xrays(asked.radiographs, asked.keep_out, asked.sets, rng))
    print(len(found), "pieces of X-rays")
    volumes = [hu for path in files_of(asked.cts) if (hu := at_spacing(path)) is not None]
    if asked.shelf is not None:
        shelf = Shelf(asked.shelf, Frame(SPACING))
        volumes += [shelf.read(name).body.hu for name in shelf.names[::3]]
    slices = [one for hu in volumes for one in slices_of(hu, rng)]
    found += [piece for one in slices for piece in islice(pieces_of(one, rng), 2)]
    print(len(found), "pieces in all, of", len(volumes), "CTs")
    course = FeatureCourse(FeatureRegimen(steps=asked.steps), torch.stack(found), seed=0)
    with Progress() as shown:
        task = shown.add_task("learning", total=asked.steps)
        follow(course, asked.steps, 250, asked.checkpoints, lambda done, _, doing: shown.update(task, completed=done))
    write_features(asked.output, course.network.cpu())
    read_features(asked.output)


def pieces_of_xrays(
    radiographs: list[Path], keep_out: list[Path], sets: list[Path], rng: torch.Generator
) -> Iterator[Tensor]:
    if radiographs:
        for one in read_unlabelled(radiographs, ROWS, keep_out).pictures:
            yield from islice(pieces_of(one, rng), 8)
    for folder in sets:
        for taken in islice(SampleSet(folder).samples("train"), 600):
            dense = attenuation(taken.sample.image)
            small = interpolate(dense[None, None], (ROWS, ROWS), mode="bilinear", antialias=True)[0, 0]
            yield from islice(pieces_of((small - small.min()) / (small.max() - small.min() + 1e-6), rng), 5)


def files_of(paths: list[Path]) -> list[Path]:
    """CTs, but for label volumes beside them."""
    found = [file for path in paths for file in (sorted(path.glob("*.nii.gz")) if path.is_dir() else [path])]
    return [file for file in found if "seg" not in stem_of(file) and "label" not in stem_of(file)]


def at_spacing(path: Path) -> Tensor | None:
    """HU on a lattice of `SPACING`; nothing if the CT is too thin for a piece."""
    volume = read_volume(path)
    k, j, i = (round(n * step / SPACING) for n, step in zip(volume.hu.shape, volume.grid.spacing[::-1]))
    if min(k, j, i) < PIECE // 2:
        print("too thin:", path.name)
        return None
    grid = Grid.centred((k, j, i), (SPACING,) * 3, volume.grid.center)
    return sampled(volume.hu - AIR, volume.grid, grid, "bilinear") + AIR


def slices_of(hu: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
    """Grey slices along each axis, 0...1."""
    for axis in range(3):
        for at in torch.randint(hu.shape[axis], (SLICES,), generator=rng).tolist():
            yield (from_hu(hu.select(axis, at)) + 1) / 2


def pieces_of(picture: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
    """Squares of bytes cut from a picture without end; none if it shows nothing."""
    rows, columns = picture.shape
    if min(rows, columns) < PIECE:
        grown = [max(PIECE, n) for n in picture.shape]
        picture = interpolate(picture[None, None], grown, mode="bilinear")[0, 0]
        rows, columns = picture.shape
    for _ in range(100):
        v, u = (int(torch.randint(n - PIECE + 1, (1,), generator=rng)) for n in (rows, columns))
        piece = picture[v : v + PIECE, u : u + PIECE]
        if float(piece.std()) > 0.02:
            yield (255 * piece.clamp(0, 1)).to(torch.uint8)


if __name__ == "__main__":
    try:
        main()
    except DataError as error:
        raise SystemExit(str(error)) from error
