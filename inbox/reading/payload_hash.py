"""Hash payloads, which distinguishes a duplicate from another event with the same id.

Each claim has this hash, of the sink, a retry and a discard alike. Two deliveries of one event have
the same bytes, or the same `ReadRecord.content`. An event that could not be read has only its
bytes.
"""

import xxhash

from inbox.events import AlteredRecord, Record
from inbox.reading.read_record import ReadRecord

UNKNOWN_PAYLOAD = bytes(8)
"""The hash in a claim whose payload nobody has seen: `inbox adopt` made it from an id alone."""


def payload_hash(record: Record) -> bytes:
    """Return the hash of the record's payload, 8 bytes."""
    came = record.record if isinstance(record, ReadRecord) else record
    if isinstance(came, AlteredRecord):
        return came.claim_hash
    if isinstance(record, ReadRecord) and record.content is not None:
        return xxhash.xxh3_64_digest(record.content)
    return _hash_of_bytes(record)


def has_payload(record: Record, known: bytes) -> bool:
    """Return whether the record has the payload whose hash a claim has.

    The claim may be older than the schema or the setting by which the record is read now, and then
    has the hash of its bytes. Those of an altered record are not the ones that came.
    """
    came = record.record if isinstance(record, ReadRecord) else record
    return known == payload_hash(record) or (not isinstance(came, AlteredRecord) and known == _hash_of_bytes(record))


def _hash_of_bytes(record: Record) -> bytes:
    return xxhash.xxh3_64_digest(record.value() or b"")
