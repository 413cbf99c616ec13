"""The front door: what a user types, what he gets, and what he is told when it cannot be."""

import json
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from PIL import Image

from skiagraph.bodies import Person, build
from skiagraph.cli import main
from skiagraph.drr.engines import ENGINES, runnable
from skiagraph.geometry import View, float64, rigid, rotation, transform
from skiagraph.io.markups import read_keypoints, read_landmarks
from skiagraph.io.patient import Patient, write_body
from skiagraph.io.records import read_record
from skiagraph.io.volumes import read_labels, write_labels
from skiagraph.tasks.request import task_from
from skiagraph.volume import Body, Labels

SMALL = ["--size", "96"]


@pytest.fixture(scope="module")
def patient(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("patient")
    write_body(folder, build(Person(), spacing=5.0))
    return folder


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def run(*arguments: object) -> None:
    main([str(argument) for argument in arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as exit_:
        run(*arguments)
    assert exit_.value.code == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1, said
    return said


def test_a_collimated_render_has_lead_and_no_labels_behind_its_leaves(patient, tmp_path):
    """The right half of the 430 mm panel is covered: there the patient's left is."""
    flags = ["--fidelity", "naive", *SMALL]
    run("render", patient, tmp_path / "whole.tiff", *flags)
    run("render", patient, tmp_path / "half.tiff", *flags, "--collimation", "0", "0", "0", "215.04")
    whole, half = (pixels(tmp_path / f"{name}.tiff") for name in ("whole", "half"))
    np.testing.assert_array_equal(half[:, :48], whole[:, :48])
    assert len(np.unique(half[:, 48:])) == 1 and half[0, 95] < 1e-3
    record = read_record(tmp_path / "half.json")
    seen = [name for name, one in zip(record.keypoints.names, record.keypoints.visible.tolist()) if one]
    assert seen and not any(name.startswith("left") for name in seen)
    assert record.extra["window"] == [0, 96, 0, 48]
    assert not pixels(tmp_path / "half_masks" / "left_femur.png").any()


def test_render_leaves_a_picture_its_record_its_markups_and_its_masks(patient, tmp_path):
    run("render", patient, tmp_path / "inlet.png", "--view", "inlet", *SMALL)
    assert pixels(tmp_path / "inlet.png").shape == (96, 96)
    said = json.loads((tmp_path / "inlet.json").read_text(encoding="utf-8"))
    assert said["device"] == "generic"
    assert said["view"]["size"] == [96, 96]
    matrix = float64(said["pixel_from_world"])
    landmarks = read_landmarks(patient / "landmarks.mrk.json")
    for mark in said["landmarks"]:
        pixel = matrix @ torch.cat([landmarks[mark["name"]], torch.ones(1, dtype=torch.float64)])
        assert mark["uv"] == pytest.approx((pixel[:2] / pixel[2]).tolist(), abs=1e-6)
        assert mark["visible"] is True
    points = read_keypoints(tmp_path / "inlet.mrk.json", view=read_record(tmp_path / "inlet.json").view)
    assert float64([mark["uv"] for mark in said["landmarks"]]).sub(points.uv).abs().max() < 1e-3
    masks = {path.stem: pixels(path) for path in (tmp_path / "inlet_masks").iterdir()}
    assert len(masks) == 6
    assert all(mask.shape == (96, 96) and mask.any() for mask in masks.values())
    assert json.loads((tmp_path / "inlet.run.json").read_text(encoding="utf-8"))["request"]["view"] == "inlet"
    assert not list(tmp_path.glob(".part*"))


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".tiff"])
def test_measurements_hold_transmission(patient, tmp_path, ending):
    path = tmp_path / f"ap{ending}"
    run("render", patient, path, "--fidelity", "naive", *SMALL)
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).squeeze()
    assert values.dtype == np.float32
    assert values.shape == (96, 96)
    assert 0 < values.min() < 0.1
    assert values.max() <= 1


def test_a_dicom_x_ray_says_where_it_was_taken_and_that_it_is_synthetic(patient, tmp_path):
    run("render", patient, tmp_path / "x.dcm", "--primary", "30", "--secondary", "-10", *SMALL)
    file = pydicom.dcmread(tmp_path / "x.dcm")
    assert (file.PositionerPrimaryAngle, file.PositionerSecondaryAngle) == (30, -10)
    assert file.DistanceSourceToDetector == 1200
    assert "SYNTHETIC" in file.ImageType
    run("project", tmp_path / "x.dcm", tmp_path / "again.json", "--landmarks", patient / "landmarks.mrk.json")
    first, again = read_record(tmp_path / "x.json"), read_record(tmp_path / "again.json")
    assert (first.keypoints.uv - again.keypoints.uv).abs().max() < 1e-6
    assert (tmp_path / "again_overlay.png").is_file()


