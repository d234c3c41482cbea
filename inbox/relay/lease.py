"""Decide when a relay may send: pure, no clock, no I/O.

The row in the database says which relay is active, by the database's clock. The relay counts from the moment at
which it *asked* for its lease, by a clock that continues while the machine sleeps, so it stops before another
may begin. If a relay was suspended and resumes, it finds its time over. The messages that librdkafka has queued
by then are sent all the same. They are a part of the outbox in the outbox's order, so they repeat events and
reorder none.
"""

SECONDS = 6.0
"""The length of a lease. A standby takes over this long after the active relay's last sign, or up to a second later."""

MARGIN_SECONDS = 1.0
KEEP_EVERY_SECONDS = 1.5
TRY_EVERY_SECONDS = 1.0
"""How often a standby asks for the lease."""


class Lease:
    """The relay's own view of its lease; `epoch` is None for a standby."""

    def __init__(self) -> None:
        self.epoch: int | None = None
        self._asked_at = 0.0

    def taken(self, epoch: int, asked_at: float) -> None:
        self.epoch = epoch
        self._asked_at = asked_at

    def kept(self, asked_at: float) -> None:
        """Record that the lease was extended, by a question that was asked at `asked_at`."""
        self._asked_at = asked_at

    def lost(self) -> None:
        """Record that another relay has the lease, or that it was given back."""
        self.epoch = None

    def may_send(self, now: float) -> bool:
        return self.epoch is not None and now < self._asked_at + SECONDS - MARGIN_SECONDS

    def is_due(self, now: float) -> bool:
        """Return whether it is time to extend the lease."""
        return self.epoch is not None and now >= self._asked_at + KEEP_EVERY_SECONDS
