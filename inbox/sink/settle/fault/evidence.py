"""Remember how the events of a worker's routes fared, beyond the loss of a connection."""

from collections.abc import Iterable, Sequence

from inbox.sink.batch import RouteBatch
from inbox.sink.guards.guard import Guard
from inbox.sink.outcome import BatchOutcome

_TYPES = 8
"""The number of events kept for each route: the last one that applied of each of its latest types."""


class Evidence(Guard):
    """The last events that applied and the distinct events that failed since, by route id.

    `judges` is False for a command: the person who watches it decides who is at fault.
    """

    def __init__(self, *, judges: bool = True) -> None:
        self.judges = judges
        self._applied: dict[int, dict[str | None, RouteBatch]] = {}
        self._failing: dict[int, set[tuple[int, int]]] = {}
        self._suspected: dict[int, set[tuple[int, int]]] = {}
        self._apart: set[int] = set()

    def applied(self, route_id: int, event: RouteBatch) -> None:
        """Remember an event that applied, as a batch of one event."""
        known = self._applied.setdefault(route_id, {})
        known.pop(event.types[0], None)
        known[event.types[0]] = event
        if len(known) > _TYPES:
            del known[next(iter(known))]

    def passed(self, route_id: int) -> None:
        """Record that an event applied, so that the failures before it no longer count as a row."""
        self._failing.pop(route_id, None)

    def failed(self, route_id: int, event: RouteBatch) -> int:
        """Record that one event failed; return how many distinct events failed in a row, including it."""
        failing = self._failing.setdefault(route_id, set())
        failing.add((event.partition_ids[0], event.records[0].offset()))
        return len(failing)

    def known_good(self, route_id: int, event_type: str | None) -> Sequence[RouteBatch]:
        """Return events that applied before, each as a batch of its own: one of this type if known, then the latest."""
        known = self._applied.get(route_id, {})
        latest = list(known.values())[-1:]
        return [known[event_type], *latest] if event_type in known else latest

    def suspect(self, route_id: int, events: Iterable[tuple[int, int]]) -> None:
        """Remember, until a batch is committed, events that failed beside others, by partition id and offset."""
        self._suspected.setdefault(route_id, set()).update(events)

    def is_suspected(self, route_id: int, event: tuple[int, int]) -> bool:
        """Return whether the event failed beside others when it was settled before."""
        return event in self._suspected.get(route_id, ())

    def try_apart(self, route_id: int) -> None:
        """Try the route's events one by one from now on, until a batch is committed.

        An event timed out alone, and no earlier event can show whether others time out as well.
        Until then a timeout counts as the failure of its event.
        """
        self._apart.add(route_id)

    def tries_apart(self, route_id: int) -> bool:
        """Return whether the route's events are tried one by one."""
        return route_id in self._apart

    def committed(self, outcome: BatchOutcome) -> None:
        """Try the events of all routes together again, because a batch was committed."""
        self._apart.clear()
        self._suspected.clear()
