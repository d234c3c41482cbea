"""The decoders of a route's values and keys."""

from typing import Any, NamedTuple

from inbox.errors import EventError, StartupError
from inbox.events import Header, Record
from inbox.reading.formats.decoded import Decoded, RecordFormat
from inbox.reading.formats.of_route import key_decoder, value_decoder
from inbox.reading.options import ReadOptions


class Decoders(NamedTuple):
    """The decoders of a route's values and keys; None for JSON, texts and raw bytes."""

    values: RecordFormat | None
    keys: RecordFormat | None

    def value(self, record: Record, headers: list[Header]) -> Decoded:
        """Return the decoded value: nothing for a tombstone, and for JSON the bytes as they are."""
        value = record.value()
        if value is None:
            return Decoded()
        return Decoded(document=value) if self.values is None else self.values.decode(value, headers)

    def key_row(self, record: Record, headers: list[Header]) -> Any:
        """Return the decoded key; None where it has no format, or there is none."""
        key = record.key()
        return None if self.keys is None or key is None else self.keys.decode(key, headers).row


def decoders_of(options: ReadOptions) -> Decoders:
    """Return the decoders of a route. Raises StartupError if a package, the registry or a usable schema is missing."""
    try:
        # A handler receives the bytes of its keys.
        keys = None if options.keeps_row else key_decoder(options.format)
        return Decoders(value_decoder(options.format), keys)
    except EventError as error:  # the schema of a file
        raise StartupError(str(error)) from None
