"""The librdkafka properties of the sink: what a user may set, and what the guarantee rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

CLIENT_ID = "kafka-inbox"
"""`client.id` of the sink's members, unless the user sets another."""

GUARDED: Mapping[str, tuple[str, str]] = {
    "enable.auto.commit": ("false", "Kafka is told about offsets only after the database commit"),
    "enable.auto.offset.store": ("false", "the ledger decides where to read from"),
    "auto.offset.reset": ("error", "an offset that the log no longer has must halt the sink, not move it"),
    "isolation.level": ("read_committed", "aborted records must never be applied"),
    "partition.assignment.strategy": ("cooperative-sticky", "a rebalance must not stop the other partitions"),
    "group.protocol": ("classic", "the fencing protocol is proven with the classic protocol"),
    "enable.partition.eof": ("true", "the end of a partition is how lag reaches 0 past control records"),
    "statistics.interval.ms": ("1000", "they tell whether the brokers are away, and when they are back"),
}
"""Property -> (the value the sink sets, why it may not be another)."""


DEFAULTS: Mapping[str, tuple[str, str]] = {
    "session.timeout.ms": (
        "6000",
        "what a crashed worker or restarted brokers held up goes on after six seconds, not 45",
    ),
    "heartbeat.interval.ms": ("2000", "a third of the session"),
    "reconnect.backoff.max.ms": ("2000", "a broker that is back is found within two seconds"),
    "socket.keepalive.enable": ("true", "a connection that hangs is found"),
}
"""Property -> (the value unless the user sets another, what it is good for)."""


@dataclass(frozen=True, kw_only=True)
class KafkaOptions:
    """`[kafka]` of the configuration.

    `properties` are librdkafka's own names and values, without the guarded ones. Values may hold
    secrets (`sasl.password`, `ssl.key.password`), so they are left out of the repr.
    """

    group_id: str
    properties: Mapping[str, str] = field(repr=False)
