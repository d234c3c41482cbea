"""The properties of a consumer: the user's over the defaults, and those that guard delivery over both."""

from typing import Any

from confluent_kafka import Consumer

from inbox.kafka.clients import made
from inbox.kafka.options import CLIENT_ID, DEFAULTS, GUARDED, KafkaOptions
from inbox.kafka.tokens import token_properties

_MOST_FETCHED = 50 << 20
_FETCHES = 16
"""The number of fetch answers that have as many bytes as a batch."""

_LARGEST_EVENT = 1_000_000
"""librdkafka's own default of `message.max.bytes`."""


def require_consumer(options: KafkaOptions) -> None:
    """Raise StartupError if librdkafka refuses the properties of a group member; no broker is asked."""
    properties: dict[str, Any] = {
        **consumer_properties(options, batch_bytes=_MOST_FETCHED),
        **token_properties(options),
    }
    for name in ("bootstrap.servers", "metadata.broker.list", "group.instance.id"):
        properties.pop(name, None)
    made(lambda: Consumer(properties)).close()


def consumer_properties(options: KafkaOptions, *, batch_bytes: int) -> dict[str, str]:
    """Return librdkafka's configuration: the user's properties over our defaults, the guarded ones over both.

    librdkafka fetches while its queue, which all partitions share, holds less than `queued.min.messages` events
    and less than `queued.max.messages.kbytes`. These bytes count the values alone: neither keys, nor headers,
    nor librdkafka's own half a kilobyte for each event. So no number of events above one bounds the memory.
    With one, librdkafka fetches when the queue is empty and holds at most one answer of each broker. Answers
    are kept small, since they grow when they are decompressed. Because it is a queue, records of a quiet
    partition wait behind everything queued for a busy one.
    """
    kilobytes = max(1024, batch_bytes // 1024)
    defaults = {
        **{name: value for name, (value, _) in DEFAULTS.items()},
        "client.id": CLIENT_ID,
        "queued.max.messages.kbytes": str(kilobytes),
        "queued.min.messages": "1",
        "fetch.queue.backoff.ms": "5",
        "fetch.wait.max.ms": "100",
        # a small part of a batch, unless one event may be larger: librdkafka needs room for that event
        "fetch.max.bytes": str(max(min(_MOST_FETCHED, batch_bytes // _FETCHES), _largest_event(options))),
        "log_level": "0",
    }
    guarded = {name: value for name, (value, _) in GUARDED.items()}
    return {**defaults, **options.properties, **guarded, "group.id": options.group_id}


def reader_properties(options: KafkaOptions, *, batch_bytes: int) -> dict[str, str]:
    """Return the properties of a consumer that reads a stretch outside the group while its caller waits.

    With a larger `fetch.min.bytes` a broker would wait for more data before each answer that is limited to one
    batch, in the middle of the log too.
    """
    properties = consumer_properties(options, batch_bytes=batch_bytes)
    for name in ("group.instance.id", "client.id"):
        properties.pop(name, None)
    quick = {"fetch.min.bytes": "1", "fetch.wait.max.ms": "100", "fetch.queue.backoff.ms": "5"}
    return {**properties, **quick, "client.id": "kafka-inbox-reader"}


def _largest_event(options: KafkaOptions) -> int:
    return int(options.properties.get("message.max.bytes", _LARGEST_EVENT))
