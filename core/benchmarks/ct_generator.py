"""What the CT generator's bodies are like: the tables of `models/ct_latent_diffusion`.

    python core/benchmarks/ct_generator.py out/ct --real CT-OR-FOLDER... --count 60

The folder is that of `skiagraph train-ct-diffusion`, with the bodies it learned from and held out. Prints, in Markdown:
time and rejects, what was asked against what came, bone and volume against held-out bodies, how labels sit, distances
to slices of real CTs beside those of the bodies learned from and beside real against real, variety, and copies.
"""

import argparse
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from monai.metrics.regression import SSIMMetric
from picture_features import PIECE, at_spacing, files_of, slices_of
from torch import Tensor

from skiagraph.anatomy import STRUCTURE_INDEX
from skiagraph.domain.features import SIDE, features_of, read_features, tiles
from skiagraph.errors import DataError, ModelError
from skiagraph.evaluate import fidelity
from skiagraph.evaluate.copies import Space, copies, told
from skiagraph.generate.agreement import edges_agree
from skiagraph.generate.autoencoder import encoded
from skiagraph.generate.bundle import read_generator
from skiagraph.generate.ct import CtGenerator
from skiagraph.generate.frame import Framed
from skiagraph.generate.intensity import from_hu
from skiagraph.generate.quality import judged
from skiagraph.generate.traits import RANGES, Traits, measured
from skiagraph.io.files import read_json
from skiagraph.tasks.train_ct_diffusion import SPLIT
from skiagraph.train.shelf import Shelf
from skiagraph.volume import Landmarks

FEATURES = Path(__file__).parents[2] / "models" / "picture_features"
ASKED = {"tilt": (-5.0, 15.0), "head_distance": (160.0, 190.0), "bone": (300.0, 500.0), "girth": (800.0, 1100.0)}
"""What is asked of the bodies: even draws between these."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--real", type=Path, nargs="*", default=[])
    options.add_argument("--count", type=int, default=60)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    generator = read_generator(given.folder)
    shelf = Shelf(given.folder / "bodies", generator.frame)
    split = read_json(given.folder / SPLIT, "the split written by `skiagraph train-ct-diffusion`")
    learned_names, held_names = list(split["learned"]), list(split["held"])
    asked = [drawn(given.seed, number) for number in range(given.count)]
    made = [draw(generator, traits, given.seed, number, given.folder / "judged") for number, traits in enumerate(asked)]
    held = [shelf.read(name).body for name in held_names]
    print(f"\n{given.count} generated, {len(learned_names)} learned from, {len(held)} held out\n")
    say_obedience(asked, made, generator)
    say_anatomy(made, held, generator)
    network = read_features(FEATURES)
    real = [hu for path in files_of(given.real) if (hu := at_spacing(path)) is not None]
    say_likeness(network, [one.hu for one in made], [one.hu for one in held], real)
    say_variety(made, held)
    learned = [shelf.read(name).body for name in learned_names]
    groups = (made, learned, held)
    say = {
        "grey values, 5 mm, correlation": Space.of_likeness(*(stack(group, grey) for group in groups)),
        "latents": Space(*(stack(group, lambda one: encoded(generator.coder, one)) for group in groups)),
        "picture features": Space(*(stack(group, lambda one: middle_features(network, one)) for group in groups)),
    }
    print("\n".join(told({name: copies(space) for name, space in say.items()})))


def drawn(seed: int, number: int) -> Traits:
    """Of every second body all traits are asked; the others come as they come."""
    if number % 2:
        return Traits()
    draw = np.random.default_rng([seed, number])
    values = {name: float(draw.uniform(*span)) for name, span in ASKED.items()}
    return Traits("female" if draw.random() < 0.5 else "male", **values)


def draw(generator: CtGenerator, traits: Traits, seed: int, number: int, folder: Path) -> Framed:
    """A body, from the folder if it has been drawn before; the folder also holds what was wrong with others."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{seed}-{number}.pt"
    if not path.exists():
        began = time.perf_counter()
        rng = torch.Generator().manual_seed(1000 * seed + number)
        wrong: list[str] = []
        try:
            found, wrong = generator.body(traits, rng, lambda done, total: None)
            body = Framed(found.body.volume.hu, found.body.labels.index, found.body.landmarks)
        except ModelError:
            hu, index = generator(traits, rng, lambda done, total: None)
            wrong = ["none of all tries"]
            body = Framed(hu, index, judged(hu, index, generator.frame, generator.norms).body.landmarks)
        torch.save((body.hu.half(), body.index, body.landmarks.names, body.landmarks.points, wrong,
                    time.perf_counter() - began), path)  # fmt: skip
    hu, index, names, points, wrong, seconds = torch.load(path, weights_only=True)
    print(f"{number}: {seconds:.0f} s, {len(names)} landmarks, rejected: {'; '.join(wrong) or 'none'}", flush=True)
    return Framed(hu.float(), index, Landmarks(tuple(names), points))


