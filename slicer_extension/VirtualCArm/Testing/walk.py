"""A walk through the module without its panel: patient, aim, plan, shots, an X-ray: `python walk.py OUT`.

With `--ct` and `--labels` it is somebody's CT, whose landmarks are found; else the phantom. It needs slicer-core and
skiagraph in one Python, or Slicer's own Python with skiagraph in it. Every step says what it did, in numbers.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import slicer
import vtk

sys.path.insert(0, str(Path(__file__).parents[1]))

from live_speed import patient
from VirtualCArmLib import convert, radiographs, shots
from VirtualCArmLib.logic import CArmLogic


def main():
    """Walk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--ct", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--columns", type=int, default=512)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    walk(CArmLogic(slicer.vtkMRMLScene()), given)


def walk(logic, given):
    """All steps, in order."""
    said("patient", of_patient(logic, given))
    said("aim", of_aim(logic))
    said("live", of_live(logic))
    said("plan", of_plan(logic, given))
    said("shoot", of_shots(logic, given))
    said("X-ray", of_xray(logic, given))
    path = given.output / "walk.mrb"
    said("saved", f"{logic.scene.GetNumberOfNodes()} nodes, {path}, {logic.scene.WriteToMRB(str(path), None)}")


def said(step, words):
    """Tell of a step."""
    print(f"{time.strftime('%H:%M:%S')} {step:8} {words}", flush=True)


def of_patient(logic, given):
    """Who it is and what is known of him."""
    ct = patient(logic, given)
    nodes = logic.patient_nodes()
    names, _ = convert.points_of(nodes.landmarks)
    warnings = "; ".join(logic.check_patient()) or "nothing to complain of"
    segments = 0 if nodes.labels is None else nodes.labels.GetSegmentation().GetNumberOfSegments()
    return f"{ct.GetName()}: {len(names)} landmarks, {segments} structures; {warnings}"


def of_aim(logic):
    """The standard views, and whether the device reaches them."""
    logic.set_device("cios-fusion")
    beyond = [f"{view.title} ({view.words})" for view in logic.standard_views() if not view.in_reach]
    read = logic.aim(view="inlet")
    logic.draw_carm()
    return f"inlet is {read.words} at {tuple(round(x) for x in read.isocenter)} RAS; out of reach: {', '.join(beyond)}"


def of_live(logic):
    """A frame of each kind."""
    logic.set_device("generic")
    logic.aim(view="ap")
    logic.fluoro()
    fast, full = logic.fluoro(), logic.still()
    shown = sum(
        fast.landmarks.GetNthControlPointVisibility(n) for n in range(fast.landmarks.GetNumberOfControlPoints())
    )
    drawn = len(np.unique(convert.voxels_of(full.outlines))) - 1
    took = f"{fast.seconds:.3f} s fast, {full.seconds:.2f} s full, the first of its kind"
    return f"{shown} landmarks in the picture, {drawn} structures outlined; {took}"


def of_plan(logic, given):
    """Three views planned, one of them down a corridor."""
    for view in ("ap", "outlet"):
        logic.aim(view=view)
        logic.add_planned(view)
    names, points = convert.points_of(logic.patient_nodes().landmarks)
    at = dict(zip(names, points))
    head, spine = at["left_femoral_head"], at["left_anterior_superior_iliac_spine"]
    line = logic.scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "corridor")
    for end in (head + np.array([0.0, -15.0, 20.0]), spine - np.array([0.0, 10.0, 10.0])):
        line.AddControlPointWorld(vtk.vtkVector3d(*end))
    logic.set_corridor(line, radius=3.65)
    found = logic.see_along()
    logic.take(logic.see_field(found, ("left_femoral_head",)))
    logic.add_planned("down the corridor")
    plane = logic.scene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode", "socket")
    plane.SetCenterWorld(head)
    plane.SetNormalWorld([-0.6, 0.6, -0.5])
    curve = logic.see_facing(plane)
    logic.move_planned(2, 0)
    logic.export_plan(given.output / "plan.json")
    logic.export_plan(given.output / "plan.csv")
    files = logic.export_plan(given.output / "poses")
    order = ", ".join(row.name for row in logic.planned())
    return (
        f"down the corridor {found.words}; the socket face on {curve.face.words}, edge on {curve.edge.words}; "
        f"planned {order}; {len(files)} records to take samples at"
    )


def of_shots(logic, given):
    """Shots by hand, with a screw in one, and a batch of the plan."""
    logic.jump(1)
    plain = logic.shoot(columns=given.columns, name="AP")
    logic.set_tool(logic.home().GetNodeReference("corridor"))
    logic.shoot(columns=given.columns, tool="screw", kvp=80.0, collimation=(20, 20, 20, 20), name="AP with a screw")
    files = logic.export_shot(plain, given.output / "ap.dcm")
    for request in logic.batch_requests(given.output / "batch", shots.ShotSettings(columns=256, fidelity="heuristic")):
        logic.run(request)
        logic.import_shot(request["output"])
    rows = logic.shots()
    seen = ", ".join(f"{row.name} {len(row.seen)}" for row in rows)
    return f"{logic.shot_table().GetNumberOfRows()} shots (landmarks seen: {seen}); {len(files)} files of the first"


def of_xray(logic, given):
    """The AP shot as a picture from elsewhere: read, given its geometry, and the patient brought back to it."""
    from skiagraph.io.pictures import write_picture

    shot = logic.shots()[0].node
    write_picture(given.output / "from_elsewhere.png", shots.shot_of(shot).shown)
    xray = logic.load_xray(given.output / "from_elsewhere.png")
    now = logic.jump_to_shot(shot)
    spacing = float(np.linalg.norm(convert.ijk_to_ras(shot)[:3, 0]))
    logic.set_xray_geometry(
        xray, primary=now.primary, secondary=now.secondary, isocenter=now.isocenter, pixel_spacing=spacing
    )
    logic.detect(xray)
    names, uv = radiographs.pixels_of(xray)
    truth = shots.record_of(shot).keypoints
    common = [(name, at) for name, at in zip(names, uv) if name in truth.names]
    off = [np.linalg.norm(at - truth.uv[truth.names.index(name)].numpy()) * spacing for name, at in common]
    nodes = logic.patient_nodes()
    pushed = logic.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "pushed")
    turn = vtk.vtkTransform()
    turn.Translate(6.0, -4.0, 8.0)
    turn.RotateZ(4.0)
    pushed.SetMatrixTransformToParent(turn.GetMatrix())
    for node in (nodes.ct, nodes.landmarks, nodes.labels):
        node.SetAndObserveTransformNodeID(pushed.GetID())
    found = logic.register(xray)
    logic.apply_registration(xray)
    view, back = radiographs.view_of(xray), convert.world_from(nodes.ct)
    _, placed = convert.points_of(nodes.landmarks)
    undone = (placed - back[:3, 3]) @ back[:3, :3]
    apart = view.project(convert.lps(placed)) - view.project(convert.lps(undone))
    return (
        f"{len(names)} landmarks detected, {np.median(off):.1f} mm off in the median on the panel; pushed away and "
        f"registered: {found.words}; CT {np.linalg.norm(back[:3, 3]):.1f} mm from where it was, its landmarks "
        f"{float(apart.norm(dim=-1).median()) * spacing:.2f} mm on the panel"
    )


if __name__ == "__main__":
    main()
