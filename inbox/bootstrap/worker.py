"""Make a worker from settings: everything that a start has to find, and everything that lives as
long as one connection."""

import secrets
import socket
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from os import getpid

from inbox.bootstrap.deadly_batch import refuse_deadly_batch
from inbox.bootstrap.permissions import require_kafka_rights, require_rights
from inbox.bootstrap.retry import StopSignal, retry_until, run_until_stopped
from inbox.bootstrap.routes import RouteTargets, load_handlers, table_routes
from inbox.bootstrap.topics import Explanation, find_topics, introduce, register_sink
from inbox.bootstrap.tracing.sink import SinkTracing
from inbox.errors import StartupError, refusals_as_outages
from inbox.events import TopicPartition
from inbox.handlers import LoadedHandler
from inbox.kafka.cluster import Cluster, TopicView
from inbox.kafka.consumer import GroupConsumer
from inbox.kafka.log.gaps import AT_A_TIME_SECONDS, Gaps
from inbox.kafka.options import DEFAULTS
from inbox.log_lines import log
from inbox.settings import Settings
from inbox.sink.accumulator import BatchAccumulator
from inbox.sink.assignment import Assignment
from inbox.sink.decoder import TopicDecoder
from inbox.sink.guards.counts.other_payloads import OtherPayloads
from inbox.sink.guards.counts.unknown_members import UnknownMemberGuard
from inbox.sink.guards.crash_poison import CrashPoisonGuard, CrashPoisonTracker
from inbox.sink.guards.dead_letter_limit import LetterLimit
from inbox.sink.guards.guard import Guards
from inbox.sink.guards.handler_calls import LimitedCalls, WatchedCalls
from inbox.sink.guards.parked_by_hand import HandParked
from inbox.sink.guards.replay_progress import ReplayProgress
from inbox.sink.guards.row_waits import RowWaits
from inbox.sink.guards.row_watch import RowWatch
from inbox.sink.guards.time_limit import TimeLimit
from inbox.sink.guards.topic_identity import TopicIdentityGuard
from inbox.sink.letters.due import DueLetters
from inbox.sink.letters.resolver import LetterResolver
from inbox.sink.outcome import LettersTried
from inbox.sink.pace import Pace, PacedSettler
from inbox.sink.routes import Route
from inbox.sink.settle.all_routes import Routes
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.sink.settle.dead_lettering import DeadLetterWriter
from inbox.sink.settle.fault.evidence import Evidence
from inbox.sink.settle.ownership import Ownership
from inbox.sink.settle.parked_keys import ParkedKeys, ParkedKeysGuard
from inbox.sink.settle.settled_before import SettledBefore
from inbox.sink.settle.settler import Settler, WorkerIdentity
from inbox.sink.worker.loop import Worker
from inbox.sink.writer_thread import BatchSettler, Writer
from inbox.store.inbox.dead_letters import MOST_PARKED_KEYS
from inbox.store.inbox.handler_calls import HandlerCallNotes
from inbox.store.inbox.registration import Registration
from inbox.store.outbox.dead_letter_copies import LetterCopies
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.postgres.connection import Connection, connect, startup_errors
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.postgres.pooler import require_sessions
from inbox.store.privileges.check import hidden_owners_remedy
from inbox.store.privileges.sink import OF_SINK
from inbox.store.schema.compatibility import require_current
from inbox.store.store import Store
from inbox.store.tables.durability import losable_of_schema
from inbox.store.tables.writer import TableWriter


@dataclass(frozen=True)
class StartupState:
    """The result of a successful start: handlers and writers by route, topics by name."""

    handlers: Mapping[str, LoadedHandler]
    writers: Mapping[str, TableWriter]
    cluster: Cluster
    topics: Mapping[str, TopicView]
    registration: Registration


def prepare(settings: Settings, stop: StopSignal) -> StartupState | None:
    """Find everything that a start needs; return None if `stop` was set before all was found.

    Raises:
        StartupError: something is missing or wrong; waiting would not fix it.
        TryAgainError: the database or the brokers did not answer within `[database] start_timeout`.
        HaltError: the log no longer fits the ledger.
    """
    # Imported on this thread: a handler's package may need the main thread for its import.
    handlers = load_handlers(settings.routes)
    seconds = settings.database.start_timeout_seconds
    return run_until_stopped(lambda: retry_until(lambda: _find(settings, handlers), seconds, stop), stop)


