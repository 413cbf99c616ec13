"""How often a tool is found on real radiographs that show none, with the surest such findings as overlays.

    python core/benchmarks/tool_absent.py models/tool_detector out/absent FOLDER...

Sixty pictures of each folder, evenly spread over its names.
"""

import argparse
from pathlib import Path

from skiagraph.detect.bundle import read_bundle
from skiagraph.tasks.overlay import write_overlay
from skiagraph.tasks.xray import growing

EACH, SHOWN = 60, 12
ENDINGS = (".png", ".jpg", ".jpeg")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bundle", type=Path)
    options.add_argument("output", type=Path)
    options.add_argument("folders", type=Path, nargs="+")
    given = options.parse_args()
    detector, found = read_bundle(given.bundle), []
    for folder in given.folders:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
        for path in paths[:: max(1, len(paths) // EACH)][:EACH]:
            picture = growing(path, "bright")
            found.append((path, picture, detector(picture)))
    points = [int(one.keypoints.visible.sum()) for _, _, one in found]
    sure = [int((one.confidence > 0.8).sum()) for _, _, one in found]
    masks = sum(bool(one.masks.any()) for _, _, one in found)
    print(f"{len(found)} pictures: a point on {sum(n > 0 for n in points)}, one with a confidence over 0.8 on "
          f"{sum(n > 0 for n in sure)}, mask on {masks}")  # fmt: skip
    for path, picture, one in sorted(found, key=lambda row: -float(row[2].confidence.max()))[:SHOWN]:
        write_overlay(given.output / f"{path.stem}.png", picture, one)


if __name__ == "__main__":
    main()
