"""The spans of a relay, in the SDK's own memory."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from inbox.bootstrap.tracing.relay import TracedProducer
from inbox.bootstrap.tracing.spans import Spans
from inbox.errors import TryAgainError
from inbox.relay.producer import Headers


class Brokers:
    """A producer that sends nowhere."""

    in_transactions = False
    error: Exception | None = None

    def may_share(self, topic: str, key: str) -> bool:
        return True

    def send(self, token: int, topic: str, key: str, value: bytes | None, headers: Headers) -> None:
        pass

    def poll(self, seconds: float) -> None:
        if self.error:
            raise self.error

    def begin(self) -> None:
        pass

    def commit(self) -> None:
        pass

    def discard(self) -> None:
        pass


class Traced:
    """A traced producer, and its spans."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.brokers = Brokers()
        self.producer = TracedProducer(Spans(provider), self.brokers)

    def send(self, topic: str, trace: int | None = None) -> None:
        headers: Headers = [("event_id", "1"), ("type", "T")]
        if trace:
            headers.append(("traceparent", f"00-{trace:032x}-{trace:016x}-01"))
        self.producer.send(1, topic, "a", b"{}", headers)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()


@pytest.fixture
def traced() -> Traced:
    return Traced()


def test_the_messages_before_a_poll_are_one_span_linked_to_their_traces(traced: Traced) -> None:
    traced.send("orders", 1)
    traced.send("orders")
    traced.send("orders", 2)
    traced.producer.poll(0)
    [span] = traced.spans
    assert span.name == "send orders"
    assert span.kind.name == "PRODUCER"
    attributes: dict[str, Any] = dict(span.attributes or {})
    assert attributes["messaging.batch.message_count"] == 3
    assert [link.context.trace_id for link in span.links] == [1, 2]


def test_a_poll_without_messages_is_no_span(traced: Traced) -> None:
    traced.producer.poll(0)
    assert traced.spans == ()


def test_messages_of_several_topics_have_a_span_without_a_topic(traced: Traced) -> None:
    traced.send("orders")
    traced.send("payments")
    traced.producer.poll(0)
    assert [span.name for span in traced.spans] == ["send"]


def test_a_failure_is_recorded_by_its_class_and_the_next_messages_are_another_span(traced: Traced) -> None:
    traced.brokers.error = TryAgainError("the value was a secret")
    traced.send("orders")
    with pytest.raises(TryAgainError):
        traced.producer.poll(0)
    traced.brokers.error = None
    traced.send("orders", 7)
    traced.producer.poll(0)
    failed, second = traced.spans
    assert (failed.attributes or {})["error.type"] == "TryAgainError"
    assert "secret" not in failed.to_json()
    assert [link.context.trace_id for link in second.links] == [7]
