"""Trace the relay: a span for the messages that are sent between two calls of `poll`."""

import time

from inbox.bootstrap.tracing import span_data
from inbox.bootstrap.tracing.spans import Spans
from inbox.relay.producer import Headers, Producer, ProducerAround


class TracedProducer(ProducerAround):
    """A producer with a span for the messages that are sent between two calls of `poll`.

    The span begins with the first of the messages and ends with the poll that follows them, which raises
    what went wrong. It is linked to the traces of the events. A Kafka transaction commits after it.
    """

    def __init__(self, spans: Spans, producer: Producer) -> None:
        super().__init__(producer)
        self._spans = spans
        self._forget()

    def _forget(self) -> None:
        self._started = 0
        self._messages = 0
        self._topics = set[str]()
        self._traces = list[span_data.Headers]()

    def send(self, token: int, topic: str, key: str | bytes | None, value: bytes | None, headers: Headers) -> None:
        """Send the message, and note it for the span."""
        self._started = self._started or time.time_ns()
        self._messages += 1
        self._topics.add(topic)
        if len(self._traces) < span_data.MOST_LINKS:
            self._traces.append([("traceparent", text.encode()) for text in _trace_parents(headers)])
        super().send(token, topic, key, value, headers)

    def poll(self, seconds: float) -> None:
        """Handle delivery reports, and end the span of the messages before."""
        if not self._messages:
            super().poll(seconds)
            return
        name = span_data.span_name("send", self._topics)
        attributes = {
            span_data.SYSTEM: "kafka",
            span_data.OPERATION_NAME: "send",
            span_data.OPERATION_TYPE: "send",
            span_data.MESSAGE_COUNT: self._messages,
            **span_data.only_topic(self._topics),
        }
        links, started = span_data.links_to(self._traces), self._started
        self._forget()
        with self._spans.span(name, attributes, links, sends=True, started=started):
            super().poll(seconds)


def _trace_parents(headers: Headers) -> list[str]:
    return [value for name, value in headers if name == "traceparent" and isinstance(value, str)]
