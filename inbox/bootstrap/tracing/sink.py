"""Trace the sink: a span for each batch, linked to the traces of its events, with the handlers' calls below."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from inbox.bootstrap.tracing import span_data
from inbox.bootstrap.tracing.spans import Spans
from inbox.errors import OrderHaltError
from inbox.events import Event
from inbox.handlers import LoadedHandler, Transaction
from inbox.sink.batch import Batch
from inbox.sink.guards.guard import Guard
from inbox.sink.guards.row_waits import RowMissingError
from inbox.sink.outcome import BatchOutcome
from inbox.store.inbox.claims import GenerationChanged

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_ANSWERS = (GenerationChanged, OrderHaltError, RowMissingError)
"""The exceptions that end a transaction without being its failure."""


class SinkTracing:
    """The spans of a sink; `group` is its consumer group."""

    def __init__(self, spans: Spans, group: str) -> None:
        self._spans = spans
        self._group = group

    def guard(self) -> Guard:
        """Return a guard that makes a span for every transaction of a batch."""
        return _TracingGuard(self)

    def handlers(self, handlers: Mapping[str, LoadedHandler]) -> Mapping[str, LoadedHandler]:
        """Return the same handlers, with a span below the batch's for each call."""
        return {route: replace(each, call=self._traced(route, each)) for route, each in handlers.items()}

    def batch(self, batch: Batch) -> "AbstractContextManager[Span]":
        """Return a span for one transaction."""
        addresses = list(batch.partitions)
        topics = {address.topic for address in addresses}
        attributes = {
            **self._common("settle"),
            span_data.MESSAGE_COUNT: batch.records,
            **span_data.only_topic(topics),
            **({span_data.PARTITION: str(addresses[0].partition)} if len(addresses) == 1 else {}),
        }
        links = span_data.links_to(span_data.batch_headers(batch))
        return self._spans.span(span_data.span_name("settle", topics), attributes, links)

    def _traced(self, route: str, handler: LoadedHandler) -> Callable[[Any, Transaction], None]:
        def call(argument: Event | Sequence[Event], transaction: Transaction) -> None:
            events = [argument] if isinstance(argument, Event) else argument
            attributes = {
                **self._common("process"),
                "inbox.route": route,
                "inbox.handler": handler.name,
                **span_data.message_attributes(events[0]),
                **({} if isinstance(argument, Event) else {span_data.MESSAGE_COUNT: len(events)}),
            }
            name = span_data.span_name("process", {event.topic for event in events})
            with self._spans.span(name, attributes, span_data.links_to(event.headers for event in events)):
                handler.call(argument, transaction)

        return call

    def _common(self, operation: str) -> Mapping[str, Any]:
        return {
            span_data.SYSTEM: "kafka",
            span_data.OPERATION_NAME: operation,
            span_data.OPERATION_TYPE: "process",
            span_data.GROUP: self._group,
        }


class _TracingGuard(Guard):
    """The span of one transaction after another, around all that the other guards do."""

    def __init__(self, tracing: SinkTracing) -> None:
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
