"""Bodies made ready for the CT generator: framed, measured, one file each, so that they are made once."""

import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from skiagraph.errors import DataError
from skiagraph.generate.frame import Frame, Framed, framed
from skiagraph.generate.traits import Traits, measured
from skiagraph.io.files import decoding, digest, write_tensors
from skiagraph.io.patient import Subject
from skiagraph.train.course import Progress
from skiagraph.volume import Landmarks

ENDING = ".safetensors"


@dataclass(frozen=True, eq=False)
class Kept:
    """A body on the shelf."""

    name: str
    source: str
    body: Framed
    traits: Traits


@dataclass(frozen=True)
class Shelf:
    """A folder of framed bodies."""

    folder: Path
    frame: Frame

    def fill(self, subjects: Sequence[Subject], workers: int, report: Progress) -> None:
        """Frame the subjects that are not there yet, in so many processes; one that is there is left as it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        todo = [one for one in subjects if not self.path(one.name).is_file()]
        jobs = [(one, self.path(one.name), self.frame) for one in todo]
        report(len(subjects) - len(todo), len(subjects), "making bodies")
        if not jobs:
            return
        with ProcessPoolExecutor(min(workers, len(jobs)), multiprocessing.get_context("spawn"), _alone) as pool:
            for done, _ in enumerate(pool.map(_keep, jobs), start=len(subjects) - len(todo) + 1):
                report(done, len(subjects), "making bodies")

    def path(self, name: str) -> Path:
        """Of a body."""
        return self.folder / (name + ENDING)

    def read(self, name: str) -> Kept:
        """A body that is there. Raises DataError if it is of another frame."""
        path = self.path(name)
        with decoding(path, "a body framed by `skiagraph train-ct-diffusion`"), safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["about"])
            hu, index = file.get_tensor("hu").float(), file.get_tensor("index")
            points = file.get_tensor("points")
        if tuple(hu.shape) != self.frame.shape:
            raise DataError(f"{path} has {tuple(hu.shape)} voxels, not {self.frame.shape}; give another folder")
        landmarks = Landmarks(tuple(about["landmarks"]), points)
        return Kept(name, about["source"], Framed(hu, index, landmarks), Traits(**about["traits"]))

    def hashes(self, names: Sequence[str]) -> dict[str, str]:
        """SHA-256 of the files of some bodies."""
        return {name: digest(self.path(name)) for name in names}

    @property
    def names(self) -> list[str]:
        """Of the bodies that are there, in order."""
        return sorted(path.name.removesuffix(ENDING) for path in self.folder.glob("[!.]*" + ENDING))


def _keep(job: tuple[Subject, Path, Frame]) -> None:
    subject, path, frame = job
    body = framed(subject.load(), frame)
    about = {
        "source": subject.source, "landmarks": body.landmarks.names, "traits": asdict(measured(body, frame)),
    }  # fmt: skip
    tensors = {
        "hu": body.hu.round().clamp(-1024, 3071).to(torch.int16), "index": body.index,
        "points": body.landmarks.points,
    }  # fmt: skip
    write_tensors(path, tensors, {"about": json.dumps(about)})


def _alone() -> None:
    torch.set_num_threads(1)
