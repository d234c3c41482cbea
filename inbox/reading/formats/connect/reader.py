"""Decode what Kafka Connect's JsonConverter writes with `schemas.enable = true`: {"schema": ..., "payload": ...}.

A topic repeats the same schema in each record, and it is mostly larger than the payload. JsonConverter
writes it first, so a record that begins with the bytes of a known schema needs no second look at them.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from inbox.documents import DocumentError, parse
from inbox.errors import EventError
from inbox.events import Header
from inbox.reading.formats.connect.schema import compiled
from inbox.reading.formats.decoded import Decoded
from inbox.reading.formats.misfits import ConnectSchemaError, Convert, InexactError, MisfitError

_BEGINNING, _MIDDLE = b'{"schema":', b',"payload":'

MOST_SCHEMAS = 500
"""The most compiled schemas that a format keeps; the one that was used longest ago goes first."""

MOST_SCHEMA_BYTES = 16 * 1024 * 1024
"""The most bytes that the kept schemas may have together."""


class _Known(NamedTuple):
    """A schema that was compiled: what stands before its payload in a record, and the conversion of the payload."""

    prefix: bytes
    convert: Convert


class ConnectJson:
    """The format `connect-json`, for the values or the keys of a route.

    `part` is what an error calls the bytes: "value" or "key".
    """

    def __init__(self, part: str = "value") -> None:
        self._part = part
        self._schemas: dict[bytes, _Known] = {}
        self._bytes = 0
        self._last = _Known(b"\x00", _never)
        self._numbers_are_exact = False

    def decode(self, data: bytes, headers: Sequence[Header] = ()) -> Decoded:
        """Return the payload with the types that its schema gives it, as a row; None where the payload is null.

        Raises:
            EventError: the bytes are not JSON, have no schema, or their payload does not fit it.
        """
        return Decoded(row=self.payload(data))

    def payload(self, data: bytes) -> Any:
        """Return the payload, as `decode`."""
        known = self._last
        if not data.startswith(known.prefix):
            found = self._known(data)
            if found is None:
                return self._payload_of_new(data)
            self._last = known = found
        payload = data[len(known.prefix) : -1]
        # A single JSON value in the remaining bytes proves that there is no further member.
        if data[-1:] != b"}" or (raw := self._parsed(payload)) is _NOT_ALONE:
            return self._payload_of_new(data)
        return self._converted(known.convert, raw, payload)

    def _known(self, data: bytes) -> _Known | None:
        """Return the compiled schema that the record begins with."""
        if not data.startswith(_BEGINNING):
            return None
        # A quote within a text is escaped, so this is the name of a member: of the record, or of a schema's default.
        for schema in _beginnings(data):
            if (found := self._schemas.pop(schema, None)) is not None:
                self._schemas[schema] = found
                return found
        return None

    def _payload_of_new(self, data: bytes) -> Any:
        """Decode a record whose schema is new, or which JsonConverter did not write."""
        try:
            document = parse(data)
        except DocumentError as error:
            raise EventError(f"the {self._part} is not valid JSON: {error}") from None
        schema, payload = self._parts(document)
        key = _schema_bytes(data) or orjson.dumps(schema)
        known = self._schemas.get(key)
        if known is None:
            try:
                known = _Known(_BEGINNING + key + _MIDDLE, compiled(schema))
            except ConnectSchemaError as error:
                raise EventError(f"the schema in the {self._part} is not one of Kafka Connect's: {error}") from None
            self._keep(key, known)
        return self._converted(known.convert, payload, data, member="payload")

    def _parts(self, document: Any) -> tuple[Any, Any]:
        """Return the schema and the payload."""
        if not isinstance(document, dict) or not {"schema", "payload"} <= document.keys():
            raise EventError(
                f'the {self._part} is JSON without a schema, and the route expects {{"schema", "payload"}} '
                '(format = "connect-json"); set schemas.enable = true in the converter of its producer, or '
                'format = "json" in the route'
            )
        if document.keys() != {"schema", "payload"}:
            raise EventError(f'the {self._part} has members beside "schema" and "payload"; fix its producer')
        if document["schema"] is None:
            raise EventError(
                f'the {self._part} has the form {{"schema", "payload"}} but its schema is null; the route expects a '
                'schema (format = "connect-json"); let its producer write with one'
            )
        return document["schema"], document["payload"]

    def _keep(self, key: bytes, known: _Known) -> None:
        self._schemas[key] = known
        self._bytes += len(key)
        while len(self._schemas) > MOST_SCHEMAS or self._bytes > MOST_SCHEMA_BYTES:
            oldest = next(iter(self._schemas))
            del self._schemas[oldest]
            self._bytes -= len(oldest)

    def _parsed(self, payload: bytes) -> Any:
        """Return the payload, or `_NOT_ALONE` where the bytes are not one JSON value.

        A number that orjson alters is a float, where the schema asks for a whole number or a decimal.
        """
        try:
            if len(payload) < _SMALL and _NUL not in payload and not self._numbers_are_exact:
                return orjson.loads(payload)
            raw = parse(payload)
        except (DocumentError, orjson.JSONDecodeError):
            return _NOT_ALONE
        return _exactly(payload) if self._numbers_are_exact else raw

    def _converted(self, convert: Convert, raw: Any, document: bytes, member: str | None = None) -> Any:
        if raw is None:
            return None
        try:
            try:
                return convert(raw)
            except InexactError:
                # decimal.format = "numeric": from now on numbers are read with all their digits at once.
                self._numbers_are_exact = True
                exact = _exactly(document)
                return convert(exact if member is None else exact[member])
        except MisfitError as error:
            raise EventError(f"the {self._part} does not fit its own schema: {error}") from None


_MOST_LOOKS = 8
"""The most members named payload that are tried. A struct's default may have such a member too."""

_NOT_ALONE = object()
_NUL = b"\\u0000"
_SMALL = 64 * 1024
"""The bytes of a payload that needs no look for the bounds of documents before it is decoded."""


def _never(raw: Any) -> Any:
    raise AssertionError(raw)


def _schema_bytes(data: bytes) -> bytes | None:
    """Return the bytes of the schema in a record that JsonConverter wrote; None for other JSON."""
    if not data.startswith(_BEGINNING):
        return None
    for schema in _beginnings(data):
        with suppress(orjson.JSONDecodeError):
            orjson.loads(schema)
            return schema
    return None


def _beginnings(data: bytes) -> Iterator[bytes]:
    """Yield what may be the schema: what stands before the first few members named payload.

    Each look reads the record up to there, so that thousands of looks would take minutes.
    """
    at = -1
    for _ in range(_MOST_LOOKS):
        at = data.find(_MIDDLE, at + 1)
        if at < 0:
            return
        yield data[len(_BEGINNING) : at]


def _exactly(document: bytes) -> Any:
    """Return a document with a `Decimal` for each number that has a fraction or an exponent."""
    try:
        parse(document)
        return json.loads(document, parse_float=Decimal, parse_int=_whole)
    except DocumentError as error:
        raise EventError(f"the value is not valid JSON: {error}") from None
    except RecursionError:
        raise EventError("the value nests too deep for numbers that keep their digits") from None


def _whole(digits: str) -> int:
    return int(digits) if len(digits) < 4300 else parse(digits.encode())
