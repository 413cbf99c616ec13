"""MetaImages, looked through before ITK does: over a damaged one ITK 5.4 overwrites its own memory and aborts."""

import math
import zlib
from pathlib import Path

from skiagraph.errors import DataError
from skiagraph.io.files import decoding

_BYTES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 4, "LONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}
_LONGEST_HEADER = 1 << 16
_PER_AXIS = ("dimsize", "elementspacing", "elementsize", "offset", "position", "origin", "centerofrotation")
_MATRIX = ("transformmatrix", "orientation", "rotation")


def check_metaimage(path: Path) -> None:
    """Raise DataError unless a MetaImage's header is sound and as many voxels follow as it promises."""
    with decoding(path, "a MetaImage that is whole"):
        with path.open("rb") as file:
            start = file.read(_LONGEST_HEADER)
        fields, end = _header(start, path)
        _check_axes(fields, path)
        kind = fields["elementtype"].upper().removeprefix("MET_").removesuffix("_ARRAY").replace("UCHAR", "CHAR")
        channels = int(fields.get("elementnumberofchannels", "1"))
        wanted = math.prod(int(n) for n in fields["dimsize"].split()) * channels * _BYTES[kind.removeprefix("U")]
        local = fields["elementdatafile"].upper() == "LOCAL"
        file_of_data, offset = (path, end) if local else (path.parent / fields["elementdatafile"], 0)
        if fields.get("compresseddata", "False").upper()[:1] in ("T", "1"):
            found, fits = _unpacked(file_of_data, offset, wanted)
        else:
            found = path.stat().st_size - end if local else wanted
            fits = found >= wanted
    if not fits:
        raise DataError(f"{path} holds {found} bytes of voxels, not {wanted}; the file is damaged, copy it again")


def _header(start: bytes, path: Path) -> tuple[dict[str, str], int]:
    fields: dict[str, str] = {}
    at = 0
    for line in start.split(b"\n"):
        at += len(line) + 1
        key, _, value = line.decode("latin-1").partition("=")
        fields[key.strip().lower()] = value.strip()
        if key.strip().lower() == "elementdatafile":
            return fields, at
    raise DataError(f"{path} has no ElementDataFile; the header is cut short, copy the file again")


def _check_axes(fields: dict[str, str], path: Path) -> None:
    axes = int(fields["ndims"])
    if not 2 <= axes <= 4:
        raise DataError(f"{path} says it has {axes} axes; give an image of 2 to 4")
    for key, count in [*((key, axes) for key in _PER_AXIS), *((key, axes * axes) for key in _MATRIX)]:
        if key in fields and len([float(x) for x in fields[key].split()]) != count:
            raise DataError(f"{path} has {fields[key]!r} for {key}; give {count} numbers")


def _unpacked(path: Path, offset: int, wanted: int) -> tuple[int, bool]:
    """Bytes that come out of a zlib or gzip stream, counted as far as needed, and whether they are those wanted."""
    unpacker = zlib.decompressobj(wbits=47)
    found = 0
    with path.open("rb") as file:
        file.seek(offset)
        while not unpacker.eof and found <= wanted and (block := file.read(1 << 20)):
            while block and found <= wanted:
                found += len(unpacker.decompress(block, 1 << 24))
                block = unpacker.unconsumed_tail
    return found, unpacker.eof and found == wanted
