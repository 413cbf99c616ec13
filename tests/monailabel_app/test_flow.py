"""What annotators do, over HTTP, on the real server."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import SimpleITK as sitk
from monailabel_app.client import Client, Refused

from skiagraph.anatomy import LANDMARK_NAMES, STRUCTURE_INDEX
from skiagraph.io.markups import read_keypoints

STRATEGIES = {"random", "uncertainty", "disagreement", "implausibility", "diversity", "hybrid"}


def label(u: float = 100.0) -> dict[str, list[float] | None]:
    return {"left_femoral_head": [u, 80.25], "right_femoral_head": [40.5, 81.0], "left_greater_sciatic_notch": None}


def finished(client: Client, ask, seconds: float = 240.0) -> dict:
    until = time.monotonic() + seconds
    while (status := ask())["status"] in ("SUBMITTED", "RUNNING"):
        assert time.monotonic() < until, status["details"]
        time.sleep(1.0)
    return status


def test_info_tells_the_model_the_strategies_and_the_counts(server):
    info = server.client("rita").info()
    assert set(info["models"]) == {"hip_landmarks"}
    assert set(info["strategies"]) == STRATEGIES
    assert info["labels"] == list(LANDMARK_NAMES)
    assert info["datastore"]["total"] == 6


def test_a_picture_of_the_study_has_all_landmarks_and_pictures_sent_along_have_the_same(server):
    client = server.client("rita")
    here = client.infer("1.2.840.0")
    sent = client.infer_file(server.folder / "1.2.840.0.png")
    assert [point["name"] for point in here["landmarks"]] == list(LANDMARK_NAMES)
    assert here["size"] == [200, 240]
    assert here["landmarks"] == sent["landmarks"]


def test_stock_slicer_gets_fiducials_and_others_a_label_map(server, tmp_path):
    client = server.client("rita")
    answer = client._send("POST", "/infer/hip_landmarks", {"image": "1.2.840.0"})
    content = answer.split(b"\r\n\r\n")[2].split(b"\r\n--")[0]
    path = tmp_path / "points.mrk.json"
    path.write_bytes(content)
    shown = [point["name"] for point in client.infer("1.2.840.0")["landmarks"]]
    assert read_keypoints(path).names == tuple(shown)
    (tmp_path / "map.nrrd").write_bytes(client.label_map("1.2.840.0"))
    index = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "map.nrrd")))
    assert index.shape == (1, 200, 240)
    assert set(np.unique(index)) <= {0, *STRUCTURE_INDEX}


def test_fixed_points_stay_and_the_others_are_looked_for_again(server):
    client = server.client("rita")
    before = {p["name"]: p["uv"] for p in client.infer("1.2.840.1")["landmarks"]}
    fixed = {"left_femoral_head": [170.0, 120.0], "right_femoral_head": [60.0, 120.0]}
    after = {p["name"]: p for p in client.infer("1.2.840.1", fixed=fixed)["landmarks"]}
    assert after["left_femoral_head"]["uv"] == [170.0, 120.0]
    assert after["left_femoral_head"]["fixed"]
    assert any(after[name]["uv"] != before[name] for name in before if name not in fixed)


def test_uncertainty_is_told_when_it_is_asked_for(server):
    told = server.client("rita").infer("1.2.840.1", uncertainty=True)["uncertainty"]
    assert 0 < told["entropy"] <= 1
    assert set(told) == {"entropy", "disagreement", "implausibility", "spread"}


def test_a_label_is_kept_with_its_author_and_every_version_of_it(server):
    anna, ben = server.client("anna"), server.client("ben")
    first = anna.save("1.2.840.2", label(100.0), seconds=12)
    second = ben.save("1.2.840.2", label(103.0))
    assert second == first + 1
    assert anna.label("1.2.840.2")["skiagraph"]["author"] == "ben"
    mine = anna.label("1.2.840.2", author="anna")["skiagraph"]
    assert mine["landmarks"][0] == {"name": "left_femoral_head", "uv": [100.0, 80.25], "visible": True}
    assert mine["about"] == {"seconds": 12}
    pair = next(row for row in anna.readers()["landmarks"] if row["name"] == "left_femoral_head")
    assert pair["mean"] == pytest.approx(3 / 240)


def test_what_slicer_sends_back_is_the_same_pixel(server):
    client = server.client("anna")
    client.save("1.2.840.3", label(90.0))
    content = client.label("1.2.840.3")
    point = content["markups"][0]["controlPoints"][0]
    point["position"][0] += 2.0
    client.save_file("1.2.840.3", "anything.mrk.json", json.dumps(content).encode())
    assert client.label("1.2.840.3")["skiagraph"]["landmarks"][0]["uv"] == [92.0, 80.25]


def test_a_finished_picture_is_reopened(server):
    client = server.client("anna")
    client.save("1.2.840.4", label())
    client.reopen("1.2.840.4")
    assert client.pictures()["1.2.840.4"]["image"]["info"]["finished_by"] == []
    assert client.label("1.2.840.4")["skiagraph"]["author"] == "anna"


def test_labels_go_out_as_coco_and_table_and_come_back(server):
    client = server.client("anna")
    client.save("1.2.840.5", label(77.0))
    for kind in ("coco", "csv"):
        content = client.export(kind)
        if kind == "csv":  # of several readers of one picture a table would have every point twice
            lines = content.decode().splitlines()
            content = "\n".join([lines[0], *(line for line in lines if line.startswith("1.2.840.5,"))]).encode()
        assert client.bring(content, kind, tag="imported") >= 1
        again = client.label("1.2.840.5", tag="imported")["skiagraph"]["landmarks"]
        assert again[0]["uv"] == [77.0, 80.25]


def test_a_new_picture_is_taken_and_never_overwritten(server):
    client = server.client("anna")
    assert client.add("9.8.7.6", server.folder / "1.2.840.0.png") == "9.8.7.6"
    assert client.image("9.8.7.6") == (server.folder / "1.2.840.0.png").read_bytes()
    with pytest.raises(Refused) as refused:
        client.add("9.8.7.6", server.folder / "1.2.840.1.png")
    assert refused.value.status == 409
    ada = server.client("ada")
    ada._send("DELETE", "/datastore/image", {"id": "9.8.7.6"})
    assert "9.8.7.6" not in ada.pictures()
    assert list((server.folder / "removed").glob("*9.8.7.6.png"))


def test_two_annotators_at_once_are_never_given_the_same_picture(own_server):
    own_server.start()
    clients = [own_server.client(name) for name in ("anna", "ben", "ada")]
    with ThreadPoolExecutor(6) as pool:
        given = list(pool.map(lambda n: clients[n % 3].next_sample("random"), range(6)))
    assert len({sample["id"] for sample in given}) == 6
    assert all(sample["reason"] for sample in given)
    assert clients[0].next_sample("random") == {}
    held = given[0]["id"]
    assert clients[0].give_back(held)
    assert clients[1].next_sample("hybrid")["id"] == held


def test_every_label_is_there_after_the_server_was_killed_and_its_files_beside_the_labels_are_gone(own_server):
    own_server.start()
    client = own_server.client("anna")
    sample = client.next_sample("hybrid")
    own_server.kill()
    client = own_server.start().client("anna")
    assert len(list(own_server.scratch.glob("skiagraph-serve-*"))) == 1
    found = client.infer(sample["id"])
    own_server.kill()
    client = own_server.start().client("anna")
    points = {p["name"]: p["uv"] if p["visible"] else None for p in found["landmarks"]}
    version = client.save(sample["id"], points)
    own_server.kill()
    for index in [*own_server.folder.glob("*.json"), *own_server.folder.glob("labels/.*"), own_server.folder / ".lock"]:
        index.unlink(missing_ok=True)
    client = own_server.start().client("anna")
    kept = client.label(sample["id"])["skiagraph"]
    assert (kept["number"], kept["author"]) == (version, "anna")
    for point in kept["landmarks"]:
        assert point["uv"] == points[point["name"]]
    assert client.info()["datastore"]["completed"] == 1


def test_labels_train_the_detector_while_others_are_saved_and_weights_are_rolled_back(own_server):
    own_server.start()
    anna, ada = own_server.client("anna"), own_server.client("ada")
    for number in range(3):
        anna.save(f"1.2.840.{number}", label(100.0 + number))
    ada.train(steps=2, batch=1)
    with pytest.raises(Refused) as refused:
        ada.train(steps=2)
    assert refused.value.status == 429
    anna.save("1.2.840.3", label(90.0))
    ada.stop_training()
    assert finished(ada, ada.training)["status"] == "STOPPED"
    ada.train(steps=2, batch=1)
    anna.save("1.2.840.4", label(91.0))
    status = finished(ada, ada.training)
    assert status["status"] == "DONE", status["details"]
    assert {"1.2.840.3", "1.2.840.4"} <= {k for k, v in anna.pictures().items() if "final" in v["labels"]}
    assert ada.weights()["numbers"] == [0, 1]
    ada.rollback(1)
    assert anna.infer("1.2.840.5")["weights"] == 1
    ada.rollback(0)
    assert anna.infer("1.2.840.5")["weights"] == 0
    assert [line.get("use") for line in ada.history()[-2:]] == [1, 0]
    ada.batch("unlabeled")
    assert finished(ada, ada.batching)["status"] == "DONE"
    assert "original" in anna.pictures()["1.2.840.5"]["labels"]
    ada.batch("labeled")
    finished(ada, ada.batching)
    scores = anna.score("model")["landmarks"][-1]
    assert scores["pairs"] > 0


def test_on_real_radiographs_landmarks_are_found_moved_and_there_after_a_kill(own_server, data):
    radiographs = sorted((data / "xray_pxr150").glob("s0*.png"))[:4]
    for picture in own_server.folder.iterdir():
        picture.unlink()
    for radiograph in radiographs:
        (own_server.folder / radiograph.name).write_bytes(radiograph.read_bytes())
    client = own_server.start().client("anna")
    kept = {}
    for _ in radiographs:
        sample = client.next_sample("hybrid")
        answer = client.infer(sample["id"], pose=True)
        found = answer["landmarks"]
        assert abs(answer["pose"]["pelvis"]["turn"]) < 45
        assert sum(point["visible"] for point in found) >= 12
        points = {p["name"]: [p["uv"][0] + 1.5, p["uv"][1]] for p in found if p["visible"]}
        client.save(sample["id"], points)
        kept[sample["id"]] = points
    own_server.kill()
    client = own_server.start().client("anna")
    for picture, points in kept.items():
        label = client.label(picture)["skiagraph"]["landmarks"]
        assert {mark["name"]: mark["uv"] for mark in label} == points
    assert len(kept) == client.info()["datastore"]["completed"] == 4
