"""What `skiagraph data check` says of a folder, and that what it recognises is what `make-samples` takes."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from slices import write_slice

from skiagraph.anatomy import LANDMARKS, STRUCTURE_INDEX
from skiagraph.bodies import Person, build
from skiagraph.carm import CIOS_FUSION
from skiagraph.cli import main
from skiagraph.factory.reading import SampleSet
from skiagraph.factory.subjects import stored
from skiagraph.geometry import rigid, rotation
from skiagraph.io.datasets import deepfluoro
from skiagraph.io.markups import read_landmarks, write_landmarks
from skiagraph.io.patient import write_body
from skiagraph.io.volumes import write_volume
from skiagraph.volume import Body, Labels, Landmarks

ALIASES = {term.name: term.alias for term in LANDMARKS}


@pytest.fixture(scope="module")
def body() -> Body:
    return build(Person(), spacing=6.0)


@pytest.fixture
def patient(tmp_path, body) -> Path:
    write_body(tmp_path / "patient", body)
    return tmp_path / "patient"


@pytest.fixture
def fluoro(tmp_path, body) -> Path:
    """DeepFluoro's file of one body: two X-rays, the second upside down, the left femur flexed by 10 degrees."""
    path, size = tmp_path / "ipcai_2020_full_res_data.h5", (424, 424)
    device = CIOS_FUSION.with_pixels(424)
    flexed = rigid(rotation("x", -10.0), body.landmarks["left_femoral_head"])
    with h5py.File(path, "w") as file:
        home = file.create_group("18-1109")
        for name, pixels in (("vol", body.volume.hu.numpy()), ("vol-seg/image", body.labels.index.numpy())):
            group = home.create_group(name)
            group["pixels"], group["dir-mat"] = pixels, body.volume.grid.direction.numpy()
            group["origin"] = body.volume.grid.origin.numpy()[:, None]
            group["spacing"] = np.array(body.volume.grid.spacing)[:, None]
        for name, point in zip(body.landmarks.names, body.landmarks.points.numpy()):
            home[f"vol-landmarks/{ALIASES[name]}"] = point[:, None]
        for number, angle in enumerate((0.0, 20.0)):
            view = device.aimed_at(body.landmarks["left_femoral_head"], angle, roll=180.0 * number)
            k, r, t = view.krt()
            if number == 0:
                pose = np.eye(4)
                pose[:3, :3], pose[:3, 3] = r, t
                file["proj-params/intrinsic"], file["proj-params/extrinsic"] = k.numpy(), pose
                file["proj-params/num-rows"], file["proj-params/num-cols"] = size
                spacing = view.pixel_spacing
                file["proj-params/pixel-row-spacing"], file["proj-params/pixel-col-spacing"] = spacing
            camera = np.eye(4)
            camera[:3, :3], camera[:3, 3] = r, t
            pelvis_from_world = np.linalg.inv(camera) @ file["proj-params/extrinsic"][()]
            shot = home.create_group(f"projections/{number:03d}")
            shot["image/pixels"] = np.random.default_rng(0).integers(0, 60000, size).astype(np.uint16)
            shot["gt-seg/pixels"] = np.ones(size, dtype=np.uint8)
            shot["rot-180-for-up"] = number
            shot["gt-poses/cam-to-pelvis-vol"] = pelvis_from_world
            shot["gt-poses/cam-to-left-femur-vol"] = np.linalg.inv(flexed.numpy()) @ pelvis_from_world
            shot["gt-poses/left-femur-good-fov"] = 1
            shot["gt-poses/right-femur-good-fov"] = 0
            for name, uv in zip(body.landmarks.names, view.project(body.landmarks.points).numpy()):
                shot[f"gt-landmarks/{ALIASES[name]}"] = uv.astype(np.float32)[:, None]
    return path


def said(capsys, *arguments: object, code: int = 0) -> str:
    if code:
        with pytest.raises(SystemExit) as exit_:
            main(["data", "check", *map(str, arguments)])
        assert exit_.value.code == code
    else:
        main(["data", "check", *map(str, arguments)])
    streams = capsys.readouterr()
    return streams.out + streams.err


