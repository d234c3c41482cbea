"""Settle the events of all routes in one batch, one route after another, and watch for events that strike alone."""

from collections.abc import Callable, Sequence

from inbox.errors import SmallerBatchError, TryAgainError
from inbox.sink.batch import Batch, RouteBatch
from inbox.sink.flight import CommitInFlight
from inbox.sink.guards.crash_poison import CrashPoisonTracker
from inbox.sink.guards.parked_by_hand import HandParked
from inbox.sink.outcome import BatchOutcome, RouteResult
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.sink.settle.fault.lone_events import LoneEvents
from inbox.sink.settle.parked_keys import ParkedKeysGuard
from inbox.sink.settle.route import settle_route
from inbox.sink.settle.settled_before import SettledBefore, applied_again
from inbox.store.postgres.errors import is_connection_loss


class Routes:
    """The routes of a sink on one connection, in the order in which their events are settled."""

    def __init__(
        self,
        context: SettleContext,
        routes: Sequence[BoundRoute],
        *,
        crash_poison: CrashPoisonTracker,
        hand_parked: HandParked,
        parked_keys: ParkedKeysGuard,
        settled_before: SettledBefore,
    ) -> None:
        self._context = context
        self.transaction = context.transaction
        self._settled_before = settled_before
        self._routes = list(routes)
        self._crash_poison = crash_poison
        self._hand_parked = hand_parked
        self._parked_keys = parked_keys
        self._lone = LoneEvents(context, crash_poison)

    def __len__(self) -> int:
        return len(self._routes)

    def control(self, batch: Batch) -> None:
        """Check that the connection lasts without the batch's only event, if it was lost with this event before."""
        if (suspect := self._crash_poison.lost_with(batch)) is not None:
            self._lone.control(next(each for each in self._routes if each.route_id == suspect.route_id), batch)

    def claim_and_apply(self, outcome: BatchOutcome, on_started: Callable[[], None], flight: CommitInFlight) -> None:
        """Claim the events of each route and apply the new ones; add to the outcome what was not applied.

        `flight` may end the transaction behind the last statement of the last route with events.
        """
        work = [(route, outcome.batch.of_route(route.name)) for route in self._routes]
        # A route without events may write what it settled: it has its turn before the transaction can end.
        work.sort(key=lambda each: bool(each[1].records))
        last = next((route for route, events in reversed(work) if events.records), None)
        outcome.results = {route.name: RouteResult() for route in self._routes}
        for route, events in work:
            ends = flight if route is last else None
            outcome.results[route.name] = self._settle(route, outcome.batch, events, on_started, ends)

    def _settle(
        self,
        route: BoundRoute,
        batch: Batch,
        events: RouteBatch,
        on_started: Callable[[], None],
        flight: CommitInFlight | None,
    ) -> RouteResult:
        left, duplicates = self._settled_before.leave_out(route, batch, events)
        result = self._settle_events(route, batch, left, on_started, None if duplicates else flight)
        result.duplicates.update(duplicates)
        if not route.keeps_claims:
            result.applied_again = applied_again(route, left, result)
        return result

    def _settle_events(
        self,
        route: BoundRoute,
        batch: Batch,
        events: RouteBatch,
        on_started: Callable[[], None],
        flight: CommitInFlight | None,
    ) -> RouteResult:
        self._crash_poison.mark(route.route_id, events)
        self._hand_parked.mark(route.route_id, events)
        held = self._parked_keys.held(route.route_id, events)
        try:
            return settle_route(self._context, route, events, held, on_started, flight)
        except SmallerBatchError as error:
            if batch.records == 1:
                self._lone.weigh_slow(route, events, error)
                self._crash_poison.failed_alone(route.route_id, batch, error)
            raise
        except TryAgainError as error:
            if is_connection_loss(error):
                self._crash_poison.lost(route.route_id, batch, error)
            raise

    def move_last(self, name: str) -> bool:
        """Move the route behind all others, from this batch on; return whether the order changed."""
        if self._routes[-1].name == name:
            return False
        self._routes.sort(key=lambda each: each.name == name)
        return True