def say_obedience(asked: list[Traits], made: list[Framed], generator: CtGenerator) -> None:
    print("| trait | asked | median off | 90 % within | correlation | n |\n| --- | --- | --- | --- | --- | --- |")
    for name, (low, high) in ASKED.items():
        pairs = [
            (float(getattr(want, name)), float(got))
            for want, one in zip(asked, made)
            if getattr(want, name) is not None and (got := getattr(measured(one, generator.frame), name)) is not None
        ]
        want, got = np.array(pairs).T
        off = np.abs(got - want)
        print(f"| {name} | {low:g} to {high:g} | {np.median(off):.1f} | {np.quantile(off, 0.9):.1f} | "
              f"{np.corrcoef(want, got)[0, 1]:.2f} | {len(off)} |")  # fmt: skip
    print(f"(ranges that may be asked: {RANGES})\n")


def say_anatomy(made: list[Framed], held: list[Framed], generator: CtGenerator) -> None:
    print(
        "| structure | ml, generated | ml, held out | HU, generated | HU, held out |\n| --- | --- | --- | --- | --- |"
    )
    for number, name in STRUCTURE_INDEX.items():
        cells = []
        for pick in ("ml", "hu"):
            for group in (made, held):
                values = [
                    float((one.index == number).sum()) * generator.frame.spacing**3 / 1000 if pick == "ml"
                    else float(one.hu[one.index == number].mean())
                    for one in group if bool((one.index == number).any())
                ]  # fmt: skip
                cells.append(f"{np.mean(values):.0f} ± {np.std(values):.0f}")
        print(f"| {name} | {' | '.join(cells)} |")
    for name, group in (("generated", made), ("held out", held)):
        agree = [edges_agree(one.hu, one.index) for one in group]
        hard = torch.cat([one.hu[one.hu > 150] for one in group])
        tops = [float(hard[torch.randperm(len(hard))[:1_000_000]].quantile(q)) for q in (0.5, 0.9, 0.99)]
        print(f"\n{name}: intensity falls outwards over {np.mean(agree):.1%} of the labels' surface", end="")
        print(f" (least {np.min(agree):.1%}); HU over 150: median, 90 %, 99 %:", *(f"{top:.0f}" for top in tops))
        print("landmarks of 14 found:", dict(Counter(len(one.landmarks.names) for one in group)))
    print()


def say_likeness(network: torch.nn.Module, made: list[Tensor], held: list[Tensor], real: list[Tensor]) -> None:
    if len(real) < 4:
        print("Fewer than four real CTs: no likeness.\n")
        return
    around = [crop(hu, real) for hu in made], [crop(hu, real) for hu in held]
    sets = [features(network, group) for group in (*around, real, real[::2], real[1::2])]
    ours, phantoms, theirs, one_half, other_half = sets
    pairs = {
        "generated": (ours, theirs),
        "held-out bodies": (phantoms, theirs),
        "generated against held-out bodies": (ours, phantoms),
        "real against real": (one_half, other_half),
    }
    print("\n".join(["Slices against those of real CTs:\n", *fidelity.told(pairs, 1000), ""]))


def crop(hu: Tensor, real: list[Tensor]) -> Tensor:
    """About one hip, as large as the real CTs are in the middle."""
    size = [int(np.median([one.shape[axis] for one in real])) for axis in range(3)]
    k, j, i = (min(wanted, have) for wanted, have in zip(size, hu.shape))
    left = hu.shape[2] - i
    return hu[:k, (hu.shape[1] - j) // 2 :][:, :j, left : left + i]


def features(network: torch.nn.Module, volumes: list[Tensor]) -> np.ndarray:
    rng = torch.Generator().manual_seed(0)
    pieces = []
    for hu in volumes:
        for one in slices_of(hu, rng):
            if min(one.shape) >= SIDE:
                pieces += list(tiles(one))
    return features_of(network, torch.stack(pieces)[:, None]).numpy()  # type: ignore[arg-type]


def middle_features(network: torch.nn.Module, one: Framed) -> Tensor:
    """Those of the slices through the heads along the three axes, side by side."""
    slices = [from_hu(one.hu[44]), from_hu(one.hu[:, 56]), from_hu(one.hu[:, :, 48])]
    return torch.cat([
        features_of(network, torch.stack(list(tiles((s + 1) / 2, SIDE, SIDE // 4)))[:, None]).mean(0)  # type: ignore[arg-type]
        for s in slices
    ])  # fmt: skip


def grey(one: Framed) -> Tensor:
    return torch.nn.functional.avg_pool3d(from_hu(one.hu)[None, None], 2)


def stack(bodies: list[Framed], look: object) -> np.ndarray:
    return torch.stack([look(one).flatten() for one in bodies]).numpy()  # type: ignore[operator]


def say_variety(made: list[Framed], held: list[Framed]) -> None:
    """Structural similarity of pairs: lower is more varied. Wang 2004."""
    similar = SSIMMetric(spatial_dims=3, data_range=2.0, win_size=7)
    for name, group in (("generated", made), ("held out", held)):
        pairs = list(pairwise(group))[:40]
        found = [float(similar(from_hu(a.hu)[None, None], from_hu(b.hu)[None, None])) for a, b in pairs]
        print(f"SSIM of {len(found)} pairs, {name}: {np.mean(found):.3f} ± {np.std(found):.3f}")
    print(f"(slices are cut into tiles of {SIDE}; features were learned on pieces of {PIECE})\n")


if __name__ == "__main__":
    try:
        main()
    except DataError as error:
        raise SystemExit(str(error)) from error