def test_a_body_is_said_to_be_one_with_all_that_is_known_of_it(capsys, patient):
    out = said(capsys, patient)
    assert "is a body" in out and "labels of left_femur in 1" in out and "landmarks in 1" in out
    assert "nothing is wrong" in out and "make-samples --bodies" in out


def test_a_mirrored_body_is_wrong(capsys, patient, body):
    swapped = {1: "right_hemipelvis", 2: "left_hemipelvis"}
    names = {number: swapped.get(number, name) for number, name in body.labels.names.items()}
    write_body(patient, Body(body.volume, Labels(body.labels.index, body.labels.grid, names), body.landmarks))
    assert "left_hemipelvis lies to the right of its twin" in said(capsys, patient, code=1)


def test_landmarks_of_another_ct_are_wrong(capsys, patient):
    path = patient / "landmarks.mrk.json"
    points = read_landmarks(path)
    write_landmarks(path, Landmarks(points.names, points.points + 130.0))
    assert "landmarks lie outside the CT" in said(capsys, patient, code=1)


def test_names_that_are_not_ours_are_wrong(capsys, patient, body):
    names = {number: f"thing {number}" for number in body.labels.names}
    write_body(patient, Body(body.volume, Labels(body.labels.index, body.labels.grid, names), body.landmarks))
    assert "name their numbers in the .json" in said(capsys, patient, code=1)


def test_a_folder_of_cts_and_loose_labels_says_how_to_name_them(capsys, tmp_path, body):
    write_volume(tmp_path / "cts" / "a.nii.gz", body.volume)
    write_body(tmp_path / "made", body)
    for ending in (".nii.gz", ".json"):
        (tmp_path / "made" / f"labels{ending}").rename(tmp_path / "cts" / f"a_seg{ending}")
    out = said(capsys, tmp_path / "cts")
    assert "is CTs" in out and "bodies      1" in out and "a_seg.nii.gz labels" in out and "CT_labels.nii.gz" in out


def test_pictures_without_spacing_and_with_points_beside_them(capsys, tmp_path):
    (tmp_path / "x").mkdir()
    Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30)).save(tmp_path / "x" / "a.png")
    out = said(capsys, tmp_path / "x")
    assert "X-ray pictures" in out and "1 of 1 radiographs have no pixel spacing" in out
    (tmp_path / "x" / "a.json").write_text(json.dumps({"FH-l": [90.0, 3.0], "Nose": [1.0, 2000.0]}), encoding="utf-8")
    out = said(capsys, tmp_path / "x", code=1)
    assert "no landmark lies in the picture" in out and "unknown names, such as Nose" in out
    Image.fromarray(np.zeros((20, 30), dtype=np.uint8)).save(tmp_path / "x" / "a.png")
    assert "every pixel is 0" in said(capsys, tmp_path / "x" / "a.png", code=1)
    raw = (tmp_path / "x" / "a.png").read_bytes()
    (tmp_path / "x" / "a.png").write_bytes(raw[:40])
    assert "cannot read" in said(capsys, tmp_path / "x", code=1)


def test_a_dicom_folder_is_a_body_that_samples_are_made_of(capsys, tmp_path):
    (tmp_path / "someone").mkdir()
    pixels = np.full((6, 8), 1100, dtype=np.int16)
    pixels[0] = 0
    for k in range(7):
        write_slice(tmp_path / "someone" / f"{k}.dcm", pixels, (0.0, 0.0, 2.0 * k))
    assert "is a DICOM series" in said(capsys, tmp_path / "someone")
    (subject,) = stored(tmp_path / "someone")
    assert subject.name == "someone" and subject.load().volume.hu.shape == (7, 6, 8)
    (tmp_path / "someone" / "3.dcm").unlink()
    assert "1 slices are missing" in said(capsys, tmp_path / "someone", code=1)


