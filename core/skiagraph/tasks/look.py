"""What a file or folder is, of all that Skiagraph reads and writes."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from skiagraph.bodies.torso import read_torso
from skiagraph.errors import DataError
from skiagraph.factory.card import CARD_NAME
from skiagraph.factory.making import ORDER_NAME
from skiagraph.factory.reading import SampleSet
from skiagraph.factory.subjects import VOLUMES, Stored, stored
from skiagraph.io.datasets import radiographs
from skiagraph.io.datasets.dataset import Found, Origin, Picture
from skiagraph.io.datasets.registry import DATASETS, recognised
from skiagraph.io.dicom import is_dicom, read_header
from skiagraph.io.dicom_ct import CT_IMAGE, ENHANCED_CT
from skiagraph.io.files import digest, stem_of, suffix_of
from skiagraph.io.meshes import read_surface
from skiagraph.io.patient import CT_NAME, LABELS_NAME, Subject
from skiagraph.io.volumes import read_labels

SURFACES = (".stl", ".ply", ".obj", ".vtk")
TORSO = "_label.nii.gz"
LABELS = ("_label", "_labels", "_mask", "_seg")
"""How the names of label volumes end."""


@dataclass(frozen=True)
class Look:
    """What a path is."""

    what: str
    found: Found
    origin: Origin | None = None
    """None for what is no public data set."""
    use: str = ""
    """The command that takes it."""


def look(path: Path) -> Look:
    """What a path is. Raises DataError if nothing is there, or nothing that we read."""
    if not path.exists():
        raise DataError(f"nothing at {path}; give a file or a folder")
    dataset = recognised(path)
    if dataset is not None:
        found = dataset.find(path)
        use = f"skiagraph make-samples --bodies {path}" if found.subjects else ""
        return Look(dataset.origin.title, found, dataset.origin, use)
    seen = _file(path) if path.is_file() else _folder(path)
    remarks = [file.name for file in sorted(path.glob("*")) if file.stem.upper() in ("README", "LICENSE", "LICENCE")]
    notes = (f"{', '.join(remarks)} may say where it is from and under which licence",) if remarks else ()
    return replace(seen, found=replace(seen.found, notes=seen.found.notes + notes))


def _file(path: Path) -> Look:
    kind = suffix_of(path)
    if kind in SURFACES:
        return Look("a surface", _surfaces([path]))
    if is_dicom(path):
        header = read_header(path, ())
        if header is not None and header.SOPClassUID in (CT_IMAGE, *ENHANCED_CT):
            return Look("a CT in DICOM", _bodies([path]), use=f"skiagraph render {path} xray.png")
        return Look("an X-ray in DICOM", Found(pictures=(_picture(path),)))
    if kind in VOLUMES:
        if _is_labels(path):
            return Look("a label volume", _labels([path]))
        return Look("a CT", _bodies([path]), use=f"skiagraph render {path} xray.png")
    if kind in radiographs.PICTURES:
        return Look("an X-ray picture", Found(pictures=(_picture(path),)))
    raise DataError(f"{path} is nothing that is read; give {_readable()}")


def _folder(path: Path) -> Look:
    files = [file for file in sorted(path.iterdir()) if file.is_file()]
    volumes = [file for file in files if suffix_of(file) in VOLUMES]
    labels = [file for file in volumes if _is_labels(file)]
    surfaces = [file for file in files if suffix_of(file) in SURFACES]
    take = f"skiagraph make-samples --bodies {path}"
    if (path / CARD_NAME).is_file() or (path / ORDER_NAME).is_file():
        return Look("a set of samples made by Skiagraph", _samples(path), use=f"skiagraph inspect {path}")
    if (path / CT_NAME).is_file():
        others = [file.name for file in labels if file.name != LABELS_NAME]
        notes = (f"{name} is not taken along: call it {LABELS_NAME}, with its names in labels.json" for name in others)
        return Look("a body", replace(_bodies([path]), notes=tuple(notes)), use=take)
    if labels and len(labels) == len(volumes):
        if any(file.name.endswith(TORSO) for file in labels):
            use = f"skiagraph make-samples --torsos {path}"
            return Look("label volumes of lower torsos, without their CTs", _torsos(path), use=use)
        return Look("label volumes, without their CTs", _labels(labels))
    if volumes or any(path.glob(f"*/{CT_NAME}")):
        bodies = Found(tuple(body for body in stored(path) if not _is_labels(Path(body.name))))
        beside = _labels([file for file in labels if not stem_of(file).endswith("_labels")])
        return Look("CTs", replace(bodies, wrong=beside.wrong, notes=beside.notes), use=take)
    if surfaces:
        return Look("surfaces", _surfaces(surfaces))
    first = next((file for file in files if is_dicom(file)), None)
    if first is not None:
        header = read_header(first, ())
        if header is not None and header.SOPClassUID in (CT_IMAGE, *ENHANCED_CT):
            return Look("a DICOM series", _bodies([path]), use=take)
        return Look("X-rays in DICOM", Found(pictures=tuple(_picture(file) for file in files if is_dicom(file))))
    if radiographs.holds(path):
        return Look(radiographs.ORIGIN.title, replace(radiographs.find(path), notes=_unread(files)))
    kinds = Counter(suffix_of(file) or file.name for file in path.rglob("*") if file.is_file())
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5)) or "no file"
    raise DataError(f"{path} holds {said}, nothing that is read; give {_readable()}")


def _readable() -> str:
    known = ", ".join(dataset.name for dataset in DATASETS)
    return f"a CT, labels, X-rays, surfaces, a set of samples, or a public data set ({known})"


def _bodies(paths: list[Path]) -> Found:
    return Found(tuple(Subject(stem_of(path), "", Stored(path)) for path in paths))


def _picture(path: Path) -> Picture:
    return Picture(stem_of(path), partial(radiographs.read, path))


def _is_labels(path: Path) -> bool:
    stem = stem_of(path) if suffix_of(path) in VOLUMES else path.name
    return stem.endswith(LABELS) or stem.startswith(("seg", "labels"))


def _unread(files: list[Path]) -> tuple[str, ...]:
    """What else lies in a folder of pictures, remarks and tables aside."""
    known = (*radiographs.PICTURES, ".json", ".csv", ".md")
    others = Counter(suffix_of(file) for file in files if suffix_of(file) and suffix_of(file) not in known)
    return tuple(f"{count} {kind} files are not read" for kind, count in others.items())


def _samples(path: Path) -> Found:
    """A finished set, with the shards that are gone or changed."""
    if not (path / CARD_NAME).is_file():
        return Found(wrong=("it is not finished; run the same make-samples again",))
    made = SampleSet(path)
    wrong = []
    for shard in made.card["shards"]:
        file = path / shard["name"]
        if not file.is_file():
            wrong.append(f"{file.name} is gone")
        elif digest(file) != shard["sha256"]:
            wrong.append(f"{file.name} is not what was made: its SHA-256 differs")
    counts = ", ".join(f"{count} {split}" for split, count in made.card["samples"].items())
    about = f"{counts} of {sum(made.card['bodies'].values())} bodies, {made.size} pixels a side"
    named = f"{len(made.landmarks)} landmarks, {len(made.structures)} structures"
    sources = tuple(f"made of: {source}" for source in made.card["sources"])
    return Found(wrong=tuple(wrong), notes=(about, named, *sources))


def _labels(files: list[Path]) -> Found:
    notes, wrong = [], []
    for file in files:
        try:
            labels = read_labels(file)
        except (DataError, ValueError) as error:
            wrong.append(f"{file.name}: {error}")
            continue
        names = [name for name in labels.names.values() if not name.startswith("label_")]
        said = f"{', '.join(names[:3])} and others" if len(names) > 3 else ", ".join(names) or "none of them named"
        notes.append(f"{file.name} labels {len(labels.names)} structures, {said}; beside a CT.nii.gz it is taken along "
                     "as CT_labels.nii.gz")  # fmt: skip
    return Found(wrong=tuple(wrong), notes=tuple(notes))


def _torsos(path: Path) -> Found:
    notes, wrong = [], []
    for file in sorted(path.glob(f"*{TORSO}")):
        try:
            read_torso(file)
        except DataError as error:
            wrong.append(f"{file.name}: {error}")
        else:
            notes.append(f"{file.name} is a torso")
    masks = {file.name.removesuffix("_mask.nii.gz") for file in path.glob("*_mask.nii.gz")}
    bare = masks - {file.name.removesuffix(TORSO) for file in path.glob(f"*{TORSO}")}
    if bare:
        notes.append(f"{len(bare)} masks have no labels and are left out")
    return Found(wrong=tuple(wrong), notes=tuple(notes))


def _surfaces(files: list[Path]) -> Found:
    notes, wrong = [], []
    for file in files:
        try:
            surface = read_surface(file)
        except DataError as error:
            wrong.append(f"{file.name}: {error}")
        else:
            low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
            size = " x ".join(f"{x:.0f}" for x in high - low)
            notes.append(f"{file.name}: {len(surface.faces)} triangles, {size} mm")
            if (high - low).max() < 5.0:
                wrong.append(f"{file.name} is {size} mm large: it may be in metres; give millimetres")
    return Found(wrong=tuple(wrong), notes=tuple(notes))
