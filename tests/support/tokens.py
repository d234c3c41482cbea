"""Issue tokens for SASL/OAUTHBEARER, and tell a broker the key that they are signed with."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

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


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _text(value.to_bytes((value.bit_length() + 7) // 8, "big"))
