"""The server: MONAI Label's REST contract, every route of it our own, and nothing served that is not listed.

Started as `uvicorn monailabel_app.guard:app` by `skiagraph serve`, which sets the environment read here.
"""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import shutil
import tempfile
import threading
import traceback
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import psutil
from fastapi import Body, Depends, FastAPI, File, Form, HTTPException, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException, MONAILabelException
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks.task import AsyncTask
from requests_toolbelt import MultipartEncoder
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monailabel_app import access, annotate, asked
from monailabel_app.access import Gate, User
from monailabel_app.lib import dicom
from monailabel_app.lib.datastore import said
from monailabel_app.lib.dicomweb import Mirror
from monailabel_app.lib.study import MODEL, Study, TooLarge, grey, read, threads
from monailabel_app.oidc import Issuer, looks_signed
from monailabel_app.watch import LOG, Watch, metrics
from skiagraph.active.agreement import between_readers, report
from skiagraph.active.exchange import FORMATS, as_coco, as_csv, from_coco, from_csv
from skiagraph.active.labels import FINAL, points_from
from skiagraph.active.store import KINDS, Missing, Taken
from skiagraph.errors import SkiagraphError
from skiagraph.io.files import suffix_of

PAGE = annotate.parts()
"""The annotator's page: served at /annotate/."""
MEGABYTE = 1 << 20
SMALL = MEGABYTE
"""Bytes of a body that holds no picture."""
LARGE = int(os.environ.get("SKIAGRAPH_UPLOAD_MB", "64")) * MEGABYTE
"""Bytes of a body that holds one."""
INFERENCES = 2
"""How many run at once."""

SCRATCH = "skiagraph-serve-"
TYPES = {
    ".json": "application/json", ".csv": "text/csv", ".nrrd": "application/octet-stream", ".dcm": "application/dicom",
}  # fmt: skip
Said = Annotated[str, Form()]


class Room:
    """What the routes share; made when the server starts."""

    def __init__(self) -> None:
        self.instance: Any = None
        self.gate = Gate({})
        self.issuer: Issuer | None = None
        self.mirror: Mirror | None = None
        self.pool = ThreadPoolExecutor(INFERENCES, thread_name_prefix="infer")
        self.scratch = Path(tempfile.gettempdir())
        self.stopping = False
        self.starting = threading.Lock()

    @property
    def study(self) -> Study:
        """The study. Raises 503 before there is one."""
        if self.instance is None:
            raise HTTPException(503, "the server is still starting")
        return self.instance.study


ROOM = Room()


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The app loaded and warm before the first request; background jobs ended after the last."""
    ROOM.issuer = _issuer()
    ROOM.gate = _gate()
    _sweep(Path(tempfile.gettempdir()))
    ROOM.scratch = Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{os.getpid()}-"))
    tempfile.tempdir = str(ROOM.scratch)
    threads(max(1, (os.cpu_count() or 2) // INFERENCES))
    instance = app_instance()
    instance.server_mode(True)
    instance.study.current.get()
    ROOM.instance = instance
    enough = threading.Event()
    if address := os.environ.get("SKIAGRAPH_DICOMWEB"):
        folder = instance.study.store.folder
        ROOM.mirror = Mirror(address, folder, os.environ.get("SKIAGRAPH_DICOMWEB_AUTHORIZATION", ""))
        threading.Thread(target=ROOM.mirror.watch, args=(enough,), daemon=True).start()
    LOG.info("ready")
    yield
    ROOM.stopping = True
    enough.set()
    for method in ("train", "batch_infer", "scoring"):
        AsyncTask.stop(method)
    ROOM.pool.shutdown(wait=True, cancel_futures=True)
    shutil.rmtree(ROOM.scratch, ignore_errors=True)


api = FastAPI(title="Skiagraph", docs_url=None, redoc_url=None, lifespan=lifespan)


class Guarded:
    """Everything before a route: who asks, whether he may, from which page, and how much he sends."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses, or passes on with the user in the scope's state."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        request = Request(scope)
        refused = self._refused(request, await _whoever(request))
        if refused is not None:
            await refused(scope, receive, send)
            return
        await self.app(scope, _counted(receive, _limit(request)), send)

    def _refused(self, request: Request, user: User | None) -> Response | None:
        method, path = request.method, request.url.path
        if path in access.PUBLIC or (method in ("GET", "HEAD") and path.startswith(access.PAGE)):
            return None
        if user is None:
            return _no(
                401, "say who you are: Authorization: Bearer TOKEN", {"WWW-Authenticate": 'Basic realm="skiagraph"'}
            )
        role = access.needed(method, path)
        if role is None:
            return _no(403, "this is not served here")
        if not user.may(role):
            return _no(403, f"this asks for the role {role}; yours is {user.role}")
        if not _same_origin(request):
            return _no(403, "requests from other pages are not answered")
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _limit(request):
            return _no(413, f"at most {_limit(request) // MEGABYTE} MB are taken here", {"Connection": "close"})
        request.state.user = user
        return None


