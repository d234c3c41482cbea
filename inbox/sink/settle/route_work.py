"""Hold what the fast and the slow path share about the events of one route in one batch."""

from inbox.errors import forget_frames
from inbox.sink.batch import RouteBatch
from inbox.sink.outcome import RouteResult
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.sink.settle.dead_lettering import DeadLettering
from inbox.sink.settle.fault.doubts import Doubts
from inbox.sink.settle.parked_keys import HeldKeys
from inbox.store.tables.shape import Look

LARGEST_PART = 2500
"""The most events that are tried together. The first failure among them undoes all of them."""


class RouteWork:
    """The events of one route, what is known of them before they are tried, and their result so far."""

    def __init__(self, context: SettleContext, route: BoundRoute, events: RouteBatch, held: HeldKeys) -> None:
        self.context = context
        self.route = route
        self.events = events
        self.aside = DeadLettering(context, route, events, held)
        self.doubts = Doubts(context, route, events)
        self.optimism = context.optimism[route.route_id]
        self.result = RouteResult()
        self.unapplied: set[int] = set()
        """The indexes of duplicates and of events that were set aside."""

    def is_untroubled_from(self, start: int) -> bool:
        """Return whether no event from this index on is known to be set aside or tried again."""
        events = self.events
        if events.replays or events.tries or self.doubts.tries_apart:
            return False
        return not self.aside.any_of(range(start, len(events)))

    def abandon(self) -> None:
        """Let go of what the errors of a batch that is rolled back hold."""
        self.doubts.abandon()
        for error in self.aside.refused.values():
            forget_frames(error)

    def end(self, look: Look | None = None, *, committed: bool = False) -> RouteResult:
        """Check the effects after the last event is settled, and return the result.

        Args:
            look: the state of the table after the last event, if the fast path applied that event.
            committed: whether the database checked the effects and committed them.

        Raises:
            TryAgainError: the effects may not be what the events say.
        """
        if self.events.records and not committed:
            self.route.effect.require_as_written(look)
        if self.route.effect.counts_unknown:
            applied = self.events.without(sorted(self.unapplied))
            self.result.unknown_members = self.route.effect.count_unknown(applied)
        self.doubts.remember()
        return self.result