def test_the_same_seed_is_the_same_picture_and_bone_can_be_dark(patient, tmp_path):
    for name, more in (("a", []), ("b", []), ("c", ["--seed", "5"]), ("d", ["--bone", "dark"])):
        run("render", patient, tmp_path / f"{name}.png", *SMALL, *more)
    a, b, c, d = (pixels(tmp_path / f"{name}.png").astype(int) for name in "abcd")
    assert (a == b).all()
    assert (a != c).any()
    assert np.abs(a + d - 65535).max() <= 1


def test_views_are_planned_as_table_json_and_picture(patient, tmp_path, capsys):
    run("views", patient, tmp_path, "--device", "cios-fusion")
    content = json.loads((tmp_path / "views.json").read_text(encoding="utf-8"))
    assert {"ap", "inlet", "outlet", "left_teardrop", "right_lateral"} <= {view["name"] for view in content["views"]}
    out_of_reach = {view["name"] for view in content["views"] if not view["in_reach"]}
    assert "left_lateral" in out_of_reach, "a planned view out of reach says so"
    assert pixels(tmp_path / "views.png").shape[1] > 500
    assert "tilt" in capsys.readouterr().out


def test_a_request_is_the_command_and_a_run_can_be_run_again(patient, tmp_path):
    run("render", patient, tmp_path / "a.tiff", "--view", "outlet", *SMALL)
    request = {
        "task": "render",
        "volume": str(patient),
        "output": str(tmp_path / "b.tiff"),
        "view": "outlet",
        "size": 96,
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    run("run", tmp_path / "request.json")
    first = (tmp_path / "a.tiff").read_bytes()
    assert (tmp_path / "b.tiff").read_bytes() == first
    (tmp_path / "a.tiff").unlink()
    run("run", tmp_path / "a.run.json")
    assert (tmp_path / "a.tiff").read_bytes() == first


def test_every_engine_takes_the_same_picture(patient, tmp_path):
    pictures = []
    for engine in runnable():
        run("render", patient, tmp_path / f"{engine}.tiff", "--engine", engine, "--fidelity", "naive", *SMALL)
        pictures.append(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"{engine}.tiff"))))
    for other in pictures[1:]:
        assert np.abs(other - pictures[0]).max() < 1e-4


def test_the_demo_leaves_views_labels_and_a_report(patient, tmp_path):
    run("demo", "--output", tmp_path, "--ct", patient, *SMALL)
    shown = sorted(path.stem for path in tmp_path.glob("*.dcm"))
    assert len(shown) >= 5
    for name in shown:
        assert all((tmp_path / f"{name}{ending}").is_file() for ending in (".png", ".json", ".mrk.json"))
        assert (tmp_path / f"{name}_masks").is_dir()
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == len(shown) + 3
    assert "http" not in page.replace("http-equiv", ""), "the report needs nothing from elsewhere"
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["task"] == "demo"
    run("demo", "--output", tmp_path, "--body", "parametric", "--spacing", "6", "--size", "64")
    assert pixels(tmp_path / "ap.png").shape == (64, 64), "the demo can be made again in its own folder"


def test_body_writes_a_patient_that_other_commands_take(tmp_path):
    run("body", tmp_path / "p", "--seed", "3", "--spacing", "6", "--sex", "male")
    patient = Patient.read(tmp_path / "p")
    assert len(patient.landmarks.names) == 14
    assert patient.labels is not None
    assert len(patient.labels.names) == 6
    run("render", tmp_path / "p", tmp_path / "x.png", "--view", "left_hip_ap", *SMALL)


def test_devices_are_listed_with_their_sources(capsys):
    run("devices")
    said = " ".join(capsys.readouterr().out.split())
    assert "cios-fusion" in said
    assert "DeepDRR" in said


