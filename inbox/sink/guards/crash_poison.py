"""Find the events that leave no exception: they end the process or the server's, or they are slow alone.

While a partition is young in a worker, handler calls are noted in the database before they are
made. One note covers a few milliseconds of calls, or a single call if a process ended there before.
A process that ends in a call leaves its note, and the next owner counts the note. Later nothing is
noted, so that notes cost a steady sink nothing: if the process ends then, the partition is young
again after the restart.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from inbox.errors import EventError, FailureKind, SmallerBatchError, TryAgainError
from inbox.sink.batch import Batch, RouteBatch
from inbox.sink.guards.connection_losses import EventAddress, Losses
from inbox.sink.guards.guard import Guard
from inbox.sink.guards.note_window import NoteWindow
from inbox.sink.outcome import BatchOutcome
from inbox.store.inbox.handler_calls import Deaths, HandlerCallNotes

_NOBODY = range(0)


def _refusal(text: str) -> EventError:
    """Return the error of an event that leaves no exception behind when it is tried."""
    error = EventError(text)
    error.failure_kind = FailureKind.PROCESS
    return error


def _lone_event(route_id: int, batch: Batch) -> EventAddress:
    part = next(each for each in batch.partitions.values() if each.records)
    return EventAddress(route_id, part.partition_id, part.first_offset)


class CrashPoisonTracker:
    """The crash poison that one worker knows. It outlives a lost connection.

    Args:
        open_notes: opens the connection for notes, which is separate from the batch's connection.
        young_events: how many events of a partition are noted after it was acquired; no batch held
            more.
        attempts: how often an event may end a process, lose the connection or be slow alone.
    """

    def __init__(
        self,
        open_notes: Callable[[], HandlerCallNotes],
        *,
        young_events: int,
        attempts: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_notes = open_notes
        self._young_events = young_events
        self._attempts = attempts
        self._clock = clock
        # If one death is enough, the note must name the single event.
        self._window = NoteWindow(exact=attempts == 1)
        self._notes: HandlerCallNotes | None = None
        self._young: dict[int, int] = {}
        self._noted: set[int] = set()
        self._suspected: dict[tuple[int, int], range] = {}
        self._alone: Counter[EventAddress] = Counter()
        self._given_up: dict[EventAddress, tuple[EventError, int]] = {}
        self.losses = Losses()

    def acquired(self, notes: HandlerCallNotes, partition_ids: Sequence[int]) -> None:
        """Count the notes that previous owners left when their process ended."""
        for found in notes.count_deaths(partition_ids):
            self._count(found)
        if self._young_events:
            self._young.update(dict.fromkeys(partition_ids, self._young_events))

    def _count(self, found: Deaths) -> None:
        self._suspected[found.route_id, found.partition_id] = found.offsets
        if len(found.offsets) > 1:
            return
        if found.deaths >= self._attempts:
            error = _refusal(f"the process ended {found.deaths} times while its handler processed this event")
            self._given_up[EventAddress(found.route_id, found.partition_id, found.offsets.start)] = error, found.deaths

    def failed_alone(self, route_id: int, batch: Batch, error: SmallerBatchError) -> None:
        """Record that a batch of a single record took too long on this route."""
        event = _lone_event(route_id, batch)
        self._alone[event] += 1
        if self._alone[event] >= self._attempts:
            self._given_up[event] = _refusal(f"it failed alone, again and again: {error}"), self._alone[event]

    def lost(self, route_id: int, batch: Batch, error: TryAgainError) -> None:
        """Record that the connection was lost while events of this route were tried.

        Raises:
            SmallerBatchError: the connection was lost with the same events before.
        """
        if batch.records == 1:
            self.losses.alone(_lone_event(route_id, batch))
            return
        parts = [each for each in batch.partitions.values() if each.records]
        if self.losses.together(tuple(EventAddress(route_id, each.partition_id, each.first_offset) for each in parts)):
            again = SmallerBatchError(
                f"{error}; it was also lost when the same events were tried before, so each is now tried alone",
                away=error.away,
                reason=error.reason,
            )
            again.one_by_one = True
            raise again from error

    def lost_with(self, batch: Batch) -> EventAddress | None:
        """Return the event of a batch of a single record, if the connection was lost when it was tried before."""
        return self.losses.lone_at(*_lone_event(0, batch)[1:]) if batch.records == 1 else None

    def lost_too_often(self, server_start: str) -> bool:
        """Record that a control passed; return whether the event lost the connection as often as allowed."""
        return self.losses.control_passed(server_start) >= self._attempts

    def give_up(self, route_id: int, batch: Batch) -> None:
        """Refuse the event of a batch of a single record from now on."""
        error = _refusal(
            f"the connection to the database was lost {self._attempts} times in a row while this event was tried "
            "alone, and not in between; see the server's log"
        )
        self._given_up[_lone_event(route_id, batch)] = error, self._attempts

    def mark(self, route_id: int, events: RouteBatch) -> None:
        """Refuse the events of the route's batch that ended a process, lost the connection or were slow too often."""
        if not self._given_up:
            return
        for at, (partition_id, record) in enumerate(zip(events.partition_ids, events.records, strict=True)):
            given_up = self._given_up.get(EventAddress(route_id, partition_id, record.offset()))
            if given_up is not None:
                events.refused[at], events.tries[at] = given_up

    def suspected(self, route_id: int, partition_ids: Iterable[int]) -> bool:
        """Return whether a process ended in a call with events of these partitions, and the event is not known yet."""
        return bool(self._suspected) and any((route_id, each) in self._suspected for each in partition_ids)

    def start_call(self, route_id: int, partition_id: int, offset: int) -> None:
        """Note, while the partition is young, that the handler is about to receive this event.

        Raises:
            TryAgainError: the call cannot be noted in the database.
        """
        if partition_id not in self._young:
            return
        began = self._clock()
        if not self._window.covers(route_id, partition_id, offset, began):
            suspected = self._suspected.get((route_id, partition_id), _NOBODY)
            self._note(route_id, partition_id, range(offset, self._window.until(offset, began, suspected)))

    def start_call_with_all(self, route_id: int, partition_id: int, offsets: range) -> None:
        """Note, while the partition is young, that the handler is about to receive all events of these offsets.

        Raises:
            TryAgainError: the call cannot be noted in the database.
        """
        if partition_id in self._young:
            self._note(route_id, partition_id, offsets)

    def _note(self, route_id: int, partition_id: int, offsets: range) -> None:
        if self._notes is None:
            self._notes = self._open_notes()
            self._notes.prepare()
        began = self._clock()
        self._notes.start_call(route_id, partition_id, offsets)
        self._noted.add(partition_id)
        self._window.noted((route_id, partition_id), offsets, began, self._clock())

    def finish_call(self) -> None:
        """Note that the handler returned, so that the notes name no event any more."""
        if self._notes is not None and self._noted:
            self._window.finish_call()
            self._notes.finish_call()

    def forget_settled(self, notes: HandlerCallNotes, batch: Batch) -> None:
        """Delete the notes of settled events. It runs in the batch's transaction, before the fence."""
        if self._noted:
            notes.forget({each.partition_id: each.after for each in batch.partitions.values()})

    def settled(self, batch: Batch) -> None:
        """Record that the batch was committed, which counts towards the end of its partitions' young time."""
        self.losses.settled()
        if not self._young:
            return
        for each in batch.partitions.values():
            left = self._young.pop(each.partition_id, 0) - each.records
            if left > 0:
                self._young[each.partition_id] = left
            else:
                self._suspected = {at: each_of for at, each_of in self._suspected.items() if at[1] != each.partition_id}
        if not self._young:
            self.close()

    def close(self) -> None:
        """Close the connection for notes. It is opened again when needed."""
        notes, self._notes = self._notes, None
        self._noted.clear()
        if notes is not None:
            notes.close()


class CrashPoisonGuard(Guard):
    """The crash poison of a worker, beside the batches of one connection.

    Args:
        notes: reads and deletes notes on the batches' connection.
        handlers: whether a route has a handler; only its calls are noted.
    """

    def __init__(self, crash_poison: CrashPoisonTracker, notes: HandlerCallNotes, *, handlers: bool) -> None:
        self._crash_poison = crash_poison
        self._notes = notes
        self._handlers = handlers

    def acquired(self, partition_ids: Sequence[int]) -> None:
        if self._handlers:
            self._crash_poison.acquired(self._notes, partition_ids)

    def before_fence(self, outcome: BatchOutcome) -> None:
        self._crash_poison.forget_settled(self._notes, outcome.batch)

    def committed(self, outcome: BatchOutcome) -> None:
        self._crash_poison.settled(outcome.batch)

    def close(self) -> None:
        self._crash_poison.close()
