"""What others have done to MONAI Label, and what nobody should: refused with the right status, nothing written."""

import gzip
import hashlib
import http.client
import io
import struct
import tarfile
import zlib
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import torch
from monailabel_app.access import RULES
from monailabel_app.client import Client, Refused, multipart
from PIL import Image

from skiagraph.io.pictures import write_picture


def tree(*folders: Path) -> dict[str, str]:
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.name != "log"}


@pytest.fixture
def untouched(server):
    """Nothing below the server's folders, nor of its own code, changes; nothing is left in its scratch."""
    app = Path(__file__).parents[2] / "monailabel_app"
    before = tree(server.home, app)
    yield
    after = tree(server.home, app)
    assert {k: v for k, v in after.items() if "__pycache__" not in k} == {
        k: v for k, v in before.items() if "__pycache__" not in k
    }


def ask(server, method, path, body=b"", kind="application/json", user="ada", headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    known = {"Content-Type": kind, **({"Authorization": f"Bearer {server.tokens[user]}"} if user else {})}
    try:
        connection.request(method, path, body, {**known, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def send(server, method, path, files, fields=None, user="ada"):
    body, kind = multipart(fields or {}, files)
    return ask(server, method, path, body, kind, user)


def picture() -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)).save(content, "PNG")
    return content.getvalue()


OUTSIDE = ["../x", "..%2Fx", "../../../app/main", "/etc/passwd", "a/b", "..\\x", ".hidden", "x\x00.png"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_picture_is_written_outside_the_study(server, untouched, name):
    files = {"file": ("main.py", picture())}
    assert send(server, "PUT", f"/datastore/image?image={quote(name, safe='')}", files)[0] in (400, 422)
    files = {"file": ("../../x.png", picture())}
    assert send(server, "PUT", f"/datastore/image?image={quote(name, safe='')}", files)[0] in (400, 422)


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_no_label_is_written_or_deleted_outside_the_study(server, untouched, name, method):
    tag = quote(name, safe="")
    files = {"label": ("x.json", b'{"left_femoral_head": [1, 1]}')}
    assert send(server, method, f"/datastore/label?image=1.2.840.0&id=1.2.840.0&tag={tag}", files)[0] in (400, 404)
    query = f"/datastore/label?image={tag}&id={tag}&tag=final"
    assert send(server, method, query, files)[0] in (400, 404)


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/hostname", "README.md", "../users.json", "users.json"])
def test_no_file_of_the_machine_is_read(server, untouched, path):
    name = quote(path, safe="")
    for method, where in (
        ("POST", f"/infer/hip_landmarks?image={name}"),
        ("GET", f"/datastore/image?image={name}"),
        ("GET", f"/datastore/label?label={name}&tag=final"),
        ("GET", f"/datastore/image/info?image={name}"),
        ("GET", f"/annotate/..%2f..%2f{name}"),
    ):
        status, answer = ask(server, method, where)
        assert status in (400, 403, 404), where
        assert b"root:" not in answer and b"sha256" not in answer


@pytest.mark.parametrize(
    "params",
    ['{"image": "/etc/passwd"}', '{"model": "x"}', '{"label_tag": "../../x"}', '{"path": "/"}', '{"fixed": "x"}', "[1]",
     "{", "null", '"x"', "[" * 5000],
)  # fmt: skip
def test_parameters_override_nothing(server, untouched, params):
    assert send(server, "POST", "/infer/hip_landmarks?image=1.2.840.0", {}, {"params": params})[0] in (400, 422)


def test_no_archive_is_unpacked(server, untouched):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        member = tarfile.TarInfo("/tmp/skiagraph-slipped")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    files = {"files": ("x.tar", content.getvalue())}
    assert send(server, "PUT", "/session/?uncompress=true", files)[0] == 403
    assert send(server, "PUT", "/datastore/image?image=x", {"file": ("x.tar", content.getvalue())})[0] == 422
    assert not Path("/tmp/skiagraph-slipped").exists()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET"])
def test_weights_are_not_replaced_deleted_or_handed_out(server, untouched, method):
    assert send(server, method, "/model/hip_landmarks", {"file": ("model.pt", b"x")})[0] == 403


@pytest.mark.parametrize(
    "path", ["/reload", "/openapi.json", "/static/x", "/logs/", "/logs/gpu", "/proxy/dicom/wado/x", "/ohif/", "/docs"]
)
def test_nothing_is_open_to_strangers_and_what_is_not_served_to_nobody(server, untouched, path):
    for method in ("GET", "POST"):
        assert ask(server, method, path, user=None)[0] == 401
        assert ask(server, method, path, user="rita")[0] == 403


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule[0]} {rule[1][:24]}")
def test_a_stranger_is_told_401_everywhere(server, untouched, rule):
    path = rule[1].split("|")[0].replace("\\", "").replace("[^/]+", "x").replace("/?", "/")
    for name in (path.replace("(", "").replace(")?", "").replace(")", "").replace("/.*", ""), "/", "/x"):
        assert ask(server, rule[0], name, user=None)[0] == 401
        assert ask(server, rule[0], name, user=None, headers={"Authorization": "Bearer wrong"})[0] == 401


def test_strangers_may_ask_whether_it_lives(server):
    for path in ("/health", "/health/live", "/health/ready"):
        assert ask(server, "GET", path, user=None)[0] == 200


def test_a_role_does_not_more_than_it_may(server, untouched):
    label = {"label": ("x.json", b'{"left_femoral_head": [1, 1]}')}
    assert send(server, "PUT", "/datastore/label?image=1.2.840.0&tag=final", label, user="rita")[0] == 403
    assert send(server, "PUT", "/datastore/image?image=x", {"file": ("x.png", picture())}, user="rita")[0] == 403
    assert ask(server, "POST", "/activelearning/random", b"{}", user="rita")[0] == 403
    saving = {"params": '{"save_label": true}'}
    assert send(server, "POST", "/infer/hip_landmarks?image=1.2.840.0", {}, saving, user="rita")[0] == 403
    for method, path in (
        ("POST", "/train/hip_landmarks"), ("DELETE", "/train/"), ("POST", "/batch/infer/hip_landmarks"),
        ("DELETE", "/datastore/image?id=1.2.840.0"), ("DELETE", "/datastore/label?id=1.2.840.0&tag=final"),
        ("POST", "/model/rollback/hip_landmarks?number=0"), ("GET", "/openapi.json"),
    ):  # fmt: skip
        assert ask(server, method, path, b"{}", user="anna")[0] == 403


def test_other_pages_are_not_answered(server, untouched):
    alien = {"Origin": "https://evil.example"}
    assert ask(server, "POST", "/activelearning/random", b"{}", headers=alien)[0] == 403
    status, _ = ask(server, "OPTIONS", "/info/", user=None, headers={**alien, "Access-Control-Request-Method": "GET"})
    assert status == 401


def test_more_than_is_taken_is_refused_before_it_is_read(server, untouched):
    huge = {"Content-Length": str(3 << 30), "Expect": "100-continue"}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("PUT", "/datastore/image?image=big")
    for name, value in {**huge, "Authorization": f"Bearer {server.tokens['ada']}"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_more_than_is_taken_is_refused_when_nobody_said_how_much_it_would_be(server, untouched):
    edge = b'--x\r\nContent-Disposition: form-data; name="label"; filename="x.json"\r\n\r\n'
    body = (chunk for chunk in [edge, *[b" " * (1 << 16)] * 64])
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Authorization": f"Bearer {server.tokens['ada']}", "Content-Type": "multipart/form-data; boundary=x"}
    try:
        connection.request("PUT", "/datastore/label?image=1.2.840.0&tag=final", body, headers, encode_chunked=True)
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):  # it hung up while we were still talking
        pass
    finally:
        connection.close()


def bomb(side: int) -> bytes:
    """A PNG of so many black rows and columns, some kilobytes long."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    squeeze = zlib.compressobj(9)
    rows = b"".join(squeeze.compress(b"\0" * (side + 1)) for _ in range(side)) + squeeze.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_pictures_that_unpack_to_gigabytes_are_refused(server, untouched):
    assert send(server, "POST", "/infer/hip_landmarks", {"file": ("x.png", bomb(20_000))})[0] == 413
    head = bytearray(352)
    struct.pack_into("<i8h", head, 0, 348, *[0] * 8)
    struct.pack_into("<8h", head, 40, 2, 30_000, 30_000, 1, 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, 2, 8)
    struct.pack_into("<f", head, 108, 352.0)
    head[344:348] = b"n+1\0"
    nifti = gzip.compress(bytes(head) + b"\0" * 1000)
    assert send(server, "POST", "/infer/hip_landmarks", {"file": ("x.nii.gz", nifti)})[0] == 413


def test_a_deflated_dicom_file_is_not_inflated(server, untouched, tmp_path):
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.Modality, dataset.PixelData = "1.2.840.10008.5.1.4.1.1.1", "DX", b"\0" * 1000
    dataset["PixelData"].VR = "OW"
    dataset.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    status, answer = send(
        server, "POST", "/infer/hip_landmarks", {"file": ("x.dcm", (tmp_path / "x.dcm").read_bytes())}
    )
    assert status == 422
    assert b"deflated" in answer


def flat(tmp_path: Path, kind: str) -> bytes:
    path = tmp_path / kind
    write_picture(path, torch.full((64, 64), 0.5))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.png", b""), ("x.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 50), ("x.png", picture()[:200]),
        ("x.jpg", picture()[:9]),
        ("x.dcm", b"\0" * 128 + b"DICM" + b"\xff" * 64), ("x.dcm", b"no dicom"), ("x.tiff", b"II*\0\xff\xff\xff\xff"),
        ("x.nii", b"\0" * 352),
        ("x.nii.gz", b"\x1f\x8b" + b"\0" * 20), ("x.nrrd", b"NRRD0004\ntype: float\n\n"),
        ("x.exe", b"MZ"), ("", b"x"), ("x", b"x"), ("x.mha", b"ObjectType = Image\nElementDataFile = /etc/passwd\n"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused_in_words(server, untouched, name, content):
    status, answer = send(server, "POST", "/infer/hip_landmarks", {"file": (name, content)})
    assert status in (400, 422), answer
    assert b"detail" in answer
    assert str(server.home).encode() not in answer


def test_a_picture_of_one_grey_and_a_volume_and_one_of_nothing_are_refused(server, untouched, tmp_path):
    import SimpleITK as sitk

    assert send(server, "POST", "/infer/hip_landmarks", {"file": ("x.png", flat(tmp_path, "x.png"))})[0] == 422
    for name, values in (
        ("volume", np.zeros((5, 64, 64), np.float32)),
        ("nan", np.full((1, 64, 64), np.nan, np.float32)),
    ):
        path = tmp_path / f"{name}.mha"
        sitk.WriteImage(sitk.GetImageFromArray(values), str(path))
        assert send(server, "POST", "/infer/hip_landmarks", {"file": (path.name, path.read_bytes())})[0] == 422


def test_what_is_not_there_is_404(server, untouched):
    client: Client = server.client()
    for method, path in (
        ("POST", "/infer/other?image=1.2.840.0"), ("POST", "/infer/hip_landmarks?image=nobody"),
        ("POST", "/activelearning/best"), ("POST", "/scoring/best"), ("POST", "/train/other"),
        ("POST", "/model/rollback/hip_landmarks?number=77"), ("GET", "/datastore/label?label=1.2.840.0&tag=nothing"),
        ("DELETE", "/datastore/image?id=nobody"), ("DELETE", "/datastore/label?id=1.2.840.0&tag=nothing"),
    ):  # fmt: skip
        assert ask(server, method, path, b"{}")[0] == 404, path
    with pytest.raises(Refused) as refused:
        client.save("nobody", {"left_femoral_head": [1, 1]})
    assert refused.value.status == 404


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff" * 50, b"[]", b"{}", b'{"x": [1, 2]}', b'{"left_femoral_head": [1e9, 2]}']
)
def test_a_label_that_is_none_is_refused(server, untouched, content):
    files = {"label": ("x.json", content)}
    assert send(server, "PUT", "/datastore/label?image=1.2.840.0&tag=final", files)[0] == 422


def test_a_broken_request_is_400(server, untouched):
    assert ask(server, "POST", "/activelearning/random", b"{")[0] == 400
    assert ask(server, "POST", "/train/hip_landmarks", b'{"steps": "many"}')[0] == 400
    assert ask(server, "POST", "/infer/hip_landmarks")[0] == 400
    assert ask(server, "PUT", "/datastore/label?image=1.2.840.0", b"x", "multipart/form-data")[0] == 400
    assert ask(server, "GET", "/datastore/?output=secrets")[0] == 400


def test_the_log_and_the_metrics_name_no_picture(server):
    server.client("anna").infer("1.2.840.0")
    status, answer = ask(server, "GET", "/metrics", user="rita")
    assert status == 200
    assert b'skiagraph_requests_total{method="POST",route="/infer",status="200"}' in answer
    assert b"1.2.840" not in answer
    assert "1.2.840" not in server.log
    assert "POST /infer 200" in server.log
