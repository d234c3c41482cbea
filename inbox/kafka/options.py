"""The librdkafka properties of the sink: those that a user may set, and those that the guarantee rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

CLIENT_ID = "kafka-inbox"
"""`client.id` of the sink's members, unless the user sets another."""

GUARDED: Mapping[str, tuple[str, str]] = {
    "enable.auto.commit": ("false", "Kafka learns the offsets only after the database commit"),
    "enable.auto.offset.store": ("false", "the ledger decides where to read from"),
    "auto.offset.reset": ("error", "an offset that the log no longer has must halt the sink, not move it"),
    "isolation.level": ("read_committed", "aborted records must never be applied"),
    "check.crcs": ("true", "a byte that changed on a broker's disk must halt the sink, not be applied"),
    "partition.assignment.strategy": ("cooperative-sticky", "a rebalance must not stop the other partitions"),
    "group.protocol": ("classic", "the fencing protocol is proven with the classic protocol"),
    "enable.partition.eof": ("true", "the end of a partition is how lag reaches 0 past control records"),
    "statistics.interval.ms": ("1000", "they tell whether the brokers are away, and when they are back"),
}
"""Property -> (the value that the sink sets, why it may not be another)."""


LOADS_CODE = frozenset({"plugin.library.paths", "sasl.kerberos.kinit.cmd", "ssl.engine.location", "ssl.providers"})
"""Properties that make librdkafka run a library or a shell command; only the command line may set them."""


DEFAULTS: Mapping[str, tuple[str, str]] = {
    "session.timeout.ms": (
        "6000",
        "what a crashed worker or restarted brokers held up resumes after six seconds, not 45",
    ),
    "heartbeat.interval.ms": ("1000", "a worker that joins or leaves is noticed within a second"),
    "reconnect.backoff.max.ms": ("2000", "a broker that is back is found within two seconds"),
    "socket.keepalive.enable": ("true", "a connection that hangs is found"),
}
"""Property -> (the value unless the user sets another, why it is the default)."""


PRODUCER_GUARDED: Mapping[str, tuple[str, str]] = {
    "enable.idempotence": ("true", "librdkafka's own retries must neither repeat nor reorder"),
    "enable.gapless.guarantee": ("true", "no event may pass one that the brokers refused"),
    "request.required.acks": ("all", "what is recorded as sent must survive a broker"),
    "message.timeout.ms": ("0", "an event that gives up would let later ones of its key pass"),
    "partitioner": (
        "murmur2_random",
        "a key must have one partition for every publisher: Debezium, Java and the relay",
    ),
}
"""As GUARDED, for the relay's producer."""


PRODUCER_DEFAULTS: Mapping[str, tuple[str, str]] = {
    "queue.buffering.max.ms": ("1", "an event does not wait for others; under load batches fill by themselves"),
    "compression.codec": ("lz4", "events of one kind are alike: less to send and to keep"),
    "message.max.bytes": ("10000000", "the topic's own max.message.bytes decides"),
    "batch.size": ("900000", "a batch stays below the max.message.bytes that topics have by default"),
    "reconnect.backoff.max.ms": ("2000", "a broker that is back is found within two seconds"),
    "socket.keepalive.enable": ("true", "a connection that hangs is found"),
}
"""As DEFAULTS, for the relay's producer."""


_CONSUMER_ONLY = ("group.", "session.", "max.poll", "heartbeat.", "fetch.", "queued.", "partition.assignment")


@dataclass(frozen=True, kw_only=True)
class KafkaOptions:
    """The section `[kafka]` of the configuration.

    `properties` are librdkafka's own names and values, without the guarded ones. Values may hold secrets
    (`sasl.password`, `ssl.key.password`), so they are left out of the repr. `credential` is the provider
    of tokens (`inbox.credentials`); None without one.
    """

    group_id: str
    properties: Mapping[str, str] = field(repr=False)
    credential: str | None = None


def for_producers(options: KafkaOptions) -> dict[str, str]:
    """Return the user's properties without those of consumers, about which other clients would warn."""
    return {name: value for name, value in options.properties.items() if not name.startswith(_CONSUMER_ONLY)}
