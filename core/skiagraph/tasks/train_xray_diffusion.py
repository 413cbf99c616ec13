"""`skiagraph train-xray-diffusion`: a generator of labelled X-rays from labelled X-rays."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from skiagraph.detect.averaged import Averaged
from skiagraph.detect.bundle import read_bundle
from skiagraph.errors import DataError
from skiagraph.factory.reading import SampleSet
from skiagraph.generate.xray import XrayDrift, XrayGenerator
from skiagraph.generate.xray_bundle import drift_of, read_xray_generator, write_xray_generator
from skiagraph.generate.xray_coder import XrayCoder
from skiagraph.io.files import write_json
from skiagraph.tasks.detect import the_bundle
from skiagraph.tasks.task import Report, silent
from skiagraph.tasks.train_ct_diffusion import HELD, SPLIT
from skiagraph.train.album import Album, kept_album
from skiagraph.train.believed import believed
from skiagraph.train.course import follow
from skiagraph.train.selftaught import SelfTaught
from skiagraph.train.unlabelled import read_unlabelled
from skiagraph.train.xray_coder import XrayCoderCourse, XrayCoderRegimen
from skiagraph.train.xray_drift import XrayDriftCourse, XrayDriftRegimen, encode_album, spread_of


@dataclass(frozen=True)
class XraySize:
    """A generator's size: what a machine has time and memory for."""

    pixels: int
    """Rows and columns of the pictures."""
    coder: XrayCoderRegimen
    drift: XrayDriftRegimen


XRAY_SIZES = {
    "cpu": XraySize(
        256,
        XrayCoderRegimen(XrayCoder((48, 96, 128), latent=16), piece=128, batch=8, steps=3000),
        XrayDriftRegimen(XrayDrift((64, 128, 224), (False, False, True), layers=1), batch=12, steps=5000),
    ),
    "gpu": XraySize(
        384,
        XrayCoderRegimen(XrayCoder((48, 96, 128), latent=16), piece=192, batch=16, steps=6000),
        XrayDriftRegimen(XrayDrift((96, 160, 192), (False, True, True), layers=1), batch=64, steps=12000),
    ),
}


@dataclass(frozen=True)
class Arm:
    """What a generator learns from."""

    drr: bool
    """Sets of samples."""
    real: bool
    """Real X-rays, as a detector sees them; after the sets, and then beside them, if it learns from both."""


ARMS = {"drr": Arm(True, False), "real": Arm(False, True), "drr+real": Arm(True, True)}
ONWARD = 0.25
"""Steps and rate of what follows on real X-rays, as parts of those before."""
REAL = "configs/real.json"
"""Which real X-rays were used, with hashes, which were not to be, and on which no pelvis was found."""


