"""The real server, in a process of its own and by a Python of its own, where `make serve-setup` has made one."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from monailabel_app.access import add
from monailabel_app.client import Client

from skiagraph.io.pictures import write_picture

ROOT = Path(__file__).parents[2]
USERS = {"rita": "reader", "anna": "annotator", "ben": "annotator", "ada": "admin"}
START = 150.0


@cache
def python() -> Path | None:
    """A Python that can serve, if there is one."""
    for path in (os.environ.get("SKIAGRAPH_SERVE_PYTHON", ""), str(ROOT / ".venv-serve/bin/python"), sys.executable):
        if path and shutil.which(path):
            code = "import importlib.util as u; raise SystemExit(u.find_spec('monailabel') is None)"
            if subprocess.run([path, "-c", code], capture_output=True, check=False).returncode == 0:
                return Path(path)
    return None


@dataclass
class Server:
    """One server over one folder, started and stopped at will."""

    folder: Path
    home: Path
    tokens: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    studies: str = ""
    """Whose X-rays, if not the folder's."""

    @property
    def scratch(self) -> Path:
        return self.home / "tmp"

    @property
    def log(self) -> str:
        return (self.home / "log").read_text(encoding="utf-8")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, name: str = "ada") -> Client:
        return Client(self.address, self.tokens[name])

    def start(self) -> "Server":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.scratch.mkdir(exist_ok=True)
        code = "from skiagraph.cli import main; main()"
        arguments = [
            "serve",
            self.studies or str(self.folder),
            "--port",
            str(self.port),
            "--users",
            str(self.home / "users.json"),
        ]
        environment = {**os.environ, "TMPDIR": str(self.scratch), "OMP_NUM_THREADS": "1"}
        environment.pop("SKIAGRAPH_TOKEN", None)
        with (self.home / "log").open("ab") as log:
            command = [str(python()), "-c", code, *arguments, *self.options]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=self.home)
        until = time.monotonic() + START
        while not self.client().ready():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the server did not start: {self.log[-2000:]}")
            time.sleep(0.2)
        return self

    def kill(self, how: int = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(timeout=40)


def serving(folder: Path, home: Path, *options: str) -> Server:
    server = Server(folder, home, options=options)
    for name, role in USERS.items():
        server.tokens[name] = add(name, role, home / "users.json")
    return server


def radiographs(folder: Path, count: int = 6) -> Path:
    """Pictures that look a little like a pelvis from afar."""
    folder.mkdir(parents=True, exist_ok=True)
    v, u = torch.meshgrid(torch.linspace(-1, 1, 200), torch.linspace(-1, 1, 240), indexing="ij")
    for number in range(count):
        rng = torch.Generator().manual_seed(number)
        bone = sum(torch.exp(-((u - x) ** 2 + (v - y) ** 2) / 0.02) for x, y in ((-0.5, 0.3), (0.5, 0.3), (0, -0.2)))
        noise = 0.05 * torch.rand(200, 240, generator=rng)
        write_picture(folder / f"1.2.840.{number}.png", (0.2 + 0.5 * bone + noise).clamp(0, 1))
    return folder
