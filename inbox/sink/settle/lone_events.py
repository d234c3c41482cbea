"""Events that fail as the only ones of their batch: whether such an event or the database is at fault."""

from inbox.errors import Guess, SmallerBatchError, TryAgainError, UnprovenError
from inbox.events import address_of
from inbox.sink.batch import Batch, Column
from inbox.sink.guards.crash_poison import Suspects
from inbox.sink.settle.blame import Blame, Circumstances, Probe, blame
from inbox.sink.settle.context import Attempts, BoundRoute
from inbox.sink.settle.doubts import Doubts
from inbox.store.postgres.server import started_at


class LoneEvents:
    """Weighs them on the connection of the batch, outside of the batch's transaction."""

    def __init__(self, attempts: Attempts, suspects: Suspects) -> None:
        self._do = attempts
        self._suspects = suspects

    def weigh_slow(self, route: BoundRoute, column: Column, error: SmallerBatchError) -> None:
        """Raise UnprovenError unless an event that applied before still does: then it is the event that is slow."""
        transaction = self._do.transaction
        transaction.rollback()
        if self._do.connection.closed:
            # The server ended the session: it waited for the client, which is at fault with this event.
            return
        transaction.begin()
        found = Doubts(self._do, route, column).probe_known(0)
        transaction.rollback()
        if found is Probe.PASSED:
            return
        if found is Probe.UNKNOWN:
            self._do.evidence.try_apart(route.route_id)
        why = "so does an event that applied before" if found is Probe.REFUSED else "nothing shows that it is its fault"
        raise UnprovenError(
            f'{error}; route "{route.name}" waits at {address_of(column.records[0])}, which failed alone: {why}; look '
            "at what slows the database down, and at its locks",
            away="database",
            reason=error.reason,
            alert=True,
        ) from error

    def control(self, route: BoundRoute, batch: Batch) -> None:
        """See whether the connection lasts without the event with which it was lost, before that is tried again.

        The event is refused from now on where it was lost with the event too often, and never without it.

        Raises:
            TryAgainError: the connection does not last.
            UnprovenError: so many events in a row were lost with it that it is hardly they.
        """
        column = batch.column(route.name)
        try:
            self._do.transaction.begin()
            found = Doubts(self._do, route, column).probe_known(0)
            server_start = started_at(self._do.connection)
            self._do.transaction.rollback()
        except TryAgainError:
            self._suspects.losses.control_lost()
            raise
        if not self._suspects.lost_too_often(server_start):
            return
        in_a_row = self._do.evidence.failed(route.route_id, column)
        seen = Circumstances(probe=found, repeatable=not route.handlers, in_a_row=in_a_row)
        if blame(Guess.EVENT, seen) is Blame.DATABASE:
            raise UnprovenError(
                f'the connection to the database is lost with each of {in_a_row} events in a row; route "{route.name}" '
                f"waits at {address_of(column.records[0])}; see the server's log",
                away="database",
                reason="connection",
                alert=True,
            )
        self._suspects.give_up(route.route_id, batch)
