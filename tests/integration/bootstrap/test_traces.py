"""Spans of batches and handlers, in the SDK's own memory."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import messaging_attributes

import inbox
from inbox import Event, EventError, Transaction
from inbox.bootstrap.tracing import span_data
from inbox.bootstrap.tracing.sink import SinkTracing
from inbox.bootstrap.tracing.span_data import MOST_LINKS
from inbox.bootstrap.tracing.spans import Spans, configured
from tests.support.log_lines import capture_logs
from tests.support.sink.running import Out, Sink

HandledBy = Callable[..., Sink]
SECRET = "a card number"


def traceparent(number: int) -> Mapping[str, str]:
    return {"traceparent": f"00-{number:032x}-{number:016x}-01"}


class Traces:
    """What a sink told."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.spans = Spans(provider)
        self.tracing = SinkTracing(self.spans, "a-group")

    def of(self, operation: str) -> list[ReadableSpan]:
        finished = self._exporter.get_finished_spans()
        return [span for span in finished if attributes(span)[span_data.OPERATION_NAME] == operation]


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    return dict(span.attributes or {})


@pytest.fixture
def traces() -> Traces:
    return Traces()


def linked(span: ReadableSpan) -> list[int]:
    return sorted(link.context.trace_id for link in span.links)


def test_a_batch_is_linked_to_its_events_traces_and_handlers_are_below_it(
    handled_by: HandledBy, traces: Traces
) -> None:
    sink = handled_by(lambda event, tx: None)
    sink.send(Out(1, headers=traceparent(1)), Out(2, headers=traceparent(2)), Out(3), Out(4, headers=traceparent(2)))
    sink.run(tracing=traces.tracing)

    batches = [span for span in traces.of("settle") if span.links]
    assert sorted({trace for span in batches for trace in linked(span)}) == [1, 2]
    handled = traces.of("process")
    assert [linked(span) for span in handled] == [[1], [2], [], [2]]
    spans = {span.context.span_id for span in traces.of("settle") if span.context}
    assert all(span.parent is not None and span.parent.span_id in spans for span in handled)
    assert {span.name for span in batches} == {f"settle {sink.topic}"}
    assert handled[0].name == f"process {sink.topic}"


def test_a_handler_s_span_says_which_event_it_takes_by_the_conventions(handled_by: HandledBy, traces: Traces) -> None:
    sink = handled_by(lambda event, tx: None)
    sink.send(Out(1), Out(2, value=None))
    sink.run(tracing=traces.tracing)
    first, second = (attributes(span) for span in traces.of("process"))
    assert first == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "a-group",
        "messaging.destination.name": sink.topic,
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 0,
        "messaging.message.id": str(UUID(int=1)),
        "inbox.route": "handler",
        "inbox.handler": "handler",
    }
    assert second[span_data.TOMBSTONE] is True


def test_the_attributes_are_those_of_the_conventions() -> None:
    known = {value for name, value in vars(messaging_attributes).items() if name.startswith("MESSAGING_")}
    used = {value for name, value in vars(span_data).items() if name.isupper() and isinstance(value, str)}
    assert used <= known


def test_an_error_is_told_by_its_class_alone(handled_by: HandledBy, traces: Traces) -> None:
    def refuse(event: Event, tx: Transaction) -> None:
        raise EventError(SECRET)

    sink = handled_by(refuse)
    sink.send(Out(1))
    sink.run(tracing=traces.tracing)

    span = traces.of("process")[0]
    assert attributes(span)["error.type"] == "EventError"
    assert SECRET not in span.to_json()


def test_a_batch_handler_is_one_span(handled_by: HandledBy, traces: Traces) -> None:
    @inbox.handler(batch=True)
    def take(events: Sequence[Event], tx: Transaction) -> None:
        pass

    sink = handled_by(take)
    sink.send(*(Out(number) for number in range(1, 4)))
    sink.run(tracing=traces.tracing)
    assert sum(attributes(span)["messaging.batch.message_count"] for span in traces.of("process")) == 3


def test_a_large_batch_has_a_bounded_number_of_links(handled_by: HandledBy, traces: Traces) -> None:
    sink = handled_by(lambda event, tx: None)
    sink.send(*(Out(number, headers=traceparent(number)) for number in range(1, 400)))
    sink.run(tracing=traces.tracing)
    assert max(len(span.links) for span in traces.of("settle")) == MOST_LINKS


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_nothing_is_traced_unless_asked_for(environ: Mapping[str, str]) -> None:
    assert configured(environ) is None


def test_the_variables_turn_it_on() -> None:
    spans = configured({"OTEL_TRACES_EXPORTER": "console"})
    assert spans is not None
    spans.close()


def test_a_missing_package_is_told_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with capture_logs() as lines:
        assert configured({"OTEL_TRACES_EXPORTER": "otlp"}) is None
    assert [line["event"] for line in lines] == ["traces-off"]


def test_without_being_asked_nothing_of_it_is_imported() -> None:
    look = "import sys, inbox.cli.run_worker; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", look]).returncode == 0


HOSTILE = [
    {"traceparent": "x" * 65536},
    {"traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-01"},
    {"traceparent": "00-\r\nforged line"},
    {"traceparent": f"ff-{1:032x}-{1:016x}-01"},
    {"traceparent": f"00-{1:032x}-{1:016x}-01-more"},
    {"tracestate": "a=" + "," * 65536},
]


@pytest.mark.parametrize("headers", HOSTILE, ids=range(len(HOSTILE)))
def test_a_header_that_is_no_trace_context_is_passed_over_in_silence(
    handled_by: HandledBy, traces: Traces, headers: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    sink = handled_by(lambda event, tx: None)
    sink.send(Out(1, headers=headers), Out(2, headers={**traceparent(2), "tracestate": "a=" + "b" * 65536}))
    sink.run(tracing=traces.tracing)

    assert sorted(trace for span in traces.of("settle") for trace in linked(span)) == [2]
    assert not caplog.records