def test_a_ct_is_found_again_in_its_x_ray(patient, tmp_path):
    known = Patient.read(patient)
    motion = rigid(rotation("z", 6) @ rotation("x", -5), known.center, float64([8.0, 20.0, -6.0]))
    assert known.labels is not None
    moved = known.moved(motion)
    write_body(tmp_path / "moved", Body(moved.volume, moved.labels, moved.landmarks))
    run("render", tmp_path / "moved", tmp_path / "x.dcm", "--target", "0", "0", "0", "--size", "128")
    marks = ("--landmarks", patient / "landmarks.mrk.json", "--keypoints", tmp_path / "x.mrk.json")
    run("register", patient, tmp_path / "x.dcm", tmp_path / "found.json", *marks)
    said = json.loads((tmp_path / "found_pose.json").read_text(encoding="utf-8"))
    points = known.landmarks.points
    apart = transform(float64(said["world_from_body"]), points) - transform(motion, points)
    assert said["trusted"]
    assert said["landmarks"]["rms_px"] < 0.01
    assert apart.norm(dim=1).mean() < 1.5, "millimetres, on voxels of five"
    seen, truth = read_record(tmp_path / "found.json").keypoints, read_record(tmp_path / "x.json").keypoints
    assert (seen.uv - truth.uv).abs().max() < 0.5


def test_engines_say_whether_this_machine_can_run_them(capsys):
    run("engines")
    said = " ".join(capsys.readouterr().out.split())
    assert all(name in said for name in ENGINES)


def test_what_a_user_can_put_right_is_one_line_and_exit_code_2(patient, tmp_path, capsys):
    out = tmp_path / "x.png"
    assert "nothing at" in refused(capsys, "render", tmp_path / "none.nii.gz", out)
    assert "end it in one of" in refused(capsys, "render", patient, tmp_path / "x.gif")
    assert "no standard view" in refused(capsys, "render", patient, out, "--view", "sideways")
    assert "not both" in refused(capsys, "render", patient, out, "--view", "ap", "--primary", "3")
    assert "give -180..180" in refused(capsys, "render", patient, out, "--primary", "200")
    reach = refused(capsys, "render", patient, out, "--device", "cios-fusion", "--primary", "90")
    assert "cannot reach LAO 90" in reach
    assert "nearest" in reach
    assert "inside the body" in refused(capsys, "render", patient, out, "--target", "0", "-1000", "0")
    assert "no meaning" in refused(capsys, "render", patient, out, "--fidelity", "naive", "--kvp", "70")
    assert "nothing open" in refused(capsys, "render", patient, out, "--collimation", "300", "300", "0", "0")
    assert "nothing to project" in refused(capsys, "project", out, out)
    assert "give 0.5 to 6" in refused(capsys, "body", tmp_path / "b", "--spacing", "0.01")
    assert not [path for path in tmp_path.iterdir() if path.is_file()], "nothing half-written is left"


def test_flags_that_are_wrong_are_one_line_too(capsys):
    assert "--size" in refused(capsys, "render", "a", "b.png", "--size", "abc")
    assert "bogus" in refused(capsys, "render", "a", "b.png", "--bogus", "1")
    assert "PATH" in refused(capsys, "render")


def test_labels_of_an_earlier_picture_do_not_stay_beside_a_new_one(patient, tmp_path):
    run("render", patient, tmp_path / "x.png", *SMALL)
    assert (tmp_path / "x.mrk.json").is_file()
    assert (tmp_path / "x_masks").is_dir()
    run("render", patient / "ct.nii.gz", tmp_path / "x.png", *SMALL)
    assert not (tmp_path / "x.mrk.json").exists()
    assert not (tmp_path / "x_masks").exists()


def test_two_pictures_of_one_stem_are_of_one_view(patient, tmp_path, capsys):
    run("render", patient, tmp_path / "x.png", "--primary", "30", *SMALL)
    run("render", patient, tmp_path / "x.dcm", "--primary", "30", *SMALL)
    before = (tmp_path / "x.json").read_bytes()
    said = refused(capsys, "render", patient, tmp_path / "x.nrrd", *SMALL)
    assert "another view" in said
    assert (tmp_path / "x.json").read_bytes() == before
    assert "own labels" in refused(
        capsys, "project", tmp_path / "x.png", tmp_path / "x.json", "--labels", patient / "labels.nii.gz"
    )


