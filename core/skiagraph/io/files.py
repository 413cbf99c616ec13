"""Files that are there whole or not at all, and JSON that says what is wrong with it."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from skiagraph.errors import DataError, SkiagraphError


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the place of `path` at the end, or nothing is left of it."""
    part = path.with_name(f".part-{secrets.token_hex(4)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if not part.exists():
            raise DataError(f"nothing was written for {path}; its folder may be full or gone")
        os.replace(part, path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or one_line(error)}; give another place") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def writing_together(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files all take their places in `folder` at the end, or none of them does."""
    stage = folder / f".part-{secrets.token_hex(4)}"
    try:
        stage.mkdir(parents=True)
        yield stage
        for file in sorted(path for path in stage.rglob("*") if path.is_file()):
            place = folder / file.relative_to(stage)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, place)
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {error.strerror or one_line(error)}; give another place") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def decoding(path: Path | str, wanted: str) -> Iterator[None]:
    """Whatever a decoder raises over broken bytes, as one DataError that names the file and what it should be."""
    try:
        yield
    except SkiagraphError:
        raise
    except Exception as error:  # decoders raise anything over broken bytes: struct.error, EOFError, zlib.error ...
        raise DataError(f"cannot read {path}: {one_line(error)}; give {wanted}") from error


def digest(path: Path) -> str:
    """A file's SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> None:
    """Tensors as safetensors, which hold numbers and nothing else; `about` are words beside them."""
    with writing(path) as part:  # its own way of writing files leaves them unreadable to others
        part.write_bytes(save({name: one.contiguous() for name, one in tensors.items()}, dict(about or {}) or None))


def one_line(error: BaseException) -> str:
    """What an error says, without its line breaks and at a length one can read."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[-1].removeprefix("ITK ERROR: ") if lines else type(error).__name__
    return said[:200].rstrip(".")


def suffix_of(path: Path) -> str:
    """The ending that says what a file is, in small letters: `.nii.gz`, `.seg.nrrd` and `.mrk.json` count as one."""
    name = path.name.lower()
    doubles = (".nii.gz", ".seg.nrrd", ".mrk.json")
    return next((double for double in doubles if name.endswith(double)), path.suffix.lower())


def stem_of(path: Path) -> str:
    """A file's name without the ending that `suffix_of` gives."""
    return path.name[: len(path.name) - len(suffix_of(path))] if suffix_of(path) else path.name


def there(path: Path, wanted: str) -> Path:
    """The same path. Raises DataError if nothing readable is there."""
    try:
        found, empty = path.exists(), path.is_file() and path.stat().st_size == 0
    except OSError as error:
        raise DataError(f"cannot look at {path}: {error.strerror}; give {wanted}") from error
    if not found:
        raise DataError(f"nothing at {path}; give {wanted}")
    if empty:
        raise DataError(f"{path} is empty; give {wanted}")
    return path


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """A JSON object on disk; numbers keep every digit."""
    try:
        text = json.dumps(content, indent=2, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"cannot write {path}: {one_line(error)}; give finite numbers, text, lists and tables"
        ) from error
    with writing(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path, wanted: str = "a JSON object") -> dict[str, Any]:
    """The JSON object in a file."""
    there(path, wanted)
    with decoding(path, wanted):
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a JSON {type(content).__name__}; give {wanted}")
    return content


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is not JSON")
