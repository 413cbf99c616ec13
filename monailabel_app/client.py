"""A client of the server, standard library only: what 3D Slicer and scripts talk to it with.

server = Client("http://127.0.0.1:8000", token)
sample = server.next_sample("hybrid")
found = server.infer(sample["id"])
server.save(sample["id"], {point["name"]: point["uv"] for point in found["landmarks"]})
"""

import json
import secrets
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

MODEL = "hip_landmarks"
Points = Mapping[str, Sequence[float] | None]
"""Pixels (u, v) by name; None for a point that is not in the picture."""


class Refused(Exception):
    """The server said no, or did not answer; `status` is HTTP's, 0 for no answer."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Client:
    """One server, one user."""

    def __init__(self, address: str, token: str, timeout: float = 60.0, authority: Path | None = None) -> None:
        """`authority` is a PEM file of whoever signed the server's certificate, if the system does not know him."""
        if urlsplit(address).scheme not in ("http", "https"):
            raise ValueError(f"{address!r} is no server's address; give http:// or https://")
        self.address, self.token, self.timeout = address.rstrip("/"), token, timeout
        self._tls = ssl.create_default_context(cafile=authority) if address.startswith("https") else None

    def info(self) -> dict[str, Any]:
        """Models, strategies, trainers and counts."""
        return self._json("GET", "/info/")

    def ready(self) -> bool:
        """Whether the server can do its work."""
        try:
            return self._json("GET", "/health/ready")["status"] == "ready"
        except Refused:
            return False

    def pictures(self) -> dict[str, Any]:
        """All pictures and the tags of their labels."""
        return self._json("GET", "/datastore/", {"output": "all"})["objects"]

    def next_sample(self, strategy: str = "hybrid", readers: int = 1) -> dict[str, Any]:
        """A picture to label, why, and until when it is yours; empty if there is none left."""
        return self._json("POST", f"/activelearning/{quote(strategy, safe='')}", body={"readers": readers})

    def renew(self, picture: str) -> float:
        """Keeps a picture for longer; until when, in seconds since 1970. Refused (409) if another has it."""
        return float(self._json("PUT", "/activelearning/lease", {"image": picture})["lease_until"])

    def who(self) -> dict[str, str]:
        """Name and role of the token."""
        return self._json("GET", "/whoami")

    def give_back(self, picture: str) -> bool:
        """Leaves a picture to others."""
        return bool(self._json("DELETE", "/activelearning/lease", {"image": picture})["given_back"])

    def infer(self, picture: str, fixed: Points | None = None, **options: Any) -> dict[str, Any]:
        """Landmarks of a picture of the server; those that are fixed stay and the others are looked for about them."""
        return self._inferred({"image": picture, "output": "json"}, fixed, options, {})

    def infer_file(self, path: Path, fixed: Points | None = None, **options: Any) -> dict[str, Any]:
        """Landmarks of a picture that is sent along and not kept."""
        return self._inferred({"output": "json"}, fixed, options, {"file": (path.name, path.read_bytes())})

    def label_map(self, picture: str) -> bytes:
        """The structures of a picture: a NRRD file."""
        return self._send("POST", f"/infer/{MODEL}", {"image": picture, "output": "image"})

    def segmentation(self, picture: str) -> bytes:
        """The structures of a DICOM picture: a DICOM Segmentation."""
        return self._send("POST", f"/infer/{MODEL}", {"image": picture, "output": "dicom_seg"})

    def findings(self, picture: str) -> bytes:
        """The landmarks found on a DICOM picture: a DICOM Structured Report (TID 1500)."""
        return self._send("POST", f"/infer/{MODEL}", {"image": picture, "output": "dicom_sr"})

    def report(self, picture: str, tag: str = "final") -> bytes:
        """The newest label of a DICOM picture, likewise."""
        return self._send("GET", "/datastore/label", {"label": picture, "tag": tag, "format": "dicom_sr"})

    def send(self, picture: str, tag: str = "final") -> int:
        """Stores that report on the DICOMweb server that the picture came from; the version sent."""
        return int(self._json("PUT", "/datastore/send", {"image": picture, "tag": tag})["version"])

    def add(self, picture: str, path: Path) -> str:
        """Sends a new picture."""
        body, kind = multipart({}, {"file": (path.name, path.read_bytes())})
        return json.loads(self._send("PUT", "/datastore/image", {"image": picture}, body, kind))["image"]

    def image(self, picture: str) -> bytes:
        """A picture's file."""
        return self._send("GET", "/datastore/image", {"image": picture})

    def save(self, picture: str, points: Points, tag: str = "final", **about: Any) -> int:
        """Keeps a label; its version."""
        content = json.dumps({name: None if at is None else [float(x) for x in at] for name, at in points.items()})
        return self.save_file(picture, "label.json", content.encode("utf-8"), tag, **about)

    def save_file(self, picture: str, name: str, content: bytes, tag: str = "final", **about: Any) -> int:
        """Keeps a label as Slicer wrote it (.mrk.json); its version."""
        body, kind = multipart({"params": json.dumps(about)}, {"label": (name, content)})
        query = {"image": picture, "tag": tag}
        return int(json.loads(self._send("PUT", "/datastore/label", query, body, kind))["version"])

    def label(self, picture: str, tag: str = "final", author: str | None = None) -> dict[str, Any]:
        """The newest label: markups as Slicer opens them, and under `skiagraph` pixels, author and time."""
        query = {"label": picture, "tag": tag, **({"author": author} if author else {})}
        return self._json("GET", "/datastore/label", query)

    def versions(self, picture: str) -> list[dict[str, Any]]:
        """All that was ever said of a picture."""
        return self._json("GET", "/datastore/versions", {"image": picture})

    def reopen(self, picture: str) -> int:
        """Puts a finished picture back among those to be read."""
        return int(self._json("PUT", "/datastore/reopen", {"image": picture})["version"])

    def readers(self) -> dict[str, Any]:
        """How far apart the readers are."""
        return self._json("GET", "/datastore/readers")

    def export(self, kind: str = "coco", tag: str = "final") -> bytes:
        """All labels: coco or csv."""
        return self._send("GET", "/datastore/export", {"format": kind, "tag": tag})

    def bring(self, content: bytes, kind: str = "coco", tag: str = "final") -> int:
        """Labels that others made; how many."""
        body, mime = multipart({}, {"file": (f"labels.{kind}", content)})
        answer = self._send("PUT", "/datastore/import", {"format": kind, "tag": tag}, body, mime)
        return int(json.loads(answer)["saved"])

    def train(self, **options: Any) -> dict[str, Any]:
        """Starts a training in the background."""
        return self._json("POST", f"/train/{MODEL}", body=options)

    def training(self) -> dict[str, Any]:
        """How it goes: SUBMITTED, RUNNING, DONE, ERROR or STOPPED under `status`."""
        return self._json("GET", "/train/")

    def stop_training(self) -> dict[str, Any]:
        """Stops it; the next one goes on from there."""
        return self._json("DELETE", "/train/")

    def batch(self, images: str = "unlabeled", **options: Any) -> dict[str, Any]:
        """Keeps the model's proposals for all, labeled or unlabeled pictures, in the background."""
        return self._json("POST", f"/batch/infer/{MODEL}", {"images": images}, body=options)

    def batching(self) -> dict[str, Any]:
        """How that goes."""
        return self._json("GET", "/batch/infer")

    def score(self, method: str = "model") -> dict[str, Any]:
        """`model` against readers, or `readers` against each other."""
        return self._json("POST", f"/scoring/{quote(method, safe='')}")

    def weights(self) -> dict[str, Any]:
        """Which weights are in use and which there are."""
        return self._json("GET", f"/model/info/{MODEL}")

    def history(self) -> list[dict[str, Any]]:
        """Every training and every change of weights."""
        return self._json("GET", f"/model/history/{MODEL}")

    def rollback(self, number: int) -> None:
        """Puts other weights into use."""
        self._send("POST", f"/model/rollback/{MODEL}", {"number": str(number)})

    def _inferred(
        self,
        query: Mapping[str, str],
        fixed: Points | None,
        options: Mapping[str, Any],
        files: Mapping[str, tuple[str, bytes]],
    ) -> dict[str, Any]:
        given = {**options, **({"fixed": dict(fixed)} if fixed else {})}
        body, kind = multipart({"params": json.dumps(given)}, files)
        return json.loads(self._send("POST", f"/infer/{MODEL}", query, body, kind))

    def _json(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> Any:
        content = None if body is None else json.dumps(body).encode("utf-8")
        return json.loads(self._send(method, path, query, content, "application/json"))

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        kind: str = "application/json",
    ) -> bytes:
        address = f"{self.address}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Authorization": f"Bearer {self.token}", **({"Content-Type": kind} if body is not None else {})}
        request = urllib.request.Request(address, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout, context=self._tls) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(error.code, _why(error.read())) from None
        except OSError as error:  # URLError is one: no server, no name, no trust in its certificate, too late
            raise Refused(0, f"no answer from {self.address}: {getattr(error, 'reason', error)}") from None


def multipart(fields: Mapping[str, str], files: Mapping[str, tuple[str, bytes]]) -> tuple[bytes, str]:
    """A body of fields and of files (name, content), and its type. RFC 7578."""
    edge = secrets.token_hex(16)
    parts = []
    for name, value in fields.items():
        parts.append(f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    for name, (filename, content) in files.items():
        plain = quote(filename, safe=" ._-()+,@")
        head = f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; filename="{plain}"\r\n'
        parts.append(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + content + b"\r\n")
    return b"".join(parts) + f"--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"


def _why(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["detail"])
    except (ValueError, KeyError, TypeError):
        return answer[:200].decode("utf-8", "replace")