def test_a_label_set_is_written_whole_or_not_at_all(patient, tmp_path, capsys, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skiagraph.tasks.shot.write_mask", full)
    assert "No space left" in refused(capsys, "render", patient, tmp_path / "x.png", *SMALL)
    assert not list(tmp_path.iterdir())


def test_a_mirrored_or_an_empty_set_of_landmarks_is_refused(patient, tmp_path, capsys):
    content = read_landmarks(patient / "landmarks.mrk.json")
    for name, points, expected in (
        ("ras", {n: [-p[0], -p[1], p[2]] for n, p in zip(content.names, content.points.tolist())}, "in RAS"),
        ("none", {}, "no landmark"),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(points))
        arguments = ("render", patient / "ct.nii.gz", tmp_path / "x.png", "--landmarks", tmp_path / f"{name}.json")
        assert expected in refused(capsys, *arguments)


def test_a_crop_of_labels_is_put_in_its_place(patient, tmp_path):
    whole = read_labels(patient / "labels.nii.gz")
    k, j, i = whole.grid.shape
    box = (slice(10, k), slice(3, j - 2), slice(0, i - 4))
    crop = Labels(whole.index[box], whole.grid.cropped(box), whole.names)
    write_labels(tmp_path / "crop.nii.gz", crop)
    found = Patient.read(patient / "ct.nii.gz", labels=tmp_path / "crop.nii.gz").labels
    assert found is not None
    assert (found.index[box] == whole.index[box]).all()


def test_a_beam_that_misses_is_refused(patient, tmp_path, capsys):
    said = refused(capsys, "render", patient, tmp_path / "x.png", "--target", "1e6", "0", "0", *SMALL)
    assert "misses the CT" in said


def test_cancelling_leaves_with_130_and_nothing_behind(patient, tmp_path, monkeypatch):
    def cancel(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("skiagraph.tasks.shot.write_mask", cancel)
    monkeypatch.setattr("os._exit", sys.exit)
    with pytest.raises(SystemExit) as exit_:
        run("render", patient, tmp_path / "x.png", *SMALL)
    assert exit_.value.code == 130
    assert not list(tmp_path.iterdir())


def test_a_request_that_is_wrong_says_where(tmp_path, capsys):
    for content, expected in (
        ({"task": "fly"}, "one of render"),
        ({"task": ["render"]}, "one of render"),
        ({"task": "render", "request": 5}, "a table of fields"),
        ({"task": "body", "output": "b", "seed": 10**30}, "seed"),
        ({"task": "render", "volume": "a", "output": "b.png", "colour": 1}, "no colour"),
        ({"task": "render", "volume": "a", "output": "b.png", "size": "big"}, "size"),
        ([1], "a request such as"),
    ):
        (tmp_path / "r.json").write_text(json.dumps(content))
        assert expected in refused(capsys, "run", tmp_path / "r.json")
    assert task_from({"task": "devices"}).command == "devices"


def test_labels_on_another_grid_are_refused(patient, tmp_path, capsys):
    other = tmp_path / "other"
    run("body", other, "--spacing", "6")
    said = refused(capsys, "render", patient / "ct.nii.gz", tmp_path / "x.png", "--labels", other / "labels.nii.gz")
    assert "resample them" in said


def test_landmarks_of_another_patient_are_refused(patient, tmp_path, capsys):
    (tmp_path / "l.json").write_text(json.dumps({"FH-l": [5000, 0, 0]}))
    said = refused(capsys, "render", patient / "ct.nii.gz", tmp_path / "x.png", "--landmarks", tmp_path / "l.json")
    assert "coordinate system" in said


def test_the_recorded_view_is_the_view(patient, tmp_path):
    run("render", patient, tmp_path / "x.png", "--primary", "12", "--secondary", "7", "--roll", "20", *SMALL)
    record = read_record(tmp_path / "x.json")
    matrix = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["pixel_from_world"]
    twin = View.from_matrix(float64(matrix), record.view.size, record.view.pixel_spacing[1])
    assert (twin.source - record.view.source).abs().max() < 1e-6
    assert (twin.origin - record.view.origin).abs().max() < 1e-6


def test_a_program_reads_progress_and_files_as_lines_of_json(patient, tmp_path, capsys):
    run("--progress", "json", "render", patient, tmp_path / "ap.png", "--view", "ap", *SMALL)
    *steps, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert [step["done"] for step in steps] == [0, 1, 2, 3]
    assert all(step["total"] == 3 and step["doing"] for step in steps)
    assert str(tmp_path / "ap.png") in last["files"]


def test_a_program_that_reads_progress_is_told_errors_as_everybody_is(tmp_path, capsys):
    assert "give a CT" in refused(capsys, "--progress", "json", "render", tmp_path / "none.nii.gz", tmp_path / "x.png")
