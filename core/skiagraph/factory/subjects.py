"""Who is looked at: bodies by name, made or read only when their turn comes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skiagraph.bodies import PelvisShape, Person, build, build_around
from skiagraph.bodies.torso import read_torso
from skiagraph.errors import DataError
from skiagraph.factory.chance import generator_for
from skiagraph.io.files import stem_of, suffix_of
from skiagraph.io.patient import CT_NAME, Patient

LABELS_ENDING = "_labels"

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
class Shaped:
    """A body about a pelvis drawn from the shapes of 40 adults, in the muscles and skin of others if there are any."""

    seed: int
    number: int
    spacing: float
    torsos: tuple[Path, ...]

    def __call__(self) -> Patient:
        """Draw pelvis and person and build the body; the torsos take turns with the parametric soft tissue."""
        person = Person.draw(generator_for(self.seed, "person", self.number))
        shape = PelvisShape.draw(generator_for(self.seed, "pelvis", self.number))
        turn = self.number % (len(self.torsos) + 1)
        torso = read_torso(self.torsos[turn - 1]) if turn else None
        return Patient.of(build_around(shape, person, self.spacing, torso))


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


def shaped(count: int, seed: int, spacing: float = 1.5, torsos: Path | None = None) -> list[Subject]:
    """So many people with pelves of real shapes.

    `torsos` is a folder of label volumes of lower torsos, `*_label.nii.gz` and `*_mask.nii.gz`, whose muscles and skin
    take turns with the parametric soft tissue. Raises DataError if it holds none.
    """
    if count < 1:
        raise DataError(f"{count} bodies; give at least one")
    found = () if torsos is None else tuple(sorted(torsos.glob("*_label.nii.gz")))
    if torsos is not None and not found:
        raise DataError(f"no *_label.nii.gz in {torsos}; give a folder of label volumes of lower torsos")
    source = "phantom about a pelvis drawn from the atlas of Han et al. 2019 (CC BY 4.0)"
    source += f", soft tissue of {torsos.resolve().name} (its owner's licence)" if torsos else ""
    return [Subject(f"shape-{seed}-{n:05d}", source, Shaped(seed, n, spacing, found)) for n in range(count)]


def stored(path: Path) -> list[Subject]:
    """The bodies on disk: a CT, a folder as `skiagraph body` writes it, or a folder of either.

    Beside `NAME.nii.gz` (or .nrrd, .mha) may stand `NAME_labels.nii.gz` and `NAME.mrk.json`. Raises DataError if there
    is no CT.
    """
    if not path.exists():
        raise DataError(f"nothing at {path}; give a CT, a folder of CTs, or parametric:COUNT")
    if path.is_file():
        return [_with_labels(path)]
    if (path / CT_NAME).is_file():
        return [_made(path)]
    found = [_made(ct.parent) for ct in sorted(path.glob(f"*/{CT_NAME}"))]
    cts = [file for file in sorted(path.iterdir()) if suffix_of(file) in VOLUMES]
    found += [_with_labels(ct) for ct in cts if not stem_of(ct).endswith(LABELS_ENDING)]
    if not found:
        raise DataError(f"no CT in {path}; give NIfTI, NRRD or MetaImage files, or folders made by `skiagraph body`")
    return found


def _made(folder: Path) -> Subject:
    return Subject(folder.resolve().name, _source(folder), Stored(folder))


def _with_labels(ct: Path) -> Subject:
    beside = ct.parent / stem_of(ct)
    labels = [file for ending in VOLUMES if (file := Path(f"{beside}{LABELS_ENDING}{ending}")).is_file()]
    landmarks = Path(f"{beside}.mrk.json")
    known = Stored(ct, labels[0] if labels else None, landmarks if landmarks.is_file() else None)
    return Subject(stem_of(ct), _source(ct), known)


def _source(path: Path) -> str:
    return f"from {path.resolve().parent.name}; its licence is its owner's"
