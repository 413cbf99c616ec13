"""Real X-rays in the scene: their geometry, their points, and the CT in them."""

import numpy as np
import pytest
import torch

pytest.importorskip("slicer_core", reason="no slicer-core; make test-slicer runs these tests")

from VirtualCArmLib import convert, radiographs, shots
from VirtualCArmLib.errors import CArmError
from VirtualCArmLib.home import matrix

from skiagraph.io.markups import read_keypoints
from skiagraph.io.patient import Patient
from skiagraph.io.pictures import write_picture
from skiagraph.volume import Landmarks

NAMES = (
    "left_femoral_head", "right_femoral_head", "left_anterior_superior_iliac_spine",
    "right_anterior_superior_iliac_spine", "left_superior_pubic_symphysis", "right_greater_sciatic_notch",
)  # fmt: skip


@pytest.fixture
def taken(logic, patient, tmp_path):
    """A shot of the patient as a file, with its record and as a bare picture."""
    logic.aim(view="ap")
    node = logic.shoot(columns=192)
    logic.export_shot(node, tmp_path / "xray.png")
    write_picture(tmp_path / "bare.png", shots.shot_of(node).shown)
    return node, tmp_path


def put(logic, scene, xray, shot, names=NAMES, off=(0.0, 0.0)):
    """The true points of a shot on an X-ray of it."""
    keypoints = shots.record_of(shot).keypoints
    points = {
        name: ((keypoints.uv[keypoints.names.index(name)] + torch.tensor(off)).tolist(), 0.9, True) for name in names
    }
    return radiographs.show_keypoints(scene, xray, points)


def test_an_xray_that_tells_its_geometry_lies_where_it_was_taken(logic, taken):
    shot, folder = taken
    xray = logic.load_xray(folder / "xray.png")
    np.testing.assert_allclose(convert.ijk_to_ras(xray), convert.ijk_to_ras(shot), atol=1e-6)
    assert radiographs.view_of(xray).size == (192, 192)


def test_a_dicom_of_ours_tells_all_and_its_bone(logic, taken):
    shot, folder = taken
    logic.export_shot(shot, folder / "other.dcm")
    xray = logic.load_xray(folder / "other.dcm")
    np.testing.assert_allclose(convert.ijk_to_ras(xray), convert.ijk_to_ras(shot), atol=1e-6)
    assert xray.GetAttribute(radiographs.BONE) == "bright"


def test_a_dicom_of_others_looks_at_the_middle_of_the_patient(logic, scene, patient, taken):
    from pydicom import dcmread

    shot, folder = taken
    above = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "far")
    above.SetMatrixTransformToParent(matrix([[1, 0, 0, 200], [0, 1, 0, 50], [0, 0, 1, -300], [0, 0, 0, 1]]))
    for node in (patient.ct, patient.landmarks, patient.labels):
        node.SetAndObserveTransformNodeID(above.GetID())
    logic.export_shot(shot, folder / "theirs.dcm")
    dataset = dcmread(folder / "theirs.dcm")
    dataset.remove_private_tags()
    dataset.save_as(folder / "theirs.dcm")
    (folder / "theirs.json").unlink()
    view = radiographs.view_of(logic.load_xray(folder / "theirs.dcm"))
    known = Patient(convert.volume_of(patient.ct), convert.labels_of(patient.labels, patient.ct), Landmarks.of({}))
    assert (view.project(known.center[None])[0] - 95.5).abs().max() < 1e-3


def test_without_a_pixel_size_it_is_asked_for_and_then_all_is_as_if_told(logic, scene, taken):
    shot, folder = taken
    xray = logic.load_xray(folder / "bare.png")
    with pytest.raises(CArmError, match="how large a pixel is"):
        logic.register(xray)
    with pytest.raises(CArmError, match="millimetres between pixels"):
        logic.set_xray_geometry(xray)
    points = put(logic, scene, xray, shot)
    before = radiographs.pixels_of(xray)[1]
    now = logic.jump_to_shot(shot)
    logic.set_xray_geometry(
        xray, primary=now.primary, secondary=now.secondary, isocenter=now.isocenter, pixel_spacing=0.28 * 8
    )
    np.testing.assert_allclose(convert.ijk_to_ras(xray), convert.ijk_to_ras(shot), atol=1e-4)
    np.testing.assert_allclose(radiographs.pixels_of(xray)[1], before, atol=1e-6)
    assert points is logic.keypoints_of(xray)


