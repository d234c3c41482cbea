"""Cut events that are larger than a batch may hold: they are parked, and only the log keeps their large parts."""

from inbox.events import AlteredRecord, Header, Record
from inbox.reading.payload_hash import payload_hash
from inbox.store.inbox.dead_letters import EventTooLargeError


def cut(
    record: Record, headers: list[Header], header_bytes: int, largest: int
) -> tuple[AlteredRecord, EventTooLargeError]:
    """Return what is kept of a record of more than `largest` bytes, and the error under which it is parked."""
    key, value = record.key(), record.value()
    sizes = {"key": len(key or b""), "value": len(value or b""), "headers": header_bytes}
    gone = ["value"] if value is not None else []
    gone += [name for name in ("key", "headers") if sizes[name] > largest // 2]
    # Empty, not null: a null value would make the event a tombstone.
    kept = AlteredRecord(
        at=(record.topic(), record.partition(), record.offset()),
        kept_key=None if "key" in gone else key,
        kept_value=None if value is None else b"",
        kept_headers=[] if "headers" in gone else headers,
        time=record.timestamp(),
        epoch=record.leader_epoch(),
        claim_hash=payload_hash(record),
    )
    size, missing = sum(sizes.values()), " and ".join(gone)
    return kept, EventTooLargeError(
        f"the event has {size} bytes, more than [sink] largest_event ({largest}), so only the log has its {missing}; "
        "to apply it while the log has it, raise largest_event, then replay its offset"
    )
