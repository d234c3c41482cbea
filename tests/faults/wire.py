"""PostgreSQL's messages as far as a cut needs them: where each one ends, and which is a COMMIT or its answer.

Source: PostgreSQL manual, "Frontend/Backend Protocol", "Message Formats".
"""

from collections.abc import Iterator
from typing import NamedTuple

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
_BODY_KEPT = 64


class Seen(NamedTuple):
    """A message that ended in a chunk, by its places there; `start` is 0 where it began in an earlier one."""

    kind: bytes
    start: int
    end: int
    body: bytes

    @property
    def is_commit(self) -> bool:
        """Of a client: a Query, or the Parse of a statement, that says COMMIT."""
        if self.kind not in (b"Q", b"P"):
            return False
        text = self.body.split(b"\0")[0 if self.kind == b"Q" else 1]
        return text.strip(b" ;").upper() == b"COMMIT"

    @property
    def is_committed(self) -> bool:
        """Of the server: CommandComplete with the tag COMMIT."""
        return self.kind == b"C" and self.body == b"COMMIT\0"


class ClientMessages:
    """What a client says. `asked` counts its requests for encryption, each answered by a single byte."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._started = False
        self.asked = 0

    def feed(self, chunk: bytes) -> Iterator[Seen]:
        offset = -len(self._pending)
        self._pending += chunk
        at = 0
        while (whole := _whole(self._pending, at, typed=self._started)) is not None:
            kind, body, end = whole
            if not self._started:
                code = int.from_bytes(body[:4], "big")
                self.asked += code in (SSL_REQUEST, GSS_REQUEST)
                self._started = code not in (SSL_REQUEST, GSS_REQUEST)
            yield Seen(kind, max(0, at + offset), end + offset, body)
            at = end
        del self._pending[:at]


class ServerMessages:
    """What a server says to the client that `client` follows."""

    def __init__(self, client: ClientMessages) -> None:
        self._client = client
        self._pending = bytearray()
        self._refused = 0

    def feed(self, chunk: bytes) -> Iterator[Seen]:
        """Raises ValueError where the server agrees to encryption, which nobody can look into."""
        offset = -len(self._pending)
        self._pending += chunk
        at = 0
        while self._pending[at:] and self._refused < self._client.asked:
            if self._pending[at : at + 1] != b"N":
                raise ValueError("the server encrypts; its messages cannot be followed")
            self._refused, at = self._refused + 1, at + 1
        while (whole := _whole(self._pending, at, typed=True)) is not None:
            kind, body, end = whole
            yield Seen(kind, max(0, at + offset), end + offset, body)
            at = end
        del self._pending[:at]


def _whole(pending: bytearray, at: int, *, typed: bool) -> tuple[bytes, bytes, int] | None:
    """Kind, beginning of the body and end of the message at `at`; None while it is not all there."""
    begin = at + 1 if typed else at
    if len(pending) < begin + 4:
        return None
    end = begin + int.from_bytes(pending[begin : begin + 4], "big")
    if len(pending) < end:
        return None
    return bytes(pending[at:begin]), bytes(pending[begin + 4 : min(end, begin + 4 + _BODY_KEPT)]), end
