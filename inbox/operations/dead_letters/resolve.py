"""The retry and the discard of dead letters beside a running sink."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import TypeVar

from inbox.bootstrap.permissions import require_rights
from inbox.bootstrap.retry import retry_until
from inbox.bootstrap.routes import bind_route, handler_routes, table_routes
from inbox.bootstrap.topics import sink_identity
from inbox.failure_policy import FailureLimits
from inbox.handlers import load_handler
from inbox.operations.dead_letters.plan import Plan, UnitPlan
from inbox.operations.dead_letters.retry import LetterResolver, Retried, Unit
from inbox.operations.operator import current_operator
from inbox.settings import Settings
from inbox.sink.guards.handler_calls import UnwatchedCalls
from inbox.sink.settle.context import BoundRoute
from inbox.store.inbox.registration import Register
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import Connection, connect, is_usable, startup_errors
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.tables.writer import TableWriter

_Answer = TypeVar("_Answer")

_PATIENCE_SECONDS = 60.0
"""The time for which an outage, or a deadlock with the sink (whose lock order differs), is waited out."""


def retry(settings: Settings, plan: Plan, *, by: str | None) -> Iterator[tuple[UnitPlan, Retried]]:
    """Apply the planned dead letters, one transaction for each unit. A yielded result is committed.

    Raises:
        StartupError: a handler, a table or a right is missing; nothing was changed.
        TryAgainError: the database stayed away, or a handler kept raising it for another service.
        HaltError: a handler ended the transaction.
    """
    routes = {route.name: route for route in settings.routes}
    with closing(_ReconnectingResolver(settings.database, settings.failures, by)) as resolver:
        bound = bind_routes(
            settings, resolver.connect(), {each.first.route: each.first.route_id for each in plan.units}
        )

        def retry_one(unit: Unit, name: str) -> Retried:
            at_most = settings.sink.batch_events
            return resolver.ask(lambda resolver: resolver.retry(unit, routes[name], bound[name], at_most=at_most))

        for each in plan.units:
            yield each, retry_one(each.unit, each.first.route)


def discard(options: DatabaseOptions, plan: Plan, *, by: str | None) -> Iterator[tuple[UnitPlan, int]]:
    """Discard the planned dead letters, a transaction for each unit.

    Yields each unit with the number of its dead letters that were still open.

    Raises:
        TryAgainError: the database stayed away.
    """
    with closing(_ReconnectingResolver(options, FailureLimits(), by)) as resolver:

        def discard_one(unit: Unit) -> int:
            return resolver.ask(lambda resolver: resolver.discard(unit))

        for each in plan.units:
            yield each, discard_one(each.unit)


class _ReconnectingResolver:
    """A resolver that is opened again when its connection breaks."""

    def __init__(self, options: DatabaseOptions, limits: FailureLimits, by: str | None) -> None:
        self._options = options
        self._limits = limits
        self._by = by
        self._connection: Connection | None = None
        self._resolver: LetterResolver | None = None

    def connect(self) -> Connection:
        if self._connection is None or not is_usable(self._connection):
            self.close()
            self._connection = connect(
                self._options,
                application_name="inbox dead-letters",
                longest_call_seconds=self._limits.handler_timeout.total_seconds(),
            )
            self._resolver = None
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def ask(self, action: Callable[[LetterResolver], _Answer]) -> _Answer:
        """Return the resolver's answer, asking again during an outage.

        A repeated question finds the dead letters that are open then.
        """
        return retry_until(lambda: action(self._open()), _PATIENCE_SECONDS, threading.Event())

    def _open(self) -> LetterResolver:
        connection = self.connect()
        if self._resolver is None:
            self._resolver = LetterResolver(
                connection,
                HandlerSession(connection),
                schema=self._options.schema,
                limits=self._limits,
                by=self._by or current_operator(connection),
            )
        return self._resolver


def bind_routes(settings: Settings, connection: Connection, wanted: Mapping[str, int]) -> Mapping[str, BoundRoute]:
    """Return the routes of these names bound to their handlers or tables.

    Each has the id that its dead letters name.
    """
    routes = [route for route in settings.routes if route.name in wanted]
    handlers = {route.name: load_handler(name) for route, name in handler_routes(routes)}
    with startup_errors("preparing the routes"):
        register = Register(settings.database.schema)
        register.review(connection, sink_identity(settings, register.bound_cluster(connection)))
        require_rights(connection, settings)
        writers = {route.name: TableWriter(connection, target) for route, target in table_routes(routes)}
    calls = UnwatchedCalls()
    return {route.name: bind_route(route, wanted[route.name], settings, handlers, writers, calls) for route in routes}
