"""Forgetting safely: which claims, history and dead letters are past their retention, and their removal.

Claims go by whole generations (decision 0023): another one takes over each third of the retention, and one that was
closed longer ago than the retention is emptied, after the horizon was raised over it.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from inbox.errors import InboxError, TryAgainError
from inbox.events import TopicPartition
from inbox.settings import RetentionLimits
from inbox.store.database import SinkConnection, connect, snapshot, starting, take_time
from inbox.store.generations import Generation, Generations, Horizon
from inbox.store.migrations import require_current
from inbox.store.options import DatabaseOptions
from inbox.store.retention import Old, Retention
from inbox.store.schema import GENERATION_SLOTS
from inbox.telemetry import log

_SHARES = GENERATION_SLOTS - 1
_LONGEST_SECONDS, _SHORTEST_SECONDS = 600.0, 1.0
_TRIES = 20
_NAME = "inbox prune"
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Reach:
    """A partition's horizon before and after; None: everything is recognised."""

    address: TopicPartition
    before: int | None
    after: int | None


@dataclass(frozen=True, kw_only=True)
class PrunePlan:
    """What is past its retention now. `horizon_after` is the time from which on ids are still recognised then."""

    claims: int
    claims_until: datetime | None
    progress: Old
    dead_letters: Old
    horizon_before: datetime | None
    horizon_after: datetime | None
    reaches: Sequence[Reach]


@dataclass(kw_only=True)
class Pruned:
    """What one round removed; `waits_for` says why claims stayed that could go."""

    claims: int = 0
    progress: int = 0
    dead_letters: int = 0
    waits_for: list[str] = field(default_factory=list)

    @property
    def anything(self) -> bool:
        return bool(self.claims or self.progress or self.dead_letters)


class AnotherPrunesError(TryAgainError):
    """One at a time: another worker, or a person, is at it."""


def plan_prune(database: DatabaseOptions, limits: RetentionLimits) -> PrunePlan:
    """What `prune` would remove.

    Raises:
        StartupError: there is no schema, or it is of another version.
        TryAgainError: the database does not answer.
    """
    with _opened(database) as connection, starting("reading what is old"), snapshot(connection):
        return _plan(connection, database.schema, limits)


def prune(database: DatabaseOptions, limits: RetentionLimits) -> Pruned:
    """One round of all that retention asks for.

    Raises:
        AnotherPrunesError: nothing was done, for another does it now.
        TryAgainError: as `plan_prune`; what was removed so far stays so.
    """
    with _opened(database) as connection, starting("pruning"):
        return Pruner(connection, database.schema, limits).round()


