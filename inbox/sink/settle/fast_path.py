"""Settle a column optimistically: send all its statements before the first one is answered.

The events are assumed to be new and to apply. The server works on one part while the client
prepares the next. If a part fails, the parts before it keep their effects. The slow path
(`inbox.sink.settle.slow_path`) settles the failed part and finds the event at fault. Then the parts
behind it are sent again.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from inbox.errors import InboxError, forget_frames
from inbox.failpoints import Failpoint, reach
from inbox.sink.batch import Column
from inbox.sink.settle.claims import claims_of
from inbox.sink.settle.context import Attempts, BoundRoute, RouteResult
from inbox.sink.settle.effects import TableEffect
from inbox.sink.settle.parked_keys import HeldKeys
from inbox.sink.settle.slow_path import LARGEST_PART, RouteSettling
from inbox.store.inbox.claims import Asked, ClaimedBeforeError, all_different, found_any
from inbox.store.postgres.errors import is_of_one_event, says_missing, says_repeated, says_there
from inbox.store.tables.shape import Look

_FIRST_PART, _PART = 250, 1000
"""The events of one statement. The first part is smaller, because the server is idle while it is prepared."""


def settle_column(
    do: Attempts, route: BoundRoute, column: Column, held: HeldKeys, under_way: Callable[[], None]
) -> RouteResult:
    """Settle all events of a column, optimistically as far as they are likely to be new and to apply.

    `under_way` is called once the server has more work left than the client.

    Raises:
        TryAgainError: an outage.
        HaltError: an event fails and order = "halt".
    """
    settling = RouteSettling(do, route, column, held)
    try:
        return _settled(settling, do, route, column, under_way)
    except BaseException:
        settling.abandon()
        raise


def _settled(
    settling: RouteSettling, do: Attempts, route: BoundRoute, column: Column, under_way: Callable[[], None]
) -> RouteResult:
    if not isinstance(route.effect, TableEffect):
        under_way()
        return settling.run()
    route.effect.prepare(do.connection)
    flights, start = _Flights(do, route.route_id, route.effect, column, under_way), 0
    while start < len(column):
        flown, failed = flights.fly(start) if settling.untroubled_from(start) else (start, None)
        settling.applied(range(start, flown))
        under_way()
        if failed is not None:
            flights.learn(failed, failures=settling.settle_failed(failed))
            start = failed.stop
        else:
            start = flown if flown > start else settling.settle_from(start)
    return settling.end(flights.look)


class _Flights:
    """The pipelines that claim and apply the events of a column.

    `look` is the state of the table behind the last event of the column, or None unless the last
    pipeline succeeded as a whole.
    """

    def __init__(
        self, do: Attempts, route_id: int, effect: TableEffect, column: Column, under_way: Callable[[], None]
    ) -> None:
        self._do = do
        self._route_id = route_id
        self._effect = effect
        self._column = column
        self._under_way = under_way
        self._foresight = do.foresight[route_id]
        self._failed_before = -LARGEST_PART
        self.look: Look | None = None

    def fly(self, start: int) -> tuple[int, range | None]:
        """Claim and apply as many events from index `start` on as are expected to succeed.

        Returns:
            The index behind the applied events, and the part there if one of its events fails by
            itself.
        """
        parts, flown, foresight = self._expected(start), start, self._foresight
        while parts:
            new_rows, distinct = foresight.rows.is_good, foresight.distinct.is_good
            stand, error = self._send(parts, new_rows=new_rows, distinct=distinct)
            flown, parts = parts[stand - 1].stop if stand else flown, parts[stand:]
            if error is None:
                self._was_right(new_rows=new_rows, distinct=distinct)
            elif self._do.processed.says_claimed(error):
                foresight.claims.was_wrong()
                break
            elif new_rows and says_there(error):
                foresight.rows.was_wrong()
            elif distinct and says_repeated(error) and not self._effect.writes_in_rounds:
                foresight.distinct.was_wrong()
            elif self._do.transaction.defers or says_missing(error) or says_repeated(error):
                # A later event may bring the row that the part misses. Repeated rows are written in rounds.
                foresight.effects.was_wrong()
                break
            else:
                return flown, parts[0]
        return flown, None

    def _expected(self, start: int) -> list[range]:
        """Return the parts that are expected to succeed."""
        if not (self._foresight.claims.is_good and self._foresight.effects.is_good):
            return []
        if self._effect.has_rounds(self._column.between(start, len(self._column))):
            return []
        return _parts(start, len(self._column)) if all_different(self._column.ids[start:]) else []

    def learn(self, failed: range, *, failures: int) -> None:
        """Record how many events of the failed part failed by themselves; one among many predicts nothing."""
        if failures > 1 or failed.start - self._failed_before < LARGEST_PART:
            self._foresight.effects.was_wrong()
        self._failed_before = failed.start

    def _send(self, parts: Sequence[range], *, new_rows: bool, distinct: bool) -> tuple[int, InboxError | None]:
        """Send the parts; return how many of them succeeded, and the error of the next one."""
        transaction, asked, error, look = self._do.transaction, [], None, None
        transaction.start_attempt()
        try:
            with transaction.flight():
                for number, places in enumerate(parts):
                    if number:
                        transaction.mark()
                    part = self._column.between(places.start, places.stop)
                    asked.append(self._send_part(part, new_rows=new_rows, distinct=distinct))
                    if number:
                        # Not after the first part: the server would finish it before the second is ready.
                        self._under_way()
                look = self._effect.look(self._do.connection)
                self._under_way()
            transaction.check_deferred()
            stand = len(parts)
        except InboxError as failure:
            if not is_of_one_event(failure):
                raise
            # A deferred check may fail for any part, and a later part may fix it: the parts succeed only
            # together.
            forget_frames(failure)
            stand, error = 0 if transaction.defers else transaction.marks_reached(), failure
        if any(map(found_any, asked[:stand])):
            stand, error = 0, ClaimedBeforeError("an older generation has its claim")
        self._end(stand, error)
        self.look = look if error is None else None
        return stand, error

    def _end(self, stand: int, error: InboxError | None) -> None:
        if error is not None and not stand:
            self._do.transaction.undo_attempt()
            return
        if error is not None:
            self._do.transaction.undo_to_mark()
        else:
            reach(Failpoint.HANDLED)
        self._do.transaction.end_attempt()

    def _send_part(self, part: Column, *, new_rows: bool, distinct: bool) -> Asked:
        asked = self._do.processed.send_new(self._do.connection, self._route_id, claims_of(part))
        reach(Failpoint.CLAIMED)
        self._effect.send(self._do.connection, part, new=new_rows, distinct=distinct)
        return asked

    def _was_right(self, *, new_rows: bool, distinct: bool) -> None:
        self._foresight.claims.was_right()
        self._foresight.effects.was_right()
        if new_rows:
            self._foresight.rows.was_right()
        else:
            self._foresight.rows.learned(well=True)
        if distinct and not new_rows:
            self._foresight.distinct.was_right()
        elif not distinct:
            self._foresight.distinct.learned(well=True)


def _parts(start: int, stop: int) -> list[range]:
    edges = [start, *range(start + _FIRST_PART, stop, _PART), stop]
    return [range(first, last) for first, last in pairwise(edges)]
