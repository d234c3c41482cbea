"""How far one note of `inbox.sink.guards.crash_poison` reaches: a state machine without I/O.

A note names the events that a handler is given next. It costs a round trip, so it names as many as take a good deal
longer than that; where a process ended before, it names one.
"""

_WORTH = 20
"""A note lasts for that many times what it takes: notes cost a twentieth of the time, on any network."""

_FARTHEST = 1000


class Reach:
    """The note at hand, and how many offsets the next one names.

    `exact`: never more than one.
    """

    def __init__(self, *, exact: bool) -> None:
        self._exact = exact
        self._at: tuple[int, int] | None = None
        self._from = self._until = 0
        self._noted_at = self._renew_at = self._lasts = 0.0
        self._width = 1

    def covers(self, route_id: int, partition_id: int, offset: int, now: float) -> bool:
        """Whether the event is named by the note at hand, which is not older than it should be.

        Of slow events none stays named with many others: a kill from outside that strikes it would be theirs too.
        """
        return now < self._renew_at and self._from <= offset < self._until and self._at == (route_id, partition_id)

    def until(self, offset: int, now: float, suspected: range) -> int:
        """Up to which offset, exclusive, the next note goes that begins with this one; `suspected` are noted singly."""
        self._adapt(now)
        if self._exact or offset in suspected:
            return offset + 1
        end = offset + self._width
        return min(end, suspected.start) if offset < suspected.start else end

    def noted(self, place: tuple[int, int], offsets: range, began: float, now: float) -> None:
        """A note of these offsets was made, which took since `began`; `place` is its route and partition."""
        self._at, self._from, self._until = place, offsets.start, offsets.stop
        self._noted_at, self._lasts = now, _WORTH * (now - began)
        # A lone event needs no second note, however long it takes.
        self._renew_at = now + 2 * self._lasts if len(offsets) > 1 else float("inf")

    def put_down(self) -> None:
        """Nothing is named any more."""
        self._at = None

    def _adapt(self, now: float) -> None:
        """As many as would have passed in the time that the note was to last; twice as many as before at most."""
        if self._at is None:
            return
        passed = max(1, self._until - self._from)
        took = max(now - self._noted_at, 1e-9)
        self._width = max(1, min(2 * self._width, _FARTHEST, int(passed * self._lasts / took)))
