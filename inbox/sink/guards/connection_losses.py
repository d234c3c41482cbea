"""The state machine of database connections that are lost while events are tried. No I/O.

An outage loses the connection whatever is tried. An event that ends the server's process loses the
connection each time, and what is tried in between does not. So a loss counts against an event that
was tried alone only if three things hold: a control passed on the lost connection right before, a
control passes on the next connection, and the server has not restarted.
"""

from dataclasses import dataclass
from typing import NamedTuple


class EventAddress(NamedTuple):
    """The address of one event of one route."""

    route_id: int
    partition_id: int
    offset: int


_TOGETHER = 2
"""The number of losses in a row with the same batch after which its events are tried one by one."""


@dataclass
class _Lone:
    """An event that was tried alone when the connection was lost."""

    address: EventAddress
    counted: int = 0
    controlled: str | None = None
    """The start time of the server, as the control before the current try saw it."""
    lost: bool = True
    """Whether the last try ended with a loss that no control has followed yet."""


class Losses:
    """The losses that one worker saw. They outlive the connections."""

    def __init__(self) -> None:
        self._batch: tuple[EventAddress, ...] = ()
        self._with_batch = 0
        self._lone: _Lone | None = None

    def together(self, addresses: tuple[EventAddress, ...]) -> bool:
        """Record that the connection was lost with a batch of events that begins at these offsets.

        Returns:
            Whether one of the events may be at fault, so that each must be tried alone.
        """
        self._with_batch = self._with_batch + 1 if addresses == self._batch else 1
        self._batch = addresses
        return self._with_batch >= _TOGETHER

    def alone(self, address: EventAddress) -> None:
        """Record that the connection was lost with an event that was tried alone."""
        if self._lone is None or self._lone.address != address:
            self._lone = _Lone(address)
        self._lone.lost = True

    def lone_at(self, partition_id: int, offset: int) -> EventAddress | None:
        """Return the event at this offset if the connection was lost when it was tried alone: a control is due."""
        lone = self._lone
        return lone.address if lone is not None and lone.address[1:] == (partition_id, offset) else None

    def control_passed(self, server_start: str) -> int:
        """Record that a control passed; return how many losses count against the event.

        The last loss counts if a control of the same server start preceded it.
        """
        lone = self._lone
        if lone is None:
            return 0
        lone.counted += lone.lost and lone.controlled == server_start
        lone.controlled, lone.lost = server_start, False
        return lone.counted

    def control_lost(self) -> None:
        """Record that the connection was lost without the event: none of the event's losses counts."""
        self._lone = None

    def settled(self) -> None:
        """Record that a batch was committed."""
        self._batch, self._with_batch = (), 0
