"""The detectors of a folder of X-rays: the one that was shipped and those trained since, none ever overwritten."""

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skiagraph.detect.bundle import read_bundle
from skiagraph.detect.detector import Detector
from skiagraph.errors import DataError
from skiagraph.io.files import read_json, write_json

CURRENT, HISTORY = "current.json", "history.jsonl"


@dataclass(frozen=True)
class Shelf:
    """Bundles `0001`, `0002` ... under a folder; number 0 is the one that came with Skiagraph, kept elsewhere."""

    folder: Path
    shipped: Path

    @property
    def current(self) -> int:
        """The number of the bundle in use."""
        path = self.folder / CURRENT
        return int(read_json(path)["number"]) if path.is_file() else 0

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those there are, the shipped one first."""
        made = [int(one.name) for one in self.folder.glob("[0-9]*") if one.name.isdigit() and one.is_dir()]
        return (0, *sorted(made))

    def bundle(self, number: int) -> Path:
        """Where a bundle lies. Raises DataError if there is none of that number."""
        if number not in self.numbers:
            raise DataError(f"no weights number {number}; there are {', '.join(map(str, self.numbers))}")
        return self.folder / f"{number:04d}" if number else self.shipped

    def place(self) -> tuple[int, Path]:
        """A number and a folder for the next bundle; the folder is made."""
        while True:
            number = self.numbers[-1] + 1
            try:
                (self.folder / f"{number:04d}").mkdir(parents=True)
            except FileExistsError:
                continue
            return number, self.folder / f"{number:04d}"

    def use(self, number: int, why: str, by: str, about: Mapping[str, Any] | None = None) -> None:
        """Makes a bundle the one in use, and notes it."""
        self.bundle(number)
        self.note({"use": number, "why": why, "by": by, **(about or {})})
        write_json(self.folder / CURRENT, {"number": number})

    def note(self, what: Mapping[str, Any]) -> None:
        """A line in the history."""
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **what})
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / HISTORY, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, f"{line}\n".encode())
        finally:
            os.close(handle)

    def history(self) -> list[dict[str, Any]]:
        """All that was noted, oldest first."""
        path = self.folder / HISTORY
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines if line.endswith("}")]


class Current:
    """The detector in use, read once and again when another takes over. Safe for threads."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._lock = threading.Lock()
        self._read: tuple[int, Detector] | None = None

    def get(self) -> tuple[int, Detector]:
        """Its number and itself."""
        number = self.shelf.current
        with self._lock:
            if self._read is None or self._read[0] != number:
                self._read = (number, read_bundle(self.shelf.bundle(number)))
            return self._read
