"""Who asks, by what an OpenID provider signed: JSON Web Tokens of one issuer, checked with its published keys.

OpenID Connect Discovery 1.0, RFC 7517 (keys) and RFC 7519 (tokens). Signatures by shared secrets, and tokens that are
not signed, are never taken. The role stands in a claim, which may lie within others, as `realm_access.roles`.
"""

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import jwt

from monailabel_app.access import NAME, ROLES, User

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
NAMES = ("preferred_username", "email", "sub")
"""Claims that may name the user, the most readable first."""
LEEWAY = 30
"""Seconds by which clocks may differ."""
PATIENCE = 10
"""Seconds to wait for the issuer."""
LOCAL = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Issuer:
    """An OpenID provider whose tokens are taken."""

    address: str
    """As its tokens say it (`iss`)."""
    audience: str
    """For whom they have to be (`aud`)."""
    claim: str = "roles"
    """Where they say the role; dots lead into claims within claims."""

    def __post_init__(self) -> None:
        if not _private(self.address):
            raise ValueError(f"the issuer {self.address!r} is not at https://; anybody between could make its keys")
        if not self.audience:
            raise ValueError("say for whom the issuer's tokens are: --audience, as they have it under aud")

    def admit(self, token: str) -> User | None:
        """Who a token says one is; None if it is not this issuer's, not for us, out of date, or names no role."""
        try:
            claims = jwt.decode(
                token,
                self._keys.get_signing_key_from_jwt(token).key,
                algorithms=list(ALGORITHMS),
                audience=self.audience,
                issuer=self.address,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, OSError, ValueError, KeyError):  # forged, expired, for others; or no issuer to ask
            return None
        role, name = _role(claims, self.claim), _name(claims)
        return None if role is None or name is None else User(name, role)

    @cached_property
    def _keys(self) -> jwt.PyJWKClient:
        """Its keys: asked for every five minutes, and when a token names one that is not known, not too often."""
        place = f"{self.address.rstrip('/')}/.well-known/openid-configuration"
        with urllib.request.urlopen(place, timeout=PATIENCE) as answer:
            said = json.loads(answer.read(1 << 20))
        if said["issuer"] != self.address or not _private(said["jwks_uri"]):
            raise ValueError("the issuer calls itself something else, or its keys are where anybody could change them")
        return jwt.PyJWKClient(said["jwks_uri"], timeout=PATIENCE)


def _private(address: str) -> bool:
    """Whether nobody between can change what comes from there."""
    where = urlsplit(address)
    return where.scheme == "https" or (where.scheme == "http" and where.hostname in LOCAL)


def looks_signed(token: str) -> bool:
    """Whether it may be one of an issuer's: three parts."""
    return token.count(".") == 2


def _role(claims: Mapping[str, Any], path: str) -> str | None:
    """The highest of our roles among those of a claim, a list or words."""
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    said = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    return next((role for role in reversed(ROLES) if role in said), None)


def _name(claims: Mapping[str, Any]) -> str | None:
    said = (claims.get(key) for key in NAMES)
    return next((name for name in said if isinstance(name, str) and NAME.fullmatch(name)), None)
