"""Find the rows of events that a route took out of their envelopes: those to write, and those to remove."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from inbox.documents import DocumentError, parse, pointer_steps, write
from inbox.errors import EventError
from inbox.events import Record
from inbox.reading.formats.decoded import json_of as json_of_row
from inbox.reading.options import Envelope
from inbox.reading.read_record import ReadRecord, RowRecord
from inbox.store.options import TableMode, TableTarget

_ROWS = {RowRecord}


def are_rows(records: Sequence[Record]) -> bool:
    """Return whether each event's document is the row that it writes, so that no event needs a look of its own."""
    return set(map(type, records)) == _ROWS


def removes(record: Record) -> bool:
    """Return whether the event removes its row instead of writing it."""
    return record.deletes if isinstance(record, ReadRecord) else record.value() is None


def json_of(record: Record) -> bytes | None:
    """Return the JSON of a value: behind its schema id, if it has one."""
    return record.document if isinstance(record, ReadRecord) and record.document is not None else record.value()


def key_of(record: Record) -> bytes | None:
    """Return the record's key, as JSON where the route has decoded it."""
    if isinstance(record, ReadRecord) and record.key_row is not None:
        return json_of_row(record.key_row)
    return record.key()


def empties_table(record: Record) -> bool:
    """Return whether the event removes all rows."""
    return isinstance(record, ReadRecord) and record.truncates


_TAKES_PARTIAL_ROWS = (TableMode.UPSERT, TableMode.MERGE, TableMode.UPDATE)
"""The modes that may leave columns of a row as they are."""


def takes_partial_rows(target: TableTarget) -> bool:
    """Return whether the route writes rows whose envelope leaves values out."""
    is_possible = target.mode in _TAKES_PARTIAL_ROWS and target.for_each is None
    return target.envelope is Envelope.DEBEZIUM and is_possible


def absent_members(record: Record) -> bytes | None:
    """Return the members that the envelope leaves out, as a JSON array; None without any."""
    return write(list(record.absent)).encode() if isinstance(record, ReadRecord) and record.absent else None


def moves_row(record: Record) -> bool:
    """Return whether the event is an update that gave its row another key."""
    return isinstance(record, ReadRecord) and record.before is not None


def move_rows(records: Sequence[Record]) -> bool:
    """Return whether an event gave its row another key."""
    return not are_rows(records) and any(map(moves_row, records))


def removal_of_old(record: ReadRecord) -> ReadRecord:
    """Return the event that removes the row which an update left, because it gave the row another key."""
    member = None if record.member is None else "before"
    return msgspec.structs.replace(
        record, deletes=True, member=member, row=record.before, key_row=record.before, absent=()
    )


def members_of(target: TableTarget) -> frozenset[str]:
    """Return the members of the row that fill columns, of which an event may leave some out."""
    row = "$value" if target.for_each is None else "$event"
    sources = (source for source in target.columns.values() if source.document == row)
    return frozenset(pointer_steps(source.pointer or "")[0] for source in sources if source.pointer)


def leaves_out(record: Record, members: Collection[str]) -> bool:
    """Return whether the envelope leaves one of these members of the row out."""
    if not isinstance(record, ReadRecord) or not record.absent:
        return False
    return any(name in members for name in record.absent)


def unknown_row() -> EventError:
    """Return the error of an event that leaves out a value that the table does not have."""
    return EventError(
        "the connector did not send a large value that the change left as it was, and the table has no row with this "
        "key that has it; take a new snapshot, or set REPLICA IDENTITY FULL on the source table"
    )


def require_sent(record: ReadRecord, members: Collection[str]) -> None:
    """Raise EventError if the envelope leaves one of these members of the row out."""
    if unsent := [name for name in record.absent if name in members]:
        names = ", ".join(f'"{name}"' for name in unsent)
        raise EventError(
            f"the connector did not send {names}, whose large value the change left as it was, and this mode writes "
            "whole rows; set REPLICA IDENTITY FULL on the source table, or use mode upsert, merge or update"
        )


def row_to_write(record: ReadRecord) -> tuple[bytes | None, bytes | None]:
    """Return the document that holds the row, and the member of it that is the row, if not the whole document is."""
    return record.document, None if record.member is None else record.member.encode()


def row_to_remove(record: ReadRecord, paths: Sequence[Sequence[str]]) -> tuple[bytes, bytes | None]:
    """Return the document that names the row to delete, and its member that is the row.

    It is the record's key where that is an object with all of `paths`, the places of the table's key.
    Otherwise it is the row before the change: with PostgreSQL's REPLICA IDENTITY DEFAULT that holds
    the source's primary key alone, and no value of another column can be trusted.

    Raises:
        EventError: neither names the row.
    """
    if record.before is not None and record.document is not None:
        return record.document, b"before"
    key, document = _key_object(record)
    if document is not None and all(_found(key, path) is not None for path in paths):
        return document, None
    if record.document is not None and record.member is not None:
        return record.document, record.member.encode()
    names = ", ".join("/" + "/".join(path) for path in paths)
    raise EventError(
        f"the delete names no row: the record's key is not a JSON object with {names}, and the change has no "
        '"before"; write the key with JsonConverter, or set REPLICA IDENTITY FULL on the source table'
    )


def _key_object(record: ReadRecord) -> tuple[Any, bytes | None]:
    """Return the record's key, decoded and as JSON; of one with a schema, as JsonConverter writes it, the payload."""
    if record.key_row is not None:
        return record.key_row, json_of_row(record.key_row)
    key = record.key()
    if key is None or not key.lstrip().startswith(b"{"):
        return None, None
    try:
        found = parse(key)
        if found.keys() == {"schema", "payload"} and isinstance(found["payload"], dict):
            return found["payload"], write(found["payload"]).encode()
    except DocumentError:
        return None, None
    return found, key


def _found(document: Any, path: Sequence[str]) -> Any:
    for step in path:
        document = document.get(step) if isinstance(document, dict) else None
    return document