async def _whoever(request: Request) -> User | None:
    """Who asks, by a token of ours or one that the issuer signed; None for a stranger."""
    said = request.headers.get("authorization")
    user, token = ROOM.gate.admit(said), access.token_of(said)
    if user is not None or token is None or ROOM.issuer is None or not looks_signed(token):
        return user
    return await asyncio.to_thread(ROOM.issuer.admit, token)


def _user(request: Request) -> User:
    return request.state.user


Someone = Annotated[User, Depends(_user)]


def _picture(image: Annotated[str, Query()]) -> str:
    """A picture's id, known to the store. 400 for what can be none, 404 for one there is not."""
    if not access.PICTURE.fullmatch(image):
        raise HTTPException(400, "a picture's id has no slashes and does not begin with a dot")
    ROOM.study.store.path(image)
    return image


def _label(label: Annotated[str, Query()]) -> str:
    return _picture(label)


def _by_id(id: Annotated[str, Query()]) -> str:
    return _picture(id)


def _tag(tag: Annotated[str, Query()] = FINAL) -> str:
    if not access.TAG.fullmatch(tag):
        raise HTTPException(400, "a tag is letters, digits, - and _, at most 32")
    return tag


Picture = Annotated[str, Depends(_picture)]
LabelOf = Annotated[str, Depends(_label)]
PictureId = Annotated[str, Depends(_by_id)]
Tag = Annotated[str, Depends(_tag)]


@api.get("/health")
@api.get("/health/live")
def live() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "live"}


@api.get("/health/ready")
def ready() -> JSONResponse:
    """Whether it can do its work."""
    well = ROOM.instance is not None and not ROOM.stopping
    return JSONResponse({"status": "ready" if well else "not ready"}, 200 if well else 503)


@api.get("/", include_in_schema=False)
def root() -> RedirectResponse:
    """To the page."""
    return RedirectResponse("/annotate/")


@api.get("/annotate/{name:path}", include_in_schema=False)
@api.head("/annotate/{name:path}", include_in_schema=False)
def page(request: Request, name: str) -> Response:
    """A file of the annotator's page. It holds no data, so no token is asked for."""
    part = PAGE.get(name or annotate.HOME)
    if part is None:
        raise HTTPException(404, "no such file of the page", annotate.POLICY)
    return part.answer(request.headers.get("if-none-match"))


@api.get("/whoami")
def who(user: Someone) -> dict[str, str]:
    """Whose token it is."""
    return {"name": user.name, "role": user.role}


@api.get("/metrics", response_class=PlainTextResponse)
def prometheus() -> Response:
    """For Prometheus."""
    return metrics()


@api.get("/info")
@api.get("/info/", include_in_schema=False)
def info() -> dict[str, Any]:
    """What there is: models, trainers, strategies, scoring, counts."""
    return _served().info()


