"""Try events within a batch's transaction and roll them back, to compare them with a failure."""

from collections.abc import Sequence

from inbox.errors import InboxError, TryAgainError
from inbox.sink.batch import RouteBatch
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.sink.settle.effects import AttemptFailed
from inbox.sink.settle.fault.blame import Probe

_OTHER_ROWS = ("23503", "23505", "23P01", "P0002")
"""The SQLSTATEs that an event which applied before can meet because its own rows exist. They prove
nothing.
"""


class EventProbes:
    """The tries of events of one route that leave nothing behind."""

    def __init__(self, context: SettleContext, route: BoundRoute, events: RouteBatch) -> None:
        self._context = context
        self._route = route
        self._events = events

    def try_known(self, index: int) -> Probe:
        """Try the known good events that match the one at this index, until one applies; return the result."""
        found = Probe.UNKNOWN
        for event in self.known(index):
            if (found := self.try_out(event)) is Probe.PASSED:
                break
        return found

    def known(self, index: int) -> Sequence[RouteBatch]:
        """Return the known good events that match the one at this index, each as a batch of its own."""
        return self._context.evidence.known_good(self._route.route_id, self._events.types[index])

    def try_out(self, events: RouteBatch) -> Probe:
        """Apply events and roll them back; return the result.

        Raises:
            TryAgainError: the connection is lost.
        """
        transaction, found = self._context.transaction, Probe.PASSED
        transaction.start_probe()
        try:
            self._route.effect.apply(events)
            transaction.check_deferred()
        except AttemptFailed as failed:
            found = _answer(failed.error)
        except TryAgainError as error:
            found = _answer(error)
        except InboxError as error:
            if error.refusal is None:
                raise
            found = _answer(error)
        transaction.undo_probe()
        return found


def _answer(error: BaseException) -> Probe:
    refusal = error.refusal if isinstance(error, InboxError) else None
    return Probe.UNKNOWN if refusal is None or refusal.state in _OTHER_ROWS else Probe.REFUSED
