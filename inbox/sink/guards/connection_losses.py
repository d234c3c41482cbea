"""Connections to the database that are lost while events are tried: a state machine without I/O.

An outage takes the connection whatever is tried. An event that ends the server's process takes it each time, and what
is tried in between does not. So a loss counts against an event that was tried alone, once three things are seen: a
control passed on that connection right before, a control passes on the next one, and the server is no other.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """One event of one route."""

    route_id: int
    partition_id: int
    offset: int


_TOGETHER = 2
"""Losses in a row with the same batch, after which its events are tried one by one."""


@dataclass
class _Lone:
    """An event that was tried alone when the connection was lost."""

    place: Place
    counted: int = 0
    controlled: str | None = None
    """The start of the server by the control before the try at hand."""
    lost: bool = True
    """Its last try ended with a loss that no control has followed yet."""


class Losses:
    """What one worker saw of them; it outlives the connections."""

    def __init__(self) -> None:
        self._batch: tuple[Place, ...] = ()
        self._with_batch = 0
        self._lone: _Lone | None = None

    def together(self, places: tuple[Place, ...]) -> bool:
        """The connection was lost with a batch of events that begins at these places.

        Return whether one of them may be at fault, so that each is to be tried alone.
        """
        self._with_batch = self._with_batch + 1 if places == self._batch else 1
        self._batch = places
        return self._with_batch >= _TOGETHER

    def alone(self, place: Place) -> None:
        """The connection was lost with an event that was tried alone."""
        if self._lone is None or self._lone.place != place:
            self._lone = _Lone(place)
        self._lone.lost = True

    def lone_at(self, partition_id: int, offset: int) -> Place | None:
        """Return the event there if the connection was lost when it was tried alone: a control is due."""
        lone = self._lone
        return lone.place if lone is not None and lone.place[1:] == (partition_id, offset) else None

    def control_passed(self, server_start: str) -> int:
        """Return how many losses count against the event: the last one too, if a control of this start preceded it."""
        lone = self._lone
        if lone is None:
            return 0
        lone.counted += lone.lost and lone.controlled == server_start
        lone.controlled, lone.lost = server_start, False
        return lone.counted

    def control_lost(self) -> None:
        """The connection was lost without the event: none of its losses says anything."""
        self._lone = None

    def settled(self) -> None:
        """A batch was committed."""
        self._batch, self._with_batch = (), 0
