"""Decode framed rows. Nearly every record of a topic has the frame of the one before, which is read once."""

from collections.abc import Callable, Sequence
from typing import Any

from inbox.events import Header
from inbox.reading.formats.decoded import Decoded
from inbox.reading.formats.framing import Frame, unframed
from inbox.reading.schemas import SchemaId

ReadRow = Callable[[bytes], Any]


class FramedRows:
    """A decoder of values, or keys, that name their schema.

    Args:
        header: the header that may hold the id of the schema.
        reader_of: the reader of the data in a frame; it raises what `RecordFormat.decode` raises.
        with_path: whether the path of a message follows the id.
    """

    def __init__(self, header: str, reader_of: Callable[[Frame], ReadRow], *, with_path: bool = False) -> None:
        self._header = header
        self._reader_of = reader_of
        self._with_path = with_path
        self._last: tuple[bytes, int, SchemaId, ReadRow] | None = None

    def decode(self, data: bytes, headers: Sequence[Header]) -> Decoded:
        """Decode framed bytes, as `RecordFormat` says."""
        read, behind, schema_id = self.open(data, headers)
        return Decoded(None, read(behind), schema_id, behind)

    def open(self, data: bytes, headers: Sequence[Header]) -> tuple[ReadRow, bytes, SchemaId]:
        """Return the reader of the data in a frame, that data, and the id of its schema; raise as `decode` does."""
        if self._last is None:
            return self._open(data, headers)
        frame, size, schema_id, read = self._last
        for name, _ in headers:
            if name == self._header:
                return self._open(data, headers)
        if not data.startswith(frame):
            return self._open(data, headers)
        return read, data[size:], schema_id

    def _open(self, data: bytes, headers: Sequence[Header]) -> tuple[ReadRow, bytes, SchemaId]:
        frame = unframed(data, headers, self._header, with_path=self._with_path)
        read = self._reader_of(frame)
        if size := len(data) - len(frame.data):  # 0 if the id was in the header
            self._last = data[:size], size, frame.schema_id, read
        return read, frame.data, frame.schema_id
