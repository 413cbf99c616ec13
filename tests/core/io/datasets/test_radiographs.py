import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from skiagraph.errors import DataError, GeometryError
from skiagraph.io.datasets import fracatlas, pxr, radiographs
from skiagraph.io.datasets.checking import wrong_with_radiograph
from skiagraph.io.datasets.registry import recognised


def save(path, size=(20, 30), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, size).astype(np.uint8)).convert(mode).save(path)


def test_landmarks_beside_a_picture_are_its_points_and_null_is_not_seen(tmp_path):
    save(tmp_path / "a.png")
    points = {"FH-l": [12.5, 3.0], "FH-r": None, "ASIS-l": [40.0, 3.0], "_raters": 2}
    (tmp_path / "a.json").write_text(json.dumps(points), encoding="utf-8")
    (shot,) = radiographs.DATASET.find(tmp_path).radiographs()
    assert shot.keypoints.names == (
        "left_femoral_head",
        "right_femoral_head",
        "left_anterior_superior_iliac_spine",
    )
    assert shot.keypoints.visible.tolist() == [True, False, False]
    assert shot.keypoints.uv[0].tolist() == [12.5, 3.0] and bool(shot.keypoints.uv[1].isnan().all())


def test_a_folder_of_images_has_its_masks_beside_it(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / "images" / f"{name}.jpg")
    save(tmp_path / "masks" / "a.png")
    save(tmp_path / "masks" / "c.png")
    found = radiographs.DATASET.find(tmp_path)
    shots = list(found.radiographs())
    assert shots[0].structures == ("mask",) and shots[1].masks is None
    assert [line.split(",")[0] for line in found.wrong] == ["1 pictures have no mask", "1 masks have no picture"]


def test_pxr_says_what_it_shows_in_its_names(tmp_path):
    for name in ("s001-140-0372-pelvicfx", "s002-065-0317-normal", "s008-031-04-hipfx"):
        save(tmp_path / f"{name}.png", mode="RGB")
    assert recognised(tmp_path) is pxr.DATASET
    found = pxr.DATASET.find(tmp_path)
    assert [shot.findings for shot in found.radiographs()] == [("pelvicfx",), ("normal",), ("hipfx",)]


@pytest.fixture
def atlas(tmp_path):
    save(tmp_path / "images/Fractured/IMG0000019.jpg", (20, 30))
    save(tmp_path / "images/Non_fractured/IMG0000000.jpg", (20, 30))
    columns = "image_id,hand,leg,hip,shoulder,mixed,hardware,multiscan,fractured,fracture_count,frontal,lateral,oblique"
    rows = "IMG0000000.jpg,0,0,1,0,0,0,0,0,0,1,0,0\nIMG0000019.jpg,0,0,1,0,0,0,0,1,1,1,0,0"
    (tmp_path / "dataset.csv").write_text(f"{columns}\n{rows}\n", encoding="utf-8")
    coco = {
        "images": [{"id": 0, "width": 30, "height": 20, "file_name": "IMG0000019.jpg"}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 1, "segmentation": [[5, 4, 15, 4, 15, 9, 5, 9]]}],
        "categories": [{"id": 1, "name": "fractured"}],
    }
    path = tmp_path / "Annotations" / "COCO JSON" / "COCO_fracture_masks.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(coco), encoding="utf-8")
    return tmp_path


def test_a_fracture_is_filled_where_its_outline_runs(atlas):
    assert recognised(atlas) is fracatlas.DATASET
    shots = {shot.subject: shot for shot in fracatlas.DATASET.find(atlas).radiographs()}
    broken, whole = shots["IMG0000019"], shots["IMG0000000"]
    assert broken.findings == ("hip", "fractured", "frontal") and whole.findings == ("hip", "frontal")
    v, u = broken.masks[0].nonzero().T
    assert (int(u.min()), int(u.max()), int(v.min()), int(v.max())) == (5, 15, 4, 9)
    assert whole.masks is None


def test_what_table_outlines_and_pictures_do_not_share_is_said(atlas):
    (atlas / "images/Non_fractured/IMG0000000.jpg").rename(atlas / "images/Non_fractured/IMG0000001.jpg")
    assert [line.split(",")[0] for line in fracatlas.DATASET.find(atlas).wrong] == [
        "1 pictures of the table are not there",
        "1 pictures are not in the table",
    ]
    save(atlas / "images/Fractured/IMG0000019.jpg", (10, 15))
    with pytest.raises(GeometryError, match=r"\(10, 15\) pixels"):
        list(fracatlas.DATASET.find(atlas).radiographs())
    raw = (atlas / "images/Fractured/IMG0000019.jpg").read_bytes()
    (atlas / "images/Fractured/IMG0000019.jpg").write_bytes(raw[: len(raw) // 3])
    with pytest.raises(DataError, match="cannot read"):
        list(fracatlas.DATASET.find(atlas).radiographs())


def test_the_annotated_radiographs_at_hand_have_fourteen_points_and_are_not_mirrored(data):
    shots = list(pxr.DATASET.find(data / "xray_pxr150_annotated").radiographs())
    assert len(shots) == 12
    for shot in shots:
        assert len(shot.keypoints.names) == 14
        assert not list(wrong_with_radiograph(shot))
        flipped = replace(shot.keypoints, uv=shot.keypoints.uv * torch.tensor([-1.0, 1.0]))
        assert "mirrored" in list(wrong_with_radiograph(replace(shot, keypoints=flipped)))[-1]
