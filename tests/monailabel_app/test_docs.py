"""What the app's page of use tells people to type, typed."""

import os
import re
import shutil
import subprocess

import pytest
from app_server import ROOT
from dicom_xrays import dicom_xray

PAGE = ROOT / "monailabel_app" / "README.md"


def block(title: str) -> list[str]:
    """The lines of the first block of commands under a heading, without what is said beside them."""
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {title}\n")[1]
    found = re.search(r"```bash\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return [re.sub(r"\s{2,}# .*", "", line) for line in found[1].splitlines()]


def test_every_line_of_curl_does_what_is_said(own_server, tmp_path):
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("no curl or bash")
    own_server.start()
    dicom_xray(own_server.folder / "hip.dcm", "DX")
    (tmp_path / "xray.dcm").write_bytes((own_server.folder / "hip.dcm").read_bytes())
    (tmp_path / "points.json").write_text('{"left_femoral_head": [20, 30]}', encoding="utf-8")
    own_server.client("anna").save("1.2.840.0", {"left_femoral_head": [20.0, 30.0]})
    first, *asked = block("Ask it")
    assert "127.0.0.1:8000" in first and len(asked) >= 10
    lines = [
        'curl() { command curl --fail-with-body --silent --show-error "$@"; }',
        first.replace("http://127.0.0.1:8000", own_server.address).replace("ID=xray", "ID=hip"),
        *asked,
    ]
    environment = {**os.environ, "SKIAGRAPH_TOKEN": own_server.tokens["ada"]}
    command = ["bash", "-e", "-c", "\n".join(lines)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr
    own_server.client("ada").stop_training()
    assert (tmp_path / "points.mrk.json").stat().st_size > 0
    assert (tmp_path / "structures.dcm").read_bytes()[128:132] == b"DICM"
    assert own_server.client("anna").versions("hip")[-1]["points"][0]["uv"] == [20.0, 30.0]
