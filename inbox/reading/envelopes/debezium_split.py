"""Cut the row out of the JSON of a change event, so that the database decodes the row alone.

The change is decoded into types that name each of its members. So no number beside the row needs a look of its own:
it is a whole number of at most 64 bits. Rows are cut out byte for byte and decoded separately.
"""

from typing import Any

import msgspec
import orjson

from inbox.document_bounds import NESTING, excess, has_hard_number, is_ordinary
from inbox.documents import has_nul
from inbox.reading.envelopes.debezium_position import Int64, SourceFields

_BACKSLASH = ord("\\")
_NULL = msgspec.Raw(b"null")
_BEGINNING = b'{"before":%b,"after":%b,"source":{'
"""The beginning of each change that Debezium writes. So no other `before` or `after`, which nobody has looked at, came
first: of members with one name the last one counts."""


class _Transaction(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The member `transaction` of a change event."""

    id: str
    total_order: Int64
    data_collection_order: Int64


class _Change(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The members of a change event (Debezium manual, "Change event values" of each connector)."""

    op: str
    after: msgspec.Raw
    source: SourceFields
    before: msgspec.Raw = _NULL
    ts_ms: Int64 | None = None
    ts_us: Int64 | None = None
    ts_ns: Int64 | None = None
    transaction: _Transaction | None = None


SplitChange = tuple[str, Any, bytes, dict[str, Any], SourceFields, int | None]
"""The parts of a change event: the operation, the decoded row before the change or None, the JSON of `after` byte for
byte, that row decoded, the place in the source's log, and the time of reading in milliseconds."""

_decode = msgspec.json.Decoder(_Change).decode


def split_change(document: bytes) -> SplitChange | None:
    """Return the parts of a change event; None for a document that has to be read as a whole.

    That is one with a member that is not known here, one that is not valid, and one whose numbers need care.
    """
    try:
        change = _decode(document)
        text, text_before = bytes(change.after), b"null" if change.before == _NULL else bytes(change.before)
        if not document.startswith(_BEGINNING % (text_before, text)):
            return None
        row = orjson.loads(text)
        before = None if text_before == b"null" else orjson.loads(text_before)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    is_usual = is_ordinary(text) and (before is None or is_ordinary(text_before))
    if type(row) is not dict or not (is_usual or _is_within_bounds(document)):
        return None
    if _BACKSLASH in document and has_nul(document):
        return None
    return change.op, before, text, row, change.source, change.ts_ms


def _is_within_bounds(document: bytes) -> bool:
    """Return whether a large document is within all bounds, whose parts nest less deep than it does."""
    levels = document.count(b"[") + document.count(b"{")
    return levels <= NESTING and excess(document) is None and not has_hard_number(document)