class Pruner:
    """Prunes on one connection."""

    def __init__(
        self,
        connection: SinkConnection,
        schema: str,
        limits: RetentionLimits,
        *,
        over: threading.Event | None = None,
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._limits = limits
        self._generations = Generations(schema)
        self._retention = Retention(schema)
        self._over = over or threading.Event()

    def round(self) -> Pruned:
        """Raises as `prune`."""
        with self._alone():
            take_time(self._connection)  # claims are counted and read by the million, and nobody waits for it
            done = Pruned()
            self._drop(done)
            self._take_turns(done)
            self._build_filters()
            done.progress = self._all_of(self._retention.forget_progress, self._limits.progress)
            done.dead_letters = self._all_of(self._retention.forget_letters, letters_retention(self._limits))
        if done.anything:
            log().info("pruned", claims=done.claims, progress=done.progress, dead_letters=done.dead_letters)
        return done

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # Tried, not waited for: a session that waits inside pg_advisory_lock holds a snapshot.
        digest = hashlib.sha256(b"kafka-inbox prune " + self._schema.encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
        if row is None or not row[0]:
            raise AnotherPrunesError("another session prunes this schema at the moment; nothing was done here")
        try:
            yield
        finally:
            if not self._connection.closed:
                self._connection.execute("SELECT pg_advisory_unlock(%s)", (key,))

    def _drop(self, done: Pruned) -> None:
        """The horizon first, so that no replay begins that would want the claims, or none goes."""
        for each in expired(self._generations.read(self._connection), self._limits.claims):
            if not self._generations.raise_horizon(self._connection, each.number):
                done.waits_for.append("a partition goes again over offsets whose claims are past retention")
                return
            claims = self._generations.size(self._connection, each.number)
            if not self._patiently(partial(self._generations.drop, self._connection, each.number)):
                done.waits_for.append("a long transaction reads the claims that are past retention")
                return
            done.claims += claims

    def _take_turns(self, done: Pruned) -> None:
        generations = self._generations.read(self._connection)
        if not may_switch(generations, self._limits.claims):
            return
        number = generations[-1].number
        if not self._patiently(partial(self._generations.switch, self._connection, number)):
            done.waits_for.append("a long batch holds the youngest claims")

    def _build_filters(self) -> None:
        for each in self._generations.read(self._connection):
            if each.closed_at is not None and each.filter_bits is None:
                self._generations.build_filter(self._connection, each.number)

    def _all_of(self, forget: Callable[[SinkConnection, timedelta], int], older_than: timedelta) -> int:
        total = 0
        while (rows := forget(self._connection, older_than)) and not self._over.is_set():
            total += rows
        return total

    def _patiently(self, action: Callable[[], None]) -> bool:
        """Tries to find a moment between the batches: each try waits for a second at most, for batches wait with it."""
        for _ in range(_TRIES):
            try:
                action()
            except TryAgainError:
                if self._connection.closed or self._over.wait(_PAUSE_SECONDS):
                    raise
            else:
                return True
        return False


def expired(generations: Sequence[Generation], retention: timedelta) -> list[Generation]:
    """Those that may go, the oldest first; none from between."""
    gone = []
    for each in generations:
        if not each.may_go(retention):
            break
        gone.append(each)
    return gone


def may_switch(generations: Sequence[Generation], retention: timedelta) -> bool:
    """Whether another generation takes over: it is time, and a table is free."""
    return bool(generations) and len(generations) < GENERATION_SLOTS and generations[-1].is_due(retention / _SHARES)


def letters_retention(limits: RetentionLimits) -> timedelta:
    """A discarded dead letter says that its claim is of an event that never took effect: it stays as long."""
    return max(limits.dead_letters, limits.claims + limits.claims / _SHARES)


@contextmanager
def pruning(database: DatabaseOptions, limits: RetentionLimits) -> Iterator[None]:
    """As long as it is entered a thread prunes, where no other worker does."""
    over = threading.Event()
    every_seconds = min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, limits.claims.total_seconds() / 100))

    def go_on() -> None:
        while not over.wait(every_seconds):
            try:
                with closing(connect(database, application_name=_NAME)) as connection:
                    Pruner(connection, database.schema, limits, over=over).round()
            except AnotherPrunesError:
                continue
            except InboxError as error:
                log().info("prune-postponed", reason=str(error))

    thread = threading.Thread(target=go_on, name="inbox-prune", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()  # not waited for: it may be in a question to a server that does not answer


@contextmanager
def _opened(database: DatabaseOptions) -> Iterator[SinkConnection]:
    with closing(connect(database, application_name=_NAME)) as connection:
        with starting("reading the schema"):
            require_current(connection, database.schema)
        yield connection


def _plan(connection: SinkConnection, schema: str, limits: RetentionLimits) -> PrunePlan:
    generations, retention = Generations(schema), Retention(schema)
    gone = expired(generations.read(connection), limits.claims)
    horizons = generations.horizons(connection)
    to_come = generations.horizons_to_come(connection, gone[-1].number) if gone else {}
    before = newest([each.time for each in horizons])
    return PrunePlan(
        claims=sum(generations.size(connection, each.number) for each in gone),
        claims_until=gone[-1].closed_at if gone else None,
        progress=retention.old_progress(connection, limits.progress),
        dead_letters=retention.old_letters(connection, letters_retention(limits)),
        horizon_before=before,
        horizon_after=newest([before, gone[-1].closed_at if gone else None]),
        reaches=[_reach(each, to_come.get(each.partition_id)) for each in horizons],
    )


def _reach(horizon: Horizon, to_come: int | None) -> Reach:
    offsets = [offset for offset in (horizon.offset, to_come) if offset is not None]
    return Reach(address=horizon.address, before=horizon.offset, after=max(offsets, default=None))


def newest(times: Sequence[datetime | None]) -> datetime | None:
    """The latest of those that there are."""
    return max((time for time in times if time is not None), default=None)
