"""Events that are larger than a batch may hold: parked without what makes them large, which the log alone has."""

from dataclasses import dataclass

from inbox.events import Header, Record
from inbox.store.inbox.dead_letters import EventTooLargeError


@dataclass(frozen=True, slots=True)
class CutRecord:
    """A record without what was too large, and without its `Message`, which would keep that in memory."""

    at: tuple[str, int, int]
    kept_key: bytes | None
    kept_value: bytes | None
    kept_headers: list[Header]
    time: tuple[int, int]
    epoch: int | None

    def topic(self) -> str:
        """As a `Message` has it."""
        return self.at[0]

    def partition(self) -> int:
        """As a `Message` has it."""
        return self.at[1]

    def offset(self) -> int:
        """As a `Message` has it."""
        return self.at[2]

    def key(self) -> bytes | None:
        """None also for a key that is too large."""
        return self.kept_key

    def value(self) -> bytes | None:
        """Empty unless it was null, so that nothing takes the record for a tombstone."""
        return self.kept_value

    def headers(self) -> list[Header] | None:
        """None also for headers that are too large."""
        return self.kept_headers or None

    def timestamp(self) -> tuple[int, int]:
        """As a `Message` has it."""
        return self.time

    def leader_epoch(self) -> int | None:
        """As a `Message` has it."""
        return self.epoch


def cut(record: Record, headers: list[Header], header_bytes: int, largest: int) -> tuple[CutRecord, EventTooLargeError]:
    """Return what is kept of a record that is larger than `largest`, and why the event is parked."""
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
