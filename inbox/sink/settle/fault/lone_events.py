"""Decide whether an event that failed as the only one of its batch, or the database, is at fault."""

from inbox.errors import Guess, SmallerBatchError, TryAgainError, UnprovenError
from inbox.events import address_of
from inbox.sink.batch import Batch, RouteBatch
from inbox.sink.guards.crash_poison import CrashPoisonTracker
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.sink.settle.fault.blame import Blame, FailureCircumstances, Probe, blame
from inbox.sink.settle.fault.probes import EventProbes
from inbox.store.postgres.server import started_at


class LoneEvents:
    """The judge of lone events. It works on the batch's connection, outside the batch's transaction."""

    def __init__(self, attempts: SettleContext, crash_poison: CrashPoisonTracker) -> None:
        self._context = attempts
        self._crash_poison = crash_poison

    def weigh_slow(self, route: BoundRoute, events: RouteBatch, error: SmallerBatchError) -> None:
        """Raise UnprovenError unless an event that applied before still applies: then the lone event is slow."""
        transaction = self._context.transaction
        transaction.rollback()
        if self._context.connection.closed:
            # The server ended the session because it waited for the client: this event is at fault.
            return
        transaction.begin()
        found = EventProbes(self._context, route, events).try_known(0)
        transaction.rollback()
        if found is Probe.PASSED:
            return
        if found is Probe.UNKNOWN:
            self._context.evidence.try_apart(route.route_id)
        why = "so does an event that applied before" if found is Probe.REFUSED else "nothing shows that it is its fault"
        raise UnprovenError(
            f'{error}; route "{route.name}" waits at {address_of(events.records[0])}, which failed alone: {why}; look '
            "at what slows the database down, and at its locks",
            away="database",
            reason=error.reason,
            alert=True,
        ) from error

    def control(self, route: BoundRoute, batch: Batch) -> None:
        """Check that the connection lasts without the event with which it was lost, before the event is tried again.

        The event is refused from now on if the connection was lost with it too often and never
        without it.

        Raises:
            TryAgainError: the connection is lost without the event too.
            UnprovenError: the connection was lost with so many events in a row that they are
                probably not at fault.
        """
        events = batch.of_route(route.name)
        try:
            self._context.transaction.begin()
            found = EventProbes(self._context, route, events).try_known(0)
            server_start = started_at(self._context.connection)
            self._context.transaction.rollback()
        except TryAgainError:
            self._crash_poison.losses.control_lost()
            raise
        if not self._crash_poison.lost_too_often(server_start):
            return
        in_a_row = self._context.evidence.failed(route.route_id, events)
        seen = FailureCircumstances(probe=found, repeatable=not route.handlers, in_a_row=in_a_row)
        if blame(Guess.EVENT, seen) is Blame.DATABASE:
            raise UnprovenError(
                f'the connection to the database is lost with each of {in_a_row} events in a row; route "{route.name}" '
                f"waits at {address_of(events.records[0])}; see the server's log",
                away="database",
                reason="connection",
                alert=True,
            )
        self._crash_poison.give_up(route.route_id, batch)
