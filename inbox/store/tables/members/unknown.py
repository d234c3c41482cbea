"""The members of rows that fill no column: their names, and no value."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson

from inbox.documents import DocumentError, parse, pointer_steps
from inbox.errors import EventError
from inbox.events import Record
from inbox.printable import first_of, printable
from inbox.reading.pointers import finder
from inbox.reading.read_record import ReadRecord
from inbox.store.options import VALUE_AS_JSON, TableTarget, UnknownMembers

LONGEST_NAME = 100
"""The most characters of a name that are shown or stored."""

OTHERS = ""
"""The name under which the members beyond the most that are kept count together."""

_MOST_AT_ONCE = 1000
"""The most names that are counted one by one in a batch."""

_MOST_SHOWN = 10
_WHOLE = ("$value", VALUE_AS_JSON)


def known_members(target: TableTarget) -> frozenset[str] | None:
    """Return the members of the row that the route reads; None where a column takes the whole value.

    `target` has a source for each column. A column from a part of a member makes the member known.
    """
    sources = target.columns.values()
    if any(source.source in _WHOLE for source in sources):
        return None
    pointers = (source.pointer for source in sources if source.document == "$value")
    return frozenset({*(pointer_steps(each)[0] for each in pointers if each), *target.read_members, *target.skipped})


class UnknownNames:
    """The names of the members that fill no column, in the events of one route.

    `target` has a source for each column that the table has now.
    """

    def __init__(self, target: TableTarget) -> None:
        known = known_members(target)
        treatment = UnknownMembers.IGNORE if known is None else target.unknown_members
        self.counts = treatment is UnknownMembers.COUNT
        self._parks = treatment is UnknownMembers.PARK
        self._known = known or frozenset()
        self._elements = None if target.for_each is None else finder(pointer_steps(target.for_each))

    def require_none(self, records: Sequence[Record]) -> None:
        """Raise EventError where an event has such a member and the route parks it."""
        if self._parks:
            for record in records:
                if names := self.of(record):
                    raise _refusal(names)

    def refused(self, records: Sequence[Record]) -> dict[int, EventError]:
        """Return the errors of the events that the route parks, by index."""
        if not self._parks:
            return {}
        return {index: _refusal(names) for index, record in enumerate(records) if (names := self.of(record))}

    def counted(self, records: Iterable[Record], partition_ids: Iterable[int]) -> Counter[tuple[int, str]]:
        """Return how many events of each partition have each such member."""
        found: Counter[tuple[int, str]] = Counter()
        shown: Counter[tuple[int, str]] = Counter()
        for record, partition_id in zip(records, partition_ids, strict=True):
            for name in self.of(record):
                at = partition_id, name
                if at in found or len(found) < _MOST_AT_ONCE:
                    found[at] += 1
                else:
                    shown[partition_id, OTHERS] += 1
        for (partition_id, name), count in found.items():
            shown[partition_id, shown_name(name)] += count
        return shown

    def of(self, record: Record) -> Collection[str]:
        """Return the names of one event, as they are; an event that removes rows has none."""
        row = _row_of(record)
        if self._elements is None:
            return _others(row, self._known)
        elements = self._elements(row)
        if isinstance(elements, str):  # an array as the text of a JSON document
            elements = _parsed(elements.encode())
        if not isinstance(elements, list):
            return ()
        return {name for each in elements for name in _others(each, self._known)}


def shown_name(name: str) -> str:
    """Return a name on one line, without control characters, and not too long."""
    return printable(name)[:LONGEST_NAME] or '""'


def _others(row: Any, known: frozenset[str]) -> Collection[str]:
    if not isinstance(row, dict) or row.keys() <= known:
        return ()
    return row.keys() - known


def _row_of(record: Record) -> Any:
    if not isinstance(record, ReadRecord):
        return _parsed(record.value())
    if record.deletes or record.truncates:
        return None
    if record.document is None:
        return record.row
    found = _parsed(record.document)
    return found.get(record.member) if record.member is not None and isinstance(found, dict) else found


def _parsed(document: bytes | None) -> Any:
    """Return a decoded document, of which only the names count; None for one that is not valid."""
    if document is None:
        return None
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError:
        pass
    try:
        return parse(document)
    except DocumentError:
        return None


def _refusal(names: Collection[str]) -> EventError:
    shown = first_of(sorted(f'"{shown_name(name)}"' for name in names), _MOST_SHOWN)
    return EventError(
        f"members that fill no column: {shown}; add columns for them "
        '(inbox table plan), or set unknown_members = "count"'
    )
