"""Who may do what: bearer tokens, three roles, and the table of what each path asks for. Standard library only.

`python -m monailabel_app.access NAME ROLE FILE` makes a token, prints it once and keeps its SHA-256 in FILE.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROLES = ("reader", "annotator", "admin")
"""Each may do all that those before it may."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
PICTURE = re.compile(r"(?!\.)[^/\\\x00-\x1f\x7f]{1,200}")
"""What a picture may be called when it is asked for; it is looked up among those there are, never made a path."""
NEW_PICTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")

PUBLIC = ("/health", "/health/live", "/health/ready")
"""What a stranger may ask."""
PAGE = "/annotate/"
"""Under which he may read what the annotator's page is made of, too; it holds no data."""
RULES: tuple[tuple[str, str, str], ...] = (
    ("GET", r"/", "reader"),
    ("GET", r"/openapi\.json", "admin"),
    ("GET", r"/whoami", "reader"),
    ("GET", r"/metrics", "reader"),
    ("GET", r"/info/?", "reader"),
    ("GET", r"/datastore/?", "reader"),
    ("GET", r"/datastore/(image|image/info|pixels|label|label/info|versions|readers)", "reader"),
    ("HEAD", r"/datastore/(image|label)", "reader"),
    ("GET", r"/datastore/export", "annotator"),
    ("PUT", r"/datastore/?(image|label|reopen|import|send)?", "annotator"),
    ("DELETE", r"/datastore/?(image|label)?", "admin"),
    ("POST", r"/infer/[^/]+", "reader"),
    ("POST", r"/activelearning/[^/]+", "annotator"),
    ("PUT", r"/activelearning/lease", "annotator"),
    ("DELETE", r"/activelearning/lease", "annotator"),
    ("GET", r"/(train|scoring)/?|/batch/infer/?", "reader"),
    ("POST", r"/train/?|/train/[^/]+|/batch/infer/[^/]+", "admin"),
    ("POST", r"/scoring/?|/scoring/[^/]+", "annotator"),
    ("DELETE", r"/train/?|/batch/infer/?", "admin"),
    ("DELETE", r"/scoring/?", "annotator"),
    ("GET", r"/model/(info|history)/[^/]+", "reader"),
    ("POST", r"/model/rollback/[^/]+", "admin"),
)
"""Method, path, least role. What is not here is forbidden to everybody: weights, sessions, the proxy, reloads, logs."""
_RULES = tuple((method, re.compile(path), role) for method, path, role in RULES)


@dataclass(frozen=True)
class User:
    """Who asks."""

    name: str
    role: str

    def may(self, role: str) -> bool:
        """Whether this role is at least that one."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class Gate:
    """The users, by the SHA-256 of their tokens."""

    users: Mapping[str, User]

    @classmethod
    def of_token(cls, token: str, name: str = "admin") -> "Gate":
        """One token that may do everything."""
        return cls({digest(token): User(name, "admin")})

    @classmethod
    def of_file(cls, path: Path) -> "Gate":
        """The users of a file `{NAME: {"role": ROLE, "sha256": DIGEST}}`. Raises ValueError if it is no such file."""
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise ValueError(f"{path} can be read by others; chmod 600 it")
        users: dict[str, User] = {}
        for name, entry in json.loads(path.read_text(encoding="utf-8")).items():
            right = isinstance(entry, dict) and re.fullmatch(r"[0-9a-f]{64}", str(entry.get("sha256")))
            if not right or entry.get("role") not in ROLES or not NAME.fullmatch(name):
                raise ValueError(f"{path}: {name!r} needs a role ({', '.join(ROLES)}) and a sha256")
            users[entry["sha256"]] = User(name, entry["role"])
        return cls(users)

    def admit(self, authorization: str | None) -> User | None:
        """Who an Authorization header says one is."""
        token = token_of(authorization)
        if token is None:
            return None
        given, found = digest(token), None
        for known, user in self.users.items():  # all of them, so that time tells nothing
            if hmac.compare_digest(known, given):
                found = user
        return found


def needed(method: str, path: str) -> str | None:
    """The role that a request asks for; None if nobody may make it."""
    return next((role for verb, rule, role in _RULES if verb == method and rule.fullmatch(path)), None)


def digest(token: str) -> str:
    """The SHA-256 of a token, hexadecimal."""
    return hashlib.sha256(token.encode("utf-8")).hexdigest()


def token_of(authorization: str | None) -> str | None:
    """The token of an Authorization header: `Bearer TOKEN`, or `Basic` with the token as password."""
    kind, _, rest = (authorization or "").strip().partition(" ")
    if kind.lower() == "bearer" and rest.strip():
        return rest.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")[2] or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def add(name: str, role: str, path: Path) -> str:
    """A new token for a user, whose digest is kept in a file that only its owner reads."""
    if role not in ROLES or not NAME.fullmatch(name):
        raise ValueError(f"{name!r}, {role!r}: give a name of letters and digits, and one of {', '.join(ROLES)}")
    users = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    token = secrets.token_urlsafe(24)
    users[name] = {"role": role, "sha256": digest(token)}
    part = path.with_name(f".{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(json.dumps(users, indent=2) + "\n")
    os.replace(part, path)
    return token


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    print(add(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
