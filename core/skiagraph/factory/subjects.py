"""Who is looked at: bodies by name, made or read only when their turn comes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from skiagraph.bodies import Person, build
from skiagraph.errors import DataError
from skiagraph.factory.chance import generator_for
from skiagraph.io.files import stem_of, suffix_of
from skiagraph.io.patient import CT_NAME, Patient

VOLUMES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


@dataclass(frozen=True)
class Subject:
    """One body, before it is there."""

    name: str
    """Unique in a set; splits are by it."""
    source: str
    """What it is and under which licence it may be used, for the set's card."""
    load: Callable[[], Patient]


@dataclass(frozen=True)
class Drawn:
    """A body of the parametric family."""

    seed: int
    number: int
    spacing: float

    def __call__(self) -> Patient:
        """Draw the person and build the body."""
        return Patient.of(build(Person.draw(generator_for(self.seed, "person", self.number)), self.spacing))


@dataclass(frozen=True)
class Stored:
    """A body on disk."""

    ct: Path
    labels: Path | None = None
    landmarks: Path | None = None

    def __call__(self) -> Patient:
        """Read it."""
        return Patient.read(self.ct, self.labels, self.landmarks)


def parametric(count: int, seed: int, spacing: float = 1.5) -> list[Subject]:
    """So many people of our own family of bodies."""
    if count < 1:
        raise DataError(f"{count} bodies; give at least one")
    source = "phantom of Skiagraph's parametric family (Apache-2.0; hip bone after CC BY 4.0 readings)"
    return [Subject(f"parametric-{seed}-{n:05d}", source, Drawn(seed, n, spacing)) for n in range(count)]


def stored(folder: Path) -> list[Subject]:
    """The bodies of a folder: folders as `skiagraph body` writes them, or CTs with labels and landmarks beside them.

    Beside `NAME.nii.gz` (or .nrrd, .mha) stand `NAME_labels.nii.gz` and `NAME.mrk.json`, either of them or both.
    Raises DataError if there is none.
    """
    if not folder.exists():
        raise DataError(f"nothing at {folder}; give a folder of CTs, or parametric:COUNT")
    source = f"from {folder.resolve().name}; its licence is its owner's"
    if (folder / CT_NAME).is_file():
        return [Subject(folder.resolve().name, source, Stored(folder))]
    found = [Subject(ct.parent.name, source, Stored(ct.parent)) for ct in sorted(folder.glob(f"*/{CT_NAME}"))]
    for ct in sorted(path for path in folder.iterdir() if suffix_of(path) in VOLUMES):
        stem = stem_of(ct)
        if stem.endswith("_labels"):
            continue
        labels = _first(folder / f"{stem}_labels{ending}" for ending in VOLUMES)
        landmarks = _first([folder / f"{stem}.mrk.json"])
        if labels or landmarks:
            found.append(Subject(stem, source, Stored(ct, labels, landmarks)))
    if not found:
        raise DataError(
            f"no labelled CT in {folder}; give folders made by `skiagraph body`, or CTs with NAME_labels.nii.gz or "
            "NAME.mrk.json beside them"
        )
    return found


def _first(paths: Iterable[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)
