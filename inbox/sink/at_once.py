"""A column whose events are taken to be new and good: all statements on their way before the first is answered.

The server is at one part while the client makes the next ready. Where an event is not new, or not good, the flight is
undone, and the column is settled part by part (`inbox.sink.isolate`), which finds out which.
"""

from collections.abc import Callable, Iterator

from inbox.errors import EventError
from inbox.failpoints import Failpoint, reach
from inbox.sink.apply import TableEffect
from inbox.sink.batch import Column
from inbox.sink.isolate import Attempts, BoundRoute, RouteForesight, claims_of

_FIRST_PART, _PART = 250, 1000
"""Events of one statement: while the first are made ready the server has nothing to do."""


def settled_at_once(do: Attempts, route: BoundRoute, column: Column, under_way: Callable[[], None]) -> bool:
    """Claim and apply all events of a column, as the first thing that is done about it.

    `under_way` is called once the server has more to do than the client.

    Returns:
        False where that cannot be expected to go well, or did not: nothing is done.

    Raises:
        TryAgainError: an outage.
    """
    foresight = do.foresight[route.route_id]
    if not (isinstance(route.effect, TableEffect) and foresight.claims.is_good and foresight.effects.is_good):
        return False
    if not (column.ids and do.processed.seem_new(do.connection, route.route_id, column.ids)):
        return False
    while not _flown(do, route.route_id, route.effect, column, foresight, under_way):
        if not foresight.effects.is_good:
            return False
    foresight.claims.was_right()
    foresight.effects.was_right()
    return True


def _flown(
    do: Attempts,
    route_id: int,
    effect: TableEffect,
    column: Column,
    foresight: RouteForesight,
    under_way: Callable[[], None],
) -> bool:
    """Once, as is expected now; False: nothing is done, and less is expected."""
    new_rows = foresight.rows.is_good
    do.transaction.start_attempt()
    try:
        with do.transaction.flight():
            for number, part in enumerate(_parts(column)):
                do.processed.send_new(do.connection, route_id, claims_of(part))
                reach(Failpoint.CLAIMED)
                effect.send(do.connection, part, new=new_rows)
                if number >= 1:
                    # Not at the first: the server would be done with it before the next one is ready.
                    under_way()
            under_way()
        do.transaction.check_deferred()
    except EventError as error:
        do.transaction.undo_attempt()
        wrong = foresight.rows if new_rows and not do.processed.says_claimed(error) else foresight.effects
        wrong.was_wrong()
        return False
    reach(Failpoint.HANDLED)
    do.transaction.end_attempt()
    if new_rows:
        foresight.rows.was_right()
    else:
        foresight.rows.learned(well=True)
    return True


def _parts(column: Column) -> Iterator[Column]:
    yield column.between(0, _FIRST_PART)
    for start in range(_FIRST_PART, len(column), _PART):
        yield column.between(start, start + _PART)
