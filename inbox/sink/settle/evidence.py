"""What one worker knows of how the events of its routes fared; it outlives a lost connection."""

from collections.abc import Sequence

from inbox.sink.batch import Column

_TYPES = 8
"""Events that are kept of one route, each the last of its type that applied."""


class Evidence:
    """The last events that applied, and the distinct events that failed since, by route id.

    `judges` is False for a command: a person watches it, who decides what is at fault.
    """

    def __init__(self, *, judges: bool = True) -> None:
        self.judges = judges
        self._applied: dict[int, dict[str | None, Column]] = {}
        self._failing: dict[int, set[tuple[int, int]]] = {}
        self._apart: set[int] = set()

    def applied(self, route_id: int, event: Column) -> None:
        """Remember a column of one event."""
        known = self._applied.setdefault(route_id, {})
        known.pop(event.types[0], None)
        known[event.types[0]] = event
        if len(known) > _TYPES:
            del known[next(iter(known))]

    def passed(self, route_id: int) -> None:
        """An event applied: what failed before it failed by itself."""
        self._failing.pop(route_id, None)

    def failed(self, route_id: int, event: Column) -> int:
        """One event failed; how many distinct ones did in a row, with it."""
        failing = self._failing.setdefault(route_id, set())
        failing.add((event.partition_ids[0], event.records[0].offset()))
        return len(failing)

    def known_good(self, route_id: int, event_type: str | None) -> Sequence[Column]:
        """Columns of one event each that applied before: first one of the type, then the latest of all."""
        known = self._applied.get(route_id, {})
        latest = list(known.values())[-1:]
        return [known[event_type], *latest] if event_type in known else latest

    def try_apart(self, route_id: int) -> None:
        """From now on the events of the route are tried one by one, also where they fail for time, until one passes.

        An event failed alone for time, and none that applied before can show whether others do.
        """
        self._apart.add(route_id)

    def tries_apart(self, route_id: int) -> bool:
        return route_id in self._apart

    def settled(self, route_id: int) -> None:
        """A batch with events of the route was committed."""
        self._apart.discard(route_id)
