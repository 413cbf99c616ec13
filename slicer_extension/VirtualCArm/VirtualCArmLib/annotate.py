"""Annotation with others: the server's next X-ray as a node, its proposals as points, what was put right sent back.

The client is the server's own, one file of the standard library; there is no other here.
"""

import importlib.util
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from . import radiographs
from .errors import CArmError, need_core
from .home import drop

PICTURE = "VirtualCArm.picture"
"""Attribute of an X-ray from the server: its name there."""
CLIENT = "monailabel_app.client"


@dataclass(frozen=True)
class Sample:
    """An X-ray to be read."""

    id: str
    why: str
    """Why it is this one."""
    until: float
    """Seconds since 1970 until when it is nobody else's."""
    node: Any
    keypoints: Any
    """The server's proposals as points on it."""
    began: float


@dataclass(frozen=True)
class Status:
    """How far the reading has come."""

    total: int
    finished: int
    strategies: tuple[str, ...]
    user: str
    role: str


@dataclass(frozen=True)
class Training:
    """How a training goes."""

    status: str
    """SUBMITTED, RUNNING, DONE, ERROR or STOPPED; empty if there was none."""
    words: str
    """The last thing it said."""
    part: Optional[float]
    """Of the way, 0...1; None if it has not said."""

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.status in ("SUBMITTED", "RUNNING")


def client_module():
    """The server's client: as installed with this module, or from the checkout it lies in.

    Raises CArmError where there is none, or this Python is too old for it.
    """
    if CLIENT in sys.modules:
        return sys.modules[CLIENT]
    here = Path(__file__).resolve()
    places = [here.with_name("client.py"), *(root / "monailabel_app" / "client.py" for root in here.parents[1:5])]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise CArmError("the annotation server's client was not installed with this module; install the extension anew")
    if sys.version_info < (3, 10):
        raise CArmError("annotation needs Slicer 5.10 or newer")
    about = importlib.util.spec_from_file_location(CLIENT, found)
    module = importlib.util.module_from_spec(about)
    about.loader.exec_module(module)
    sys.modules[CLIENT] = module
    return module


def refused():
    """The kind of error the client raises; a kind that nobody raises where there is no client."""
    try:
        return client_module().Refused
    except CArmError:
        return CArmError


def connect(scene, address, token, authority=None):
    """An annotator at a server. Raises CArmError for what is no address, `Refused` for no answer or a wrong token."""
    client = client_module()
    try:
        made = client.Client(address.strip(), token.strip(), authority=None if authority is None else Path(authority))
    except (ValueError, OSError) as error:
        raise CArmError(str(error)) from None
    user = made.who()
    return Annotator(scene, made, user["name"], user["role"])


class Annotator:
    """One user at one server, and the scene he reads in."""

    def __init__(self, scene, client, user: str, role: str) -> None:
        self.scene, self.client, self.user, self.role = scene, client, user, role

    def status(self) -> Status:
        """How many X-rays there are and were finished, and how the next one can be chosen."""
        info = self.client.info()
        counts = info.get("datastore", {})
        return Status(
            int(counts.get("total", 0)), int(counts.get("completed", 0)), tuple(info.get("strategies", {})), self.user,
            self.role,
        )  # fmt: skip

    def next(self, strategy: str = "hybrid", readers: int = 1) -> Optional[Sample]:
        """The next X-ray with the server's proposals; None if all are read. It is given back if it cannot be shown."""
        need_core()
        found = self.client.next_sample(strategy, readers)
        if not found:
            return None
        try:
            node = self._show(found["id"], str(found.get("path") or found["id"]))
            points = self._propose(node, found["id"], None)
        except BaseException:
            self.client.give_back(found["id"])
            raise
        return Sample(
            found["id"], str(found.get("reason", "")), float(found.get("lease_until", 0.0)), node, points, time.time()
        )

    def _show(self, picture: str, name: str):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / Path(name).name
            file.write_bytes(self.client.image(picture))
            node = radiographs.load(self.scene, file)
        node.SetAttribute(PICTURE, picture)
        return node

    def _propose(self, node, picture: str, fixed: Optional[dict[str, Any]]):
        said = self.client.infer(picture, fixed, bone=node.GetAttribute(radiographs.BONE))
        points = {
            one["name"]: (one["uv"] if _whole(one["uv"]) else None, float(one["confidence"]), bool(one["visible"]))
            for one in said["landmarks"]
        }
        return radiographs.show_keypoints(self.scene, node, points)

    def predict(self, sample: Sample, fixed: tuple[str, ...] = ()):
        """Ask for the points again; those named `fixed` stay where they are, the others are looked for about them."""
        known = self.points(sample)
        return self._propose(_there(sample), sample.id, {name: known[name] for name in fixed if name in known} or None)

    def points(self, sample: Sample) -> dict[str, Any]:
        """The points as they are now: pixels (u, v) by name, None for one that is placed nowhere."""
        node = _there(sample)
        names, uv = radiographs.pixels_of(node)
        placed = dict(zip(names, uv.tolist()))
        markups = radiographs.keypoints_of(node)
        every = [markups.GetNthControlPointLabel(n) for n in range(markups.GetNumberOfControlPoints())]
        return {name: placed.get(name) for name in every}

    def submit(self, sample: Sample, tag: str = "final") -> int:
        """Send the points; the version they are kept as. The nodes stay if that fails, and go if it does not."""
        points = self.points(sample)
        if not any(points.values()):
            raise CArmError("no point is placed; place those you see, or skip the picture")
        version = self.client.save(sample.id, points, tag, seconds=round(time.time() - sample.began, 1))
        self._away(sample)
        return version

    def skip(self, sample: Sample) -> None:
        """Leave an X-ray to others."""
        self.client.give_back(sample.id)
        self._away(sample)

    def renew(self, sample: Sample) -> float:
        """Keep an X-ray for longer; until when."""
        return self.client.renew(sample.id)

    def _away(self, sample: Sample) -> None:
        if sample.node is not None and sample.node.GetScene() is self.scene:
            drop(self.scene, sample.keypoints)
            drop(self.scene, sample.node)

    def train(self, **options) -> Training:
        """Start a training on what was read."""
        return _training(self.client.train(**options))

    def training(self) -> Training:
        """How the last training goes."""
        try:
            return _training(self.client.training())
        except refused() as error:
            if error.status == 404:
                return Training("", "no training yet", None)
            raise

    def stop_training(self) -> Training:
        """Stop it; the next one goes on from there."""
        return _training(self.client.stop_training())


def _there(sample: Sample):
    if sample.node is None or sample.node.GetScene() is None:
        raise CArmError(f"the picture {sample.id} was deleted from the scene; skip it, and take the next one")
    return sample.node


def _whole(uv) -> bool:
    return uv is not None and all(isinstance(x, (int, float)) and abs(x) < 1e9 for x in uv)


def _training(said) -> Training:
    details = [str(line) for line in said.get("details", ())]
    steps = [line for line in details if line.startswith("step ")]
    part = None
    if steps:
        words = steps[-1].replace(":", " ").split()
        part = float(words[1]) / max(1.0, float(words[3]))
    return Training(str(said.get("status", "")), details[-1] if details else "", part)
