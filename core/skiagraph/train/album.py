"""X-rays made ready for the X-ray generator: as people see them, with their labels, from where the pelvis has them.

A sample's record says where its view was in a body's world, not how the pelvis lay in it. But its landmarks are known
on several X-rays of the same body, to any precision, and where their rays meet they are.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from pathlib import Path

import torch
from jaxtyping import Bool, Float64, UInt8
from safetensors import safe_open
from torch import Tensor

from skiagraph.anatomy import LANDMARK_NAMES, STRUCTURE_NAMES, opposites
from skiagraph.domain.batch import Batch
from skiagraph.drr.display import picture
from skiagraph.errors import DataError
from skiagraph.factory.reading import SampleSet, read
from skiagraph.factory.take import Taken
from skiagraph.geometry import View, meeting
from skiagraph.io.files import decoding, write_tensors
from skiagraph.planning import HEADS, PelvicFrame, pelvis_from_world
from skiagraph.train.batches import resized
from skiagraph.train.course import Progress
from skiagraph.volume import Landmarks

WANTED = "X-rays made ready by `skiagraph train-xray-diffusion`"
POINTS_MIRRORED, MASKS_MIRRORED = opposites(LANDMARK_NAMES), opposites(STRUCTURE_NAMES)


@dataclass(frozen=True, eq=False)
class Album:
    """X-rays of one size with what is known of them."""

    pictures: UInt8[Tensor, "n v u"]
    """0...255, bone bright."""
    bits: UInt8[Tensor, "n v u"]
    """Bit m is set where the m-th of `STRUCTURE_NAMES` is."""
    uv: Float64[Tensor, "n p 2"]
    visible: Bool[Tensor, "n p"]
    trusted: Bool[Tensor, "n p"]
    """Of which landmarks it is known where they are, or that they are not to be seen."""
    source: Float64[Tensor, "n 3"]
    origin: Float64[Tensor, "n 3"]
    u_step: Float64[Tensor, "n 3"]
    v_step: Float64[Tensor, "n 3"]
    names: tuple[str, ...]
    """Whose they are."""

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.pictures.shape[1], self.pictures.shape[2]

    @property
    def views(self) -> View:
        """In the pelves' own axes, zero midway between the femoral heads."""
        return View(self.source, self.origin, self.u_step, self.v_step, self.size)

    def masks(self, chosen: slice | Tensor) -> Bool[Tensor, "b m v u"]:
        """Of some of them."""
        return torch.stack([self.bits[chosen] >> m & 1 for m in range(len(STRUCTURE_NAMES))], dim=1).bool()

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each picture, by name."""
        return {name: sha256(one.numpy().tobytes()).hexdigest() for name, one in zip(self.names, self.pictures)}

    def part(self, chosen: slice) -> "Album":
        """Some of them."""
        return replace(
            self, **{one.name: getattr(self, one.name)[chosen] for one in fields(self)}
        )  # fmt: skip

    def chosen(self, which: Sequence[bool]) -> "Album":
        """Those that are marked. Raises DataError if none is."""
        if all(which):
            return self
        if not any(which):
            raise DataError("no X-ray is left to learn from, or to watch; give more of them, or leave fewer out")
        at = torch.tensor(which)
        tensors = {one.name: getattr(self, one.name)[at] for one in fields(self) if one.name != "names"}
        return Album(**tensors, names=tuple(name for name, wanted in zip(self.names, which) if wanted))

    def mirrored(self) -> "Album":
        """As in a mirror: left is right, in pictures, labels and views."""
        views, last = self.views.mirrored(), self.size[1] - 1
        bits = torch.zeros_like(self.bits)
        for m, other in enumerate(MASKS_MIRRORED):
            bits |= (self.bits >> other & 1) << m
        uv = self.uv[:, POINTS_MIRRORED] * torch.tensor([-1.0, 1.0]) + torch.tensor([float(last), 0.0])
        return Album(
            self.pictures.flip(-1), bits.flip(-1), uv, self.visible[:, POINTS_MIRRORED],
            self.trusted[:, POINTS_MIRRORED], views.source, views.origin, views.u_step, views.v_step, self.names,
        )  # fmt: skip

    @staticmethod
    def joined(albums: Sequence["Album"]) -> "Album":
        """Several as one."""
        if len(albums) == 1:
            return albums[0]
        tensors = [one.name for one in fields(Album) if one.name != "names"]
        parts = {name: torch.cat([getattr(one, name) for one in albums]) for name in tensors}
        return Album(**parts, names=tuple(name for one in albums for name in one.names))


def kept_album(path: Path, samples: SampleSet, split: str, size: int, report: Progress) -> Album:
    """A split of a set as pictures of so many rows and columns; from `path` if it was made before."""
    what = sha256(json.dumps([samples.card["shards"], split, size], sort_keys=True).encode()).hexdigest()
    if path.is_file():
        album, told = _read(path)
        if told == what:
            return album
    album = album_of(samples, split, size, report)
    tensors = {one.name: getattr(album, one.name) for one in fields(album) if one.name != "names"}
    write_tensors(path, tensors, {"about": json.dumps({"what": what, "names": album.names})})
    return album


def album_of(samples: SampleSet, split: str, size: int, report: Progress) -> Album:
    """A split of a set. Raises DataError if it lacks what makes a pelvis's axes."""
    missing = [name for name in (*PelvicFrame.needs(), *HEADS) if name not in samples.landmarks]
    if missing:
        raise DataError(f"{samples.folder} labels no {', '.join(missing)}; give a set of the hip task")
    shards, pages = samples.shards(split), list[Album]()
    for done, shard in enumerate(shards):
        report(done, len(shards), "reading X-rays")
        pages.append(_of_one_body(list(read(shard)), size))
    if not pages:
        raise DataError(f"{samples.folder} has no {split} split; give a set of ten bodies or more")
    return Album.joined(pages)


def _of_one_body(taken: list[Taken], size: int) -> Album:
    if len(taken) < 2:
        raise DataError(f"one X-ray of {taken[0].record.extra.get('subject')}; give a set with several of each body")
    known = taken[0].sample.keypoints.names
    points = meeting([one.sample.view for one in taken], torch.stack([one.sample.keypoints.uv for one in taken]))
    motion = pelvis_from_world(Landmarks(known, points))
    batches = [resized(Batch.of([one.sample]), size) for one in taken]
    places = [known.index(name) if name in known else -1 for name in LANDMARK_NAMES]
    there = torch.tensor([place >= 0 for place in places])
    views = View.stack([one.sample.view.resized((size, size)).moved(motion) for one in taken])
    return Album(
        torch.stack([(255 * picture(one.pictures[0, 0])).round().to(torch.uint8) for one in batches]),
        torch.stack([_bits(one) for one in batches]),
        torch.stack([one.uv[0, places].double() for one in batches]),
        torch.stack([one.visible[0, places] & there for one in batches]),
        there.expand(len(taken), -1).clone(),
        views.source, views.origin, views.u_step, views.v_step,
        tuple(str(one.record.extra.get("subject")) for one in taken),
    )  # fmt: skip


def _bits(batch: Batch) -> UInt8[Tensor, "v u"]:
    bits = torch.zeros(batch.size, dtype=torch.uint8)
    for m, name in enumerate(STRUCTURE_NAMES):
        if name in batch.structures:
            bits |= batch.masks[0, batch.structures.index(name)].to(torch.uint8) << m
    return bits


def _read(path: Path) -> tuple[Album, str]:
    with decoding(path, WANTED), safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["about"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Album(**tensors, names=tuple(about["names"])), str(about["what"])
