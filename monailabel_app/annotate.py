"""The annotator's page: the files that were built into page/dist, served to whoever asks, for they hold no data.

A request is looked up among the files there are and never made a path, so none leads out of the folder.
"""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi.responses import Response

BUILT = Path(__file__).parent / "page" / "dist"
HOME = "index.html"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""What a browser lets the page do: run its own scripts and ask its own server, nothing else."""


@dataclass(frozen=True)
class Part:
    """One file of the page."""

    content: bytes
    kind: str
    tag: str
    """Its ETag."""
    lasting: bool
    """Whether its name changes when its content does."""

    def answer(self, known: str | None) -> Response:
        """The file, or that what the browser knows is still right."""
        head = {
            **POLICY,
            "ETag": self.tag,
            "Cache-Control": "public, max-age=31536000, immutable" if self.lasting else "no-cache",
        }
        if known is not None and self.tag in {one.strip().removeprefix("W/") for one in known.split(",")}:
            return Response(status_code=304, headers=head)
        return Response(self.content, media_type=self.kind, headers=head)


def parts(folder: Path = BUILT) -> Mapping[str, Part]:
    """The files of the page by what they are asked for; none if it was not built."""
    return {path.relative_to(folder).as_posix(): _part(folder, path) for path in folder.rglob("*") if path.is_file()}


def _part(folder: Path, path: Path) -> Part:
    content = path.read_bytes()
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    lasting = path.relative_to(folder).parts[0] == "assets"
    return Part(content, kind, f'"{hashlib.sha256(content).hexdigest()[:32]}"', lasting)
