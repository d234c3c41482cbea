"""Make a settler with its guards: everything that lives as long as one connection."""

from collections.abc import Sequence

from inbox.bootstrap.routes import RouteTargets
from inbox.bootstrap.startup import StartupState
from inbox.bootstrap.topics import Explanation, introduce
from inbox.bootstrap.tracing.sink import SinkTracing
from inbox.errors import refusals_as_outages
from inbox.events import TopicPartition
from inbox.settings import Settings
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
from inbox.sink.writer_thread import BatchSettler
from inbox.store.inbox.dead_letters import MOST_PARKED_KEYS
from inbox.store.inbox.handler_calls import HandlerCallNotes
from inbox.store.outbox.dead_letter_copies import LetterCopies
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.postgres.connection import Connection, connect
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.store import Store


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
        crash_poison = CrashPoisonGuard(self._crash_poison, self._notes(store.connection), handlers=handlers)
        guards = self._guards(store, parked_keys, crash_poison, letter_limit, hand_parked)
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

    def _guards(
        self,
        store: Store,
        parked_keys: ParkedKeysGuard,
        crash_poison: CrashPoisonGuard,
        letter_limit: LetterLimit,
        hand_parked: HandParked,
    ) -> Guards:
        # In each phase the guards act in this order. The brokers' answer is awaited last before the fence.
        return Guards(
            *self._tracing,
            parked_keys,
            crash_poison,
            letter_limit,
            hand_parked,
            self._topic_identity,
            ReplayProgress(store),
            OtherPayloads(store.ledger),
            UnknownMemberGuard(store.unknown_members, self._ready.registration.route_ids),
            self._evidence,
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
