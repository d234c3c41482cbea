"""The safe removal of claims, history and dead letters that are past their retention.

Claims go by whole generations (decision 0023). Another generation takes over each fifteenth of the
retention. A generation that was closed longer ago than the retention is emptied, after the horizon
was raised over it.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from inbox.errors import TryAgainError
from inbox.events import TopicPartition
from inbox.log_lines import log
from inbox.operations.actions import Action, recorded
from inbox.operations.retention_periods import SHARES, in_effect, letters_retention
from inbox.settings import RetentionLimits
from inbox.store.inbox.filters.claim_filters import GenerationFilters
from inbox.store.inbox.generations import Generation
from inbox.store.inbox.horizon import Horizon
from inbox.store.inbox.retention import ExpiredRows
from inbox.store.locks.prune import pruning_alone
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.outbox.retention import outbox_retention
from inbox.store.postgres.connection import snapshot, startup_errors
from inbox.store.schema.names import GENERATION_SLOTS
from inbox.store.store import Store, open_store

_TRIES = 20
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class HorizonMove:
    """A partition's horizon before and after. None means that everything is recognised."""

    address: TopicPartition
    before: int | None
    after: int | None


@dataclass(frozen=True, kw_only=True)
class PrunePlan:
    """A plan of what is past its retention now.

    `horizon_after` is the time from which ids are still recognised after the pruning.
    `outbox_left`: there is an outbox to prune, and this role may not prune it; its relay's role
    does.
    """

    claims: int
    claims_until: datetime | None
    progress: ExpiredRows
    dead_letters: ExpiredRows
    payloads: ExpiredRows
    outbox: ExpiredRows
    horizon_before: datetime | None
    horizon_after: datetime | None
    horizons: Sequence[HorizonMove]
    outbox_left: bool = False


@dataclass(kw_only=True)
class Pruned:
    """The numbers of rows that one round removed. `waits_for` says why expired claims stayed."""

    claims: int = 0
    progress: int = 0
    dead_letters: int = 0
    payloads: int = 0
    outbox: int = 0
    waits_for: list[str] = field(default_factory=list)

    @property
    def anything(self) -> bool:
        return bool(self.claims or self.progress or self.dead_letters or self.payloads or self.outbox)


def plan_prune(database: DatabaseOptions, limits: RetentionLimits, outbox: OutboxOptions | None = None) -> PrunePlan:
    """Return what `prune` would remove.

    Raises:
        StartupError: there is no schema, or it is of another version.
        TryAgainError: the database does not answer.
    """
    with (
        _opened(database, outbox) as store,
        startup_errors("reading what is old"),
        snapshot(store.connection),
    ):
        return _plan(store, limits, outbox)


def prune(database: DatabaseOptions, limits: RetentionLimits, outbox: OutboxOptions | None = None) -> Pruned:
    """Do one round of all that retention asks for.

    Raises:
        AnotherPrunesError: nothing was done, because another process prunes now.
        TryAgainError: as `plan_prune`; what was removed so far stays removed.
    """
    with (
        _opened(database, outbox) as store,
        startup_errors("pruning"),
        recorded(lambda: store, Action(command="prune", plan={})) as result,
    ):
        done = Pruner(store, limits, outbox=outbox).round()
        result.update(
            claims=done.claims,
            progress=done.progress,
            dead_letters=done.dead_letters,
            dead_letter_payloads=done.payloads,
            outbox=done.outbox,
        )
        return done


