"""Tokens that an OpenID provider signed: taken if they are its own, for us, in time and with a role; else 401."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from app_server import ROOT, Server, python, radiographs, serving
from monailabel_app.client import Client, Refused

FOR_US = "skiagraph"
Sign = Callable[..., str]


@pytest.fixture(scope="module")
def issuer(can_serve: None) -> Iterator[str]:
    command = [str(python()), str(ROOT / "tests/support/issuer.py")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture(scope="module")
def ward(issuer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("ward")
    options = ("--oidc", issuer, "--audience", FOR_US, "--roles", "realm_access.roles")
    one = serving(radiographs(home / "studies", 1), home, *options).start()
    yield one
    one.kill(15)


@pytest.fixture(scope="module")
def sign(issuer: str) -> Sign:
    def token(roles: object, by: str = "own", /, **other: object) -> str:
        claims = {
            "iss": issuer, "aud": FOR_US, "sub": "0815", "exp": time.time() + 60, "preferred_username": "carla",
            "realm_access": {"roles": roles},
        }  # fmt: skip
        said = {name: value for name, value in {**claims, **other}.items() if value is not None}
        with urlopen(f"{issuer}/token?{urlencode({'with': by, 'claims': json.dumps(said)})}", timeout=10) as answer:
            return answer.read().decode()

    return token


def who(server: Server, token: str) -> dict[str, str]:
    return Client(server.address, token).who()


def test_a_signed_token_says_who_one_is_and_what_one_may(ward, sign):
    assert who(ward, sign(["offline_access", "annotator"])) == {"name": "carla", "role": "annotator"}
    assert who(ward, sign(["reader", "admin"], aud=["other", FOR_US])) == {"name": "carla", "role": "admin"}
    assert who(ward, sign("reader", preferred_username="two words", email=None))["name"] == "0815"
    carla = Client(ward.address, sign(["annotator"]))
    carla.save("1.2.840.0", {"left_femoral_head": [10.0, 10.0]})
    assert carla.label("1.2.840.0")["skiagraph"]["author"] == "carla"
    with pytest.raises(Refused) as refused:
        carla.train()
    assert refused.value.status == 403


def test_tokens_of_our_own_are_taken_as_well(ward):
    assert ward.client("rita").who() == {"name": "rita", "role": "reader"}


@pytest.mark.parametrize(
    ("by", "other"),
    [
        ("other", {}), ("shared", {}), ("none", {}),
        ("own", {"exp": 1.0}), ("own", {"exp": None}), ("own", {"nbf": 9e9}),
        ("own", {"aud": "somebody"}), ("own", {"aud": None}), ("own", {"iss": "https://evil.example"}),
        ("own", {"sub": None}), ("own", {"realm_access": None, "roles": ["admin"]}),
        ("own", {"realm_access": {"roles": ["king"]}}), ("own", {"realm_access": {"roles": {"admin": 1}}}),
    ],
)  # fmt: skip
def test_a_token_that_is_forged_or_late_or_not_for_us_or_without_a_role_is_a_strangers(ward, sign, by, other):
    with pytest.raises(Refused) as refused:
        who(ward, sign(["admin"], by, **other))
    assert refused.value.status == 401


@pytest.mark.parametrize("token", ["a.b.c", "..", "eyJhbGciOiJSUzI1NiJ9..x", "é.é.é"])
def test_what_only_looks_like_a_token_is_a_strangers(ward, token):
    with pytest.raises((Refused, UnicodeEncodeError)):
        who(ward, token)


@pytest.mark.parametrize(
    ("address", "audience"), [("http://id.example.org", "x"), ("ftp://id.example.org", "x"), ("https://id.org", "")]
)
def test_an_issuer_anybody_could_speak_for_is_refused(can_serve, address, audience, tmp_path):
    code = f"from monailabel_app.oidc import Issuer; Issuer({address!r}, {audience!r})"
    done = subprocess.run(
        [str(python()), "-c", code], cwd=Path(ROOT), capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 1
    assert "ValueError" in done.stderr
