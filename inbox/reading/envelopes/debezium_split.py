"""Cut the row out of the JSON of a change event, so that the database decodes the row alone.

Debezium writes the members of a change in one order: `before`, `after`, `source`, then the others. The
parts that are cut there are decoded separately. They are proof of the cut: where each is valid JSON, so is
the whole document, and it has these members.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from inbox.document_bounds import NESTING, excess, has_hard_number, is_plain
from inbox.documents import has_nul

_WITHOUT_BEFORE = b'{"before":null'
_WITHOUT_BEFORE_SIZE = len(_WITHOUT_BEFORE)
_AFTER, _SOURCE = b',"after":{', b',"source":{'
_BACKSLASH = ord("\\")


class SplitChange(NamedTuple):
    """The parts of a change event.

    Attributes:
        before: the decoded row before the change; None where the event does not have it.
        text: the JSON of `after`, byte for byte.
        row: `after` itself, decoded: an object.
        others: the members from `source` on.
    """

    before: Any
    text: bytes
    row: Any
    others: Mapping[str, Any]


def split_change(document: bytes) -> SplitChange | None:
    """Return the parts of a change event; None for a document that has to be read as a whole.

    That is one that is written in another way, that is not valid, or whose numbers need care.
    """
    at = _WITHOUT_BEFORE_SIZE if document.startswith(_WITHOUT_BEFORE + _AFTER) else document.find(_AFTER)
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
    return None if "before" in others or "after" in others else SplitChange(before, text, row, others)


def _is_within_bounds(document: bytes) -> bool:
    """Return whether a large document is within all bounds, whose parts nest less deep than it does."""
    levels = document.count(b"[") + document.count(b"{")
    return levels <= NESTING and excess(document) is None and not has_hard_number(document)
