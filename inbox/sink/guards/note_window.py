"""The state machine of how many events one note of `inbox.sink.guards.crash_poison` names. No I/O.

A note names the events that a handler receives next. It costs a round trip, so it names as many
events as take much longer than the round trip. Where a process ended before, it names one event.
"""

_WORTH = 20
"""The time that a note lasts, as a multiple of what it costs: notes cost a twentieth of the time on
any network.
"""

_FARTHEST = 1000


class NoteWindow:
    """The current note, and the number of offsets that the next one names. With `exact` it is always one."""

    def __init__(self, *, exact: bool) -> None:
        self._exact = exact
        self._at: tuple[int, int] | None = None
        self._from = self._until = 0
        self._noted_at = self._renew_at = self._lasts = 0.0
        self._width = 1

    def covers(self, route_id: int, partition_id: int, offset: int, now: float) -> bool:
        """Return whether the current note names the event and has not expired.

        A note expires, so that a slow event does not share its note with many others: if the
        process is killed from outside, all of them would be blamed.
        """
        return now < self._renew_at and self._from <= offset < self._until and self._at == (route_id, partition_id)

    def until(self, offset: int, now: float, suspected: range) -> int:
        """Return the end, exclusive, of the next note if it begins at `offset`.

        Each `suspected` offset gets a note of its own.
        """
        self._adapt(now)
        if self._exact or offset in suspected:
            return offset + 1
        end = offset + self._width
        return min(end, suspected.start) if offset < suspected.start else end

    def noted(self, key: tuple[int, int], offsets: range, began: float, now: float) -> None:
        """Record a note of these offsets, written between `began` and `now`; `key` is (route id, partition id)."""
        self._at, self._from, self._until = key, offsets.start, offsets.stop
        self._noted_at, self._lasts = now, _WORTH * (now - began)
        # A note of one event needs no renewal, however long the event takes.
        self._renew_at = now + 2 * self._lasts if len(offsets) > 1 else float("inf")

    def finish_call(self) -> None:
        """Record that the current note names no event any more."""
        self._at = None

    def _adapt(self, now: float) -> None:
        """Set the width of the next note by how many events passed in its time, to at most twice the last width."""
        if self._at is None:
            return
        passed = max(1, self._until - self._from)
        took = max(now - self._noted_at, 1e-9)
        self._width = max(1, min(2 * self._width, _FARTHEST, int(passed * self._lasts / took)))
