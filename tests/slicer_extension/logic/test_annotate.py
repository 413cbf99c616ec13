"""Annotation against a server that speaks the routes of ours, and nothing else."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
import torch

pytest.importorskip("slicer_core", reason="no slicer-core; make test-slicer runs these tests")

from VirtualCArmLib import annotate, radiographs
from VirtualCArmLib.errors import CArmError, user_errors

from skiagraph.io.pictures import write_picture

POINTS = [
    {"name": "left_femoral_head", "uv": [30.25, 12.5], "confidence": 0.9, "visible": True},
    {"name": "right_femoral_head", "uv": [8.0, 12.0], "confidence": 0.2, "visible": True},
    {"name": "left_greater_sciatic_notch", "uv": [1.0, 1.0], "confidence": 0.1, "visible": False},
]


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, content, status=200):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do(self):
        server, parts = self.server, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if self.headers.get("Authorization") != "Bearer right":
            return self.answer({"detail": "wrong token"}, 401)
        server.asked.append((self.command, parts.path, query, body))
        if server.broken and parts.path == server.broken:
            return self.answer({"detail": "out of order"}, 503)
        route = (self.command, parts.path.rstrip("/"))
        if route == ("POST", "/activelearning/hybrid"):
            return self.answer(server.queue.pop(0) if server.queue else {})
        return self.answer({
            ("GET", "/whoami"): {"name": "anna", "role": "annotator"},
            ("GET", "/info"): {"datastore": {"total": 6, "completed": 2}, "strategies": {"hybrid": {}, "random": {}}},
            ("GET", "/datastore/image"): server.picture,
            ("POST", "/infer/hip_landmarks"): {"landmarks": POINTS},
            ("PUT", "/datastore/label"): {"version": 3},
            ("DELETE", "/activelearning/lease"): {"given_back": True},
            ("PUT", "/activelearning/lease"): {"lease_until": 99.0},
            ("POST", "/train/hip_landmarks"): {"status": "SUBMITTED"},
            ("GET", "/train"): {"status": "RUNNING", "details": ["step 30 of 300: loss 0.2"]},
            ("DELETE", "/train"): {"status": "STOPPED", "details": []},
        }[route])  # fmt: skip

    do_GET = do_POST = do_PUT = do_DELETE = do


@pytest.fixture
def server(tmp_path):
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    write_picture(tmp_path / "x.png", torch.rand(24, 40, generator=torch.Generator().manual_seed(0)))
    made.picture, made.asked, made.broken = (tmp_path / "x.png").read_bytes(), [], None
    made.queue = [{"id": "1.2.3", "path": "1.2.3.png", "reason": "unsure; 4 are open", "lease_until": 12.0}]
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def address(server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_a_sample_comes_with_its_proposals_and_goes_back_as_put_right(logic, scene, server):
    annotator = logic.annotator(address(server), "right")
    assert (annotator.user, annotator.role) == ("anna", "annotator")
    assert annotator.status() == annotate.Status(6, 2, ("hybrid", "random"), "anna", "annotator")
    count = scene.GetNumberOfNodes()
    sample = annotator.next()
    assert (sample.id, sample.why) == ("1.2.3", "unsure; 4 are open")
    names, uv = radiographs.pixels_of(sample.node)
    assert dict(zip(names, uv.round(6).tolist())) == {"left_femoral_head": [30.25, 12.5], "right_femoral_head": [8, 12]}
    assert sample.keypoints.GetNthControlPointSelected(0) and not sample.keypoints.GetNthControlPointSelected(1)
    place = [0.0] * 3
    sample.keypoints.GetNthControlPointPositionWorld(1, place)
    sample.keypoints.SetNthControlPointPositionWorld(1, place[0] - 2.0, place[1], place[2])
    assert annotator.submit(sample) == 3
    body = server.asked[-1][3].decode()
    sent = json.loads(body[body.index('{"left_femoral_head"') :].split("\r\n")[0])
    assert sent["right_femoral_head"] == pytest.approx([10.0, 12.0])
    assert sent["left_greater_sciatic_notch"] is None
    assert scene.GetNumberOfNodes() == count
    assert annotator.next() is None, "none is left"


def test_points_asked_for_again_stay_where_they_were_fixed(logic, server):
    annotator = logic.annotator(address(server), "right")
    sample = annotator.next()
    annotator.predict(sample, fixed=("left_femoral_head",))
    body = server.asked[-1][3].decode()
    assert '"fixed": {"left_femoral_head": [30.25, 12.5]}' in body


def test_a_skipped_picture_is_left_to_others(logic, scene, server):
    annotator = logic.annotator(address(server), "right")
    count = scene.GetNumberOfNodes()
    sample = annotator.next()
    assert annotator.renew(sample) == 99.0
    annotator.skip(sample)
    assert server.asked[-1][:3] == ("DELETE", "/activelearning/lease", {"image": "1.2.3"})
    assert scene.GetNumberOfNodes() == count


def test_what_was_put_right_is_not_lost_when_the_server_is(logic, server):
    annotator = logic.annotator(address(server), "right")
    sample = annotator.next()
    server.broken = "/datastore/label"
    with pytest.raises(user_errors(), match="out of order"):
        annotator.submit(sample)
    assert sample.node.GetScene() is not None and len(radiographs.pixels_of(sample.node)[0]) == 2
    server.broken = None
    assert annotator.submit(sample) == 3


def test_a_picture_that_cannot_be_shown_is_given_back(logic, scene, server):
    annotator = logic.annotator(address(server), "right")
    server.picture = b"no picture"
    with pytest.raises(user_errors()):
        annotator.next()
    assert server.asked[-1][0] == "DELETE"


def test_a_deleted_picture_says_so_and_can_be_skipped(logic, scene, server):
    annotator = logic.annotator(address(server), "right")
    sample = annotator.next()
    scene.RemoveNode(sample.node)
    with pytest.raises(CArmError, match="was deleted from the scene; skip it"):
        annotator.submit(sample)
    annotator.skip(sample)


def test_a_wrong_token_no_server_and_no_address_are_three_messages(logic, server):
    with pytest.raises(user_errors(), match="wrong token"):
        logic.annotator(address(server), "wrong")
    with pytest.raises(user_errors(), match="no answer from"):
        logic.annotator("http://127.0.0.1:9", "right")
    with pytest.raises(CArmError, match="no server's address"):
        logic.annotator("ftp://somewhere", "right")
    with pytest.raises(CArmError):
        logic.annotator("https://somewhere", "right", authority="/no/such/file.pem")


def test_a_training_says_how_far_it_is(logic, server):
    annotator = logic.annotator(address(server), "right")
    assert annotator.train(steps=300).running
    assert annotator.training() == annotate.Training("RUNNING", "step 30 of 300: loss 0.2", 0.1)
    assert not annotator.stop_training().running
