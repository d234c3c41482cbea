"""Texts made of events and errors, such that a database of any encoding holds them: parking an event must not fail.

Every encoding of a server is a superset of ASCII (PostgreSQL manual, section 24.3). What the server's encoding lacks
becomes an escape such as `\\u20ac`. Payloads are bytes, and need none of this.
"""

from collections.abc import Callable

from inbox.store.postgres.connection import SinkConnection

Storable = Callable[[str], str]

_WHOLE = ("UTF8", "SQL_ASCII")
"""The first has every character; the second stores UTF-8 as it comes, since the client's encoding is UTF8."""

_CODECS = {"LATIN1": "iso8859-1", "LATIN9": "iso8859-15", "WIN1252": "cp1252"}
"""Those of which Python's and PostgreSQL's conversions agree; of others no more than ASCII is taken for granted."""


def storable_in(connection: SinkConnection) -> Storable:
    """Return what makes a text one that the server of this connection can hold."""
    encoding = connection.info.parameter_status("server_encoding") or "UTF8"
    return _without_nul if encoding in _WHOLE else _escaping(_CODECS.get(encoding, "ascii"))


def _escaping(codec: str) -> Storable:
    def escaped(text: str) -> str:
        return _without_nul(text).encode(codec, "backslashreplace").decode(codec)

    return escaped


def _without_nul(text: str) -> str:
    """Replace NUL and lone surrogates, which no text of PostgreSQL's can hold."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
