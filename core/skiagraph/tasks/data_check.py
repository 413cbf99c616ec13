"""`skiagraph data check`: what a file or folder is, what is annotated in it, and what is wrong with it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import tyro

from skiagraph.errors import DataError, FoundWrong, SkiagraphError
from skiagraph.io.datasets.checking import (
    annotated_in_body,
    annotated_in_radiograph,
    wrong_with_body,
    wrong_with_radiograph,
    wrong_with_view,
)
from skiagraph.tasks.look import Look, look
from skiagraph.tasks.task import Report, silent
from skiagraph.volume import Landmarks

Item = TypeVar("Item")

MOST_LINES = 12
"""Of one kind that are printed."""


@dataclass(frozen=True)
class DataCheck:
    """Say what a file or folder is, what is annotated in it and what is wrong with it. Exit code 1 if anything is."""

    command: ClassVar[str] = "data check"

    path: tyro.conf.Positional[Path]
    """A CT, X-rays, surfaces, a set of samples, a DICOM folder, or a public data set as it is published."""
    read: int = 20
    """Bodies and radiographs that are read, spread evenly over those there are; 0 for all. Names are all looked at."""

    @property
    def record(self) -> None:
        """Nothing is written."""

    def run(self, report: Report = silent) -> list[Path]:
        """Look, read and print. Raises FoundWrong if something is wrong."""
        if self.read < 0:
            raise DataError(f"{self.read} to read; give at least 1, or 0 for all")
        seen = look(self.path)
        checked = check(seen, self.read, report)
        print("\n".join(lines(self.path, seen, checked)), flush=True)
        if checked.wrong:
            raise FoundWrong(f"{self.path}: {len(checked.wrong)} things are wrong")
        return []


@dataclass(frozen=True)
class Checked:
    """What reading some of it has shown."""

    bodies: int
    """How many were read."""
    radiographs: int
    annotated: Counter[str]
    """How many of those have what."""
    notes: tuple[str, ...]
    wrong: tuple[str, ...]


def check(seen: Look, read: int, report: Report = silent) -> Checked:
    """Read so many bodies and radiographs, all if 0, and see what is annotated and what is wrong."""
    bodies, pictures = _spread(seen.found.subjects, read), _spread(seen.found.pictures, read)
    annotated: Counter[str] = Counter()
    wrong, notes = [*seen.found.wrong], [*seen.found.notes]
    landmarks: dict[str, Landmarks] = {}
    unspaced = 0
    for done, subject in enumerate(bodies):
        report(done, len(bodies) + len(pictures), subject.name)
        try:
            patient = subject.load()
        except SkiagraphError as error:
            wrong.append(f"{subject.name}: {error}")
            continue
        landmarks[subject.name] = patient.landmarks
        annotated.update(annotated_in_body(patient))
        wrong += [f"{subject.name}: {what}" for what in wrong_with_body(patient)]
    for done, picture in enumerate(pictures):
        report(len(bodies) + done, len(bodies) + len(pictures), picture.name)
        try:
            shot = picture.load()
        except SkiagraphError as error:
            wrong.append(f"{picture.name}: {error}")
            continue
        unspaced += shot.picture.pixel_spacing is None and shot.picture.view is None
        annotated.update(annotated_in_radiograph(shot))
        wrong += [f"{picture.name}: {what}" for what in wrong_with_radiograph(shot)]
        if shot.subject in landmarks:
            wrong += [f"{picture.name}: {what}" for what in wrong_with_view(shot, landmarks[shot.subject])]
    if unspaced:
        notes.append(f"{unspaced} of {len(pictures)} radiographs have no pixel spacing: lengths are in pixels only")
    return Checked(len(bodies), len(pictures), annotated, tuple(notes), tuple(wrong))


def lines(path: Path, seen: Look, checked: Checked) -> Iterator[str]:
    """What there is to say, for people."""
    yield f"{path} is {seen.what}"
    counts = (("bodies", len(seen.found.subjects), checked.bodies),
              ("radiographs", len(seen.found.pictures), checked.radiographs))  # fmt: skip
    for name, count, read in counts:
        if count:
            yield f"  {name:<11} {count}" + ("" if read == count else f", of which {read} were read")
    if checked.annotated:
        said = [f"{what} in {count}" for what, count in sorted(checked.annotated.items())]
        yield f"  annotated   {', '.join(said)}"
    elif seen.found.subjects or seen.found.pictures:
        yield "  annotated   nothing"
    yield from _some("note", checked.notes)
    yield from _some("wrong", checked.wrong)
    if seen.origin is not None:
        yield f"  from        {seen.origin.where}"
        yield f"  licence     {seen.origin.licence}"
    if seen.use:
        yield f"  use         {seen.use}"
    if not checked.wrong:
        yield "  nothing is wrong with what was read"


def _some(head: str, said: Sequence[str]) -> Iterator[str]:
    for line in said[:MOST_LINES]:
        yield f"  {head:<11} {line}"
    if len(said) > MOST_LINES:
        yield f"  {head:<11} and {len(said) - MOST_LINES} more"


def _spread(everything: Sequence[Item], most: int) -> Sequence[Item]:
    """So many of them, evenly spread; all if `most` is 0."""
    if not most or len(everything) <= most:
        return everything
    return [everything[n * len(everything) // most] for n in range(most)]
