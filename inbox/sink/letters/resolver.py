"""The resolution of dead letters while the sink runs: applied in order after all, or given up.

One transaction resolves the letters of some keys of a route and partition. It first locks the
partition's row of the ledger, so that no batch of the partition commits between what is read here
and what is done. Keys do not disturb each other in it: what fails is undone alone, under a
savepoint, and holds the later events of its own key. A command ends by raising the owner epoch: a
worker that settled by the old list of parked keys is fenced, and reads the new list when it
acquires the partition. The worker that owns the partition locks the row only as long as it does,
and reads its own list again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from random import random
from typing import TypeVar

from inbox.errors import FailureKind, SmallerBatchError
from inbox.events import Header
from inbox.failure_policy import FailureLimits, Order, retry_delay
from inbox.sink.guards.counts.unknown_members import tell_unknown_members
from inbox.sink.letters.events import events_of, hash_of_what_came
from inbox.sink.routes import Route
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.sink.settle.route import settle_carefully
from inbox.store.inbox.claims import Claims
from inbox.store.inbox.dead_letter_queries import Letter
from inbox.store.inbox.dead_letters import DeadLetter, State
from inbox.store.inbox.failures.error_texts import shown
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.store import Store

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """The dead letters that keep an order: those of a key, or, if `key` is None, those with these ids."""

    route_id: int
    partition_id: int
    key: bytes | None
    ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Retried:
    """The outcome of a retry of a unit.

    `filtered` dead letters are passed over by the route as it is configured now. `failed` are ids
    with the new error. `waiting` dead letters still wait behind a failed one.
    """

    applied: int = 0
    duplicate: int = 0
    filtered: int = 0
    failed: Sequence[tuple[int, str]] = ()
    waiting: int = 0

    def add(self, other: "Retried") -> "Retried":
        return Retried(
            applied=self.applied + other.applied,
            duplicate=self.duplicate + other.duplicate,
            filtered=self.filtered + other.filtered,
            failed=(*self.failed, *other.failed),
            waiting=self.waiting + other.waiting,
        )


@dataclass(frozen=True, kw_only=True)
class Edit:
    """The value and the headers that a dead letter gets, and the id, if it has none."""

    dead_letter_id: int
    value: bytes | None
    headers: Sequence[Header]
    event_id: bytes | None = None


class NotOwnedError(Exception):
    """The partition has another owner now, so that nothing of it was changed."""


class LetterResolver:
    """A resolver of dead letters on one connection. `by` is the person who does so.

    `owner` is the token of the worker that resolves dead letters of its own partitions, or None for a command.
    """

    def __init__(
        self, store: Store, session: HandlerSession, *, limits: FailureLimits, by: str, owner: str | None = None
    ) -> None:
        self.session = session
        self._store = store
        self._letters = store.dead_letter_queries
        self._by = by
        self._owner = owner
        self._limits = limits
        self._unknown: list[tuple[str, int, list[str]]] = []
        # Always with savepoints: a failed attempt must not give up the lock on the ledger.
        self._transaction = BatchTransaction(store.connection, handlers=True)
        ordered = replace(limits, order=Order.NONE if limits.order is Order.NONE else Order.KEY)
        self._context = SettleContext(store.connection, session, self._transaction, store.claims, ordered, parks=False)

    def retry(self, units: Sequence[Unit], route: Route, bound: BoundRoute, *, at_most: int) -> dict[Unit, Retried]:
        """Apply the open dead letters of these units, each in order, up to its first that fails again.

        The units are of one route and partition. At most `at_most` dead letters share a transaction.

        Raises:
            TryAgainError: an outage; ask again, and the dead letters that are open then are tried.
            HaltError: a handler ended the transaction.
        """
        totals, left = {unit: Retried() for unit in units}, list(units)
        while left:
            try:
                done, more = self._retry_some(left, route, bound, at_most)
            except SmallerBatchError:
                if at_most == 1:
                    raise
                at_most //= 2
                continue
            totals.update({unit: totals[unit].add(each) for unit, each in done.items()})
            left = [unit for unit in left if more and not totals[unit].failed]
        return totals

    def discard(self, unit: Unit) -> list[int]:
        """Give up the dead letters of the unit that are still open.

        Their claims keep a producer's duplicates out; a route without claims makes none here either.

        Returns:
            The ids of those that were given up.

        Raises:
            TryAgainError: as `retry`.
        """
        return self._locked(unit, lambda: self._give_up(unit))

    def edit(self, unit: Unit, edit: Edit) -> bool:
        """Replace value and headers of a dead letter; return False if it is not open any more.

        Raises:
            TryAgainError: as `retry`.
        """
        return self._locked(unit, lambda: self._edit(edit))

    def try_edit(self, unit: Unit, edit: Edit, route: Route, bound: BoundRoute, *, at_most: int) -> Letter | None:
        """Return what would become of the dead letter if it was edited and retried. All of it is rolled back.

        Raises:
            TryAgainError, HaltError: as `retry`.
        """

        def apply() -> Letter | None:
            self._edit(edit)
            letters, _ = self._open_of([unit], at_most)
            self._apply(letters, route, bound)
            return next(self._letters.read([edit.dead_letter_id], whole=False), None)

        return self._locked(unit, apply, trial=True)

    def postpone(self, unit: Unit, dead_letter_ids: Sequence[int], delays: Sequence[timedelta | None]) -> None:
        """Count a try of these dead letters before it is made, and set when the next one is due.

        Raises:
            NotOwnedError, TryAgainError: nothing was counted.
        """
        self._locked(unit, lambda: self._store.dead_letters.postpone(dead_letter_ids, delays))

    def _edit(self, edit: Edit) -> bool:
        return self._letters.edit(edit.dead_letter_id, edit.value, edit.headers, edit.event_id, self._by)

    def _retry_some(
        self, units: Sequence[Unit], route: Route, bound: BoundRoute, at_most: int
    ) -> tuple[dict[Unit, Retried], bool]:
        def apply() -> tuple[dict[Unit, Retried], bool]:
            letters, more = self._open_of(units, at_most)
            tried = self._apply(letters, route, bound)
            return _by_unit(units, letters, tried), more

        return self._locked(units[0], apply)

    def _locked(self, unit: Unit, action: Callable[[], _T], *, trial: bool = False) -> _T:
        """Do the action in one transaction, under the lock of the unit's partition, and raise the owner epoch.

        A trial is rolled back.
        """
        return self._store.claims.in_current_generation(lambda: self._locked_once(unit, action, trial=trial))

    def _locked_once(self, unit: Unit, action: Callable[[], _T], *, trial: bool) -> _T:
        claims = self._store.claims
        self._unknown.clear()
        self._transaction.begin()
        try:
            self._lock(unit.partition_id)
            claims.follow()
            done = action()
            if trial:
                self._transaction.rollback()
                return done
            self._transaction.check_unbroken(self._fence(unit.partition_id))
            claims.require_current()
            self._transaction.commit()
        except BaseException:
            self._transaction.rollback()
            raise
        for each in self._unknown:
            tell_unknown_members(*each)
        return done

    def _lock(self, partition_id: int) -> None:
        if self._owner is None:
            self._store.ledger.lock(partition_id)
        elif self._store.ledger.lock_owned(partition_id, self._owner) is None:
            raise NotOwnedError

    def _fence(self, partition_id: int) -> str | None:
        """Fence the work by older knowledge, or require that the worker still owns; return the transaction's id."""
        if self._owner is None:
            return self._store.ledger.raise_epoch(partition_id)
        return self._store.ledger.lock_owned(partition_id, self._owner)

    def _open_of(self, units: Sequence[Unit], at_most: int) -> tuple[list[Letter], bool]:
        keys = [unit.key for unit in units if unit.key is not None]
        ids = [each for unit in units if unit.key is None for each in unit.ids]
        first = units[0]
        return self._letters.open_of(first.route_id, first.partition_id, keys=keys, ids=ids, limit=at_most)

    def _apply(self, letters: Sequence[Letter], route: Route, bound: BoundRoute) -> dict[int, Retried]:
        """Apply dead letters of one partition in the order of their offsets; return each one's outcome by its id."""
        route_batch = events_of(letters, route)
        result = settle_carefully(self._context, bound, route_batch, {})
        if result.unknown_members:
            names = self._store.unknown_members.add(bound.route_id, result.unknown_members)
            self._unknown.append((route.name, sum(result.unknown_members.values()), names))
        aside = {letter.record.offset(): letter for letter in result.letters}
        failed = self._note_failures(letters, aside)
        resolved = [letter.dead_letter_id for letter in letters if letter.record.offset() not in aside]
        self._letters.resolve(resolved, State.RETRIED, self._by)
        taken = {record.offset() for record in route_batch.records}
        again = {route_batch.records[index].offset() for index in result.duplicate_indexes}

        def outcome(letter: Letter) -> Retried:
            offset = letter.record.offset()
            if letter.dead_letter_id in failed:
                return Retried(failed=((letter.dead_letter_id, failed[letter.dead_letter_id]),))
            if offset in aside:
                return Retried(waiting=1)
            filtered, duplicate = int(offset not in taken), int(offset in again)
            return Retried(applied=1 - filtered - duplicate, duplicate=duplicate, filtered=filtered)

        return {letter.dead_letter_id: outcome(letter) for letter in letters}

    def _note_failures(self, letters: Sequence[Letter], aside: Mapping[int, DeadLetter]) -> dict[int, str]:
        failed = {}
        for letter in letters:
            again = aside.get(letter.record.offset())
            if again is not None and again.state is State.PARKED:
                self._store.dead_letters.fail_again(letter.dead_letter_id, again, self._first_delay)
                failed[letter.dead_letter_id] = shown(again.error)
        return failed

    def _first_delay(self, kind: FailureKind) -> timedelta | None:
        return retry_delay(0, kind, self._limits, random())  # noqa: S311 - jitter

    def _give_up(self, unit: Unit) -> list[int]:
        ids: list[int] = []
        known: list[tuple[bytes, int, bytes, int]] = []
        # One after the other: together they may not fit into memory.
        for letter in self._letters.still_open(unit.ids):
            ids.append(letter.dead_letter_id)
            if letter.event_id is not None:
                known.append((letter.event_id, letter.record.offset(), hash_of_what_came(letter), letter.partition_id))
        if known and unit.route_id not in self._store.settled_ranges.routes():
            self._store.claims.claim(unit.route_id, Claims(*map(list, zip(*known, strict=True))))
        self._letters.resolve(ids, State.DISCARDED, self._by)
        return ids


def _by_unit(units: Sequence[Unit], letters: Sequence[Letter], tried: Mapping[int, Retried]) -> dict[Unit, Retried]:
    """Return the outcomes of dead letters as those of their units."""
    of_key = {unit.key: unit for unit in units if unit.key is not None}
    of_id = {each: unit for unit in units if unit.key is None for each in unit.ids}
    found = {unit: Retried() for unit in units}
    for letter in letters:
        key = letter.record.key()
        unit = of_id[letter.dead_letter_id] if key is None or key not in of_key else of_key[key]
        found[unit] = found[unit].add(tried[letter.dead_letter_id])
    return found
