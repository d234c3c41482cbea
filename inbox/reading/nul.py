"""Remove the character NUL from the values of a route: no text of PostgreSQL can hold it."""

from collections.abc import Sequence
from typing import Any

from inbox.documents import DocumentError, without_nul
from inbox.errors import EventError
from inbox.events import Header
from inbox.reading.formats.decoded import Decoded, RecordFormat
from inbox.reading.formats.framing import VALUE_HEADER, unframed
from inbox.reading.options import Format
from inbox.reading.values import Json


class WithoutNul:
    """A format whose values have no NUL in their texts; `inner` is the decoder, or None for JSON."""

    def __init__(self, inner: RecordFormat | None, kind: Format, *, framed: bool) -> None:
        self._inner = inner
        self._is_json = not kind.is_binary
        self._framed = framed

    def decode(self, data: bytes, headers: Sequence[Header]) -> Decoded:
        """Decode bytes, as `RecordFormat` says."""
        found = self._decoded(self._cleaned(data, headers) if self._is_json else data, headers)
        found.row = row_without_nul(found.row)
        return found

    def _decoded(self, data: bytes, headers: Sequence[Header]) -> Decoded:
        return Decoded(document=data) if self._inner is None else self._inner.decode(data, headers)

    def _cleaned(self, data: bytes, headers: Sequence[Header]) -> bytes:
        if not self._framed:
            return json_without_nul(data)
        document = unframed(data, headers, VALUE_HEADER).data
        return data[: len(data) - len(document)] + json_without_nul(document)


def json_without_nul(document: bytes) -> bytes:
    """Return a JSON document without NUL in its texts.

    Raises:
        EventError: the document is not valid.
    """
    try:
        return without_nul(document)
    except DocumentError as error:
        raise EventError(f"the value is not valid JSON: {error}") from None


def row_without_nul(value: Any) -> Any:
    """Return a decoded value without NUL in its texts."""
    if isinstance(value, str):
        if isinstance(value, Json):
            return Json(json_without_nul(value.encode()).decode())
        return value.replace("\x00", "") if "\x00" in value else value
    if isinstance(value, list):
        return [row_without_nul(each) for each in value]
    if isinstance(value, dict):
        return {row_without_nul(name): row_without_nul(each) for name, each in value.items()}
    return value
