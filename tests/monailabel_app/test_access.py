import base64
import os
import subprocess
import sys

import pytest
from monailabel_app.access import NEW_PICTURE, PICTURE, PUBLIC, RULES, TAG, Gate, User, add, digest, needed


def test_a_token_admits_its_user_and_nobody_else():
    gate = Gate({digest("right"): User("anna", "annotator")})
    assert gate.admit("Bearer right") == User("anna", "annotator")
    assert gate.admit("bearer  right") is not None
    for wrong in (None, "", "Bearer", "Bearer ", "Bearer wrong", "right", "Digest right", "Basic right", "Basic !!"):
        assert gate.admit(wrong) is None


def test_a_browser_gives_the_token_as_password():
    gate = Gate.of_token("a:b")
    said = base64.b64encode(b"whoever:a:b").decode()
    assert gate.admit(f"Basic {said}") == User("admin", "admin")


def test_every_role_may_what_those_before_it_may():
    reader, annotator, admin = (User("x", role) for role in ("reader", "annotator", "admin"))
    assert [u.may("annotator") for u in (reader, annotator, admin)] == [False, True, True]
    assert admin.may("reader") and not annotator.may("admin")


def test_users_are_kept_as_digests_in_a_file_of_their_own(tmp_path):
    path = tmp_path / "users.json"
    token = add("anna", "annotator", path)
    add("ben", "reader", path)
    assert token not in path.read_text(encoding="utf-8")
    gate = Gate.of_file(path)
    assert gate.admit(f"Bearer {token}") == User("anna", "annotator")
    if os.name == "posix":
        path.chmod(0o644)
        with pytest.raises(ValueError, match="chmod 600"):
            Gate.of_file(path)


def test_the_command_prints_the_token_once(tmp_path):
    path = tmp_path / "users.json"
    command = [sys.executable, "-m", "monailabel_app.access", "anna", "admin", str(path)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert Gate.of_file(path).admit(f"Bearer {done.stdout.strip()}") == User("anna", "admin")
    assert subprocess.run([*command[:-2], "king", str(path)], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/session/"), ("GET", "/session/x"), ("PUT", "/model/hip_landmarks"),
        ("GET", "/model/hip_landmarks"),
        ("DELETE", "/model/hip_landmarks"), ("POST", "/reload"),
        ("GET", "/static/x"), ("GET", "/docs"), ("GET", "/logs/"),
        ("GET", "/logs/gpu"), ("GET", "/proxy/dicom/wado/x"), ("POST", "/proxy/dicom/x"), ("GET", "/ohif/"),
        ("PUT", "/datastore/label/info"), ("PUT", "/datastore/image/info"), ("PUT", "/datastore/updatelabelinfo"),
        ("GET", "/datastore/dataset"), ("POST", "/infer/wsi_v2/x"), ("TRACE", "/info/"),
        ("GET", "/info/../logs/"), ("GET", "//info/"),
    ],
)  # fmt: skip
def test_what_is_not_listed_is_nobodys(method, path):
    assert needed(method, path) is None


def test_only_health_is_open():
    assert set(PUBLIC) == {"/health", "/health/live", "/health/ready"}
    assert {role for _, _, role in RULES} == {"reader", "annotator", "admin"}


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "/etc/passwd", ".hidden", "", "a\x00b", "a\nb", "x" * 300])
def test_what_is_a_path_is_no_picture_and_no_tag(name):
    assert not PICTURE.fullmatch(name)
    assert not NEW_PICTURE.fullmatch(name)
    assert not TAG.fullmatch(name)


@pytest.mark.parametrize("name", ["1.2.840.113.1", "pat.01.view", "Röntgen 1", "=cmd|x"])
def test_what_is_in_the_folder_may_be_asked_for_whatever_it_is_called(name):
    assert PICTURE.fullmatch(name)