def _find(settings: Settings, handlers: Mapping[str, LoadedHandler]) -> StartupState:
    connection = connect(settings.database)
    with closing(connection), startup_errors("preparing the database"):
        require_current(connection, settings.database.schema, settings.outbox)
        store = Store(connection, settings.database.schema)
        require_rights(connection, settings)
        require_logged(connection, settings.database.schema)
        if handlers:
            require_sessions(connection)
        writers = {route.name: TableWriter(connection, target) for route, target in table_routes(settings.routes)}
        cluster = Cluster(settings.kafka)
        cluster_id = cluster.cluster_id()
        topics = find_topics(cluster, settings.routes)
        if (schemas := settings.needed_schemas) is not None:
            schemas.require()
        require_kafka_rights(cluster, topics)
        registration = register_sink(store, settings, cluster, cluster_id, topics)
        refuse_deadly_batch(store.ledger, settings, cluster, topics)
        _warn_of_hidden_owners(store, sorted(topics))
    return StartupState(handlers, writers, cluster, topics, registration)


def _warn_of_hidden_owners(store: Store, topics: Sequence[str]) -> None:
    if roles := store.ledger.hidden_owners(topics):
        log().warning("owners-hidden", roles=roles, remedy=hidden_owners_remedy(store.connection, roles))


def make_worker(
    settings: Settings, ready: StartupState, *, until_end: bool, tracing: SinkTracing | None = None
) -> Worker:
    """Return one member of the group, ready to run. With `tracing` it records its work in spans."""
    owner = f"{socket.gethostname()}:{getpid()}:{secrets.token_hex(8)}"
    session_ms = settings.kafka.properties.get("session.timeout.ms", DEFAULTS["session.timeout.ms"][0])
    assignment = Assignment(owner, reclaim_seconds=int(session_ms) / 1000)
    sink = settings.sink
    if (schemas := settings.needed_schemas) is not None:
        schemas.serve_worker()
    decoders = {
        name: TopicDecoder(name, view.topic_id, settings.routes, largest_event=sink.largest_event)
        for name, view in ready.topics.items()
    }
    addresses = [address for view in ready.topics.values() for address in view.addresses()]
    time_limit = TimeLimit(settings.failures.handler_timeout.total_seconds())
    if tracing is not None:
        ready = replace(ready, handlers=tracing.handlers(ready.handlers))
    pace = None if sink.max_events_per_second is None else Pace(sink.max_events_per_second)
    gaps = Gaps(settings.kafka, ready.cluster, once_compacted=sink.once_compacted, at_a_time_seconds=AT_A_TIME_SECONDS)
    return Worker(
        GroupConsumer(settings.kafka, batch_bytes=sink.batch_bytes),
        Writer(SettlerFactory(settings, ready, owner, time_limit, tracing, pace).open),
        assignment,
        BatchAccumulator(
            decoders,
            assignment,
            batch_events=sink.batch_events if pace is None else min(sink.batch_events, pace.batch_events),
            batch_bytes=sink.batch_bytes,
            require_reason=gaps.require_reason,
        ),
        sorted(ready.topics),
        time_limit,
        ends=ready.cluster.stable_ends(addresses) if until_end else None,
        explain=Explanation(settings, ready.cluster).of_halt,
        retries_letters=bool(settings.failures.retry_after),
        pace=pace,
    )


def require_logged(connection: Connection, schema: str) -> None:
    """Raise StartupError with one line for each of the inbox's tables that a crash of the server empties."""
    if problems := losable_of_schema(connection, schema, [*OF_SINK, "outbox"]):
        raise StartupError("\n".join(problems))


