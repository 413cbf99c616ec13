"""What is asked of the server before it starts, and what it is told."""

from pathlib import Path

import pytest

from skiagraph.cli import main
from skiagraph.errors import DataError
from skiagraph.tasks.serve import Serve


def test_x_rays_of_a_dicomweb_server_have_a_folder_of_their_own(tmp_path):
    assert Serve("http://pacs:8042/dicom-web").home == Path("studies-pacs-8042")
    assert Serve("https://pacs.example.org/dicom-web").home == Path("studies-pacs.example.org")
    assert Serve("https://pacs/dicom-web", folder=tmp_path).home == tmp_path
    assert Serve("here").home == Path("here")


@pytest.mark.parametrize("address", ["http://", "https:///dicom-web", "http://me:secret@pacs/dicom-web"])
def test_an_address_without_a_host_or_with_a_secret_in_it_is_refused(address):
    with pytest.raises(DataError, match="SKIAGRAPH_DICOMWEB_AUTHORIZATION"):
        _ = Serve(address).home


def test_the_server_is_told_where_x_rays_and_tokens_come_from(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("SKIAGRAPH_TOKEN", raising=False)
    asked = Serve("http://pacs/dicom-web", tmp_path, oidc="https://id.example.org", audience="ward")
    known = asked.environment()
    assert known["SKIAGRAPH_DICOMWEB"] == "http://pacs/dicom-web"
    assert known["MONAI_LABEL_STUDIES"] == str(tmp_path.resolve())
    assert (known["SKIAGRAPH_OIDC"], known["SKIAGRAPH_OIDC_AUDIENCE"]) == ("https://id.example.org", "ward")
    assert "SKIAGRAPH_TOKEN" not in known and capsys.readouterr().out == ""
    plain = Serve(str(tmp_path)).environment()
    assert "SKIAGRAPH_DICOMWEB" not in plain and len(plain["SKIAGRAPH_TOKEN"]) >= 24


def test_what_cannot_be_served_is_said_in_one_line(tmp_path, capsys):
    for arguments, said in (
        ([str(tmp_path / "nowhere")], "no folder at"),
        ([str(tmp_path), "--oidc", "https://id.example.org"], "--audience"),
        ([str(tmp_path), "--key", "k.pem"], "go together"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["serve", *arguments])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