class Pruner:
    """A pruner on one connection."""

    def __init__(
        self,
        store: Store,
        limits: RetentionLimits,
        *,
        outbox: OutboxOptions | None = None,
        over: threading.Event | None = None,
    ) -> None:
        self._store = store
        self._limits = limits
        self._outbox = outbox
        self._generations = store.generations
        self._filters = GenerationFilters(store.connection, store.schema)
        self._retention = store.retention
        self._over = over or threading.Event()

    def round(self) -> Pruned:
        """Do one round. Raises as `prune`."""
        with pruning_alone(self._store.connection, self._store.schema):
            self._limits = in_effect(self._limits, self._retention.kept())
            done = Pruned()
            self._drop(done)
            self._take_turns(done)
            self._build_filters()
            done.progress = self._all_of(self._retention.forget_progress, self._limits.progress)
            done.dead_letters = self._all_of(self._retention.forget_letters, letters_retention(self._limits))
            if (payloads := self._limits.dead_letter_payloads) is not None:
                done.payloads = self._all_of(self._retention.redact_letters, payloads)
            done.outbox = self._forget_outbox()
            if not done.waits_for and not self._over.is_set():
                self._retention.note_round()
        if done.anything:
            log().info(
                "pruned",
                claims=done.claims,
                progress=done.progress,
                dead_letters=done.dead_letters,
                dead_letter_payloads=done.payloads,
                outbox=done.outbox,
            )
        return done

    def _forget_outbox(self) -> int:
        if self._outbox is None or self._limits.outbox is None:
            return 0
        retention = outbox_retention(self._store.connection, self._store.schema, self._outbox)
        return self._all_of(retention.forget, self._limits.outbox) if retention.may_forget() else 0

    def _drop(self, done: Pruned) -> None:
        """Empty each expired generation after raising the horizon over it.

        The horizon goes first, so that no replay begins that would need the claims. If a running
        replay needs them, the generation stays.
        """
        for each in expired(self._generations.read(), self._limits.claims):
            if not self._generations.raise_horizon(each.number):
                done.waits_for.append("a partition goes again over offsets whose claims are past retention")
                return
            claims = self._generations.size(each.number)
            if not self._retry_lock(partial(self._generations.drop, each.number)):
                done.waits_for.append("a long transaction reads the claims that are past retention")
                return
            done.claims += claims

    def _take_turns(self, done: Pruned) -> None:
        generations = self._generations.read()
        if not may_switch(generations, self._limits.claims):
            return
        number = generations[-1].number
        if not self._retry_lock(partial(self._generations.switch, number)):
            done.waits_for.append("a long batch holds the youngest claims")

    def _build_filters(self) -> None:
        for each in self._generations.read():
            if each.closed_at is not None and each.filter_bits is None:
                self._filters.build(each.number)

    def _all_of(self, forget: Callable[[timedelta], int], older_than: timedelta) -> int:
        return forget_all(forget, older_than, self._over)

    def _retry_lock(self, action: Callable[[], None]) -> bool:
        """Try the action several times, to find a moment between the batches; return whether it succeeded.

        Each try waits for a second at most, because batches wait with it.
        """
        for _ in range(_TRIES):
            try:
                action()
            except TryAgainError:
                if self._store.connection.closed or self._over.wait(_PAUSE_SECONDS):
                    raise
            else:
                return True
        return False


def expired(generations: Sequence[Generation], retention: timedelta) -> list[Generation]:
    """Return the generations that may be emptied, the oldest first, without gaps."""
    gone = []
    for each in generations:
        if not each.may_go(retention):
            break
        gone.append(each)
    return gone


def may_switch(generations: Sequence[Generation], retention: timedelta) -> bool:
    """Return whether another generation takes over: the youngest is old enough, and a table is free."""
    return bool(generations) and len(generations) < GENERATION_SLOTS and generations[-1].is_due(retention / SHARES)


def forget_all(
    forget: Callable[[timedelta], int],
    older_than: timedelta,
    over: threading.Event,
) -> int:
    """Remove portion by portion, until none is left or `over` is set; return how many went."""
    total = 0
    while (rows := forget(older_than)) and not over.is_set():
        total += rows
    return total


def _opened(database: DatabaseOptions, outbox: OutboxOptions | None) -> AbstractContextManager[Store]:
    return open_store(database, command="prune", doing="reading the schema", outbox=outbox, unhurried=True)


def _plan(store: Store, limits: RetentionLimits, outbox: OutboxOptions | None) -> PrunePlan:
    generations, retention = store.generations, store.retention
    limits = in_effect(limits, retention.kept())
    gone = expired(generations.read(), limits.claims)
    horizons = store.horizons.read()
    to_come = store.horizons.to_come(gone[-1].number) if gone else {}
    before = newest([each.time for each in horizons])
    return PrunePlan(
        claims=sum(generations.size(each.number) for each in gone),
        claims_until=gone[-1].closed_at if gone else None,
        progress=retention.old_progress(limits.progress),
        dead_letters=retention.old_letters(letters_retention(limits)),
        payloads=ExpiredRows(0, None)
        if limits.dead_letter_payloads is None
        else retention.old_payloads(limits.dead_letter_payloads),
        outbox=_old_in_outbox(store, limits, outbox),
        horizon_before=before,
        horizon_after=newest([before, gone[-1].closed_at if gone else None]),
        horizons=[_move(each, to_come.get(each.partition_id)) for each in horizons],
        outbox_left=outbox is not None and limits.outbox is not None and not _may_prune_outbox(store, outbox),
    )


def _old_in_outbox(store: Store, limits: RetentionLimits, outbox: OutboxOptions | None) -> ExpiredRows:
    if outbox is None or limits.outbox is None or not _may_prune_outbox(store, outbox):
        return ExpiredRows(0, None)
    return outbox_retention(store.connection, store.schema, outbox).old(limits.outbox)


def _may_prune_outbox(store: Store, outbox: OutboxOptions) -> bool:
    """Return whether this role may prune the outbox. If the relay has its own role, the sink's may not."""
    return outbox_retention(store.connection, store.schema, outbox).may_forget()


def _move(horizon: Horizon, to_come: int | None) -> HorizonMove:
    offsets = [offset for offset in (horizon.offset, to_come) if offset is not None]
    return HorizonMove(address=horizon.address, before=horizon.offset, after=max(offsets, default=None))


def newest(times: Sequence[datetime | None]) -> datetime | None:
    """Return the latest of the times that are not None, or None."""
    return max((time for time in times if time is not None), default=None)
