"""OpenTelemetry traces: a span for each batch, linked to the traces of its events, with the
handlers' calls below.

The SDK (the extra `otel`) is imported, and calls are wrapped, only if one of OpenTelemetry's
variables asks for traces. The sink's own code knows nothing of tracing. Names follow the semantic
conventions for messaging.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from inbox.errors import OrderHaltError
from inbox.events import Event, Record
from inbox.handlers import LoadedHandler, Transaction
from inbox.sink.batch import Batch
from inbox.sink.guards.guard import Guard
from inbox.sink.guards.row_waits import RowMissingError
from inbox.sink.outcome import BatchOutcome
from inbox.store.inbox.claims import GenerationChanged
from inbox.telemetry import log
from inbox.trace_context import TraceParent, trace_parent

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, Span

_ANSWERS = (GenerationChanged, OrderHaltError, RowMissingError)
"""The exceptions that end a transaction without being its failure."""

_ASKS = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
MOST_LINKS = 128
"""The most links of one batch: the default of OTEL_SPAN_LINK_COUNT_LIMIT."""


class Tracing:
    """The spans of one process, made through the given provider."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("inbox")

    def guard(self) -> Guard:
        """Return a guard that makes a span for every transaction of a batch."""
        return _TracingGuard(self)

    def handlers(self, handlers: Mapping[str, LoadedHandler]) -> Mapping[str, LoadedHandler]:
        """Return the same handlers, with a span below the batch's for each call."""
        return {route: replace(each, call=self._traced(each)) for route, each in handlers.items()}

    @contextmanager
    def batch(self, batch: Batch) -> Iterator["Span"]:
        topics = sorted({address.topic for address in batch.partitions})
        attributes = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.batch.message_count": batch.records,
            **({"messaging.destination.name": topics[0]} if len(topics) == 1 else {}),
        }
        with self._span("settle batch", attributes, _links(_records(batch))) as span:
            yield span

    def close(self) -> None:
        """Send the spans that were not sent yet."""
        self._provider.shutdown()

    def _traced(self, handler: LoadedHandler) -> Callable[[Any, Transaction], None]:
        def call(argument: Event | Sequence[Event], transaction: Transaction) -> None:
            events = [argument] if isinstance(argument, Event) else argument
            first = events[0]
            attributes = {
                "messaging.system": "kafka",
                "messaging.destination.name": first.topic,
                "messaging.destination.partition.id": str(first.partition),
                "messaging.kafka.offset": first.offset,
                "messaging.message.id": str(first.id),
                "messaging.batch.message_count": len(events),
            }
            with self._span(f"handle {handler.name}", attributes, _links(event.headers for event in events)):
                handler.call(argument, transaction)

        return call

    @contextmanager
    def _span(self, name: str, attributes: Mapping[str, Any], links: "list[Link]") -> Iterator["Span"]:
        from opentelemetry.trace import SpanKind, Status, StatusCode

        # An exception's text may quote an event, so only its class is recorded.
        with self._tracer.start_as_current_span(
            name,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise


class _TracingGuard(Guard):
    """The span of one transaction after another, around all that the other guards do."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self._open = ExitStack()
        self._span: Span

    def begin(self, batch: Batch) -> None:
        self._span = self._open.enter_context(self._tracing.batch(batch))

    def committed(self, outcome: BatchOutcome) -> None:
        self._end(fenced=False)

    def rolled_back(self, error: BaseException | None) -> None:
        if error is None or isinstance(error, _ANSWERS):
            self._end(fenced=error is None)
        else:
            self._open.__exit__(type(error), error, error.__traceback__)

    def _end(self, *, fenced: bool) -> None:
        self._span.set_attribute("inbox.fenced", fenced)
        self._open.close()


@contextmanager
def traced(environ: Mapping[str, str]) -> Iterator[Tracing | None]:
    """Yield the tracing that is `configured`, and send every span at the end."""
    tracing = configured(environ)
    try:
        yield tracing
    finally:
        if tracing is not None:
            tracing.close()


def configured(environ: Mapping[str, str]) -> Tracing | None:
    """Return the tracing that OpenTelemetry's own variables ask for.

    Returns:
        None if they ask for no traces, or if OpenTelemetry's SDK is not installed.
    """
    exporter = environ.get("OTEL_TRACES_EXPORTER", "otlp")
    if not any(environ.get(name) for name in _ASKS) or exporter == "none":
        return None
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(_exporter(exporter)))
    except ImportError as error:
        log().warning("traces-off", reason=f"{error.name} is not installed; install kafka-inbox[otel]")
        return None
    return Tracing(provider)


def _exporter(name: str) -> Any:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
        OTLPSpanExporter,  # pyright: ignore[reportMissingImports]
    )

    return OTLPSpanExporter()


Headers = Sequence[tuple[str, bytes | None]]


def _records(batch: Batch) -> Iterator[Headers]:
    for part in batch.partitions.values():
        for events in part.routes.values():
            yield from (_headers(record) for record in events.records)


def _headers(record: Record) -> Headers:
    return record.headers() or ()


def _links(all_headers: Iterable[Headers]) -> "list[Link]":
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
