"""When a relay may send: pure, no clock, no I/O.

The row in the database says who is the active relay, by the database's clock. The relay counts from the moment at which
it *asked* for its lease, by a clock that continues while the machine sleeps, so it stops before another may begin.
A relay that was stopped and resumes finds its time over. What librdkafka has queued by then goes out all the same: it
is a part of the outbox in the outbox's order, so it repeats events, and reorders none.
"""

SECONDS = 6.0
"""How long a lease is. A standby takes over this long after the active relay was last heard of, and a second more."""

MARGIN_SECONDS = 1.0
KEEP_EVERY_SECONDS = 1.5
TRY_EVERY_SECONDS = 1.0
"""How often a standby asks for it."""


class Lease:
    """The relay's own view of its lease; `epoch` is None for a standby."""

    def __init__(self) -> None:
        self.epoch: int | None = None
        self._asked_at = 0.0

    def taken(self, epoch: int, asked_at: float) -> None:
        self.epoch = epoch
        self._asked_at = asked_at

    def kept(self, asked_at: float) -> None:
        """Prolonged, by a question that was asked then."""
        self._asked_at = asked_at

    def lost(self) -> None:
        """Another relay has it, or it was given back."""
        self.epoch = None

    def may_send(self, now: float) -> bool:
        return self.epoch is not None and now < self._asked_at + SECONDS - MARGIN_SECONDS

    def is_due(self, now: float) -> bool:
        """Whether it is time to prolong it."""
        return self.epoch is not None and now >= self._asked_at + KEEP_EVERY_SECONDS
