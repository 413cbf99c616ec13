"""Who reads which picture now: time-limited, so that no two annotators are given the same one."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from skiagraph.errors import DataError
from skiagraph.io.files import read_json, write_json

MINUTES = 30.0
"""How long a picture is kept for whom it was given to."""


@dataclass(frozen=True)
class Lease:
    """One picture, one reader, until when."""

    picture: str
    reader: str
    until: float
    """Seconds since 1970."""


class Leases:
    """The leases of a folder of pictures, kept in a file so that they outlive the server."""

    def __init__(self, path: Path, minutes: float = MINUTES, clock: Callable[[], float] = time.time) -> None:
        self.path, self.minutes, self.clock = path, minutes, clock
        self._lock = threading.Lock()
        self._held = {lease.picture: lease for lease in _read(path)}

    def held(self) -> tuple[Lease, ...]:
        """Those that have not run out."""
        now = self.clock()
        with self._lock:
            return tuple(lease for lease in self._held.values() if lease.until > now)

    def take(self, wished: Iterable[str], reader: str) -> Lease | None:
        """The first of the wished pictures that nobody holds, now held by the reader; None if there is none."""
        with self._lock:
            now = self.clock()
            self._held = {name: lease for name, lease in self._held.items() if lease.until > now}
            free = next((picture for picture in wished if picture not in self._held), None)
            if free is None:
                return None
            lease = Lease(free, reader, now + 60 * self.minutes)
            self._held[free] = lease
            self._write()
            return lease

    def renew(self, picture: str, reader: str) -> Lease | None:
        """A picture held from now on, by a reader who held it or when nobody did; None if another does."""
        with self._lock:
            now, known = self.clock(), self._held.get(picture)
            if known is not None and known.reader != reader and known.until > now:
                return None
            lease = Lease(picture, reader, now + 60 * self.minutes)
            self._held[picture] = lease
            self._write()
            return lease

    def give_back(self, picture: str, reader: str) -> bool:
        """Lets go of a picture; whether the reader held it."""
        with self._lock:
            mine = picture in self._held and self._held[picture].reader == reader
            if mine:
                del self._held[picture]
                self._write()
            return mine

    def _write(self) -> None:
        write_json(self.path, {"leases": [asdict(lease) for lease in self._held.values()]})


def _read(path: Path) -> list[Lease]:
    """What a file says; a broken one says nothing, since leases run out anyway."""
    if not path.is_file():
        return []
    try:
        return [
            Lease(str(one["picture"]), str(one["reader"]), float(one["until"])) for one in read_json(path)["leases"]
        ]
    except (DataError, KeyError, TypeError, ValueError):
        return []
