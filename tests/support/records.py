"""Build Kafka records in memory, in the shape of `confluent_kafka.Message`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from inbox.events import Header, Record

CREATE_TIME = 1


@dataclass(frozen=True)
class MemoryRecord:
    """A record; `at` is its address: topic, partition, offset."""

    at: tuple[str, int, int] = ("orders", 0, 0)
    the_key: bytes | None = None
    the_value: bytes | None = b"{}"
    the_headers: Sequence[Header] = field(default=())
    milliseconds: int | None = 1_700_000_000_123
    the_leader_epoch: int | None = 0

    def topic(self) -> str:
        return self.at[0]

    def partition(self) -> int:
        return self.at[1]

    def offset(self) -> int:
        return self.at[2]

    def key(self) -> bytes | None:
        return self.the_key

    def value(self) -> bytes | None:
        return self.the_value

    def headers(self) -> list[Header] | None:
        """Return the headers, or None without headers, as librdkafka does."""
        return list(self.the_headers) or None

    def timestamp(self) -> tuple[int, int]:
        return (0, -1) if self.milliseconds is None else (CREATE_TIME, self.milliseconds)

    def leader_epoch(self) -> int | None:
        return self.the_leader_epoch


def record(
    offset: int = 0,
    *,
    topic: str = "orders",
    partition: int = 0,
    key: bytes | None = None,
    value: bytes | None = b"{}",
    headers: Sequence[Header] = (),
    milliseconds: int | None = 1_700_000_000_123,
    leader_epoch: int | None = 0,
) -> Record:
    """Return a record of `orders[0]` unless said otherwise; with `milliseconds` None it has no timestamp."""
    return MemoryRecord((topic, partition, offset), key, value, headers, milliseconds, leader_epoch)
