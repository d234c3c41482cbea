"""The spans of one process, made as OpenTelemetry's own variables say."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from inbox import __version__
from inbox.log_lines import log

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, Span

_ASKS = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Spans:
    """The spans of one process, made through the given provider."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("inbox", __version__)

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Mapping[str, Any],
        links: "Sequence[Link]",
        *,
        sends: bool = False,
        started: int | None = None,
    ) -> Iterator["Span"]:
        """Yield a span of a producer if it `sends`, and else of a consumer, that lasts as long as the context.

        `started`: when it began, in nanoseconds of Unix time, if that is not now. Of an exception only the class is
        recorded, because its text may quote an event.
        """
        from opentelemetry.trace import SpanKind, Status, StatusCode

        with self._tracer.start_as_current_span(
            name,
            kind=SpanKind.PRODUCER if sends else SpanKind.CONSUMER,
            attributes=attributes,
            links=links,
            start_time=started,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def close(self) -> None:
        """Send the spans that were not sent yet."""
        self._provider.shutdown()


@contextmanager
def traced(environ: Mapping[str, str]) -> Iterator[Spans | None]:
    """Yield the spans that are `configured`, and send every one at the end."""
    spans = configured(environ)
    try:
        yield spans
    finally:
        if spans is not None:
            spans.close()


def configured(environ: Mapping[str, str]) -> Spans | None:
    """Return the spans that OpenTelemetry's own variables ask for.

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
    return Spans(provider)


def _exporter(name: str) -> Any:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
