"""Issue tokens for SASL/OAUTHBEARER, and tell a broker the key that they are signed with."""

import json
import ssl
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

_MODULE = "org.apache.kafka.common.security.oauthbearer"
AUDIENCE, PRINCIPAL = "kafka", "sink"


class TokenIssuer:
    """An issuer of tokens; `key_set` is the file with its public key, which the broker reads."""

    def __init__(self, key_set: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._key_set = key_set
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "n": _number(numbers.n), "e": _number(numbers.e)}
        key_set.write_text(json.dumps({"keys": [key]}))

    @property
    def private_key(self) -> str:
        """Return the key in PEM, for a process that signs for itself."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def broker_settings(self) -> Mapping[str, str]:
        """Return the settings of a listener that takes these tokens only, each for as long as it is valid."""
        return {
            "sasl.enabled.mechanisms": "OAUTHBEARER",
            "oauthbearer.sasl.jaas.config": f"{_MODULE}.OAuthBearerLoginModule required;",
            "oauthbearer.sasl.server.callback.handler.class": f"{_MODULE}.OAuthBearerValidatorCallbackHandler",
            "sasl.oauthbearer.jwks.endpoint.url": self._key_set.as_uri(),
            "sasl.oauthbearer.expected.audience": AUDIENCE,
            "oauthbearer.connections.max.reauth.ms": "3600000",
        }

    @property
    def jvm_options(self) -> Sequence[str]:
        """Return what lets the broker read the file (KIP-1139)."""
        return [f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self._key_set.as_uri()}"]


def signed(private_key: str, *, seconds: float) -> tuple[str, float]:
    """Return a token that is valid for so long from now, and the Unix time of its end."""
    key = load_pem_private_key(private_key.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    now = time.time()
    claims = {"sub": PRINCIPAL, "aud": AUDIENCE, "scope": "kafka", "iat": int(now), "exp": int(now + seconds)}
    head = ".".join(_text(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "1"}, claims))
    return f"{head}.{_text(key.sign(head.encode(), padding.PKCS1v15(), SHA256()))}", float(claims["exp"])


class _Server(ThreadingHTTPServer):
    """A server to which a client that gives up is no error."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class TokenEndpoint:
    """The token endpoint of an OpenID Connect server, over TLS, for one client (RFC 6749, section 4.4)."""

    def __init__(self, private_key: str, context: ssl.SSLContext, secret: str, seconds: float) -> None:
        self._private_key, self._login, self._seconds = private_key, f"{PRINCIPAL}:{secret}", seconds
        self.issued = self.refused = 0
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                code, answer = endpoint.answer(self.headers.get("Authorization", ""), form)
                body = json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}/token"

    def answer(self, authorization: str, form: Mapping[str, Sequence[str]]) -> tuple[int, Mapping[str, object]]:
        """Return the status and the body of the answer."""
        scheme, _, login = authorization.partition(" ")
        if scheme != "Basic" or unquote(b64decode(login).decode()) != self._login:
            self.refused += 1
            return 401, {"error": "invalid_client"}
        if form.get("grant_type") != ["client_credentials"]:
            return 400, {"error": "unsupported_grant_type"}
        text, _ = signed(self._private_key, seconds=self._seconds)
        self.issued += 1
        return 200, {"access_token": text, "token_type": "Bearer", "expires_in": int(self._seconds)}

    @contextmanager
    def serving(self) -> Iterator["TokenEndpoint"]:
        """Answer while the context lasts."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _text(value.to_bytes((value.bit_length() + 7) // 8, "big"))