def test_points_go_to_a_file_and_are_the_same_pixels(logic, scene, taken):
    shot, folder = taken
    for name in ("bare.png", "xray.png"):
        xray = logic.load_xray(folder / name)
        put(logic, scene, xray, shot)
        found = read_keypoints(logic.export_keypoints(xray, folder / f"{name}.points.json"))
        np.testing.assert_allclose(found.uv.numpy(), radiographs.pixels_of(xray)[1], atol=1e-6)
        view = radiographs.view_of(xray) if name == "xray.png" else None
        slicers = read_keypoints(logic.export_keypoints(xray, folder / f"{name}.mrk.json"), view=view)
        np.testing.assert_allclose(slicers.uv.numpy(), radiographs.pixels_of(xray)[1], atol=1e-6)


def test_detected_points_lie_on_the_picture_and_say_how_sure_they_are(logic, patient, taken):
    shot, folder = taken
    logic.aim(view="ap")
    xray = logic.load_xray(folder / "xray.png")
    node = logic.detect(xray)
    assert node.GetNumberOfControlPoints() == 14
    confidence = [float(node.GetNthControlPointDescription(n).split()[1]) for n in range(14)]
    assert [bool(node.GetNthControlPointSelected(n)) for n in range(14)] == [one > 0.5 for one in confidence]
    truth = shots.record_of(shot).keypoints
    names, uv = radiographs.pixels_of(xray)
    off = [np.linalg.norm(at - truth.uv[truth.names.index(name)].numpy()) for name, at in zip(names, uv)]
    assert np.median(off) < 0.05 * 192


def test_the_ct_is_found_where_the_xray_saw_it(logic, scene, patient, taken):
    shot, folder = taken
    xray = logic.load_xray(folder / "xray.png")
    put(logic, scene, xray, shot)
    pose = np.eye(4)
    pose[:3, :3] = [[0.995, -0.0998, 0], [0.0998, 0.995, 0], [0, 0, 1]]
    pose[:3, 3] = 6.0, -4.0, 8.0
    above = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "elsewhere")
    above.SetMatrixTransformToParent(matrix(pose))
    for node in (patient.ct, patient.landmarks, patient.labels):
        node.SetAndObserveTransformNodeID(above.GetID())
    found = logic.register(xray)
    assert found.trusted and set(found.used) == set(NAMES)
    assert found.rms_px < 1.5
    assert "6 landmarks" in found.words
    logic.apply_registration(xray)
    back = convert.world_from(patient.ct)
    assert np.abs(back[:3, 3]).max() < 6, "depth along the beam is what one view knows least"
    assert np.abs(back[:3, :3] - np.eye(3)).max() < 0.02
    again = logic.register(xray)
    assert again.transform is found.transform and again.overlay is found.overlay
    logic.delete_xray(xray)
    assert patient.ct.GetParentTransformNode() is not None


def test_a_pose_that_landmarks_contradict_is_not_trusted(logic, scene, patient, taken, monkeypatch):
    from skiagraph.register import image

    shot, folder = taken
    xray = logic.load_xray(folder / "xray.png")
    put(logic, scene, xray, shot)
    for aside, believed in ((0.0, True), (60.0, False)):
        motion = torch.eye(4, dtype=torch.float64)
        motion[2, 3] = aside
        monkeypatch.setattr(image, "register", lambda *_, m=motion: image.Registration(m, 0.9, 0.5, 1))
        found = logic.register(xray)
        assert found.trusted == believed and ("do not trust" in found.words) != believed


def test_what_is_no_xray_is_refused_in_words(logic, scene, patient, tmp_path):
    from skiagraph.errors import DataError

    with pytest.raises(DataError):
        logic.load_xray(tmp_path / "none.png")
    for node in (None, patient.ct):
        with pytest.raises(CArmError, match="is no X-ray"):
            logic.detect(node)
    write_picture(tmp_path / "grey.png", torch.full((20, 30), 0.5))
    grey = logic.load_xray(tmp_path / "grey.png")
    with pytest.raises(DataError, match="one grey all over"):
        logic.detect(grey)
    assert logic.keypoints_of(grey) is None
    with pytest.raises(CArmError, match="bright or dark"):
        logic.set_bone(grey, "pink")
    with pytest.raises(CArmError, match="not registered yet"):
        logic.apply_registration(grey)
