"""Spans of batches and handlers, in the SDK's own memory."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

import inbox
from inbox import Event, EventError, Transaction
from inbox.bootstrap.tracing import MOST_LINKS, Tracing, configured
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
        self.tracing = Tracing(provider)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


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

    batches = [span for span in traces.named("settle batch") if span.links]
    assert sorted({trace for span in batches for trace in linked(span)}) == [1, 2]
    handled = traces.named("handle handler")
    assert [linked(span) for span in handled] == [[1], [2], [], [2]]
    spans = {span.context.span_id for span in traces.named("settle batch") if span.context}
    assert all(span.parent is not None and span.parent.span_id in spans for span in handled)
    assert dict(handled[0].attributes or {})["messaging.destination.name"] == sink.topic


def test_an_error_is_told_by_its_class_alone(handled_by: HandledBy, traces: Traces) -> None:
    def refuse(event: Event, tx: Transaction) -> None:
        raise EventError(SECRET)

    sink = handled_by(refuse)
    sink.send(Out(1))
    sink.run(tracing=traces.tracing)

    span = traces.named("handle handler")[0]
    assert (span.attributes or {})["error.type"] == "EventError"
    assert SECRET not in span.to_json()


def test_a_batch_handler_is_one_span(handled_by: HandledBy, traces: Traces) -> None:
    @inbox.handler(batch=True)
    def take(events: Sequence[Event], tx: Transaction) -> None:
        pass

    sink = handled_by(take)
    sink.send(*(Out(number) for number in range(1, 4)))
    sink.run(tracing=traces.tracing)
    assert sum((span.attributes or {})["messaging.batch.message_count"] for span in traces.named("handle handler")) == 3


def test_a_large_batch_has_a_bounded_number_of_links(handled_by: HandledBy, traces: Traces) -> None:
    sink = handled_by(lambda event, tx: None)
    sink.send(*(Out(number, headers=traceparent(number)) for number in range(1, 400)))
    sink.run(tracing=traces.tracing)
    assert max(len(span.links) for span in traces.named("settle batch")) == MOST_LINKS


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
    tracing = configured({"OTEL_TRACES_EXPORTER": "console"})
    assert tracing is not None
    tracing.close()


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

    assert sorted(trace for span in traces.named("settle batch") for trace in linked(span)) == [2]
    assert not caplog.records