class SettlerFactory:
    """An opener of settlers, one after the other as connections break, with the state that outlives them."""

    def __init__(
        self,
        settings: Settings,
        ready: StartupState,
        owner: str,
        time_limit: TimeLimit,
        tracing: SinkTracing | None,
        pace: Pace | None,
    ) -> None:
        self._settings = settings
        self._ready = ready
        self._identity = WorkerIdentity(owner, ready.registration.routes_revision)
        self._targets = RouteTargets(settings, ready.handlers, ready.writers)
        self._time_limit = time_limit
        self._pace = pace
        self._tracing = [] if tracing is None else [tracing.guard()]
        self._parked_keys = ParkedKeys(MOST_PARKED_KEYS)
        self._row_waits = RowWaits(settings.failures.wait_for_rows.total_seconds())
        self._topic_identity = TopicIdentityGuard(ready.cluster, Explanation(settings, ready.cluster).of_topics)
        self._evidence = Evidence()
        self._crash_poison = CrashPoisonTracker(
            lambda: self._notes(self._connect()),
            young_events=settings.sink.batch_events,
            attempts=settings.failures.attempts,
        )

    def open(self) -> BatchSettler:
        """Open a settler on a new connection. Raises TryAgainError while that does not work."""
        store = Store(self._connect(), self._settings.database.schema)
        try:
            return PacedSettler(self._settler(store), store.budgets, self._pace)
        except BaseException:
            store.close()
            raise

    def _connect(self) -> Connection:
        with refusals_as_outages(away="database", reason="login"):
            return connect(
                self._settings.database,
                application_name=f"kafka-inbox {self._settings.sink.name}",
                longest_call_seconds=self._settings.failures.handler_timeout.total_seconds(),
            )

    def _notes(self, connection: Connection) -> HandlerCallNotes:
        return HandlerCallNotes(connection, self._settings.database.schema, self._identity.owner)

    def _settler(self, store: Store) -> Settler:
        settings, limits = self._settings, self._settings.failures
        session = HandlerSession(store.connection)
        routes = [self._bound(route, session) for route in settings.routes]
        handlers = any(route.handlers for route in routes)
        transaction = BatchTransaction(store.connection, handlers=handlers)
        parked_keys = ParkedKeysGuard(self._parked_keys, store.dead_letters, limits.order)
        letter_limit = LetterLimit(store.dead_letters, limits.halt_above)
        hand_parked = HandParked(store.dead_letters)
        # In each phase the guards act in this order. The brokers' answer is awaited last before the fence.
        guards = Guards(
            *self._tracing,
            parked_keys,
            CrashPoisonGuard(self._crash_poison, self._notes(store.connection), handlers=handlers),
            letter_limit,
            hand_parked,
            self._topic_identity,
            ReplayProgress(store),
            OtherPayloads(store.ledger),
            UnknownMemberGuard(store.unknown_members, self._ready.registration.route_ids),
            self._evidence,
        )
        context = SettleContext(
            store.connection,
            session,
            transaction,
            store.claims,
            limits,
            row_waits=self._row_waits,
            evidence=self._evidence,
        )
        return Settler(
            store,
            self._identity,
            routes=Routes(
                context,
                routes,
                crash_poison=self._crash_poison,
                hand_parked=hand_parked,
                parked_keys=parked_keys,
                settled_before=SettledBefore(store, transaction),
            ),
            parking=DeadLetterWriter(store.dead_letters, limits, self._copies(store)),
            ownership=self._ownership(store, guards, letter_limit, parked_keys),
            guards=guards,
            row_watch=RowWatch(
                self._row_waits, store.ledger, sorted(self._ready.topics), self._ready.cluster.stable_ends
            ),
            retry_letters=self._due_letters(store, session, parked_keys).retry if limits.retry_after else _none_due,
        )

    def _ownership(
        self, store: Store, guards: Guards, letter_limit: LetterLimit, parked_keys: ParkedKeysGuard
    ) -> Ownership:
        return Ownership(
            store,
            self._identity.owner,
            guards,
            letter_limit,
            parked_keys,
            introduce=self._introduce,
            takeover_seconds=self._settings.database.takeover_timeout_seconds,
        )

    def _due_letters(self, store: Store, session: HandlerSession, parked_keys: ParkedKeysGuard) -> DueLetters:
        settings, calls = self._settings, LimitedCalls(self._time_limit)
        route_ids = self._ready.registration.route_ids
        bound = ((route, self._targets.bind(route, route_ids[route.name], session, calls)) for route in settings.routes)
        return DueLetters(
            store.dead_letters,
            LetterResolver(
                store, session, limits=settings.failures, by="[failures] retry_after", owner=self._identity.owner
            ),
            {each[1].route_id: each for each in bound},
            parked_keys,
            limits=settings.failures,
            at_most=settings.sink.batch_events,
        )

    def _bound(self, route: Route, session: HandlerSession) -> BoundRoute:
        route_id = self._ready.registration.route_ids[route.name]
        calls = WatchedCalls(route_id, self._time_limit, self._crash_poison)
        return self._targets.bind(route, route_id, session, calls)

    def _introduce(self, store: Store, partitions: Sequence[TopicPartition]) -> None:
        introduce(store.ledger, self._ready.cluster, partitions)

    def _copies(self, store: Store) -> LetterCopies | None:
        settings, topic = self._settings, self._settings.failures.copy_to
        if settings.outbox is None or topic is None:
            return None
        names = {route_id: name for name, route_id in self._ready.registration.route_ids.items()}
        return LetterCopies(
            store.connection,
            store.schema,
            settings.outbox,
            sink=settings.sink.name,
            topic=topic,
            routes=names,
            copy_format=settings.failures.copy_format,
        )


def _none_due(_: Sequence[int]) -> LettersTried:
    """Return that no parked event is tried again by itself."""
    return LettersTried(more=False)
