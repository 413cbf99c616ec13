import csv
import io
import json

import pytest
import torch
from annotated import FRAME, points

from skiagraph.active.exchange import as_coco, as_csv, from_coco, from_csv, picture_of
from skiagraph.errors import DataError


def framed(picture: str):
    return FRAME


def test_coco_comes_back_to_the_pixel(store):
    store.save("1.2.840.113.1", points(), FRAME, "anna")
    content = json.dumps(as_coco(store, "final")).encode()
    found = from_coco(content, store.pictures(), framed)["1.2.840.113.1"]
    assert found.names == ("left_femoral_head", "right_femoral_head")
    torch.testing.assert_close(found.uv, points().uv[:2])


def test_pycocotools_reads_what_is_written(store, tmp_path, capsys):
    coco = pytest.importorskip("pycocotools.coco")
    store.save("one", points(), FRAME, "anna")
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(as_coco(store, "final")), encoding="utf-8")
    read = coco.COCO(str(path))
    (annotation,) = read.loadAnns(read.getAnnIds())
    assert annotation["num_keypoints"] == 2
    assert annotation["keypoints"][:3] == [41.0, 20.75, 2]


def test_a_table_comes_back_with_what_is_outside_the_picture(store):
    store.save("one", points(), FRAME, "anna")
    found = from_csv(as_csv(store, "final").encode(), store.pictures(), framed)["one"]
    torch.testing.assert_close(found.uv, points().uv, equal_nan=True)
    assert found.visible.tolist() == [True, True, False]


def test_no_cell_of_a_table_is_a_formula(store, folder):
    (folder / "one.png").rename(folder / "=cmd|x.png")
    store.save("=cmd|x", points(), FRAME, "anna")
    rows = list(csv.DictReader(io.StringIO(as_csv(store, "final"))))
    assert {row["picture"] for row in rows} == {"'=cmd|x"}
    assert set(from_csv(as_csv(store, "final").encode(), store.pictures(), framed)) == {"=cmd|x"}


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (from_coco, b"{"),
        (from_coco, b"[]"),
        (from_coco, b'{"images": [], "annotations": [{"image_id": 1}], "categories": []}'),
        (from_csv, b"\xff\xfe\x00"),
        (from_csv, b"picture,landmark,u,v\none,left_femoral_head,x,1\n"),
        (from_csv, b"picture,landmark,u,v\nnobody,left_femoral_head,1,1\n"),
        (from_csv, b"picture,landmark,u,v\none,left_femoral_head,1,1\none,left_femoral_head,2,1\n"),
        (from_csv, b"picture,landmark,u,v\none,left_femoral_head,1,99\n"),
        (from_csv, b""),
    ],
)
def test_what_is_no_such_file_is_refused(read, content, store):
    with pytest.raises(DataError):
        read(content, store.pictures(), framed)


@pytest.mark.parametrize("said", ["ann/ap.png", "ann\\ap.png", "C:\\elsewhere\\one.png", "/data/one.png", "one.jpg"])
def test_a_picture_is_known_by_its_folders_here_or_by_its_name_alone(said, store, folder):
    (folder / "ann").mkdir()
    (folder / "ann" / "ap.png").write_bytes((folder / "one.png").read_bytes())
    names = {"ann:ap", "one"}
    assert picture_of(said, names) == ("ann:ap" if "ap" in said else "one")
    store.save("ann:ap", points(), FRAME, "anna")
    content = as_coco(store, "final")
    assert content["images"][0]["file_name"] == "ann/ap.png"
    assert set(from_coco(json.dumps(content).encode(), store.pictures(), framed)) == {"ann:ap"}