def test_surfaces_are_measured_and_metres_are_suspected(capsys, tmp_path):
    corners = ["0 0 0", "60 0 0", "0 60 0", "0 0 60"]
    for name, scale in (("bone", 1.0), ("metres", 0.001)):
        points = "\n".join("v " + " ".join(str(scale * float(x)) for x in corner.split()) for corner in corners)
        faces = "f 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4"
        (tmp_path / f"{name}.obj").write_text(f"{points}\n{faces}\n", encoding="utf-8")
    out = said(capsys, tmp_path, code=1)
    assert "is surfaces" in out and "bone.obj: 4 triangles, 60 x 60 x 60 mm" in out
    assert "metres.obj is 0 x 0 x 0 mm large" in out


def test_nothing_that_is_read_is_said_with_what_there_is(capsys, tmp_path):
    (tmp_path / "a.npz").write_bytes(b"1")
    assert "holds 1 .npz, nothing that is read" in said(capsys, tmp_path, code=2)
    assert "nothing at" in said(capsys, tmp_path / "gone", code=2)


def test_a_view_that_is_of_another_picture_is_wrong(capsys, fluoro):
    out = said(capsys, fluoro)
    assert "DeepFluoro" in out and "bodies      1" in out and "radiographs 2" in out and "views in 2" in out
    assert "10.7281/T1/IFSXNV" in out and "CC BY-NC 4.0" in out
    with h5py.File(fluoro, "r+") as file:
        file["18-1109/projections/001/gt-poses/cam-to-pelvis-vol"][:3, 3] += 30.0
    out = said(capsys, fluoro, code=1)
    assert "18-1109/001: its view puts the body's landmarks" in out and "18-1109/000:" not in out


def test_the_precisely_matched_set_has_the_views_and_landmarks_of_the_real_pictures(fluoro, tmp_path):
    """Real and synthetic pictures of a pose show every landmark in the same place, the femur where it lay."""
    out = tmp_path / "matched"
    main(["make-samples", "--output", str(out), "--bodies", str(fluoro), "--poses", str(fluoro), "--size", "56",
          "--fidelity", "naive", "--workers", "1"])  # fmt: skip
    made = list(SampleSet(out).samples())
    real = list(deepfluoro.DATASET.find(fluoro).radiographs())
    assert len(made) == len(real) == 2
    body = deepfluoro.read_specimen(fluoro, "18-1109")
    for taken, shot in zip(made, real, strict=True):
        scale = shot.picture.pixels.shape[0] / 56
        known = dict(zip(shot.keypoints.names, (shot.keypoints.uv + 0.5) / scale - 0.5))
        expected = torch.stack([known[name] for name in taken.sample.keypoints.names])
        torch.testing.assert_close(taken.sample.keypoints.uv, expected, rtol=0, atol=1e-3)
        femur = body.labels.mask("left_femur").nonzero().flip(1).double()[::50]
        there = femur @ body.volume.grid.world_from_ijk[:3, :3].T + body.volume.grid.origin
        head = body.landmarks["left_femoral_head"]
        moved = (there - head) @ rotation("x", -10.0).T + head
        uv = taken.sample.view.project(moved).round().long()
        inside = ((uv >= 0) & (uv < 56)).all(dim=1)
        mask = taken.sample.masks[taken.sample.structures.index(STRUCTURE_INDEX[5])]
        assert inside.sum() > 3 and mask[uv[inside, 1], uv[inside, 0]].float().mean() > 0.95


def test_a_set_of_samples_is_known_and_a_changed_shard_is_found(capsys, patient, tmp_path):
    out = tmp_path / "set"
    main(["make-samples", "--output", str(out), "--bodies", str(patient), "--count", "2", "--size", "32",
          "--fidelity", "naive", "--workers", "1"])  # fmt: skip
    capsys.readouterr()
    assert "2 train, 0 val, 0 test of 1 bodies" in said(capsys, out)
    shard = next(out.glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:-100])
    assert "its SHA-256 differs" in said(capsys, out, code=1)
    (out / "dataset.json").unlink()
    assert "not finished" in said(capsys, out, code=1)
