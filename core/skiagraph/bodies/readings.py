"""Readings of an average hip bone, as seen from the side and from the front.

They are data of others, CC BY 4.0: `models/pelvis_shape` says whose and how they were taken. Millimetres, left side,
in the frame of the anterior pelvic plane: x to the left, y to the back, z to the head, zero midway between the
femoral heads.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from skiagraph.errors import DataError
from skiagraph.io.files import decoding, read_json
from skiagraph.shipped import shipped

FILE = "hip_readings.json"
TABLES = ("SIDE_OUTLINE", "SIDE_GAUGE", "FRONT_OUTLINE", "FORAMEN", "FRONT_GAUGE")


def _read() -> dict[str, Float[ndarray, "_ _"]]:
    path = shipped("bodies", FILE, source="models/pelvis_shape")
    if path is None:
        raise DataError(f"{FILE} was not installed; reinstall skiagraph")
    wanted = "the readings of models/pelvis_shape"
    content = read_json(path, wanted)
    with decoding(path, wanted):
        return {name: np.array(content["tables"][name]["rows"], dtype=float) for name in TABLES}


_TABLES = _read()

SIDE_OUTLINE = _TABLES["SIDE_OUTLINE"]
"""(y, z) around the ilium, acetabulum and ischium, seen from the side, from the posterior superior spine down.

Between ischium and pubis it keeps to the acetabular notch: what lies below is in the front view."""
SIDE_GAUGE = _TABLES["SIDE_GAUGE"]
"""(y, z, x of the middle, half thickness) over the same."""
FRONT_OUTLINE = _TABLES["FRONT_OUTLINE"]
"""(x, z) around the pubis and the ischium, seen from the front."""
FORAMEN = _TABLES["FORAMEN"]
"""(x, z) around the obturator foramen, seen from the front."""
FRONT_GAUGE = _TABLES["FRONT_GAUGE"]
"""(x, z, y of the middle, half thickness) over the pubis and the ischium."""
