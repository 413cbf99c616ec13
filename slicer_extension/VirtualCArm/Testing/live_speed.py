"""How many live X-rays a second the module makes of a CT while the C-arm turns: `python live_speed.py CT [LABELS]`.

A frame is all that follows the hand but the drawing: angles set, X-ray taken, picture, its place, landmarks and
corridor into the scene. It needs slicer-core and skiagraph in one Python, or Slicer's own Python with skiagraph in it.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import slicer
import vtk

sys.path.insert(0, str(Path(__file__).parents[1]))

from VirtualCArmLib.logic import CArmLogic

WARM = {"fast": 6, "full": 2}
"""Frames not counted: in them the CT is sliced along the axes that are looked along."""


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "ct", type=Path, nargs="?", help="a CT or a folder of `skiagraph body`; the phantom if not given"
    )
    parser.add_argument("labels", type=Path, nargs="?", help="anatomy per voxel, to find landmarks by")
    parser.add_argument("--columns", type=int, default=256)
    parser.add_argument("--frames", type=int, default=90)
    parser.add_argument("--full", type=int, default=4, help="full frames, for the C-arm at rest")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()

    import torch

    torch.set_num_threads(given.threads)
    logic = CArmLogic(slicer.vtkMRMLScene())
    ct = patient(logic, given)
    line = logic.scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "corridor")
    isocenter = logic.aim(view="ap").isocenter
    for shift in (-30.0, 30.0):
        line.AddControlPointWorld(vtk.vtkVector3d(isocenter[0] + shift, isocenter[1], isocenter[2]))
    logic.set_corridor(line)
    size = " x ".join(map(str, ct.GetImageData().GetDimensions()))
    print(f"{ct.GetName()}: {size} voxels, {given.columns} columns, {given.threads} threads", flush=True)
    kinds = (("fast", logic.fluoro, given.columns, given.frames), ("full", logic.still, 768, given.full))
    for what, frame, columns, count in kinds:
        if not count:
            continue
        seconds, work = timed(logic, lambda frame=frame, columns=columns: frame(columns), count, WARM[what])
        median, slow = np.median(seconds), np.quantile(seconds, 0.95)
        print(
            f"{what} at {columns}: {1 / median:.1f} frames a second (median {1e3 * median:.1f} ms, 95 % under "
            f"{1e3 * slow:.1f} ms, {1e3 * work:.1f} ms of processor a frame)",
            flush=True,
        )


def patient(logic, given):
    """The patient of the measurement."""
    if given.ct is None:
        return logic.sample_body(1.5).ct
    if given.labels is None:
        return logic.import_body(given.ct).ct
    from VirtualCArmLib import convert

    from skiagraph.io.patient import Patient

    read = Patient.read(given.ct, given.labels)
    ct = convert.show_volume(logic.scene, read.volume, given.ct.name)
    logic.set_patient(ct, None, convert.show_labels(logic.scene, read.labels, "anatomy"))
    logic.find_landmarks()
    return ct


def timed(logic, frame, count, warm):
    """Seconds of each of so many frames of an orbit with a tilt, and seconds of processor of one."""
    seconds, began = [], 0.0
    for number in range(-warm, count):
        if number == 0:
            began = time.process_time()
        start = time.perf_counter()
        turn = 2 * np.pi * number / count
        logic.aim(primary=60 * np.sin(turn), secondary=20 * np.cos(turn))
        frame()
        if number >= 0:
            seconds.append(time.perf_counter() - start)
    return np.array(seconds), (time.process_time() - began) / count


if __name__ == "__main__":
    main()
