"""A real DICOMweb server: Orthanc with its plugin, as Debian's `orthanc` and `orthanc-dicomweb` install them."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START = 60.0


def missing() -> str | None:
    """Why there is none here."""
    if shutil.which("Orthanc") is None or not PLUGIN.exists():
        return "no Orthanc with DICOMweb; apt-get install orthanc orthanc-dicomweb"
    return None


@dataclass
class Orthanc:
    """One server over an empty folder, on this machine alone."""

    home: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def dicomweb(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def start(self) -> "Orthanc":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = {
            "Name": "test", "StorageDirectory": str(self.home / "db"), "IndexDirectory": str(self.home / "db"),
            "HttpPort": self.port, "DicomServerEnabled": False, "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False, "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }  # fmt: skip
        (self.home / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
        with (self.home / "orthanc.log").open("ab") as log:
            command = ["Orthanc", str(self.home / "orthanc.json")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + START
        while True:
            try:
                self.ask("/system")
                return self
            except (urllib.error.URLError, ConnectionError):
                if self.process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((self.home / "orthanc.log").read_text(encoding="utf-8")[-2000:]) from None
                time.sleep(0.2)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=30)

    def put(self, path: Path) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/instances", path.read_bytes(), method="POST")
        with urllib.request.urlopen(request, timeout=30):
            pass

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.loads(answer.read())
