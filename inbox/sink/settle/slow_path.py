"""Settle the events of one route in one batch: all together first, and apart where some of them fail."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from inbox.errors import EventError, InboxError, SmallerBatchError, forget_frames
from inbox.failpoints import Failpoint, reach
from inbox.failure_policy import SameId, Verdict, after_failure, pause_before_attempt
from inbox.sink.batch import Column
from inbox.sink.guards.row_waits import RowMissingError
from inbox.sink.settle.bisect import Isolation
from inbox.sink.settle.claims import Claiming, SameIdOtherPayloadError
from inbox.sink.settle.context import Attempts, BoundRoute, RouteResult
from inbox.sink.settle.dead_lettering import Aside
from inbox.sink.settle.doubts import Doubts
from inbox.sink.settle.effects import AttemptFailed
from inbox.sink.settle.parked_keys import HeldKeys
from inbox.store.inbox.dead_letters import DeadLetter
from inbox.store.postgres.errors import is_of_one_event, says_missing
from inbox.store.tables.shape import Look

LARGEST_PART = 2500
"""The most events that are tried together. The first failure among them undoes all of them."""


class _SameIdOtherPayload(Exception):  # noqa: N818 - an answer on its way up
    """The signal that events of an attempt have an id that was claimed with another payload.

    `places` has their errors by index in the column.
    """

    def __init__(self, places: dict[int, EventError]) -> None:
        super().__init__(len(places))
        self.places = places


class _FoldAnew(Exception):  # noqa: N818 - an answer on its way up
    """The signal that an event was set aside while another event with its id was counted as its duplicate.

    The other event is now the first one with this id and must be claimed again.
    """


@dataclass(slots=True)
class _Part:
    """The state of a part while it is tried.

    `places` are the indexes to claim. `letters` are the events set aside: refused, or waiting
    behind such an event.
    """

    places: Sequence[int]
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


class RouteSettling:
    """The settling of a column, part by part, until each event is applied or set aside.

    A part is claimed and tried as a whole. If it fails, its events are applied in groups, and a
    failed group is undone alone. The claims of the events that are set aside are withdrawn.
    """

    def __init__(self, attempts: Attempts, route: BoundRoute, column: Column, held: HeldKeys) -> None:
        self._do = attempts
        self._route = route
        self._column = column
        self._aside = Aside(attempts, route, column, held)
        self._claiming = Claiming(attempts, route)
        self._doubts = Doubts(attempts, route, column)
        self._any_failed = False
        self._conflicts: set[int] = set()
        self._tries: Counter[int] = Counter(column.tries)
        self._paused = 0.0
        self._foresight = attempts.foresight[route.route_id].effects
        self.result = RouteResult()

    def untroubled_from(self, start: int) -> bool:
        """Return whether no event from this index on is known to be set aside or tried again."""
        column = self._column
        if column.replays or column.tries or self._doubts.tries_apart:
            return False
        return not self._aside.any_of(range(start, len(column)))

    def run(self) -> RouteResult:
        """Settle every event of the column.

        Raises:
            TryAgainError: an outage.
            HaltError: an event fails and order = "halt".
        """
        start = 0
        self._route.effect.prepare(self._do.connection)
        while start < len(self._column):
            start = self.settle_from(start)
        return self.end()

    def abandon(self) -> None:
        """Let go of what the errors of a batch that is rolled back hold."""
        self._doubts.abandon()
        for error in self._aside.refused.values():
            forget_frames(error)

    def applied(self, places: range) -> None:
        """Record that the fast path applied these events."""
        if places:
            self._doubts.passed(places)

    def end(self, look: Look | None = None) -> RouteResult:
        """Check the effects after the last event is settled, and return the result.

        Args:
            look: the state of the table after the last event, if the fast path applied that event.

        Raises:
            TryAgainError: the effects may not be what the events say.
        """
        if self._column.records:
            self._route.effect.require_as_written(self._do.connection, look)
        self._doubts.remember()
        return self.result

    def settle_from(self, start: int) -> int:
        """Settle the next part; return the index behind it."""
        places = range(start, min(start + LARGEST_PART, len(self._column)))
        self._foresight.learned(well=self._settle(places).stood)
        return places.stop

    def settle_failed(self, places: range) -> int:
        """Settle events that failed when tried together; return how many of them failed by themselves."""
        return len(self._settle(places, whole=False).failed)

    def _settle(self, places: range, *, whole: bool = True) -> _Part:
        """Claim, apply and set aside the events of a part.

        With `whole` False the events are applied in groups from the start.
        """
        while True:
            part = _Part(places)
            part.places = self._sort(places, part)
            try:
                self._attempt(part, whole=whole)
            except _SameIdOtherPayload as conflict:
                self._aside.refused.update(conflict.places)
                self._conflicts.update(conflict.places)
            except _FoldAnew:
                self._conflicts_anew()
            else:
                break
        self._conflicts.clear()
        self._weigh()
        self.result.duplicates.update(self._column.partition_ids[place] for place in part.duplicates)
        self.result.other_payloads.update(self._column.partition_ids[place] for place in part.other_payloads)
        self._set_aside([letter for _, letter in sorted(part.letters.items())])
        return part

    def _weigh(self) -> None:
        """Check the causes of the failures before anything is parked.

        Nothing is parked because of an outdated table shape or a fault of the database.
        """
        if self._any_failed:
            self._any_failed = False
            self._route.effect.require_unchanged(self._do.connection)
            self._doubts.weigh()

    def _attempt(self, part: _Part, *, whole: bool) -> None:
        if not part.places:
            return
        transaction = self._do.transaction
        transaction.start_attempt()
        try:
            self._claim(part)
            transaction.start_steps()
            if self._doubts.tries_apart or not (whole and self._stands(part)):
                self._apply_in_groups(part)
            reach(Failpoint.HANDLED)
            transaction.end_attempt()
        except (_SameIdOtherPayload, _FoldAnew):
            transaction.undo_attempt()
            raise

    def _stands(self, part: _Part) -> bool:
        """Apply a part as a whole; return whether this succeeded. A failure is undone and noted in the part."""
        try:
            self._apply(part.new)
            self._check(self._do.transaction.check_deferred)
        except AttemptFailed as failed:
            self._do.transaction.undo_step()
            part.stood, part.failure = False, failed.with_traceback(None)
        else:
            if part.new:
                self._doubts.passed(part.new)
        return part.stood

    def _apply(self, places: Sequence[int]) -> None:
        if not places:
            return
        column = self._column if len(places) == len(self._column) else self._column.only(places)
        try:
            self._route.effect.apply(self._do.connection, self._do.session, column)
        except AttemptFailed as failed:
            if failed.at is not None:
                failed.at = places[failed.at]
            raise
        except SmallerBatchError as error:
            if self._doubts.tries_apart:
                raise AttemptFailed(error, None, certain=True) from error
            raise

    def _apply_in_groups(self, part: _Part) -> None:
        transaction, isolation = self._do.transaction, Isolation(len(part.new))
        # A prepared plan may be older than the table.
        self._do.connection.forget_prepared()
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
        self._do.processed.withdraw(
            self._do.connection, self._route.route_id, [self._column.ids[p] for p in part.new if p in part.letters]
        )

    def _let_wait(self, part: _Part) -> None:
        """Let a foreseen failure wait if an earlier event of its key failed when tried."""
        for place in part.foreseen:
            letter = part.letters.get(place)
            if letter is None or (key := self._aside.key_held_by(letter)) is None:
                continue
            if part.held.get((letter.partition_id, key), place) < place:
                del self._aside.refused[place]
                part.failed.discard(place)
                self._tries[place] -= 1
                if (waits := self._aside.letter(place, part.held, tries=self._tries[place])) is not None:
                    part.letters[place] = waits

    def _apply_step(self, places: Sequence[int]) -> None:
        if places:
            self._apply(places)
            self._check(self._do.transaction.end_step)
            self._doubts.passed(places)

    def _blame(self, isolation: Isolation, part: _Part, failed: AttemptFailed) -> None:
        culprit = isolation.failed(None if failed.at is None else bisect_left(part.new, failed.at))
        if culprit is not None:
            place = part.new[culprit]
            part.failed.add(place)
            self._judge(place, self._explained(place, failed))

    def _narrow(self, isolation: Isolation, part: _Part) -> None:
        """Begin with what is known: where the part failed, or which events are certain to fail."""
        failure, part.failure = part.failure, None
        if failure is not None and (failure.at is not None or len(part.new) == 1):
            self._blame(isolation, part, failure)
            return
        if self._doubts.tries_apart:
            isolation.alone(range(len(part.new)))
            return
        found = self._route.effect.find(self._do.connection, self._column.only(part.new))
        for at, error in found.refused.items():
            place = part.new[at]
            part.failed.add(place)
            self._tries[place] += 1
            self._aside.refused[place] = error
            self._any_failed = True
            part.foreseen.append(place)
        if found.suspects:
            isolation.alone(found.suspects)
        elif not found.refused and len(part.new) > 1:
            isolation.failed()

    def _explained(self, place: int, failed: AttemptFailed) -> AttemptFailed:
        if failed.certain:
            failed.error = self._route.effect.explain(self._do.connection, self._column.only([place]), failed.error)
        return failed

    def _sort(self, places: Sequence[int], part: _Part) -> Sequence[int]:
        """Return the indexes to try; set the other events aside.

        An event is set aside if it is refused, or if an earlier event of its key is parked.
        """
        if not part.held and not self._aside.any_of(places):
            return places
        kept = []
        for place in places:
            letter = part.letters.get(place) or self._aside.letter(place, part.held, tries=self._tries[place])
            if letter is None:
                kept.append(place)
                continue
            part.letters[place] = letter
            if (key := self._aside.key_held_by(letter)) is not None:
                scope = (letter.partition_id, key)
                part.held[scope] = min(place, part.held.get(scope, place))
            if self._column.ids[place] in part.followers:
                raise _FoldAnew
        return kept

    def _set_aside(self, letters: Sequence[DeadLetter]) -> None:
        self._aside.park(letters)
        for letter in letters:
            self.result.set_aside[letter.partition_id] += 1
            self.result.other_payloads[letter.partition_id] += isinstance(letter.error, SameIdOtherPayloadError)
        self.result.letters += letters

    def _check(self, deferred: Callable[[], None]) -> None:
        try:
            deferred()
        except InboxError as error:
            if not is_of_one_event(error):
                raise
            raise AttemptFailed(error, None, certain=True) from error

    def _claim(self, part: _Part) -> None:
        column = self._column if len(part.places) == len(self._column) else self._column.only(part.places)
        duplicates, other_payloads = self._claiming.claim(column)
        part.new = part.places
        if duplicates:
            conflicts = {part.places[place]: error for place, error in other_payloads.items()}
            if conflicts and self._do.limits.same_id_other_payload is SameId.PARK:
                raise _SameIdOtherPayload(conflicts)
            part.other_payloads = list(conflicts)
            part.duplicates = [part.places[place] for place in duplicates]
            gone = set(part.duplicates)
            part.new = [place for place in part.places if place not in gone]
        part.followers = {self._column.ids[place] for place in (*part.duplicates, *self._conflicts)}

    def _judge(self, culprit: int, failed: AttemptFailed) -> None:
        """Set the event that failed aside, or let it be tried again after a pause.

        Raises:
            RowMissingError: the event waits for a row that another event may bring.
        """
        self._wait_for_row(culprit, failed.error)
        self._tries[culprit] += 1
        tries = self._tries[culprit]
        if after_failure(certain=failed.certain, attempts=tries, limits=self._do.limits) is Verdict.PARK:
            self._aside.refused[culprit] = failed.error
            self._any_failed = True
            self._doubts.failed(culprit, failed.error)
            return
        pause = pause_before_attempt(tries, self._paused)
        self._paused += pause
        time.sleep(pause)

    def _wait_for_row(self, place: int, error: BaseException) -> None:
        waits = self._do.row_waits
        if waits is None or not isinstance(error, InboxError) or not says_missing(error):
            return
        partition_id, offset = self._column.partition_ids[place], self._column.records[place].offset()
        if waits.may_wait(partition_id, offset):
            raise RowMissingError(self._route.name, partition_id, offset)

    def _conflicts_anew(self) -> None:
        """Forget the conflicting payloads found so far, so that they are determined again.

        The first event with an id may have been set aside.
        """
        for place in self._conflicts:
            del self._aside.refused[place]
        self._conflicts.clear()