@api.post("/infer/{model}")
async def infer(
    model: str,
    user: Someone,
    image: str = "",
    output: Literal["json", "image", "all", "dicom_seg", "dicom_sr"] | None = None,
    params: Said = "{}",
    file: Annotated[UploadFile | None, File()] = None,
    label: Annotated[UploadFile | None, File()] = None,
    session_id: str = "",
) -> Response:
    """Landmarks of a picture of the study, or of one that is sent along."""
    _known(model, _served()._infers, "model")
    wanted = asked.of_infer(_object(params))
    if session_id or label is not None:
        raise HTTPException(400, "sessions and label maps are not taken here")
    if (file is None) == (not image):
        raise HTTPException(400, "give ?image=ID or a file, one of them")
    if wanted.get("save_label") and not user.may("annotator"):
        raise HTTPException(403, "saving asks for the role annotator")
    if file is not None and wanted.get("save_label"):
        raise HTTPException(400, "only what is found on a picture of the study can be saved")
    if wanted.get("save_label") and output in ("image", dicom.SEG, dicom.SR):
        raise HTTPException(400, "what is saved are points; ask for output=json or all")
    loop = asyncio.get_running_loop()

    def work() -> Response:
        if file is None:
            return _answer(
                _served().infer({"model": model, "image": _picture(image), "output": output, **wanted}), output
            )
        with _received(file, KINDS) as path:
            answer, found = _served()._infers[model]({"model": model, "image": str(path), "output": output, **wanted})
            return _answer({"file": answer, "params": found}, output)

    return await loop.run_in_executor(ROOM.pool, work)


@api.get("/datastore")
@api.get("/datastore/", include_in_schema=False)
def datastore(output: Literal["all", "stats", "train"] = "stats") -> Any:
    """Counts, everything, or pictures with final labels."""
    store = _served().datastore()
    return {"all": store.json, "stats": store.status, "train": store.datalist}[output]()


@api.get("/datastore/image")
@api.head("/datastore/image", include_in_schema=False)
def image_of(image: Picture) -> FileResponse:
    """A picture's file."""
    path = ROOM.study.store.path(image)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


