"""Read the change events of Debezium: a row that is written or removed, on top of every format."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import orjson

from inbox.documents import pointer_steps
from inbox.errors import EventError
from inbox.events import Header, Record, decoded
from inbox.reading.decoders import Decoders
from inbox.reading.envelopes.debezium import change_of, unavailable_in
from inbox.reading.envelopes.debezium_position import position_of, position_of_fields
from inbox.reading.envelopes.debezium_split import split_change
from inbox.reading.formats.decoded import Decoded, DecodedRow
from inbox.reading.options import ReadOptions
from inbox.reading.pointers import finder
from inbox.reading.read_record import Read, ReadRecord, ReadResult, RowRecord
from inbox.reading.values import Date, Interval, TimeOfDay, Timestamp

_WRITES = ("u", "c", "r")
"""The operations that write a row, the commonest first."""

_DEEPEST = 900
"""The most levels of values that are compared: every version of Python can, and the answer is the same on each."""

Moves = Callable[[Any, Any], bool]


def change_reader(options: ReadOptions, decoders: Decoders) -> Read:
    """Return the reader of a route's change events."""
    moves = _moves(options.key_pointers)

    def read(record: Record, headers: list[Header]) -> ReadResult | None:
        return _read_change(record, headers, options, decoders, moves)

    return _cutting_reader(options, moves, read) if options.cuts_rows and decoders.values is None else read


def _cutting_reader(options: ReadOptions, moves: Moves, read: Read) -> Read:
    """Return a reader that gives the JSON of the row alone; what is not a plain write is left to `read`."""
    by_position, reads_about = options.by_position, options.reads_about

    def cut(record: Record, headers: list[Header]) -> ReadResult | None:
        value = record.value()
        if value is None or (found := split_change(value)) is None:
            return read(record, headers)
        op, before, text, row, source, ts_ms = found
        if (
            op not in _WRITES
            or (op != "r" and unavailable_in(row))
            or (op == "u" and before is not None and moves(before, row))
        ):
            return read(record, headers)
        about = {"$op": op, "$ts": ts_ms} if reads_about else None
        identity = position_of_fields(source, op) if by_position else None
        content = _content(op, before, row) if by_position else None
        kept = RowRecord(record, text, about=about, identity=identity, content=content, text=value)
        return kept, row, None

    return cut


def _moves(pointers: Sequence[str]) -> Moves:
    """Return the test whether an update gave its row another key, by the rows before and after it.

    The connector makes a delete and a create of an update that changes the record's key. The key at
    these pointers may be another one. The test raises EventError for a key that nests too deep.
    """
    finders = [finder(pointer_steps(pointer)) for pointer in pointers]

    def moves(before: Any, after: Any) -> bool:
        if not finders or not isinstance(before, dict):
            return False
        keys = [(find(before), find(after)) for find in finders]
        if any(isinstance(old, dict | list) and _nests_too_deep(old) for old, _ in keys):
            raise EventError("the key nests too deep to be compared with that before the change")
        return all(old is not None for old, _ in keys) and any(old != new for old, new in keys)

    return moves


def _read_change(
    record: Record,
    headers: list[Header],
    options: ReadOptions,
    decoders: Decoders,
    moves: Moves,
) -> ReadResult | None:
    found = decoders.value(record, headers)
    in_document = found.document is not None
    if not in_document and found == Decoded():  # the tombstone that Debezium sends behind a delete, for compaction
        return None
    change = change_of(decoded(found.document) if in_document else found.row, options.truncates)
    if change is None:
        return None
    document, op, member = change.document, change.op, change.member
    about = {"$op": op, "$ts": document.get("ts_ms")}
    if options.keeps_row:
        about["$before"] = document.get("before")
    deletes = op == "d"
    before = document.get("before") if op == "u" else None
    # The row before a delete may name the row to remove.
    keeps_row = not deletes if options.keeps_row else not in_document
    read = ReadRecord(
        record,
        document=found.document,
        text=found.document,
        member=member if in_document else None,
        row=change.row if keeps_row else None,
        key_row=decoders.key_row(record, headers) if deletes else None,
        deletes=deletes,
        before=before if before is not None and moves(before, change.row) else None,
        truncates=op == "t",
        absent=change.absent,
        about=about,
        identity=position_of(document.get("source"), op) if options.by_position else None,
        content=_content(op, document.get("before"), document.get("after")) if options.by_position else None,
        schema_id=found.schema_id,
        whole=DecodedRow(found.row) if options.keeps_row and not in_document else None,
    )
    return read, change.row, None


def _content(op: str, before: Any, after: Any) -> bytes:
    """Return what a repeated change has in common with the first: all but the times of reading.

    Raises:
        EventError: a value nests too deep.
    """
    said = (op, before, after)
    try:
        # A copy: orjson's own bytes are the small rest of a kilobyte, and many are kept for a batch.
        return bytes(memoryview(orjson.dumps(said, default=_members_of)))
    except TypeError:  # a number beyond 64 bits, or a value that nests more than 254 levels deep
        pass
    if _nests_too_deep(before) or _nests_too_deep(after):
        raise EventError(
            'the row nests too deep for event_id = "debezium", which compares the rows of repeated changes; '
            "send it in fewer levels"
        )
    return repr(said).encode()


def _members_of(value: Any) -> dict[str, Any]:
    """Return the members of a time, of which orjson knows nothing; raise TypeError for another value."""
    if isinstance(value, Date | TimeOfDay | Timestamp | Interval):
        return msgspec.structs.asdict(value)
    raise TypeError


def _nests_too_deep(value: Any) -> bool:
    """Return whether a value has more levels than are compared."""
    levels, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        levels += 1
        if levels > _DEEPEST:
            return True
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return False
