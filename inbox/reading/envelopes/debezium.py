"""Read Debezium's change events: the operation, and the row that it writes or removes.

A change event has the members `op`, `before`, `after`, `source` and `ts_ms` (Debezium manual,
"Change event values" of each connector). JsonConverter writes it bare with `schemas.enable=false`;
with `schemas.enable=true` it is the `payload` beside a `schema`.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple

from inbox.errors import EventError
from inbox.reading.options import Truncates

UNAVAILABLE = "__debezium_unavailable_value"
"""The placeholder for a value that the connector could not read (`unavailable.value.placeholder`)."""

_LEAVING_OUT = ("u", "c")
"""The operations whose row may lack a large value: a changed primary key arrives as a delete and a create."""

_ROW_OF = {"c": "after", "r": "after", "u": "after", "d": "before"}
_BYTES = UNAVAILABLE.encode()
_TEXTS = frozenset({UNAVAILABLE, b64encode(_BYTES).decode(), f'{{"{UNAVAILABLE}":"{UNAVAILABLE}"}}'})
_SCALARS = frozenset({*_TEXTS, _BYTES})
_NUMBERS = list(_BYTES)
# Java's UUID.nameUUIDFromBytes is a version 3 UUID of the bytes alone, without a namespace.
_ELEMENTS = frozenset({*_TEXTS, "b68a35a7-17ad-35b3-af2a-ae46edb4545a"})

_NEVER = frozenset({int, float, bool, type(None)})
"""The types whose values are never the placeholder."""

_EXPECTED = 'expected a Debezium change event, an object with "op", "before", "after" and "source"'


class Change(NamedTuple):
    """A change of one row, or of the whole table.

    Attributes:
        op: `c` (insert), `r` (read by a snapshot), `u` (update), `d` (delete) or `t` (truncate).
        member: the member of the document that is the row; None for `t`.
        row: the row itself.
        absent: the columns whose values the connector could not read.
        document: the whole change event.
    """

    op: str
    member: str | None
    row: Any
    absent: tuple[str, ...]
    document: Mapping[str, Any]


def change_of(document: Any, truncates: Truncates) -> Change | None:
    """Return the change that a document describes, or None for one that writes nothing.

    Raises:
        EventError: the document is no change event, or one that the route does not take.
    """
    if not isinstance(document, dict):
        raise EventError(f"the value is not an object; {_EXPECTED}")
    op = document.get("op")
    if op == "m":
        return None
    if op == "t":
        return _truncation(document, truncates)
    if not isinstance(op, str) or op not in _ROW_OF:
        raise EventError(_without_op(document))
    member = _ROW_OF[op]
    row = document.get(member)
    if not isinstance(row, dict):
        if member == "before" and row is None:
            return Change("d", None, None, (), document)
        raise EventError(f'the change event of operation "{op}" has no object "{member}"; {_EXPECTED}')
    return Change(op, member, row, unavailable_in(row) if op in _LEAVING_OUT else (), document)


def _truncation(document: Mapping[str, Any], truncates: Truncates) -> Change | None:
    if truncates is Truncates.IGNORE:
        return None
    if truncates is Truncates.ERROR:
        raise EventError(
            'a truncate (op "t"), which this route does not expect; set truncates to apply or ignore on the route, '
            "or skipped.operations=t in the connector"
        )
    return Change("t", None, None, (), document)


def _without_op(document: Mapping[str, Any]) -> str:
    if "payload" in document and "schema" in document:
        return (
            'the value has "schema" and "payload", as JsonConverter writes it with schemas.enable=true, and this '
            'route expects the payload alone; set format = "connect-json" on the route, or '
            "value.converter.schemas.enable=false in the connector"
        )
    if "op" in document:
        return 'the change event has an unknown "op"; expected c, r, u, d, t or m'
    return (
        f'the value has no "op"; {_EXPECTED}; for rows without it, as ExtractNewRecordState makes them, '
        'leave out envelope = "debezium"'
    )


def unavailable_in(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of the row that hold the placeholder, in any of the shapes that Debezium gives it."""
    try:
        if _SCALARS.isdisjoint(row.values()):  # nearly all rows
            return ()
    except TypeError:  # a list or an object, whose elements have to be looked at
        pass
    return tuple([name for name, value in row.items() if type(value) not in _NEVER and _is_unavailable(value)])


def _is_unavailable(value: Any) -> bool:
    if isinstance(value, str):
        return value in _TEXTS
    if isinstance(value, bytes):
        return value == _BYTES
    if isinstance(value, list):
        return value == _NUMBERS or (len(value) == 1 and isinstance(value[0], str) and value[0] in _ELEMENTS)
    return isinstance(value, dict) and len(value) == 1 and value.get(UNAVAILABLE) == UNAVAILABLE