@api.get("/datastore/pixels")
def pixels_of(request: Request, image: Picture) -> Response:
    """A picture decoded: 16-bit grey, little-endian, row by row, bone bright; rows and columns in X-Size."""
    rows, columns, content = grey(ROOM.study.store.path(image))
    head = {"X-Size": f"{rows},{columns}", "Cache-Control": "no-store"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        content, head["Content-Encoding"] = zlib.compress(content, 1, wbits=31), "gzip"
    return Response(content, media_type="application/octet-stream", headers=head)


@api.get("/datastore/image/info")
def image_info(image: Picture) -> dict[str, Any]:
    """What is known of it."""
    return _served().datastore().get_image_info(image)


@api.put("/datastore/image")
@api.put("/datastore", include_in_schema=False)
@api.put("/datastore/", include_in_schema=False)
def add_image(
    image: Annotated[str, Query()], user: Someone, file: Annotated[UploadFile, File()], params: Said = "{}"
) -> dict[str, Any]:
    """A new picture, which must be one that can be read."""
    if not access.NEW_PICTURE.fullmatch(image):
        raise HTTPException(400, "a new picture's id is letters, digits, dots, - and _, at most 128")
    with _received(file, KINDS) as path:
        read(path, "bright")
        place = ROOM.study.store.add(image, suffix_of(path), path)
    return {"image": image, "name": place.name}


@api.delete("/datastore/image")
@api.delete("/datastore", include_in_schema=False)
@api.delete("/datastore/", include_in_schema=False)
def remove_image(picture: PictureId) -> dict[str, Any]:
    """Moves a picture out of the way."""
    ROOM.study.store.take_away(picture)
    return {}


@api.get("/datastore/label")
@api.head("/datastore/label", include_in_schema=False)
def label_of(
    request: Request,
    tag: Tag,
    author: Annotated[str | None, Query(max_length=64)] = None,
    format: Literal["markups", "dicom_sr"] = "markups",
) -> Response:
    """The newest label of a picture, as Slicer opens it, or as SR; `label=ID` or, as MONAI Label's HEAD, `image=ID`."""
    given = request.query_params
    picture = _picture(given.get("label") or given.get("image") or "")
    store = ROOM.study.store
    version = store.label(picture, tag, author)
    if version is None:
        raise Missing("the picture has no such label")
    if format == dicom.SR:
        return _answer({"file": dicom.reading(store.path(picture), version), "params": {}}, dicom.SR)
    path = store.label_file(picture, version)
    return FileResponse(path, media_type="application/json", filename=f"{picture}.mrk.json")


@api.get("/datastore/label/info")
def label_info(label: LabelOf, tag: Tag) -> dict[str, Any]:
    """Who said it and when."""
    return _served().datastore().get_label_info(label, tag)


@api.get("/datastore/versions")
def versions(image: Picture) -> list[dict[str, Any]]:
    """All that was ever said of a picture, oldest first, with its points."""
    return [{**said(version), "points": _points(version.keypoints)} for version in ROOM.study.store.versions(image)]


@api.put("/datastore/label")
def save_label(
    image: Picture,
    tag: Tag,
    user: Someone,
    label: Annotated[UploadFile, File()],
    params: Said = "{}",
    after: Annotated[int | None, Query(ge=0)] = None,
) -> dict[str, Any]:
    """A label: it is on the disk before this answers. 409 if others said something since version `after`, if given."""
    about = asked.of_label(_object(params))
    study = ROOM.study
    content = label.file.read(SMALL + 1)
    if len(content) > SMALL:
        raise HTTPException(413, "a label is smaller than a megabyte")
    frame = study.frame(image)
    if after is not None:
        later = [one for one in study.store.versions(image) if one.number > after and one.author != user.name]
        if later:
            raise HTTPException(409, f"{later[-1].author} saved version {later[-1].number} meanwhile")
    version = study.store.save(image, points_from(content, frame), frame, user.name, tag, about)
    if tag == FINAL:
        study.leases.give_back(image, user.name)
    return {"image": image, "label": image, "tag": tag, "version": version.number}


@api.delete("/datastore/label")
def remove_label(picture: PictureId, tag: Tag, user: Someone) -> dict[str, Any]:
    """Takes a label away; its history stays."""
    ROOM.study.store.remove(picture, tag, user.name)
    return {}


@api.put("/datastore/reopen")
def reopen(image: Picture, user: Someone) -> dict[str, Any]:
    """Puts a finished picture back among those to be read."""
    return {"image": image, "version": ROOM.study.store.reopen(image, user.name).number}


@api.put("/datastore/send")
def send(image: Picture, tag: Tag, user: Someone) -> dict[str, Any]:
    """Stores the newest label of a picture as SR on the DICOMweb server that the picture came from."""
    store = ROOM.study.store
    version = store.label(image, tag)
    if ROOM.mirror is None:
        raise HTTPException(409, "the pictures are of no DICOMweb server; ask for the label as dicom_sr")
    if version is None:
        raise Missing("the picture has no such label")
    path = Path(dicom.reading(store.path(image), version))
    try:
        ROOM.mirror.send(path)
    finally:
        path.unlink(missing_ok=True)
    return {"image": image, "tag": tag, "version": version.number}


@api.get("/datastore/readers")
def readers() -> Mapping[str, object]:
    """How far apart the readers are."""
    return report(between_readers(ROOM.study.store))


@api.get("/datastore/export")
def export(format: Literal["coco", "csv"] = "coco", tag: Tag = FINAL) -> Response:
    """All labels of a tag."""
    store = ROOM.study.store
    content = json.dumps(as_coco(store, tag)) if format == "coco" else as_csv(store, tag)
    head = {"Content-Disposition": f'attachment; filename="labels{FORMATS[format]}"'}
    return Response(content, media_type=TYPES[FORMATS[format]], headers=head)


@api.put("/datastore/import")
def import_(
    user: Someone, file: Annotated[UploadFile, File()], format: Literal["coco", "csv"] = "coco", tag: Tag = FINAL
) -> dict[str, Any]:
    """Labels that others made of pictures of the study; all of them or, if one is wrong, none."""
    study = ROOM.study
    content = file.file.read(LARGE)
    labels = (from_coco if format == "coco" else from_csv)(content, set(study.store.pictures()), study.frame)
    for picture, points in labels.items():
        study.store.save(picture, points, study.frame(picture), user.name, tag, {"imported": format})
    return {"saved": len(labels)}


@api.post("/activelearning/{strategy}")
def next_sample(
    strategy: str, user: Someone, params: Annotated[dict[str, Any] | None, Body()] = None
) -> dict[str, Any]:
    """The next picture for who asks, and why; his alone until the lease runs out."""
    served = _served()
    _known(strategy, served._strategies, "strategy")
    wanted = asked.of_choice(params or {})
    found = served._strategies[strategy]({**wanted, "reader": user.name}, served.datastore())
    if not found:
        return {}
    known = served.datastore().get_image_info(found["id"])
    return {**found, "path": known["name"], **known}


@api.put("/activelearning/lease")
def renew(image: Picture, user: Someone) -> dict[str, Any]:
    """Keeps a picture for longer, or takes it if nobody has it; 409 if another has."""
    lease = ROOM.study.leases.renew(image, user.name)
    if lease is None:
        raise HTTPException(409, "another annotator has the picture now")
    return {"id": image, "lease_until": lease.until}


@api.delete("/activelearning/lease")
def give_back(image: Picture, user: Someone) -> dict[str, Any]:
    """Leaves a picture to others."""
    return {"given_back": ROOM.study.leases.give_back(image, user.name)}


@api.get("/train")
@api.get("/train/", include_in_schema=False)
def train_status(all: bool = False, check_if_running: bool = False) -> Any:
    """Of the last training."""
    return _status("train", all, check_if_running)


@api.post("/train")
@api.post("/train/", include_in_schema=False)
@api.post("/train/{model}")
def train(
    user: Someone,
    model: str = MODEL,
    params: Annotated[dict[str, Any] | None, Body()] = None,
    enqueue: bool = False,
    run_sync: bool = False,
) -> Any:
    """Starts a training in a process of its own; 429 if one is running."""
    _known(model, _served()._trainers, "trainer")
    if run_sync:
        raise HTTPException(400, "a training runs in the background; ask for its status")
    given = params or {}
    wanted = asked.of_training(given.get(model, given) if isinstance(given.get(model, given), dict) else given)
    return _run("train", {"model": model}, {**wanted, "by": user.name}, enqueue)


@api.delete("/train")
@api.delete("/train/", include_in_schema=False)
def train_stop() -> Any:
    """Stops it; the next one goes on from where it was."""
    return _told(AsyncTask.stop("train"))


@api.post("/batch/infer/{model}")
def batch(
    model: str,
    images: Literal["all", "labeled", "unlabeled"] = "unlabeled",
    params: Annotated[dict[str, Any] | None, Body()] = None,
    run_sync: bool = False,
) -> Any:
    """Keeps the model's proposals for many pictures."""
    _known(model, _served()._infers, "model")
    if run_sync:
        raise HTTPException(400, "batch inference runs in the background; ask for its status")
    return _run("batch_infer", {"model": model, "images": images}, asked.of_batch(params or {}), False)


@api.get("/batch/infer")
@api.get("/batch/infer/", include_in_schema=False)
def batch_status(all: bool = False, check_if_running: bool = False) -> Any:
    """Of the last batch."""
    return _status("batch_infer", all, check_if_running)


@api.delete("/batch/infer")
@api.delete("/batch/infer/", include_in_schema=False)
def batch_stop() -> Any:
    """Stops it."""
    return _told(AsyncTask.stop("batch_infer"))


@api.post("/scoring")
@api.post("/scoring/", include_in_schema=False)
def score_all() -> dict[str, Any]:
    """All comparisons of labels, at once: they take no time."""
    return {name: _served().scoring({"method": name}) for name in _served()._scoring_methods}


@api.post("/scoring/{method}")
def score(method: str) -> Any:
    """One of them."""
    _known(method, _served()._scoring_methods, "scoring method")
    return _served().scoring({"method": method})


@api.get("/scoring")
@api.get("/scoring/", include_in_schema=False)
def score_status() -> Any:
    """Nothing runs in the background."""
    raise HTTPException(404, "scoring answers at once; POST /scoring/METHOD")


@api.delete("/scoring")
@api.delete("/scoring/", include_in_schema=False)
def score_stop() -> dict[str, Any]:
    """Nothing to stop."""
    return {}


@api.get("/model/info/{model}")
def model_info(model: str) -> dict[str, Any]:
    """Which weights are in use, and their checksum."""
    _known(model, _served()._infers, "model")
    shelf = ROOM.study.shelf
    return {**(_served().model_info(model) or {}), "number": shelf.current, "numbers": list(shelf.numbers)}


@api.get("/model/history/{model}")
def model_history(model: str) -> list[dict[str, Any]]:
    """Every training and every change of weights."""
    _known(model, _served()._infers, "model")
    return ROOM.study.shelf.history()


@api.post("/model/rollback/{model}")
def rollback(model: str, user: Someone, number: Annotated[int, Query(ge=0, le=9999)]) -> dict[str, Any]:
    """Puts other weights of the history into use; 0 are those that came with Skiagraph."""
    _known(model, _served()._infers, "model")
    shelf = ROOM.study.shelf
    if number not in shelf.numbers:
        raise HTTPException(404, "there are no weights of that number")
    shelf.use(number, "rolled back", user.name)
    return {"number": number}


@api.exception_handler(SkiagraphError)
def _cannot(request: Request, error: SkiagraphError) -> JSONResponse:
    kinds = ((Missing, 404), (Taken, 409), (TooLarge, 413), (asked.Unasked, 400))
    status = next((status for kind, status in kinds if isinstance(error, kind)), 422)
    return JSONResponse({"detail": _without_paths(str(error))}, status)


@api.exception_handler(MONAILabelException)
def _not_there(request: Request, error: MONAILabelException) -> JSONResponse:
    absent = isinstance(error, (ImageNotFoundException, LabelNotFoundException))
    return JSONResponse({"detail": "no such picture or label" if absent else str(error.msg)}, 404 if absent else 400)


@api.exception_handler(RequestValidationError)
def _unclear(request: Request, error: RequestValidationError) -> JSONResponse:
    faults = [{"where": [str(part)[:40] for part in one["loc"]], "what": one["msg"]} for one in error.errors()[:5]]
    return JSONResponse({"detail": faults}, 400)


@api.exception_handler(Exception)
def _bug(request: Request, error: Exception) -> JSONResponse:
    number = secrets.token_hex(4)
    where = traceback.extract_tb(error.__traceback__)
    LOG.error(
        "bug %s: %s at %s", number, type(error).__name__, " < ".join(f"{f.name}:{f.lineno}" for f in where[::-1][:6])
    )
    return JSONResponse({"detail": f"a fault of ours; its number in the log is {number}"}, 500)


def _served() -> Any:
    ROOM.study  # noqa: B018 - raises before the server is ready
    return ROOM.instance


def _known(name: str, among: Mapping[str, Any], what: str) -> None:
    if name not in among:
        raise HTTPException(404, f"there is no such {what}; there are {', '.join(among)}")


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HTTPException(400, "params is a JSON object, such as {}")
    return found


@contextlib.contextmanager
def _received(file: UploadFile, kinds: tuple[str, ...]) -> Any:
    """What was sent, as a file that is gone afterwards; the ending of its name says what it is."""
    ending = suffix_of(Path(file.filename or ""))
    if ending not in kinds:
        raise HTTPException(422, f"the file's name ends in none of {', '.join(kinds)}")
    with tempfile.TemporaryDirectory(dir=ROOM.scratch) as folder:
        path = Path(folder) / f"upload{ending}"
        with path.open("wb") as copy:
            shutil.copyfileobj(file.file, copy)
        yield path


def _answer(result: Mapping[str, Any], output: str | None) -> Response:
    """As MONAI Label answers: JSON, a file, or both in parts. The file is gone afterwards."""
    file = None if result["file"] is None else Path(result["file"])
    try:
        if output == "json" or file is None:
            return JSONResponse(result["params"])
        content, kind = file.read_bytes(), TYPES.get(file.suffix, "application/octet-stream")
    finally:
        if file is not None:
            file.unlink(missing_ok=True)
    if output in ("image", dicom.SEG, dicom.SR):
        head = {"Content-Disposition": f'attachment; filename="{MODEL}{file.suffix}"'}
        return Response(content, media_type=kind, headers=head)
    parts = {
        "params": (None, json.dumps(result["params"]), "application/json"),
        "image": (f"{MODEL}{file.suffix}", content, kind),
    }
    message = MultipartEncoder(fields=parts)
    return Response(message.to_string(), media_type=message.content_type)


def _points(keypoints: Any) -> list[dict[str, Any]]:
    rows = zip(keypoints.names, keypoints.uv.tolist(), keypoints.visible.tolist())
    return [{"name": name, "uv": uv if seen else None, "visible": seen} for name, uv, seen in rows]


def _run(method: str, request: dict[str, Any], params: dict[str, Any], enqueue: bool) -> Any:
    # MONAI Label itself sees a job only once its process runs, so two requests at once would both start one.
    with ROOM.starting:
        last, _ = AsyncTask.status(method)
        if not enqueue and last is not None and last["status"] in ("SUBMITTED", "RUNNING"):
            raise HTTPException(429, "one is running already; wait for it, stop it, or ask with enqueue=true")
        found, _ = AsyncTask.run(method, request=request, params=params, enqueue=True)
    return _told(found)


def _status(method: str, all: bool, running: bool) -> Any:
    found, why = AsyncTask.status(method, all, running)
    if found is None:
        raise HTTPException(404, str(why))
    return [_told(one) for one in found] if isinstance(found, list) else _told(found)


def _told(task: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if task is None else {**task, "details": list(task.get("details", ()))}


def _limit(request: Request) -> int:
    path = request.url.path
    return (
        LARGE
        if path.startswith("/infer/") or path in ("/datastore", "/datastore/", "/datastore/image", "/datastore/import")
        else 2 * SMALL
    )


def _counted(receive: Receive, most: int) -> Receive:
    """The same body, ended with a 413 once it is longer than it may be, whatever its header said."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise HTTPException(413, f"at most {most // MEGABYTE} MB are taken here")
        return message

    return counted


def _same_origin(request: Request) -> bool:
    origin = request.headers.get("origin")
    if origin is None or origin in _allowed():
        return True
    return urlsplit(origin).netloc == request.headers.get("host")


def _no(status: int, why: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"detail": why}, status, dict(headers or {}))


def _without_paths(text: str) -> str:
    """An error's words without where things lie on this machine."""
    for place in {str(ROOM.scratch), tempfile.gettempdir(), str(ROOM.study.store.folder)}:
        text = text.replace(f"{place}/", "")
    return text


def _allowed() -> list[str]:
    return [one for one in os.environ.get("SKIAGRAPH_CORS", "").split(",") if one]


def _issuer() -> Issuer | None:
    address = os.environ.get("SKIAGRAPH_OIDC")
    if not address:
        return None
    return Issuer(
        address, os.environ.get("SKIAGRAPH_OIDC_AUDIENCE", ""), os.environ.get("SKIAGRAPH_OIDC_ROLES", "roles")
    )


def _gate() -> Gate:
    users, token = os.environ.get("SKIAGRAPH_USERS"), os.environ.get("SKIAGRAPH_TOKEN")
    if not users and not token and ROOM.issuer is not None:
        return Gate({})
    if not users and not token:
        raise RuntimeError("no token: set SKIAGRAPH_TOKEN, or SKIAGRAPH_USERS to a file of users")
    gate = Gate.of_token(token) if token else Gate({})
    return Gate({**gate.users, **Gate.of_file(Path(users)).users}) if users else gate


def _sweep(home: Path) -> None:
    """Takes away what servers that were killed had received and not yet thrown away."""
    for left in home.glob(f"{SCRATCH}*-*"):
        owner = left.name.removeprefix(SCRATCH).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)


def _wrapped() -> ASGIApp:
    layers: list[Callable[[ASGIApp], ASGIApp]] = [Guarded]
    if _allowed():
        layers.append(
            lambda app: CORSMiddleware(
                app, allow_origins=_allowed(), allow_methods=["*"], allow_headers=["authorization", "content-type"]
            )
        )
    layers.append(Watch)
    app: ASGIApp = api
    for layer in layers:
        app = layer(app)
    return app


app = _wrapped()
logging.getLogger("monailabel").setLevel(logging.WARNING)
for job in ("train", "batch_infer", "scoring"):
    logging.getLogger(f"task_{job}").setLevel(logging.WARNING)
