"""Read the events of a sample as a route reads them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from inbox.documents import DocumentError, parse
from inbox.errors import EventError
from inbox.events import Header, Record, decoded
from inbox.operations.samples.identity import SampledEvent
from inbox.reading.envelopes.debezium_position import has_known_connector
from inbox.reading.formats.of_route import key_decoder
from inbox.reading.options import Envelope, FormatOptions, ReadOptions, Truncates
from inbox.reading.read_record import ReadRecord
from inbox.reading.readers import Read, reader_of


class SampleReader:
    """A reader of the events of one topic.

    Raises on construction:
        StartupError: a package or the registry is missing.
    """

    def __init__(self, options: FormatOptions, envelope: Envelope) -> None:
        read_options = ReadOptions(format=options, envelope=envelope, truncates=Truncates.IGNORE, by_value=True)
        self._read: Read | None = reader_of(read_options)
        of_positions = replace(read_options, by_position=True, keeps_row=True)
        self._read_position = reader_of(of_positions) if envelope is Envelope.DEBEZIUM else None
        self._keys = key_decoder(options)
        self.unreadable = 0
        """The number of events that cannot be read, or whose row is no object."""

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
        headers = list(record.headers() or [])
        if self._read is None:
            row = None if record.value() is None else decoded(record.value())
            deletes = row is None
        else:
            read = self._read(record, headers)
            if read is None:
                return None
            row, deletes = read.row, read.record.deletes or read.record.truncates
        if not deletes and not isinstance(row, dict):
            raise EventError("the row is no object")
        return SampledEvent(
            record, self._key(record, headers), None if deletes else row, self._has_position(record, headers)
        )

    def _has_position(self, record: Record, headers: list[Header]) -> bool:
        if self._read_position is None:
            return True
        try:
            read = self._read_position(record, headers)
        except EventError:
            return False
        # A row that a snapshot reads has a position of its own, whatever the connector.
        return read is None or has_known_connector(_change_of(read.record).get("source"))

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


def _change_of(record: ReadRecord) -> Any:
    return record.whole.data() if record.whole is not None else decoded(record.document)
