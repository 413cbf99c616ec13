"""`skiagraph serve`: X-rays of a folder or of a DICOMweb server for annotators, with the detector at hand."""

import os
import secrets
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import tyro

from skiagraph.errors import BackendError, DataError
from skiagraph.shipped import PACKAGE
from skiagraph.tasks.task import Report, silent

APP = "monailabel_app"
NEEDED = ("monailabel", "fastapi", "uvicorn", "prometheus_client")
SETTINGS = {
    "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
    "MONAI_LABEL_SESSIONS": "false",
    "MONAI_LABEL_DATASTORE_AUTO_RELOAD": "false",
    "MONAI_LABEL_TRACKING_ENABLED": "false",
}
"""What of MONAI Label is off: scoring after every request, sessions, watchers, trackers."""


@dataclass(frozen=True)
class Serve:
    """Serve X-rays with MONAI Label's REST contract: landmarks found, corrected, learned from."""

    command: ClassVar[str] = "serve"

    studies: tyro.conf.Positional[str]
    """Folder of X-rays, those in its folders included; labels and new weights are written into it. Or a DICOMweb
    server, such as http://127.0.0.1:8042/dicom-web: its DX, CR, XA and RF are brought into a folder."""
    folder: Path | None = None
    """That folder; studies-HOST-PORT here if not given."""
    host: str = "127.0.0.1"
    """Address to listen on; give --certificate with any but this one."""
    port: int = 8000
    """Port to listen on."""
    users: Path | None = None
    """File of users made by `python -m monailabel_app.access NAME ROLE FILE`; SKIAGRAPH_TOKEN is one token for all."""
    oidc: str | None = None
    """OpenID provider whose tokens are taken as well, as they call it (iss): https://id.example.org/realms/ward."""
    audience: str = ""
    """For whom those tokens have to be (aud)."""
    roles: str = "roles"
    """Claim in which they say reader, annotator or admin; dots lead deeper, as in realm_access.roles."""
    certificate: Path | None = None
    """TLS certificate, PEM."""
    key: Path | None = None
    """Its private key, PEM."""
    replay: Path | None = None
    """Set of samples that trainings replay; a small one is made if not given."""
    cors: tuple[str, ...] = ()
    """Pages elsewhere that may ask, such as https://viewer.example.org; none if not given."""
    upload: int = 64
    """Megabytes of the largest picture taken."""

    @property
    def record(self) -> None:
        """None: it serves until it is stopped."""

    def run(self, report: Report = silent) -> list[Path]:
        """Serves until it is stopped."""
        folder = self.home
        if self.remote:
            folder.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            raise DataError(f"no folder at {folder}; give a folder of X-rays, or the address of a DICOMweb server")
        if self.oidc is not None and not self.audience:
            raise DataError("tokens of an OpenID provider are for somebody; say for whom with --audience")
        if (self.certificate is None) != (self.key is None):
            raise DataError("a certificate and its key go together; give --certificate and --key")
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing:
            raise BackendError(f"serving needs {', '.join(missing)}; run `make serve-setup`")
        environment = {**os.environ, **SETTINGS, **self.environment()}
        command = [
            sys.executable, "-m", "uvicorn", f"{APP}.guard:app", "--host", self.host, "--port", str(self.port),
            "--no-access-log", "--no-server-header", "--log-level", "warning", "--timeout-graceful-shutdown", "20",
            "--timeout-keep-alive", "30",
        ]  # fmt: skip
        if self.certificate is not None and self.key is not None:
            command += ["--ssl-certfile", str(self.certificate), "--ssl-keyfile", str(self.key)]
        scheme = "http" if self.certificate is None else "https"
        kept = f", kept in {folder}" if self.remote else ""
        print(f"Serving {self.studies}{kept} at {scheme}://{self.host}:{self.port}", flush=True)
        os.execve(sys.executable, command, environment)

    @property
    def remote(self) -> bool:
        """Whether the X-rays are on a DICOMweb server."""
        return self.studies.startswith(("http://", "https://"))

    @property
    def home(self) -> Path:
        """The folder of X-rays. Raises DataError for an address without a host."""
        if not self.remote:
            return Path(self.studies)
        where = urlsplit(self.studies)
        if not where.hostname or where.username:
            raise DataError(
                f"{self.studies} is no address of a server; give http://HOST:PORT/dicom-web, and what it wants to know "
                "of you in SKIAGRAPH_DICOMWEB_AUTHORIZATION, such as 'Bearer TOKEN'"
            )
        return self.folder or Path("-".join(["studies", where.hostname, *([str(where.port)] if where.port else [])]))

    def environment(self) -> dict[str, str]:
        """What the server and its background jobs read. Makes a token, and prints it, if none was given."""
        home = app_home()
        known = {
            "MONAI_LABEL_APP_DIR": str(home / APP),
            "MONAI_LABEL_STUDIES": str(self.home.resolve()),
            "PYTHONPATH": os.pathsep.join(
                [str(home), str(home / APP / "shim"), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
            "SKIAGRAPH_CORS": ",".join(self.cors),
            "SKIAGRAPH_UPLOAD_MB": str(self.upload),
        }
        if self.users is not None:
            known["SKIAGRAPH_USERS"] = str(self.users.resolve())
        if self.remote:
            known["SKIAGRAPH_DICOMWEB"] = self.studies
        if self.oidc is not None:
            known |= {
                "SKIAGRAPH_OIDC": self.oidc,
                "SKIAGRAPH_OIDC_AUDIENCE": self.audience,
                "SKIAGRAPH_OIDC_ROLES": self.roles,
            }
        if self.replay is not None:
            known["SKIAGRAPH_REPLAY"] = str(self.replay.resolve())
        if self.users is None and self.oidc is None and not os.environ.get("SKIAGRAPH_TOKEN"):
            known["SKIAGRAPH_TOKEN"] = secrets.token_urlsafe(24)
            print(f"Token: {known['SKIAGRAPH_TOKEN']}", flush=True)
        return known


def app_home() -> Path:
    """The folder in which the app lies. Raises DataError if it is not there."""
    home = PACKAGE.parents[1]
    if not (home / APP / "main.py").is_file():
        raise DataError(f"no {APP} beside the package; run `make serve` in a checkout of Skiagraph")
    return home
