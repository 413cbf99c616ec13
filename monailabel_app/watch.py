"""What is written of every request, and what is counted: who, what kind, how long; never which picture."""

import logging
import re
import sys
import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG = logging.getLogger("skiagraph.serve")
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
REQUESTS = Counter("skiagraph_requests_total", "Requests answered", ["method", "route", "status"], registry=REGISTRY)
SECONDS = Histogram("skiagraph_request_seconds", "Time to answer", ["route"], registry=REGISTRY)
AT_WORK = Gauge("skiagraph_requests_in_progress", "Requests being answered", registry=REGISTRY)

_ROUTE = re.compile(
    r"/(info|infer|datastore|activelearning|train|batch|scoring|model|health|metrics|annotate)"
    r"(/(image|label|versions|readers|export|import|reopen|send|lease|infer|info|history|rollback|live|ready))?(?=/|$)"
)
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class Watch:
    """Around everything else: counts, logs, and the headers of every answer that says no other."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on, and notes how it went."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        route = route_of(scope["path"])

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = message.get("headers", [])
                said = {name for name, _ in own}
                message["headers"] = [*own, *(header for header in HEADERS if header[0] not in said)]
            await send(message)

        with AT_WORK.track_inprogress():
            try:
                await self.app(scope, receive, noted)
            finally:
                seconds = time.perf_counter() - began
                method = scope["method"] if scope["method"] in _METHODS else "OTHER"
                REQUESTS.labels(method, route, status).inc()
                SECONDS.labels(route).observe(seconds)
                user = getattr(scope.get("state", {}).get("user"), "name", "-")
                LOG.info("%s %s %d %.1f ms %s", method, route, status, 1000 * seconds, user)


def route_of(path: str) -> str:
    """What kind of thing was asked for: no id and no name of a picture is left in it."""
    found = _ROUTE.match(path)
    return found[0] if found else "/" if path == "/" else "other"


def metrics() -> Response:
    """What was counted, as Prometheus reads it."""
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH")
_handler = logging.StreamHandler(sys.stderr)
_handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
LOG.addHandler(_handler)
LOG.setLevel(logging.INFO)
LOG.propagate = False
