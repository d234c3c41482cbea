"""Settle the events of one route in one batch: the fast path first, the slow path for what fails there.

Both paths work on the same `RouteWork`. Only a table has a fast path.
"""

from collections.abc import Callable

from inbox.sink.batch import RouteBatch
from inbox.sink.flight import CommitInFlight
from inbox.sink.outcome import RouteResult
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.sink.settle.effects import TableEffect
from inbox.sink.settle.fast_path import FastPath
from inbox.sink.settle.parked_keys import HeldKeys
from inbox.sink.settle.route_work import RouteWork
from inbox.sink.settle.slow_path import SlowPath


def settle_route(
    context: SettleContext,
    route: BoundRoute,
    events: RouteBatch,
    held: HeldKeys,
    on_started: Callable[[], None],
    flight: CommitInFlight | None = None,
) -> RouteResult:
    """Settle all events of a route's batch, optimistically as far as they are likely to be new and to apply.

    `on_started` is called once the server has more work left than the client. `flight`, if given,
    may end the batch's transaction behind the route's last statement.

    Raises:
        TryAgainError: an outage.
        HaltError: an event fails and order = "halt".
    """
    work = RouteWork(context, route, events, held)
    try:
        if isinstance(route.effect, TableEffect):
            return _settle_fast(work, FastPath(work, route.effect, on_started, flight), on_started)
        on_started()
        return _settle_slowly(work)
    except BaseException:
        work.abandon()
        raise


def _settle_fast(work: RouteWork, fast: FastPath, on_started: Callable[[], None]) -> RouteResult:
    slow, start = SlowPath(work), 0
    work.route.effect.prepare()
    while start < len(work.events):
        stop, failed = fast.run(start)
        on_started()
        if failed is not None:
            fast.note_failures(failed, slow.settle_failed(failed))
            start = failed.stop
        else:
            start = stop if stop > start else slow.settle_from(start)
    return work.end(fast.look, committed=fast.committed)


def settle_carefully(context: SettleContext, route: BoundRoute, events: RouteBatch, held: HeldKeys) -> RouteResult:
    """Settle all events of a route's batch on the slow path.

    Raises:
        TryAgainError: an outage.
        HaltError: an event fails and order = "halt".
    """
    return _settle_slowly(RouteWork(context, route, events, held))


def _settle_slowly(work: RouteWork) -> RouteResult:
    slow, start = SlowPath(work), 0
    work.route.effect.prepare()
    while start < len(work.events):
        start = slow.settle_from(start)
    return work.end()
