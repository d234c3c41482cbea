"""Issue certificates for the servers and clients of a test, from an authority of its own."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate with its chain, and its key in PKCS#8, the form that Java reads."""

    chain: bytes
    key: bytes

    @property
    def both(self) -> bytes:
        return self.key + self.chain

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Write the files of chain and key; libpq requires that only the owner can read the key."""
        chain, key = directory / f"{name}.crt", directory / f"{name}.key"
        chain.write_bytes(self.chain)
        key.touch(mode=0o600)
        key.write_bytes(self.key)
        return chain, key


class Authority:
    """An authority: a program that trusts `certificate` trusts the certificates issued here."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    @property
    def certificate(self) -> bytes:
        return self._ca.cert_pem.bytes()

    def for_server(self, *names: str, expired: bool = False) -> Certificate:
        """Issue a certificate for these host names and addresses."""
        begin = YESTERDAY - timedelta(days=30) if expired else None
        return _certificate(self._ca.issue_cert(*names, not_before=begin, not_after=YESTERDAY if expired else None))

    def for_client(self, user: str) -> Certificate:
        return _certificate(self._ca.issue_cert("client@example.org", common_name=user))


def _certificate(issued: trustme.LeafCert) -> Certificate:
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    return Certificate(
        b"".join(blob.bytes() for blob in issued.cert_chain_pems),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
