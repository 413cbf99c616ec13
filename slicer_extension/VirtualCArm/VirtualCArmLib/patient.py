"""Whom the X-rays are taken of: a CT, its landmarks and its anatomy, by their roles in the scene."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
import vtk

from .convert import ijk_to_ras, points_of, show_labels, show_landmarks, show_volume, voxels_of
from .errors import CArmError, CoreMissing, need_core
from .home import add, file_under, held, hold

CT, LANDMARKS, LABELS = "ct", "landmarks", "labels"
PICK = "pick a CT, make a phantom or generate a CT first (Patient)"
LABELS_ENDING = "_labels"


@dataclass(frozen=True)
class PatientNodes:
    """The nodes of a patient; what is not known of him is None."""

    ct: Any
    landmarks: Optional[Any] = None
    labels: Optional[Any] = None


def set_patient(scene, ct, landmarks=None, labels=None):
    """Make these nodes the patient. Raises CArmError for nodes that cannot be."""
    if ct is None:
        raise CArmError(f"no CT is given; {PICK}")
    if not ct.IsA("vtkMRMLScalarVolumeNode") or ct.IsA("vtkMRMLLabelMapVolumeNode"):
        raise CArmError(f"{ct.GetName()} is no CT; pick a scalar volume")
    if min(voxels_of(ct).shape) < 2:
        raise CArmError(f"{ct.GetName()} is a picture, not a CT; pick a volume of several slices")
    if landmarks is not None and not landmarks.IsA("vtkMRMLMarkupsFiducialNode"):
        raise CArmError(f"{landmarks.GetName()} is no list of points; pick a point list of Markups")
    if labels is not None and not (labels.IsA("vtkMRMLSegmentationNode") or labels.IsA("vtkMRMLLabelMapVolumeNode")):
        raise CArmError(f"{labels.GetName()} names no structures; pick a segmentation or a label map")
    for role, node in ((CT, ct), (LANDMARKS, landmarks), (LABELS, labels)):
        hold(scene, role, node)
    return PatientNodes(ct, landmarks, labels)


def patient_of(scene):
    """The patient. Raises CArmError if there is none, or his CT was deleted."""
    ct = held(scene, CT)
    if ct is None:
        raise CArmError(f"there is no CT; {PICK}")
    voxels_of(ct)
    return PatientNodes(ct, held(scene, LANDMARKS), held(scene, LABELS))


def warnings_of(scene):
    """What is missing or looks wrong, a sentence each, for the panel."""
    try:
        patient = patient_of(scene)
        names, points = points_of(patient.landmarks)
    except CArmError as error:
        return [str(error)]
    said: list[str] = []
    if not names:
        said.append("no landmarks: angles are the table's, not the pelvis's; load, place or find them")
    elif missing := _missing(names):
        said.append(
            f"{len(missing)} landmarks of the hip are not known, and not labelled in X-rays: {', '.join(missing)}"
        )
    if patient.labels is None:
        said.append("no segmentation: no outlines and no masks, and landmarks cannot be found")
    inside = _inside(patient.ct, points)
    if names and not inside.any():
        said.append(f"none of {len(names)} landmarks lies in the CT: do they belong to it?")
    elif not inside.all():
        said.append(f"{int((~inside).sum())} of {len(names)} landmarks lie outside the CT")
    placed = dict(zip(names, points))
    for name in names:
        twin = name.replace("left_", "right_", 1)
        if name.startswith("left_") and twin in placed and placed[name][0] > placed[twin][0]:
            said.append(f"{name} lies to the right of its twin: is the list mirrored?")
            break
    return said


def _missing(names):
    """Those of the hip task that are not among them; nothing where there is no core to say."""
    try:
        need_core()
    except CoreMissing:
        return []
    from skiagraph.anatomy import LANDMARK_NAMES

    return [name.replace("_", " ") for name in LANDMARK_NAMES if name not in names]


def _inside(ct, points):
    there = np.linalg.inv(ijk_to_ras(ct))
    ijk = points @ there[:3, :3].T + there[:3, 3]
    return ((ijk >= -0.5) & (ijk <= np.array(ct.GetImageData().GetDimensions()) - 0.5)).all(axis=1)


# Bodies that come from elsewhere, as requests to `skiagraph run`: in this process, or better in one of its own


def phantom_request(folder, spacing=1.5, seed=None, sex=None, tilt=None):
    """A body the project makes itself, into a folder; the average adult without a seed."""
    request = {"task": "body", "output": str(folder), "spacing": spacing, "seed": seed, "sex": sex, "tilt": tilt}
    return {name: value for name, value in request.items() if value is not None}


def generate_request(output, seed=0, sex=None, tilt=None, size=None, bone=None, girth=None, steps=None, bundle=None):
    """A CT out of the generator, to a file; `size` is the millimetres between the femoral heads.

    `bundle` is the folder of a generator trained elsewhere; that which comes with the core if not given.
    """
    request = {
        "task": "generate-ct", "output": str(output), "seed": seed, "sex": sex, "tilt": tilt, "head_distance": size,
        "bone": bone, "girth": girth, "steps": steps, "bundle": None if bundle is None else str(bundle),
    }  # fmt: skip
    return {name: value for name, value in request.items() if value is not None}


def run(request, report=None):
    """Do what a request asks for, in this process; the files written."""
    need_core()
    from skiagraph.tasks.request import task_from
    from skiagraph.tasks.task import perform, silent

    return perform(task_from(request), report or silent)


def import_body(scene, path):
    """A body's files as nodes, made the patient: a phantom's folder, or a CT with what stands beside it."""
    need_core()
    from skiagraph.io.files import stem_of, suffix_of
    from skiagraph.io.patient import CT_NAME, Patient

    path = Path(path)
    if not path.exists():
        raise CArmError(f"there is nothing at {path}; it may have been cancelled, or moved")
    labels = landmarks = None
    if not (path.is_dir() and (path / CT_NAME).is_file()) and path.is_file():
        labels = path.with_name(f"{stem_of(path)}{LABELS_ENDING}{suffix_of(path)}")
        landmarks = path.with_name(f"{stem_of(path)}.mrk.json")
    patient = Patient.read(path, *(one if one is not None and one.is_file() else None for one in (labels, landmarks)))
    name = path.name if path.is_dir() else stem_of(path)
    ct = show_volume(scene, patient.volume, name)
    ct.GetDisplayNode().SetAutoWindowLevel(False)
    ct.GetDisplayNode().SetWindowLevel(800.0, 200.0)
    points = show_landmarks(scene, patient.landmarks, f"{name} landmarks") if patient.landmarks.names else None
    anatomy = None if patient.labels is None else show_labels(scene, patient.labels, f"{name} labels")
    for node in (points, anatomy):
        if node is not None:
            file_under(scene, node, ct)
    return set_patient(scene, ct, points, anatomy)


def sample_body(scene, spacing=2.0, seed=None):
    """The phantom, made here and now."""
    with tempfile.TemporaryDirectory() as folder:
        run(phantom_request(Path(folder) / "phantom", spacing, seed))
        return import_body(scene, Path(folder) / "phantom")


# Landmarks


def write_patient(folder, volume, labels, landmarks):
    """The patient's files in a folder that every command of the core takes for a CT."""
    need_core()
    from skiagraph.io import volumes
    from skiagraph.io.markups import write_landmarks
    from skiagraph.io.patient import CT_NAME, LABELS_NAME, LANDMARKS_NAME

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / CT_NAME]
    volumes.write_volume(files[0], volume)
    if labels is not None:
        files.append(folder / LABELS_NAME)
        volumes.write_labels(files[-1], labels)
    if landmarks.names:
        files.append(folder / LANDMARKS_NAME)
        write_landmarks(files[-1], landmarks)
    return files


