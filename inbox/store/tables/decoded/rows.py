"""The decoded rows of events: those to write, and those that name a row to remove."""

from collections.abc import Collection, Sequence
from typing import Any

from inbox.documents import DocumentError, parse
from inbox.errors import EventError
from inbox.events import Record
from inbox.reading.pointers import Find, finder
from inbox.reading.read_record import ReadRecord
from inbox.store.tables.enveloped_rows import require_sent


class DecodedRows:
    """The rows of a route.

    Args:
        key_paths: the steps of the pointers from which the columns of the table's key are made.
        deletes: whether events may remove rows.
        needed: the members of a row that an envelope must not leave out.
    """

    def __init__(self, key_paths: Sequence[Sequence[str]], *, deletes: bool, needed: Collection[str] = ()) -> None:
        self._needed = needed
        self._key_paths = key_paths
        self._finders: list[Find] = [finder(path) for path in key_paths]
        self._deletes = deletes

    def of(self, records: Sequence[Record]) -> list[Any]:
        """Return the row of each event.

        Raises:
            EventError: an event that removes a row does not name it, or the connector left out values.
        """
        return [self.row(record) for record in records]

    def row(self, record: Record) -> Any:
        """Return the row of one event, as `of`."""
        if not isinstance(record, ReadRecord):
            return None
        if not record.deletes:
            return record.row if not record.absent else self._incomplete(record)
        return self._row_to_remove(record) if self._deletes else None

    def refused(self, records: Sequence[Record]) -> dict[int, EventError]:
        """Return the errors of the events that remove a row and do not name it, by index."""
        found: dict[int, EventError] = {}
        for place, record in enumerate(records):
            try:
                self.row(record)
            except EventError as error:
                found[place] = error
        return found

    def _incomplete(self, record: ReadRecord) -> Any:
        """Return a row without the values that the connector could not read; their columns stay as they are."""
        require_sent(record, self._needed)
        return {name: value for name, value in record.row.items() if name not in record.absent}

    def _row_to_remove(self, record: ReadRecord) -> Any:
        """Return the decoded key where it has all columns of the table's key, and otherwise the row before the change.

        With PostgreSQL's REPLICA IDENTITY DEFAULT that holds the source's primary key alone, and no
        value of another column can be trusted.
        """
        if not self._key_paths:
            return {}
        key = record.key_row if record.key_row is not None else _key_of(record.key())
        if isinstance(key, dict) and self._names_row(key):
            return key
        if isinstance(record.row, dict) and self._names_row(record.row):
            return record.row
        if key is not None and not isinstance(key, dict) and len(self._key_paths) == 1:
            return _nested(self._key_paths[0], key)
        names = ", ".join("/" + "/".join(path) for path in self._key_paths)
        raise EventError(
            f"the delete names no row: neither the record's key nor a row before the change has {names}; write the "
            "key with its members, or set key_format to its format"
        )

    def _names_row(self, row: Any) -> bool:
        return all(find(row) is not None for find in self._finders)


def _key_of(key: bytes | None) -> Any:
    """Return a key without a format: a JSON object, the payload of one with a schema, or a text."""
    if key is None:
        return None
    try:
        found = parse(key)
    except DocumentError:
        found = None
    if isinstance(found, dict) and found.keys() == {"schema", "payload"}:
        return found["payload"]
    if isinstance(found, dict | str):
        return found
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise EventError("the key of a tombstone is not text: it is not valid UTF-8, or it holds NUL") from None


def _nested(path: Sequence[str], key: Any) -> Any:
    """Return the key where the pointer will look for it."""
    row = key
    for step in reversed(path):
        row = {step: row}
    return row
