"""plastimatch (Sharp et al. 2010), the program `plastimatch drr`; takes its algorithm, `exact` or `uniform`.

`--nrm` points from the isocentre to the source and `--vup` to the top row; its columns run the other way than ours,
and its files hold a tenth of ours. The beam has to land in the panel's middle. A call reads the volume and writes a
picture: what that takes for 8 x 8 pixels is taken off.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from peers.protocol import Engine, Request, serve


def header(request: Request, path: Path) -> Path:
    """A MetaImage header for the raw volume, written to a path."""
    lines = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "ElementSpacing": words(request.spacing),
        "Offset": words(request.world_from_ijk[:3, 3]),
        "DimSize": " ".join(map(str, request.shape[::-1])),
        "ElementType": "MET_FLOAT",
        "ElementDataFile": str(request.volume.resolve()),
    }
    path.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()), encoding="utf-8")
    return path


def words(numbers: "np.ndarray | list[float]") -> str:
    return " ".join(f"{float(x):.9g}" for x in numbers)


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def prepare(request: Request) -> Engine:
    os.environ["OMP_NUM_THREADS"] = str(request.threads)
    folder = Path(sys.argv[2]).parent
    picture = folder / "picture_0000.pfm"
    volume = header(request, folder / "volume.mhd")

    def single(n: int, size: tuple[int, int]) -> np.ndarray:
        _, v, normal = request.frame(n)
        distance, (rows, columns) = request.distance(n), request.size
        if not np.allclose(request.principal_point(n), ((columns - 1) / 2, (rows - 1) / 2)):
            raise ValueError("the beam does not land in the panel's middle; plastimatch takes no other panels")
        options = {
            "--algorithm": sys.argv[3],
            "--hu-conversion": "none",
            "--sad": f"{distance / 2:.9g}",
            "--sid": f"{distance:.9g}",
            "--dim": f"{size[0]} {size[1]}",
            "--detector-size": words([rows * request.pixel, columns * request.pixel]),
            "--isocenter": words(request.source[n] + distance / 2 * normal),
            "--nrm": words(-normal),
            "--vup": words(-v),
            "--output-format": "pfm",
            "--output": str(folder / "picture_"),
        }
        flat = [part for option in options.items() for part in option]
        picture.unlink(missing_ok=True)  # the program may fail and say it did not
        subprocess.run(["plastimatch", "drr", *flat, str(volume)], check=True, stdout=sys.stderr)
        pixels = picture.read_bytes()[-4 * size[0] * size[1] :]
        return 10 * np.frombuffer(pixels, np.float32).reshape(size)[:, ::-1]

    def spent() -> tuple[float, float]:
        cpu, wall = children(), time.perf_counter()
        single(0, (8, 8))
        return children() - cpu, time.perf_counter() - wall

    empty = [spent() for _ in range(5)]
    overhead = statistics.median(c for c, _ in empty), statistics.median(w for _, w in empty)
    said = subprocess.run(["plastimatch", "--version"], capture_output=True, text=True, check=True).stdout
    return Engine(
        said.strip().replace("version ", ""),
        lambda ns: np.stack([single(n, request.size) for n in ns]),
        cpu=children,
        peak=lambda: 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
        overhead=overhead,
    )


if __name__ == "__main__":
    serve(prepare)
