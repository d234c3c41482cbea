"""The desks that a worker's writer works at: everything that lives as long as one connection."""

from collections.abc import Mapping, Sequence

from inbox.app.binding import Explanation, introduce
from inbox.app.ready import Ready
from inbox.errors import StartupError, TryAgainError
from inbox.events import TopicPartition
from inbox.handlers import LoadedHandler
from inbox.settings import Settings
from inbox.sink.apply import Effect, HandlerEffect, TableEffect
from inbox.sink.attempts import BoundRoute
from inbox.sink.calls import Calls, WatchedCalls
from inbox.sink.evidence import Evidence
from inbox.sink.parked_keys import ParkedKeys
from inbox.sink.routes import Route
from inbox.sink.row_waits import RowWaits
from inbox.sink.row_watch import RowWatch
from inbox.sink.settle import Settler
from inbox.sink.suspects import Suspects
from inbox.sink.time_limit import TimeLimit
from inbox.sink.witness import LogWitness
from inbox.store.database import SinkConnection, connect
from inbox.store.dead_letters import MOST_PARKED_KEYS
from inbox.store.handling import Handling
from inbox.store.letter_copies import LetterCopies
from inbox.store.outbox import Outbox
from inbox.store.session import HandlerSession
from inbox.store.tables import TableWriter


class Desks:
    """Opens them, one after the other as connections break; what they share outlives them."""

    def __init__(self, settings: Settings, ready: Ready, owner: str, time_limit: TimeLimit) -> None:
        self._settings = settings
        self._ready = ready
        self._owner = owner
        self._time_limit = time_limit
        self._parked_keys = ParkedKeys(MOST_PARKED_KEYS)
        self._row_waits = RowWaits(settings.failures.wait_for_rows.total_seconds())
        self._witness = LogWitness(ready.cluster, Explanation(settings, ready.cluster).of_topics)
        self._evidence = Evidence()
        self._suspects = Suspects(
            Handling(settings.database.schema, owner),
            self._connect,
            young_events=settings.sink.batch_events,
            attempts=settings.failures.attempts,
        )

    def open(self) -> Settler:
        """Raises TryAgainError while that does not work."""
        connection = self._connect()
        try:
            return self._settler(connection)
        except BaseException:
            connection.close()
            raise

    def _connect(self) -> SinkConnection:
        try:
            return connect(
                self._settings.database,
                application_name=f"kafka-inbox {self._settings.sink.name}",
                longest_call_seconds=self._settings.failures.handler_timeout.total_seconds(),
            )
        except StartupError as error:
            raise TryAgainError(str(error), away="database", reason="login", alert=True) from error

    def _settler(self, connection: SinkConnection) -> Settler:
        settings, registration = self._settings, self._ready.registration
        return Settler(
            connection,
            HandlerSession(connection),
            [self._bound(route, registration.route_ids[route.name]) for route in settings.routes],
            schema=settings.database.schema,
            owner=self._owner,
            routes_revision=registration.routes_revision,
            limits=settings.failures,
            parked_keys=self._parked_keys,
            suspects=self._suspects,
            evidence=self._evidence,
            introduce=self._introduce,
            takeover_seconds=settings.database.takeover_timeout_seconds,
            witness=self._witness,
            row_watch=RowWatch(
                self._row_waits, settings.database.schema, sorted(self._ready.topics), self._ready.cluster.stable_ends
            ),
            copies=_copies(settings, registration.route_ids),
        )

    def _bound(self, route: Route, route_id: int) -> BoundRoute:
        calls = WatchedCalls(route_id, self._time_limit, self._suspects)
        return bind_route(route, route_id, self._settings, self._ready.handlers, self._ready.writers, calls)

    def _introduce(self, connection: SinkConnection, partitions: Sequence[TopicPartition]) -> None:
        introduce(connection, self._settings.database.schema, self._ready.cluster, partitions)


def bind_route(
    route: Route,
    route_id: int,
    settings: Settings,
    handlers: Mapping[str, LoadedHandler],
    writers: Mapping[str, TableWriter],
    calls: Calls,
) -> BoundRoute:
    """A route with what it does; it has its handler or its writer, by its name."""
    loaded = handlers.get(route.name)
    effect: Effect = (
        TableEffect(writers[route.name]) if loaded is None else HandlerEffect(loaded, _outbox(route, settings), calls)
    )
    return BoundRoute(route.name, route_id, effect, handlers=loaded is not None)


def _outbox(route: Route, settings: Settings) -> Outbox | None:
    if settings.outbox is None or settings.outbox.existing is not None:
        return None
    return Outbox(settings.database.schema, settings.outbox, sink=settings.sink.name, route=route.name)


def _copies(settings: Settings, route_ids: Mapping[str, int]) -> LetterCopies | None:
    topic = settings.failures.copy_to
    if settings.outbox is None or topic is None:
        return None
    names = {route_id: name for name, route_id in route_ids.items()}
    return LetterCopies(settings.database.schema, settings.outbox, sink=settings.sink.name, topic=topic, routes=names)
