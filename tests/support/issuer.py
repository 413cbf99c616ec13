"""An OpenID provider for tests, run by the server's Python: keys at /keys, and whatever token is asked for at /token.

`python issuer.py` prints its address. `/token?with=KIND&{"claims": ...}` signs with its key (own), another key (other),
its public key as a shared secret (shared), or not at all (none).
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

OWN, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
PUBLIC = OWN.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def shared(claims: dict) -> str:
    """Signed with what everybody knows: RFC 8725, 2.1; by hand, for PyJWT refuses to."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT", "kid": "own"}, claims)]
    text = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    seal = urlsafe_b64encode(hmac.digest(PUBLIC, text, hashlib.sha256)).rstrip(b"=")
    return (text + b"." + seal).decode()


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        where = urlsplit(self.path)
        home = f"http://127.0.0.1:{self.server.server_address[1]}"
        if where.path == "/token":
            query = parse_qs(where.query)
            kind, claims = query["with"][0], json.loads(query["claims"][0])
            if kind == "shared":
                said = shared(claims)
            elif kind == "none":
                said = jwt.encode(claims, None, algorithm="none", headers={"kid": "own"})
            else:
                said = jwt.encode(claims, OWN if kind == "own" else OTHER, algorithm="RS256", headers={"kid": "own"})
        elif where.path == "/keys":
            key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OWN.public_key()))
            said = json.dumps({"keys": [{**key, "kid": "own", "use": "sig", "alg": "RS256"}]})
        else:
            said = json.dumps({"issuer": home, "jwks_uri": f"{home}/keys"})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *said: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", 0), Answers)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
