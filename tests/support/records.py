"""Build Kafka records in memory, in the shape of `confluent_kafka.Message`."""

from collections.abc import Sequence

from inbox.events import Header, KeptRecord, Record, timestamp_at


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
    time = timestamp_at(milliseconds)
    return KeptRecord((topic, partition, offset), key, value, list(headers), time, leader_epoch)
