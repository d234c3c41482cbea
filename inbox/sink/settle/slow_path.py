"""Settle a route's events with care: all together first, and apart where some of them fail."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from inbox.errors import EventError, InboxError, SmallerBatchError
from inbox.failpoints import Failpoint, failpoint
from inbox.failure_policy import FailureDecision, SameId, after_failure, pause_before_attempt
from inbox.sink.guards.row_waits import RowMissingError
from inbox.sink.settle.bisect import Isolation
from inbox.sink.settle.claims import Claiming, SameIdOtherPayloadError
from inbox.sink.settle.effects import AttemptFailed
from inbox.sink.settle.route_work import LARGEST_PART, RouteWork
from inbox.store.inbox.dead_letters import DeadLetter
from inbox.store.postgres.errors import is_foreign_key_violation, is_of_one_event


class _SameIdOtherPayload(Exception):  # noqa: N818 - an answer on its way up
    """The signal that events of an attempt have an id that was claimed with another payload.

    `indexes` has their errors by index in the route's batch.
    """

    def __init__(self, indexes: dict[int, EventError]) -> None:
        super().__init__(len(indexes))
        self.indexes = indexes


class _FirstOfIdSetAside(Exception):  # noqa: N818 - an answer on its way up
    """The signal that an event was set aside while another event with its id was counted as its duplicate.

    The other event is now the first one with this id and must be claimed again.
    """


@dataclass(slots=True)
class _Part:
    """The state of a part while it is tried.

    `indexes` are the indexes to claim. `letters` are the events set aside: refused, or waiting
    behind such an event.
    """

    indexes: Sequence[int]
    letters: dict[int, DeadLetter] = field(default_factory=dict)
    held: dict[tuple[int, bytes], int] = field(default_factory=dict)
    """The index behind which the events of a key wait, by (partition id, key as `held_key` returns it)."""
    duplicates: list[int] = field(default_factory=list)
    other_payloads: Sequence[int] = ()
    """The duplicates with a conflicting payload."""
    new: Sequence[int] = ()
    followers: set[bytes] = field(default_factory=set)
    """The ids of claimed events that other events of the part have too."""
    failed: set[int] = field(default_factory=set)
    """The indexes of events that failed by themselves."""
    foreseen: list[int] = field(default_factory=list)
    """The indexes of events that were refused before the events before them were tried."""
    stood: bool = True
    """False if the part was tried as a whole and failed."""
    failure: AttemptFailed | None = None
    """That failure, until the events at fault are searched: its frames hold the whole batch."""


class SlowPath:
    """The settling of a route's batch, part by part, until each event is applied or set aside.

    A part is claimed and tried as a whole. If it fails, its events are applied in groups, and a
    failed group is undone alone. The claims of the events that are set aside are withdrawn.
    """

    def __init__(self, work: RouteWork) -> None:
        self._work = work
        self._context = work.context
        self._route = work.route
        self._events = work.events
        self._aside = work.aside
        self._doubts = work.doubts
        self._claiming = Claiming(work.context, work.route)
        self._any_failed = False
        self._conflicts: set[int] = set()
        self._tries: Counter[int] = Counter(work.events.tries)
        self._paused = 0.0

    def settle_from(self, start: int) -> int:
        """Settle the next part; return the index behind it."""
        indexes = range(start, min(start + LARGEST_PART, len(self._events)))
        self._work.optimism.effects.observed(success=self._settle(indexes).stood)
        return indexes.stop

    def settle_failed(self, indexes: range) -> int:
        """Settle events that failed when tried together; return how many of them failed by themselves."""
        return len(self._settle(indexes, whole=False).failed)

    def _settle(self, indexes: range, *, whole: bool = True) -> _Part:
        """Claim, apply and set aside the events of a part.

        With `whole` False the events are applied in groups from the start.
        """
        # Before any claim of this part, which may be withdrawn again.
        repeats = self._claiming.repeats(self._events, indexes)
        others = [index for index in indexes if index not in repeats] if repeats else indexes
        while True:
            part = _Part(others)
            part.indexes = self._sort(others, part)
            try:
                self._attempt(part, whole=whole)
            except _SameIdOtherPayload as conflict:
                self._aside.refused.update(conflict.indexes)
                self._conflicts.update(conflict.indexes)
            except _FirstOfIdSetAside:
                self._forget_conflicts()
            else:
                break
        self._conflicts.clear()
        part.duplicates = sorted([*part.duplicates, *repeats])
        self._claiming.release(self._events, sorted(part.letters))
        self._weigh()
        self._work.unapplied.update(part.duplicates, part.letters)
        self._work.result.duplicates.update(self._events.partition_ids[index] for index in part.duplicates)
        self._work.result.duplicate_indexes.extend(part.duplicates)
        self._work.result.other_payloads.update(self._events.partition_ids[index] for index in part.other_payloads)
        self._set_aside([letter for _, letter in sorted(part.letters.items())])
        return part

    def _weigh(self) -> None:
        """Check the causes of the failures before anything is parked.

        Nothing is parked because of an outdated table shape or a fault of the database.
        """
        if self._any_failed:
            self._any_failed = False
            self._route.effect.require_unchanged()
            self._doubts.weigh()

    def _attempt(self, part: _Part, *, whole: bool) -> None:
        if not part.indexes:
            return
        transaction = self._context.transaction
        transaction.start_attempt()
        try:
            self._claim(part)
            transaction.start_steps()
            if self._doubts.tries_apart or not (whole and self._stands(part)):
                self._apply_in_groups(part)
            failpoint(Failpoint.HANDLED)
            transaction.end_attempt()
        except (_SameIdOtherPayload, _FirstOfIdSetAside):
            transaction.undo_attempt()
            raise

    def _stands(self, part: _Part) -> bool:
        """Apply a part as a whole; return whether this succeeded. A failure is undone and noted in the part."""
        try:
            self._apply(part.new)
            self._check(self._context.transaction.check_deferred)
        except AttemptFailed as failed:
            self._context.transaction.undo_step()
            part.stood, part.failure = False, failed.with_traceback(None)
        else:
            if part.new:
                self._doubts.passed(part.new)
        return part.stood

    def _apply(self, indexes: Sequence[int]) -> None:
        if not indexes:
            return
        events = self._events if len(indexes) == len(self._events) else self._events.only(indexes)
        try:
            self._route.effect.apply(events)
        except AttemptFailed as failed:
            if failed.at is not None:
                failed.at = indexes[failed.at]
            raise
        except SmallerBatchError as error:
            if self._doubts.tries_apart:
                raise AttemptFailed(error, None, certain=True) from error
            raise

    def _apply_in_groups(self, part: _Part) -> None:
        transaction, isolation = self._context.transaction, Isolation(len(part.new))
        # A prepared plan may be older than the table.
        self._context.connection.forget_prepared()
        self._narrow(isolation, part)
        while (group := isolation.part()) is not None:
            try:
                self._apply_step(self._sort(part.new[group.start : group.stop], part))
            except AttemptFailed as error:
                transaction.undo_step()
                self._blame(isolation, part, error)
            else:
                isolation.stood()
        self._let_wait(part)
        if self._route.keeps_claims:
            letters = [self._events.ids[p] for p in part.new if p in part.letters]
            self._context.claims.withdraw(self._route.route_id, letters)

    def _let_wait(self, part: _Part) -> None:
        """Let a foreseen failure wait if an earlier event of its key failed when tried."""
        for index in part.foreseen:
            letter = part.letters.get(index)
            if letter is None or (key := self._aside.key_held_by(letter)) is None:
                continue
            if part.held.get((letter.partition_id, key), index) < index:
                del self._aside.refused[index]
                part.failed.discard(index)
                self._tries[index] -= 1
                if (waits := self._aside.letter(index, part.held, tries=self._tries[index])) is not None:
                    part.letters[index] = waits

    def _apply_step(self, indexes: Sequence[int]) -> None:
        if indexes:
            self._apply(indexes)
            self._check(self._context.transaction.end_step)
            self._doubts.passed(indexes)

    def _blame(self, isolation: Isolation, part: _Part, failed: AttemptFailed) -> None:
        culprit = isolation.failed(None if failed.at is None else bisect_left(part.new, failed.at))
        if culprit is not None:
            index = part.new[culprit]
            part.failed.add(index)
            self._judge(index, self._explained(index, failed))

    def _narrow(self, isolation: Isolation, part: _Part) -> None:
        """Begin with what is known: where the part failed, or which events are certain to fail."""
        failure, part.failure = part.failure, None
        if failure is not None and (failure.at is not None or len(part.new) == 1):
            self._blame(isolation, part, failure)
            return
        if self._doubts.tries_apart:
            isolation.alone(range(len(part.new)))
            return
        found = self._route.effect.find(self._events.only(part.new))
        for at, error in found.refused.items():
            index = part.new[at]
            part.failed.add(index)
            self._tries[index] += 1
            self._aside.refused[index] = error
            self._any_failed = True
            part.foreseen.append(index)
        if found.candidates:
            isolation.alone(found.candidates)
        elif not found.refused and len(part.new) > 1:
            isolation.failed()

    def _explained(self, index: int, failed: AttemptFailed) -> AttemptFailed:
        if failed.certain:
            failed.error = self._route.effect.explain(self._events.only([index]), failed.error)
        return failed

    def _sort(self, indexes: Sequence[int], part: _Part) -> Sequence[int]:
        """Return the indexes to try; set the other events aside.

        An event is set aside if it is refused, or if an earlier event of its key is parked.
        """
        if not part.held and not self._aside.any_of(indexes):
            return indexes
        kept = []
        for index in indexes:
            letter = part.letters.get(index) or self._aside.letter(index, part.held, tries=self._tries[index])
            if letter is None:
                kept.append(index)
                continue
            part.letters[index] = letter
            if (key := self._aside.key_held_by(letter)) is not None:
                scope = (letter.partition_id, key)
                part.held[scope] = min(index, part.held.get(scope, index))
            if self._events.ids[index] in part.followers:
                raise _FirstOfIdSetAside
        return kept

    def _set_aside(self, letters: Sequence[DeadLetter]) -> None:
        self._aside.park(letters)
        for letter in letters:
            self._work.result.set_aside[letter.partition_id] += 1
            self._work.result.other_payloads[letter.partition_id] += isinstance(letter.error, SameIdOtherPayloadError)
        self._work.result.letters += letters

    def _check(self, deferred: Callable[[], None]) -> None:
        try:
            deferred()
        except InboxError as error:
            if not is_of_one_event(error):
                raise
            raise AttemptFailed(error, None, certain=True) from error

    def _claim(self, part: _Part) -> None:
        events = self._events if len(part.indexes) == len(self._events) else self._events.only(part.indexes)
        duplicates, other_payloads = self._claiming.claim(events)
        part.new = part.indexes
        if duplicates:
            conflicts = {part.indexes[index]: error for index, error in other_payloads.items()}
            if conflicts and self._context.limits.same_id_other_payload is SameId.PARK:
                raise _SameIdOtherPayload(conflicts)
            part.other_payloads = list(conflicts)
            part.duplicates = [part.indexes[index] for index in duplicates]
            gone = set(part.duplicates)
            part.new = [index for index in part.indexes if index not in gone]
        part.followers = {self._events.ids[index] for index in (*part.duplicates, *self._conflicts)}

    def _judge(self, culprit: int, failed: AttemptFailed) -> None:
        """Set the event that failed aside, or let it be tried again after a pause.

        Raises:
            RowMissingError: the event waits for a row that another event may bring.
        """
        self._wait_for_row(culprit, failed.error)
        self._tries[culprit] += 1
        tries = self._tries[culprit]
        if after_failure(certain=failed.certain, attempts=tries, limits=self._context.limits) is FailureDecision.PARK:
            self._aside.refused[culprit] = failed.error
            self._any_failed = True
            self._doubts.failed(culprit, failed.error)
            return
        pause = pause_before_attempt(tries, self._paused)
        self._paused += pause
        time.sleep(pause)

    def _wait_for_row(self, index: int, error: BaseException) -> None:
        waits = self._context.row_waits
        if waits is None or not isinstance(error, InboxError) or not is_foreign_key_violation(error):
            return
        partition_id, offset = self._events.partition_ids[index], self._events.records[index].offset()
        if waits.may_wait(partition_id, offset):
            raise RowMissingError(self._route.name, partition_id, offset)

    def _forget_conflicts(self) -> None:
        """Forget the conflicting payloads found so far, so that they are determined again.

        The first event with an id may have been set aside.
        """
        for index in self._conflicts:
            del self._aside.refused[index]
        self._conflicts.clear()
