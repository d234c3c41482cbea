"""Cut events that are larger than a batch may hold: they are parked, and only the log keeps their large parts."""

from dataclasses import dataclass

from inbox.events import Header, Record
from inbox.store.inbox.dead_letters import EventTooLargeError


@dataclass(frozen=True, slots=True)
class CutRecord:
    """A record without its large parts. It does not keep its `Message`, which would hold them in memory."""

    at: tuple[str, int, int]
    kept_key: bytes | None
    kept_value: bytes | None
    kept_headers: list[Header]
    time: tuple[int, int]
    epoch: int | None

    def topic(self) -> str:
        """Return the topic, like a `Message`."""
        return self.at[0]

    def partition(self) -> int:
        """Return the partition, like a `Message`."""
        return self.at[1]

    def offset(self) -> int:
        """Return the offset, like a `Message`."""
        return self.at[2]

    def key(self) -> bytes | None:
        """Return the key, or None if there is none or it is too large."""
        return self.kept_key

    def value(self) -> bytes | None:
        """Return empty bytes, or None if the value was null, so that only a real tombstone is taken for one."""
        return self.kept_value

    def headers(self) -> list[Header] | None:
        """Return the headers, or None if there are none or they are too large."""
        return self.kept_headers or None

    def timestamp(self) -> tuple[int, int]:
        """Return the timestamp's type and milliseconds, like a `Message`."""
        return self.time

    def leader_epoch(self) -> int | None:
        """Return the leader epoch, like a `Message`."""
        return self.epoch


def cut(record: Record, headers: list[Header], header_bytes: int, largest: int) -> tuple[CutRecord, EventTooLargeError]:
    """Return what is kept of a record of more than `largest` bytes, and the error under which it is parked."""
    key, value = record.key(), record.value()
    sizes = {"key": len(key or b""), "value": len(value or b""), "headers": header_bytes}
    gone = ["value"] if value is not None else []
    gone += [name for name in ("key", "headers") if sizes[name] > largest // 2]
    kept = CutRecord(
        at=(record.topic(), record.partition(), record.offset()),
        kept_key=None if "key" in gone else key,
        kept_value=None if value is None else b"",
        kept_headers=[] if "headers" in gone else headers,
        time=record.timestamp(),
        epoch=record.leader_epoch(),
    )
    size, missing = sum(sizes.values()), " and ".join(gone)
    return kept, EventTooLargeError(
        f"the event has {size} bytes, more than [sink] largest_event ({largest}), so only the log has its {missing}; "
        "to apply it while the log has it, raise largest_event, then replay its offset"
    )
