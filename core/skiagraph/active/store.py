"""A folder of X-rays and all that was ever said of them.

Pictures lie in the folder or in folders below it and are never touched. Under `labels/PICTURE/` every version of a
label has a file of its own, `000001.mrk.json`, made once and never written again; there is no index, so none can be
lost or clobbered. Several processes may write: a number that another has taken is left to it.
"""

import json
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

import torch

from skiagraph.active.labels import FINAL, Event, Frame, Version, as_json, from_json
from skiagraph.errors import DataError
from skiagraph.io.files import decoding, stem_of, suffix_of
from skiagraph.volume import Keypoints

KINDS = (
    ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".dcm", ".ima", ".dicom", ".nii", ".nii.gz", ".nrrd", ".mha",
)  # fmt: skip
"""What an X-ray's file may end in."""
LABELS, REMOVED, MODELS, ENDING = "labels", "removed", "models", ".mrk.json"
BELOW = ":"
"""Between the folders of a picture's name: `patient/ap.dcm` is called `patient:ap`."""
SETTLED = 2.0
"""Seconds after which a folder's time of change can be trusted to tell all changes."""


class Missing(DataError):
    """No picture, or no label, of that name."""


class Taken(DataError):
    """A picture of that name is there already."""


class LabelStore:
    """The pictures of a folder, by name, and the versions of their labels. Safe for threads and for processes."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"no folder at {folder}; give a folder of X-rays")
        self.folder = folder
        self._lock = threading.RLock()
        self._read: dict[Path, Version | None] = {}
        self._listed: dict[Path, tuple[int, float, _Listing]] = {}
        self._said: dict[Path, tuple[tuple[str, ...], tuple[Version, ...]]] = {}
        self._pictures: tuple[dict[Path, _Listing], dict[str, Path]] = ({}, {})

    def pictures(self) -> dict[str, Path]:
        """The files by what they are called: `called`, or with their ending where two would be one."""
        listings = self._listings()
        with self._lock:
            if self._pictures[0] == listings:
                return self._pictures[1]
        files = [folder / name for folder, listing in listings.items() for name in listing.files if _is_picture(name)]
        names = {file: called(file.relative_to(self.folder)) for file in files}
        count = Counter(names.values())
        found = {name if count[name] == 1 else name + suffix_of(file): file for file, name in names.items()}
        with self._lock:
            self._pictures = (listings, found)
        return found

    def path(self, picture: str) -> Path:
        """The file of a picture. Raises Missing."""
        found = self.pictures().get(picture)
        if found is None:
            raise Missing("no such picture; ask for the list of pictures")
        return found

    def versions(self, picture: str) -> tuple[Version, ...]:
        """All that was said of a picture, in the order it was said."""
        return self._versions(self.path(picture))

    def label(self, picture: str, tag: str = FINAL, author: str | None = None) -> Version | None:
        """The newest label of a tag, of one author if he is named; None if there is none or it was removed."""
        newest: Version | None = None
        for version in self.versions(picture):
            if version.tag == tag and version.event == "saved" and author in (None, version.author):
                newest = version
            elif version.tag == tag and version.event == "removed":
                newest = None
        return newest

    def tags(self, picture: str) -> tuple[str, ...]:
        """Those under which a picture has a label."""
        found: dict[str, None] = {}
        for version in self.versions(picture):
            if version.event == "saved":
                found[version.tag] = None
            elif version.event == "removed":
                found.pop(version.tag, None)
        return tuple(found)

    def readers(self, picture: str) -> dict[str, Version]:
        """The newest finished label of each reader; those finished before the picture was reopened count as well."""
        authors = dict.fromkeys(version.author for version in self.versions(picture) if version.tag == FINAL)
        found = {author: self.label(picture, FINAL, author) for author in authors}
        return {author: version for author, version in found.items() if version is not None}

    def finished(self, picture: str) -> tuple[str, ...]:
        """The readers who have finished a picture since it was last reopened."""
        since: dict[str, None] = {}
        for version in self.versions(picture):
            if version.event == "reopened" or (version.event == "removed" and version.tag == FINAL):
                since.clear()
            elif version.event == "saved" and version.tag == FINAL:
                since[version.author] = None
        return tuple(since)

    def save(
        self,
        picture: str,
        keypoints: Keypoints,
        frame: Frame,
        author: str,
        tag: str = FINAL,
        about: Mapping[str, Any] | None = None,
    ) -> Version:
        """A label, kept for good before this returns."""
        return self._append(picture, Version(0, "saved", tag, author, "", keypoints, frame.size, about or {}), frame)

    def reopen(self, picture: str, author: str) -> Version:
        """Puts a finished picture back among those to be read. Raises Missing if it is not finished."""
        if not self.finished(picture):
            raise Missing("the picture has no finished label; save one first")
        return self._append(picture, _bare("reopened", FINAL, author), Frame((0, 0)))

    def remove(self, picture: str, tag: str, author: str) -> Version:
        """Takes a label away; what it said stays in the history. Raises Missing if there is none."""
        if self.label(picture, tag) is None:
            raise Missing(f"the picture has no label {tag!r}")
        return self._append(picture, _bare("removed", tag, author), Frame((0, 0)))

    def add(self, picture: str, ending: str, source: Path) -> Path:
        """A new picture from a file, which is copied. Raises Taken if one of that name is there."""
        if ending not in KINDS:
            raise DataError(f"{ending!r} is not how an X-ray's file ends; give one of {', '.join(KINDS)}")
        place = self.folder / f"{picture}{ending}"
        if place.parent != self.folder or place.name.startswith("."):
            raise DataError("a picture's name is no path; give letters, digits, dots and dashes")
        with self._lock:
            if picture in {called(file.relative_to(self.folder)) for file in self.pictures().values()}:
                raise Taken("a picture of that name is there already; give another name")
            _keep(place, source.read_bytes())
            self._listed.pop(self.folder, None)
        return place

    def take_away(self, picture: str) -> Path:
        """Moves a picture out of the way, into `removed/`; its labels stay where they are."""
        path = self.path(picture)
        place = self.folder / REMOVED / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}-{path.name}"
        place.parent.mkdir(exist_ok=True)
        os.replace(path, place)
        self._listed.pop(path.parent, None)
        return place

    def label_file(self, picture: str, version: Version) -> Path:
        """Where a version lies: a .mrk.json."""
        return self._home(self.path(picture)) / _named(version.number)

    def wrong(self) -> list[Path]:
        """Files of versions that cannot be read."""
        return sorted(path for path, version in self._read.items() if version is None)

    def _append(self, picture: str, version: Version, frame: Frame) -> Version:
        path = self.path(picture)
        home = self._home(path)
        number = max((one.number for one in self._versions(path)), default=0)
        number = max([number, *(int(name[:6]) for name in self._listing(home).files if _is_version(name))])
        while True:
            number += 1
            numbered = replace(version, number=number, time=datetime.now(UTC).isoformat(timespec="milliseconds"))
            text = json.dumps(as_json(numbered, frame), indent=1, allow_nan=False)
            try:
                _keep(home / _named(number), text.encode("utf-8"))
            except FileExistsError:  # another process was quicker
                continue
            with self._lock:
                self._listed.pop(home, None)
            return numbered

    def _versions(self, picture: Path) -> tuple[Version, ...]:
        home = self._home(picture)
        names = self._listing(home).files
        with self._lock:
            known = self._said.get(home)
        if known is not None and known[0] == names:
            return known[1]
        found = (self._version(home / name) for name in names if _is_version(name))
        versions = tuple(version for version in found if version is not None)
        with self._lock:
            self._said[home] = (names, versions)
        return versions

    def _version(self, path: Path) -> Version | None:
        with self._lock:
            if path in self._read:
                return self._read[path]
        try:
            with decoding(path, "a version of a label"):
                version: Version | None = from_json(json.loads(path.read_text(encoding="utf-8")))
        except DataError:
            version = None
        with self._lock:
            self._read[path] = version
        return version

    def _home(self, picture: Path) -> Path:
        return self.folder / LABELS / picture.relative_to(self.folder)

    def _listings(self) -> "dict[Path, _Listing]":
        """What is in the folder and in those below it, a folder before those in it, without those of the store."""
        found: dict[Path, _Listing] = {}
        folders = [self.folder]
        while folders:
            folder = folders.pop(0)
            found[folder] = listing = self._listing(folder)
            kept = (LABELS, REMOVED, MODELS) if folder == self.folder else ()
            folders += [folder / name for name in listing.folders if name[0] != "." and name not in kept]
        return found

    def _listing(self, folder: Path) -> "_Listing":
        """What is in a folder; remembered while nothing in it changes."""
        try:
            changed = folder.stat().st_mtime_ns
        except FileNotFoundError:
            return _Listing((), ())
        with self._lock:
            known = self._listed.get(folder)
        if known is not None and known[0] == changed and known[1] - changed / 1e9 > SETTLED:
            return known[2]
        looked = time.time()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        listing = _Listing(
            tuple(entry.name for entry in entries if entry.is_file()),
            tuple(entry.name for entry in entries if entry.is_dir(follow_symlinks=False)),
        )
        with self._lock:
            self._listed[folder] = (changed, looked, listing)
        return listing


@dataclass(frozen=True)
class _Listing:
    """Names in a folder, in order."""

    files: tuple[str, ...]
    folders: tuple[str, ...]


def called(path: PurePath) -> str:
    """What a picture is called: its path below the folder without its ending."""
    return BELOW.join([*path.parts[:-1], stem_of(Path(path.name))])


def _bare(event: Event, tag: str, author: str) -> Version:
    nothing = Keypoints((), torch.zeros(0, 2, dtype=torch.float64), torch.zeros(0, dtype=torch.bool))
    return Version(0, event, tag, author, "", nothing)


def _named(number: int) -> str:
    return f"{number:06d}{ENDING}"


def _is_picture(name: str) -> bool:
    return name[0] != "." and suffix_of(Path(name)) in KINDS


def _is_version(name: str) -> bool:
    return name.endswith(ENDING) and name[:6].isdigit() and len(name) == 6 + len(ENDING)


def _keep(place: Path, content: bytes) -> None:
    """A new file, whole and on the disk before this returns. Raises FileExistsError if it is there."""
    part = place.with_name(f".part-{secrets.token_hex(6)}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, place)
        _settle(place.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise DataError(f"cannot write to {place.parent.name}: {error.strerror}; is the disk full?") from error
    finally:
        part.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    """The folder's own entries on the disk, where a system can say so."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