@dataclass(frozen=True)
class TrainXrayDiffusion:
    """Train a generator of labelled X-rays from any view. Run it again to go on where it was stopped."""

    command: ClassVar[str] = "train-xray-diffusion"

    output: tyro.conf.Positional[Path]
    """Folder of the bundle; the pictures made ready, the checkpoints and the curves stay in it."""
    samples: tuple[Path, ...] = ()
    """Sets made by `skiagraph make-samples`, several X-rays of each body, such as --preset hip-views: their train split
    is learned, their val split watched, their test split left alone."""
    leave_out: tuple[str, ...] = ()
    """Bodies of the train split, and real X-rays, that are not learned either, by name."""
    arm: Literal["drr", "real", "drr+real"] = "drr"
    """What to learn from: the sets, real X-rays, or the sets first and then both in equal shares."""
    real: tuple[Path, ...] = ()
    """Folders of real X-rays of pelves. They need no labels: a detector's answers are taken that a pelvis bears out.
    Pictures with landmarks beside them are left out."""
    keep_out: tuple[Path, ...] = ()
    """Folders of X-rays to be measured on: what they show is left out of --real, under whatever name."""
    detector: Path | None = None
    """The detector that looks at real X-rays; the one that comes with Skiagraph if not given."""
    size: Literal["cpu", "gpu"] = "cpu"
    """How large: cpu, 256 x 256, is an hour or two on two cores; gpu, 384 x 384, needs one."""
    start: Path | None = None
    """Another generator's bundle to begin with: its autoencoder is kept as it is, its diffusion network goes on."""
    coder_steps: int | None = None
    """Steps of the autoencoder; the size's own if not given."""
    drift_steps: int | None = None
    """Steps of the diffusion network."""
    seed: int = 0
    """Draws first weights and the order of learning."""
    every: int = 250
    """Steps between checkpoints."""

    @property
    def record(self) -> Path:
        """In the bundle."""
        return self.output / "run.json"

    def run(self, report: Report = silent) -> list[Path]:
        """Do what is left to do; the bundle's files."""
        begun = None if self.start is None else read_xray_generator(self.start)
        arm, size, sets = ARMS[self.arm], self._size(begun), tuple(SampleSet(folder) for folder in self.samples)
        if arm.drr != bool(sets) or arm.real != bool(self.real):
            raise DataError(f"arm {self.arm} with {len(sets)} sets and {len(self.real)} folders of real X-rays; give "
                            "--samples to arms with drr, --real to arms with real, and no others")  # fmt: skip
        write_json(self.output / SPLIT, split_of(sets, self.leave_out))
        albums = [self._drawn(sets, size.pixels, report)] if arm.drr else []
        albums += [self._real(size.pixels, report)] if arm.real else []
        known, held = (Album.joined(column) for column in zip(*albums))
        coder, latents = (None, None) if begun is None else (begun.coder, begun.latents)
        if coder is None:
            first = XrayCoderCourse(size.coder, known, held, self.seed)
            follow(first, size.coder.steps, self.every, self.output / "coder", report)
            coder = first.kept
        shrink = size.coder.coder.shrink
        lessons = tuple(encode_album(coder, one, shrink, report) for one, _ in albums)
        unseen = encode_album(coder, held, shrink, report)
        latents = latents or spread_of(lessons[0])
        flow = XrayDriftCourse(size.drift, lessons[:1], unseen, latents, self.seed)
        if begun is not None:
            flow.begin_with(begun.drift.state_dict())
        follow(flow, size.drift.steps, self.every, self.output / "drift", report)
        if arm.drr and arm.real:
            onward = replace(size.drift, rate=ONWARD * size.drift.rate, steps=round(ONWARD * size.drift.steps))
            before = flow.kept.state_dict()
            flow = XrayDriftCourse(onward, lessons, unseen, latents, self.seed)
            flow.begin_with(before)
            follow(flow, onward.steps, self.every, self.output / "onward", report)
        generator = XrayGenerator(coder.cpu(), flow.kept, latents, size.coder.coder, size.pixels)
        return write_xray_generator(self.output, generator, size.drift.drift)

    def _drawn(self, sets: Sequence[SampleSet], pixels: int, report: Report) -> tuple[Album, Album]:
        """X-rays of the sets that are learned, and those that are watched."""
        known, held = (self._album(sets, split, pixels, report) for split in ("train", "val"))
        return known.chosen([name not in self.leave_out for name in known.names]), held

    def _real(self, pixels: int, report: Report) -> tuple[Album, Album]:
        """Real X-rays that are learned, and those that are watched."""
        found = read_unlabelled(self.real, pixels, self.keep_out)
        seen = believed(SelfTaught(), Averaged(read_bundle(self.detector or the_bundle())), found, report)
        album = seen.album.chosen([name not in self.leave_out for name in seen.album.names])
        watched = [number % round(1 / HELD) == 0 for number in range(len(album))]
        known, held = album.chosen([not one for one in watched]), album.chosen(watched)
        write_json(self.output / REAL, {
            "learned": known.hashes(), "held": held.hashes(), "left_out": list(found.left_out),
            "no_pelvis": list(seen.dropped),
        })  # fmt: skip
        return known, held

    def _album(self, sets: Sequence[SampleSet], split: str, pixels: int, report: Report) -> Album:
        home = self.output / "pictures"
        return Album.joined(
            [
                kept_album(home / f"{number}-{split}.safetensors", one, split, pixels, report)
                for number, one in enumerate(sets)
            ]
        )

    def _size(self, begun: XrayGenerator | None) -> XraySize:
        size = XRAY_SIZES[self.size]
        coder = replace(size.coder, steps=self.coder_steps or size.coder.steps)
        drift = replace(size.drift, steps=self.drift_steps or size.drift.steps)
        if begun is not None and self.start is not None:
            coder, drift = replace(coder, coder=begun.built), replace(drift, drift=drift_of(self.start))
            size = replace(size, pixels=begun.size)
        return replace(size, coder=coder, drift=drift)


def split_of(sets: Sequence[SampleSet], left_out: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Who was learned, watched, left out and left alone, each with the hashes of the shards that show him."""
    said: dict[str, dict[str, list[str]]] = {name: {} for name in ("learned", "held", "left_out", "untouched")}
    places = {"train": "learned", "val": "held", "test": "untouched"}
    for one in sets:
        for shard in one.card["shards"]:
            place = places[shard["split"]]
            who = shard["subject"]
            place = "left_out" if place == "learned" and who in left_out else place
            said[place].setdefault(who, []).append(shard["sha256"])
    return said
