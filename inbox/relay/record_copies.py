"""Send the copies of dead letters that are records: key, value and headers as they came, byte for byte."""

from base64 import b64decode
from typing import Any, NamedTuple

from inbox.documents import DocumentError, parse
from inbox.relay.producer import Headers
from inbox.store.outbox.dead_letter_copies import RECORD_TYPE


class Copied(NamedTuple):
    """The record that a copy holds."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def record_in(event_type: str, value: bytes | None) -> Copied | None:
    """Return the record that an event of the outbox holds; None for any other event."""
    if event_type != RECORD_TYPE or value is None:
        return None
    try:
        held = parse(value)
        headers: Headers = [(name, _bytes(text)) for name, text in held["headers"]]
        return Copied(_bytes(held["key"]), _bytes(held["value"]), headers)
    except (DocumentError, LookupError, TypeError, ValueError):
        return None  # somebody else's event of this type


def _bytes(text: Any) -> bytes | None:
    return None if text is None else b64decode(text)
