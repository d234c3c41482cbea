"""The names, attributes and links of spans, by OpenTelemetry's semantic conventions for messaging."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inbox.events import Event, Record
from inbox.sink.batch import Batch
from inbox.trace_context import TraceParent, trace_parent

if TYPE_CHECKING:
    from opentelemetry.trace import Link

SYSTEM = "messaging.system"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
GROUP = "messaging.consumer.group.name"
DESTINATION = "messaging.destination.name"
PARTITION = "messaging.destination.partition.id"
MESSAGE_COUNT = "messaging.batch.message_count"
MESSAGE_ID = "messaging.message.id"
OFFSET = "messaging.kafka.offset"
TOMBSTONE = "messaging.kafka.message.tombstone"
"""The attributes of the semantic conventions 1.44 for messaging and Kafka. The SDK has them as private names only."""

MOST_LINKS = 128
"""The most links of one span: the default of OTEL_SPAN_LINK_COUNT_LIMIT."""

Headers = Sequence[tuple[str, bytes | None]]


def span_name(operation: str, topics: Collection[str]) -> str:
    """Return the name of a span: the operation, and the topic if there is one only."""
    return f"{operation} {next(iter(topics))}" if len(topics) == 1 else operation


def only_topic(topics: Collection[str]) -> Mapping[str, Any]:
    """Return the attribute of the topic, if there is one only."""
    return {DESTINATION: next(iter(topics))} if len(topics) == 1 else {}


def message_attributes(event: Event) -> Mapping[str, Any]:
    """Return the attributes of one event."""
    return {
        DESTINATION: event.topic,
        PARTITION: str(event.partition),
        OFFSET: event.offset,
        MESSAGE_ID: str(event.id),
        **({TOMBSTONE: True} if event.value is None else {}),
    }


def batch_headers(batch: Batch) -> Iterator[Headers]:
    """Yield the headers of each record of the batch, once for each of its routes."""
    for part in batch.partitions.values():
        for events in part.routes.values():
            yield from (_headers(record) for record in events.records)


def _headers(record: Record) -> Headers:
    return record.headers() or ()


def links_to(all_headers: Iterable[Headers]) -> "list[Link]":
    """Return links to the traces of the events, each once, at most `MOST_LINKS`."""
    from opentelemetry.trace import Link, SpanContext, TraceFlags

    links = dict[tuple[int, int], Link]()
    for headers in all_headers:
        if (parent := _parent(headers)) is None:
            continue
        trace_id, span_id, flags = parent
        context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags & TraceFlags.SAMPLED))
        links.setdefault((trace_id, span_id), Link(context))
        if len(links) >= MOST_LINKS:
            break
    return list(links.values())


def _parent(headers: Headers) -> TraceParent | None:
    """Return the span of the event's producer, or None if the header is absent or malformed.

    The SDK does not read the header, because its warnings quote the header, and because it also
    takes `tracestate`, of any size.
    """
    for name, value in headers:
        if name == "traceparent" and value is not None and (found := trace_parent(value)) is not None:
            return found
    return None
