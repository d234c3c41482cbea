"""Read the events of a sample as a route reads them."""

from collections.abc import Sequence
from typing import Any

from inbox.documents import DocumentError, parse
from inbox.errors import EventError
from inbox.events import Record, decoded
from inbox.operations.samples.identity import SampledEvent
from inbox.reading.envelopes.debezium_position import names_changes
from inbox.reading.formats.of_route import key_decoder
from inbox.reading.options import Envelope, FormatOptions, ReadOptions, Truncates
from inbox.reading.read_record import Read, ReadRecord
from inbox.reading.readers import reader_of


class SampleReader:
    """A reader of the events of one topic.

    Raises on construction:
        StartupError: a package or the registry is missing.
    """

    def __init__(self, options: FormatOptions, envelope: Envelope) -> None:
        self._has_changes = envelope is Envelope.DEBEZIUM
        read_options = ReadOptions(
            format=options,
            envelope=envelope,
            truncates=Truncates.IGNORE,
            by_value=True,
            keeps_row=self._has_changes,
        )
        self._read: Read | None = reader_of(read_options)
        self._keys = key_decoder(options)
        self.unreadable = 0
        """The number of events that cannot be read, or whose row is not an object."""

    def events(self, records: Sequence[Record]) -> list[SampledEvent]:
        """Return the events that can be read; those that a route filters are left out.

        Raises:
            TryAgainError: the registry does not answer.
        """
        found: list[SampledEvent] = []
        for record in records:
            try:
                event = self._event(record)
            except EventError:
                self.unreadable += 1
                continue
            if event is not None:
                found.append(event)
        return found

    def _event(self, record: Record) -> SampledEvent | None:
        headers, has_position = list(record.headers() or []), True
        if self._read is None:
            row = None if record.value() is None else decoded(record.value())
            deletes = row is None
        else:
            read = self._read(record, headers)
            if read is None:
                return None
            found, row, _ = read
            deletes = found.deletes or found.truncates
            if self._has_changes:
                has_position = _has_position(found)
        if not deletes and not isinstance(row, dict):
            raise EventError("the row is not an object")
        return SampledEvent(record, self._key(record, headers), None if deletes else row, has_position)

    def _key(self, record: Record, headers: list[Any]) -> Any:
        key = record.key()
        if key is None:
            return None
        if self._keys is not None:
            return self._keys.decode(key, headers).row
        try:
            found = parse(key)
        except DocumentError:
            return None
        if isinstance(found, dict) and found.keys() == {"schema", "payload"}:
            return found["payload"]
        return found


def _has_position(record: ReadRecord) -> bool:
    change = record.whole.data() if record.whole is not None else decoded(record.document)
    return names_changes(change.get("source"), change["op"])