def import_landmarks(scene, path):
    """Points from a file, made the patient's."""
    need_core()
    from skiagraph.io.markups import read_landmarks

    ct = patient_of(scene).ct
    points = show_landmarks(scene, read_landmarks(Path(path)), f"{ct.GetName()} landmarks")
    return _take_points(scene, ct, points)


def import_found(scene, path, ct):
    """Points from a file that were found on a CT in the world, made the patient's if it is his; they move with it."""
    need_core()
    from skiagraph.io.markups import read_landmarks

    return _take_points(scene, ct, show_landmarks(scene, read_landmarks(Path(path)), "", node=_points_on(scene, ct)))


def landmarks_to_place(scene, names):
    """The patient's points, with those of these names that he has not, placed nowhere; a new list if he has none."""
    ct, points = patient_of(scene).ct, held(scene, LANDMARKS)
    if points is None:
        points = _points_on(scene, ct)
        points.CreateDefaultDisplayNodes()
    known = {points.GetNthControlPointLabel(number) for number in range(points.GetNumberOfControlPoints())}
    for name in [name for name in names if name not in {_canonical(one) for one in known}]:
        points.UnsetNthControlPointPosition(points.AddControlPoint(vtk.vtkVector3d(0.0, 0.0, 0.0), name))
    points.SetFixedNumberOfControlPoints(True)
    return _take_points(scene, ct, points)


def _canonical(name):
    from skiagraph.anatomy import canonical

    return canonical(name)


def _points_on(scene, ct):
    """An empty list of points that moves with a CT."""
    points = add(scene, "vtkMRMLMarkupsFiducialNode", f"{ct.GetName()} landmarks")
    points.SetAndObserveTransformNodeID(ct.GetTransformNodeID())
    return points


def find_landmarks(scene, labels):
    """The 14 landmarks on the patient's labelled hip bones; each says how far off it may be."""
    from skiagraph.bodies.annotation import WANTED, annotate

    ct = patient_of(scene).ct
    if labels is None:
        raise CArmError(f"landmarks are found on labelled hip bones; {WANTED}")
    found = annotate(labels)
    return _take_points(scene, ct, show_landmarks(scene, found.supported, "", found.words, _points_on(scene, ct)))


def _take_points(scene, ct, points):
    file_under(scene, points, ct)
    if ct is held(scene, CT):
        hold(scene, LANDMARKS, points)
    return points
