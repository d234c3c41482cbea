"""Make texts of events and errors storable in a database of any encoding: parking an event must not fail.

Every encoding of a server is a superset of ASCII (PostgreSQL manual, section 24.3). What the
server's encoding lacks becomes an escape such as `\\u20ac`. Payloads are bytes, and do not need
this.
"""

from collections.abc import Callable

from inbox.store.postgres.connection import Connection

Storable = Callable[[str], str]

_WHOLE = ("UTF8", "SQL_ASCII")
"""The first has every character; the second stores UTF-8 unchanged, since the client's encoding is UTF8."""

_CODECS = {"LATIN1": "iso8859-1", "LATIN9": "iso8859-15", "WIN1252": "cp1252"}
"""Encodings whose conversions in Python and PostgreSQL agree; with any other encoding only ASCII is taken as safe."""


def storable_in(connection: Connection) -> Storable:
    """Return the function that makes a text storable by the server of this connection."""
    encoding = connection.info.parameter_status("server_encoding") or "UTF8"
    return _without_nul if encoding in _WHOLE else _escaping(_CODECS.get(encoding, "ascii"))


def _escaping(codec: str) -> Storable:
    def escaped(text: str) -> str:
        return _without_nul(text).encode(codec, "backslashreplace").decode(codec)

    return escaped


def _without_nul(text: str) -> str:
    """Replace NUL and lone surrogates, which PostgreSQL's text cannot hold."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
