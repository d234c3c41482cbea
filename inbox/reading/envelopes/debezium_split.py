"""Cut the row out of the JSON of a change event, so that the database decodes the row alone.

Debezium writes the members of a change in one order: `before`, `after`, `source`, then the others. The
parts that are cut there prove the cut: where each is valid JSON, so is the whole document, and it has
these members. The row of most changes is flat: it holds no object, no array and no escaped character. The
cut then needs no look into the row, and the database is the first to decode it.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from inbox.document_bounds import NESTING, excess, has_hard_number, is_plain
from inbox.documents import has_nul
from inbox.reading.envelopes.debezium import UNAVAILABLE

_WITHOUT_BEFORE = b'{"before":null'
_WITHOUT_BEFORE_SIZE = len(_WITHOUT_BEFORE)
_AFTER, _SOURCE = b',"after":{', b',"source":{'
_BACKSLASH = ord("\\")
_FLAT = _WITHOUT_BEFORE + _AFTER
_ROW_AT = len(_FLAT) - 1
_ARRAY, _END, _ESCAPED = ord("["), ord("}"), b"\\u"
_UNAVAILABLE = UNAVAILABLE.encode()
_UNAVAILABLE_BASE64 = b64encode(_UNAVAILABLE)


class SplitChange(NamedTuple):
    """The parts of a change event.

    Attributes:
        before: the decoded row before the change; None where the event does not have it.
        rows: the JSON up to the end of `after`, byte for byte: the row before the change, and after it.
        text: the JSON of `after`.
        row: `after` itself, decoded: an object; None where nothing had to look into it.
        others: the members from `source` on.
    """

    before: Any
    rows: bytes
    text: bytes
    row: Any
    others: Mapping[str, Any]


def split_change(document: bytes, *, decodes_row: bool = True) -> SplitChange | None:
    """Return the parts of a change event; None for a document that has to be read as a whole.

    That is one that is written in another way, that is not valid, or whose numbers need care. Unless
    `decodes_row`, a flat row without a placeholder is cut out as it is, and may be no valid JSON.
    """
    if not decodes_row and (found := _split_flat(document)) is not None:
        return found
    at = _WITHOUT_BEFORE_SIZE if document.startswith(_FLAT) else document.find(_AFTER)
    end = document.find(_SOURCE, at)
    if at < 0 or end < 0 or not (is_plain(document) or _is_within_bounds(document)):
        return None
    if _BACKSLASH in document and has_nul(document):
        return None
    text, before = document[at + len(_AFTER) - 1 : end], None
    try:
        row, others = orjson.loads(text), orjson.loads(b"{" + document[end + 1 :])
        if at != _WITHOUT_BEFORE_SIZE or not document.startswith(_WITHOUT_BEFORE):
            first = orjson.loads(document[:at] + b"}")
            if first.keys() != {"before"}:
                return None
            before = first["before"]
    except orjson.JSONDecodeError:
        return None
    return None if _says_rows_again(others) else SplitChange(before, document[:end], text, row, others)


def _split_flat(document: bytes) -> SplitChange | None:
    """Return the parts of a change without `before` whose row is flat and holds no placeholder."""
    if not document.startswith(_FLAT):
        return None
    end = document.find(_SOURCE, _ROW_AT)
    if end < 0:
        return None
    text = document[_ROW_AT:end]
    # In valid JSON no text holds `,"source":{`, so a brace before the cut closes the only one that is open: the row's.
    # Searched from the end, where Python finds out in half of the time that a short text is not there.
    if (
        text[-1] != _END
        or text.rfind(b"{") > 0
        or _ARRAY in text
        or (_BACKSLASH in text and text.rfind(_ESCAPED) >= 0)
        or text.rfind(_UNAVAILABLE) >= 0
        or text.rfind(_UNAVAILABLE_BASE64) >= 0
    ):
        return None
    try:
        others = orjson.loads(b"{" + document[end + 1 :])
    except orjson.JSONDecodeError:
        return None
    return None if _says_rows_again(others) else SplitChange(None, document[:end], text, None, others)


def _says_rows_again(others: Mapping[str, Any]) -> bool:
    return "before" in others or "after" in others


def _is_within_bounds(document: bytes) -> bool:
    """Return whether a large document is within all bounds, whose parts nest less deep than it does."""
    levels = document.count(b"[") + document.count(b"{")
    return levels <= NESTING and excess(document) is None and not has_hard_number(document)
