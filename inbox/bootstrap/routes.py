"""Bind the routes of the configuration to their handlers and tables."""

from collections.abc import Iterator, Mapping, Sequence

from inbox.handlers import LoadedHandler
from inbox.settings import Settings
from inbox.sink.guards.handler_calls import Calls
from inbox.sink.routes import HandlerTarget, Route
from inbox.sink.settle.context import BoundRoute
from inbox.sink.settle.effects import Effect, HandlerEffect, TableEffect
from inbox.store.options import TableTarget
from inbox.store.outbox.publisher import Outbox
from inbox.store.tables.writer import TableWriter


def handler_routes(routes: Sequence[Route]) -> Iterator[tuple[Route, str]]:
    for route in routes:
        if isinstance(route.target, HandlerTarget):
            yield route, route.target.entry_point


def table_routes(routes: Sequence[Route]) -> Iterator[tuple[Route, TableTarget]]:
    for route in routes:
        if not isinstance(route.target, HandlerTarget):
            yield route, route.target


def bind_route(
    route: Route,
    route_id: int,
    settings: Settings,
    handlers: Mapping[str, LoadedHandler],
    writers: Mapping[str, TableWriter],
    calls: Calls,
) -> BoundRoute:
    """Return a route bound to its handler or its writer, which is looked up by the route's name."""
    loaded = handlers.get(route.name)
    effect: Effect = (
        TableEffect(writers[route.name]) if loaded is None else HandlerEffect(loaded, _outbox(route, settings), calls)
    )
    return BoundRoute(route.name, route_id, effect, handlers=loaded is not None)


def _outbox(route: Route, settings: Settings) -> Outbox | None:
    if settings.outbox is None or settings.outbox.existing is not None:
        return None
    return Outbox(settings.database.schema, settings.outbox, sink=settings.sink.name, route=route.name)
