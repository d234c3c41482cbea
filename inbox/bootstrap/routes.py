"""Bind the routes of the configuration to their handlers and tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from inbox.handlers import LoadedHandler, load_handler
from inbox.reading.options import Envelope
from inbox.settings import Settings
from inbox.sink.guards.handler_calls import Calls
from inbox.sink.routes import HandlerTarget, Route
from inbox.sink.settle.context import BoundRoute
from inbox.sink.settle.effects import Effect, HandlerEffect, TableEffect
from inbox.store.options import TableTarget
from inbox.store.outbox.publisher import Outbox
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.tables.writer import TableWriter


def load_handlers(routes: Sequence[Route]) -> dict[str, LoadedHandler]:
    """Return the handlers of the routes by route name.

    Raises:
        StartupError: see `load_handler`.
    """
    return {route.name: load_handler_of(route, name) for route, name in handler_routes(routes)}


def load_handler_of(route: Route, name: str) -> LoadedHandler:
    """Return the handler of this name for a route; raise StartupError as `load_handler` does."""
    return load_handler(name, of_row=route.envelope is not Envelope.NONE)


def handler_routes(routes: Sequence[Route]) -> Iterator[tuple[Route, str]]:
    for route in routes:
        if isinstance(route.target, HandlerTarget):
            yield route, route.target.entry_point


def table_routes(routes: Sequence[Route]) -> Iterator[tuple[Route, TableTarget]]:
    for route in routes:
        if not isinstance(route.target, HandlerTarget):
            yield route, route.target


@dataclass(frozen=True)
class RouteTargets:
    """The handlers and the writers of tables that a start found, by route name."""

    settings: Settings
    handlers: Mapping[str, LoadedHandler]
    writers: Mapping[str, TableWriter]

    def bind(self, route: Route, route_id: int, session: HandlerSession, calls: Calls) -> BoundRoute:
        """Return the route, ready to apply events in this session."""
        handler = self.handlers.get(route.name)
        effect: Effect
        if handler is None:
            effect = TableEffect(session.connection, self.writers[route.name])
        else:
            effect = HandlerEffect(session, handler, self._outbox(route), calls)
        return BoundRoute(route.name, route_id, effect, handlers=handler is not None, keeps_claims=route.keeps_claims)

    def _outbox(self, route: Route) -> Outbox | None:
        settings = self.settings
        if settings.outbox is None or settings.outbox.existing is not None:
            return None
        return Outbox(settings.database.schema, settings.outbox, sink=settings.sink.name, route=route.name)
