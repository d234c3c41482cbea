"""Settle a route's batch optimistically: send all its statements before the first one is answered.

The events are assumed to be new and to apply. The server works on one part while the client
prepares the next. If a part fails, the parts before it keep their effects. The slow path
(`inbox.sink.settle.slow_path`) settles the failed part and finds the event at fault. Then the parts
behind it are sent again.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from inbox.errors import InboxError, forget_frames
from inbox.failpoints import Failpoint, failpoint
from inbox.sink.batch import RouteBatch
from inbox.sink.flight import CommitInFlight
from inbox.sink.settle.claims import claims_of
from inbox.sink.settle.effects import TableEffect
from inbox.sink.settle.route_work import LARGEST_PART, RouteWork
from inbox.store.inbox.claims import ClaimedBeforeError, PendingLookups, any_found, are_unique
from inbox.store.postgres.errors import (
    is_cardinality_violation,
    is_foreign_key_violation,
    is_of_one_event,
    is_unique_violation,
)
from inbox.store.tables.shape import Look

_FIRST_PART, _PART = 250, 1000
"""The events of one statement. The first part is smaller, because the server is idle while it is prepared."""


class FastPath:
    """The pipelines that claim and apply the events of a table route.

    `on_started` is called once the server has more work left than the client. `look` is the state of
    the table behind the last event of the route's batch, or None unless the last pipeline succeeded as a
    whole.
    """

    def __init__(
        self,
        work: RouteWork,
        effect: TableEffect,
        on_started: Callable[[], None],
        flight: CommitInFlight | None = None,
    ) -> None:
        self._context = work.context
        self._work = work
        self._effect = effect
        self._events = work.events
        self._on_started = on_started
        self._flight = flight
        self._optimism = work.optimism
        self._keeps_claims = work.route.keeps_claims
        self._failed_before = -LARGEST_PART
        self.look: Look | None = None

    @property
    def committed(self) -> bool:
        """Return whether the batch's transaction ended behind the last event."""
        return self._flight is not None and self._flight.committed

    def run(self, start: int) -> tuple[int, range | None]:
        """Claim and apply as many events from index `start` on as are expected to succeed.

        Returns:
            The index behind the applied events, and the part there if one of its events fails by
            itself.
        """
        stop, failed = self._run(start) if self._work.is_untroubled_from(start) else (start, None)
        if stop > start:
            self._work.doubts.passed(range(start, stop))
        return stop, failed

    def _run(self, start: int) -> tuple[int, range | None]:
        parts, done, optimism = self._expected(start), start, self._optimism
        while parts:
            new_rows, distinct = optimism.rows.expects_success, optimism.distinct.expects_success
            stand, error = self._send(parts, new_rows=new_rows, distinct=distinct)
            done, parts = parts[stand - 1].stop if stand else done, parts[stand:]
            if error is None:
                self._succeeded(new_rows=new_rows, distinct=distinct)
            elif self._context.claims.is_claim_conflict(error):
                optimism.claims.failed()
                break
            elif new_rows and is_unique_violation(error):
                optimism.rows.failed()
            elif distinct and is_cardinality_violation(error) and not self._effect.writes_in_rounds:
                optimism.distinct.failed()
            elif self._context.transaction.defers or is_foreign_key_violation(error) or is_cardinality_violation(error):
                # A later event may bring the row that the part misses. Repeated rows are written in rounds.
                optimism.effects.failed()
                break
            else:
                return done, parts[0]
        return done, None

    def _expected(self, start: int) -> list[range]:
        """Return the parts that are expected to succeed."""
        if not self._optimism.effects.expects_success:
            return []
        if self._keeps_claims and not self._optimism.claims.expects_success:
            return []
        if self._effect.has_rounds(self._events.between(start, len(self._events))):
            return []
        if self._keeps_claims and not are_unique(self._events.ids[start:]):
            return []
        return _parts(start, len(self._events))

    def note_failures(self, failed: range, failures: int) -> None:
        """Record how many events of the failed part failed by themselves; one among many predicts nothing."""
        if failures > 1 or failed.start - self._failed_before < LARGEST_PART:
            self._optimism.effects.failed()
        self._failed_before = failed.start

    def _send(self, parts: Sequence[range], *, new_rows: bool, distinct: bool) -> tuple[int, InboxError | None]:
        """Send the parts; return how many of them succeeded, and the error of the next one."""
        transaction, error, ending = self._context.transaction, None, None
        asked: list[PendingLookups] = []
        self.look = None
        transaction.start_attempt()
        try:
            with transaction.pipeline():
                self._send_parts(parts, asked, new_rows=new_rows, distinct=distinct)
                transaction.check_deferred()
                if (ending := self._ending(parts[0].start, asked)) is not None:
                    transaction.mark()
                    self._effect.send_requirement()
                    ending.send()
                else:
                    self.look = self._effect.look()
            if ending is not None:
                ending.confirm()
            stand = len(parts)
        except InboxError as failure:
            stand, error = self._failed(failure, len(parts), ends=ending is not None)
        if any(map(any_found, asked[:stand])):
            stand, error = 0, ClaimedBeforeError("an older generation has its claim")
        if error is not None:
            self.look = None
        if not self.committed:
            self._end(stand, error)
        return stand, error

    def _send_parts(
        self, parts: Sequence[range], asked: list[PendingLookups], *, new_rows: bool, distinct: bool
    ) -> None:
        for number, indexes in enumerate(parts):
            if number:
                self._context.transaction.mark()
            part = self._events.between(indexes.start, indexes.stop)
            asked.append(self._send_part(part, new_rows=new_rows, distinct=distinct))
            if number:
                # Not after the first part: the server would finish it before the second is ready.
                self._on_started()
        self._on_started()

    def _ending(self, start: int, asked: Sequence[PendingLookups]) -> CommitInFlight | None:
        """Return the end of the batch's transaction, if it can be sent behind these parts."""
        if self._flight is None or start or any(asked) or self._effect.counts_unknown:
            return None
        return self._flight if self._flight.is_ready() else None

    def _failed(self, failure: InboxError, parts: int, *, ends: bool) -> tuple[int, InboxError | None]:
        """Return how many parts succeeded in a pipeline that failed, and the error of the next one."""
        transaction = self._context.transaction
        reached = transaction.marks_reached()
        if ends and reached == parts:
            # What is sent behind the events failed: it is sent again, each answer read before the next statement.
            transaction.require_open(failure)
            transaction.undo_to_mark()
            forget_frames(failure)
            return parts, None
        if not is_of_one_event(failure):
            raise failure
        # A deferred check may fail for any part, and a later part may fix it: the parts succeed only
        # together.
        forget_frames(failure)
        return 0 if transaction.defers else reached, failure

    def _end(self, stand: int, error: InboxError | None) -> None:
        if error is not None and not stand:
            self._context.transaction.undo_attempt()
            return
        if error is not None:
            self._context.transaction.undo_to_mark()
        else:
            failpoint(Failpoint.HANDLED)
        self._context.transaction.end_attempt()

    def _send_part(self, part: RouteBatch, *, new_rows: bool, distinct: bool) -> PendingLookups:
        asked: PendingLookups = ()
        if self._keeps_claims:
            asked = self._context.claims.send_new(self._work.route.route_id, claims_of(part))
        failpoint(Failpoint.CLAIMED)
        self._effect.send(part, new=new_rows, distinct=distinct)
        return asked

    def _succeeded(self, *, new_rows: bool, distinct: bool) -> None:
        self._optimism.claims.succeeded()
        self._optimism.effects.succeeded()
        if new_rows:
            self._optimism.rows.succeeded()
        else:
            self._optimism.rows.observed(success=True)
        if distinct and not new_rows:
            self._optimism.distinct.succeeded()
        elif not distinct:
            self._optimism.distinct.observed(success=True)


def _parts(start: int, stop: int) -> list[range]:
    edges = [start, *range(start + _FIRST_PART, stop, _PART), stop]
    return [range(first, last) for first, last in pairwise(edges)]
