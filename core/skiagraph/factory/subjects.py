"""Who is looked at: bodies by name, made or read only when their turn comes."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from skiagraph.anatomy import STRUCTURE_NAMES
from skiagraph.bodies import PelvisShape, Person, build, build_around
from skiagraph.bodies.torso import read_torso
from skiagraph.errors import DataError
from skiagraph.factory.chance import generator_for
from skiagraph.generate.bundle import read_generator
from skiagraph.generate.traits import Traits
from skiagraph.io.bundles import that_comes
from skiagraph.io.datasets.registry import recognised
from skiagraph.io.dicom import is_dicom
from skiagraph.io.files import stem_of, suffix_of
from skiagraph.io.patient import CT_NAME, Patient, Subject
from skiagraph.io.poses import Poses

log = logging.getLogger("skiagraph")

LABELS_ENDING = "_labels"

CT_BUNDLE = "ct_latent_diffusion"
XRAY_BUNDLE = "xray_view_diffusion"

VOLUMES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


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
class Generated:
    """A body from noise."""

    seed: int
    number: int
    bundle: Path

    def __call__(self) -> Patient:
        """Draw until one holds together."""
        rng = generator_for(self.seed, "generated", self.number)
        made, _ = read_generator(self.bundle).body(Traits(), rng, lambda done, total: None)
        return Patient.of(made.body)


@dataclass(frozen=True)
class Stored:
    """A body on disk."""

    ct: Path
    labels: Path | None = None
    landmarks: Path | None = None

    def __call__(self) -> Patient:
        """Read it."""
        return Patient.read(self.ct, self.labels, self.landmarks)


def people(word: str, seed: int, spacing: float = 1.5, torsos: Path | None = None) -> list[Subject]:
    """Whom a word stands for: shape:COUNT, parametric:COUNT, generated:COUNT, or bodies on disk. Raises DataError."""
    kind, _, count = word.partition(":")
    if kind not in ("parametric", "shape", "generated"):
        return stored(Path(word))
    if not count.isdecimal():
        raise DataError(f"{word!r} does not say how many; give {kind}:COUNT, such as {kind}:200")
    if kind == "shape":
        return shaped(int(count), seed, spacing, torsos)
    if kind == "generated":
        return generated(int(count), seed, the_generator())
    return parametric(int(count), seed, spacing)


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
    """The bodies on disk: a CT, a folder as `skiagraph body` writes it, a folder of either, or a public data set.

    Beside `NAME.nii.gz` (or .nrrd, .mha) may stand `NAME_labels.nii.gz` and `NAME.mrk.json`. Raises DataError if there
    is no CT.
    """
    if not path.exists():
        raise DataError(f"nothing at {path}; give a CT, a folder of CTs, or parametric:COUNT")
    dataset = recognised(path)
    if dataset is not None:
        subjects = list(dataset.find(path).subjects)
        if not subjects:
            raise DataError(f"{path} is {dataset.origin.title}, X-rays without a CT; give CTs")
        return subjects
    if path.is_file():
        return [_with_labels(path)]
    if (path / CT_NAME).is_file():
        return [_made(path)]
    found = [_made(ct.parent) for ct in sorted(path.glob(f"*/{CT_NAME}"))]
    cts = [file for file in sorted(path.iterdir()) if suffix_of(file) in VOLUMES]
    found += [_with_labels(ct) for ct in cts if not stem_of(ct).endswith(LABELS_ENDING)]
    if not found and any(is_dicom(file) for file in path.iterdir()):
        return [Subject(path.resolve().name, _source(path), Stored(path))]
    if not found:
        raise DataError(f"no CT in {path}; give NIfTI, NRRD, MetaImage or DICOM, or folders made by `skiagraph body`")
    return found


def generated(count: int, seed: int, bundle: Path) -> list[Subject]:
    """So many CTs from noise, by a generator trained by `skiagraph train-ct-diffusion`."""
    if count < 1:
        raise DataError(f"{count} bodies; give at least one")
    source = "generated by a latent diffusion model trained on phantoms; see models/ct_latent_diffusion"
    return [Subject(f"generated-{seed}-{n:05d}", source, Generated(seed, n, bundle)) for n in range(count)]


def the_generator() -> Path:
    """The CT generator that comes with Skiagraph. Raises DataError if this installation has none."""
    return that_comes(CT_BUNDLE, "train-ct-diffusion")


def the_xray_generator() -> Path:
    """The X-ray generator that comes with Skiagraph. Raises DataError if this installation has none."""
    return that_comes(XRAY_BUNDLE, "train-xray-diffusion")


def showing(subjects: Sequence[Subject], structures: Sequence[str]) -> list[Subject]:
    """Those that show some of the named structures, or do not say before they are loaded. Raises if there is none."""
    wanted = {*structures} & {*STRUCTURE_NAMES}
    kept = [one for one in subjects if not wanted or one.shows is None or one.shows() & wanted]
    if not kept:
        raise DataError(f"none of {len(subjects)} bodies shows any of {', '.join(sorted(wanted))}; give others")
    if len(kept) < len(subjects):
        log.warning("%d of %d bodies show nothing of what is labelled and are left out", len(subjects) - len(kept),
                    len(subjects))  # fmt: skip
    return kept


def posed(subjects: Sequence[Subject], poses: Poses) -> list[Subject]:
    """The subjects with the poses that are given of each. Raises DataError naming one of whom none is."""
    if set(poses.of) == {""} and len(subjects) == 1:
        return [replace(subjects[0], poses=poses.of[""])]
    strangers = [one.name for one in subjects if one.name not in poses.of]
    if strangers:
        known = ", ".join(name or "somebody not named" for name in poses.of)
        raise DataError(
            f"no pose of {', '.join(strangers[:3])}, only of {known}; give that body, or one pose file a body"
        )
    return [replace(one, poses=poses.of[one.name]) for one in subjects]


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
