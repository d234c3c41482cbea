"""The members of events that fill no column: names and counts by partition and route, and no value."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from inbox.store.postgres.connection import Connection
from inbox.store.sql import statements
from inbox.store.tables.members.unknown import OTHERS

MOST_NAMES = 50
"""The most names that are kept of a route."""


@dataclass(frozen=True, kw_only=True)
class UnknownMember:
    """A member that fills no column; `member` is None for those beyond the names that are kept."""

    route: str
    member: str | None
    events: int
    first_seen_at: datetime
    last_seen_at: datetime


class UnknownMemberCounts:
    """The reads and writes of `unknown_members`; the caller has the transaction."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._sql = statements("partitions", schema)

    def add(self, route_id: int, counts: Mapping[tuple[int, str], int]) -> list[str]:
        """Add the counts by (partition id, name); return the names that the route has for the first time."""
        rows = self._connection.execute(self._sql["count_members"], _parameters(route_id, counts)).fetchall()
        known_here = {(row[0], row[1]) for row in rows}
        rest = {at: count for at, count in counts.items() if at not in known_here}
        if not rest:
            return []
        known = {row[0] for row in self._connection.execute(self._sql["members_of_route"], {"route_id": route_id})}
        kept = kept_names({name for _, name in rest}, known)
        placed: Counter[tuple[int, str]] = Counter()
        for (partition_id, name), count in rest.items():
            placed[partition_id, name if name in kept else OTHERS] += count
        self._connection.execute(self._sql["add_members"], _parameters(route_id, placed))
        return sorted(kept - known)

    def by_route(self) -> list[UnknownMember]:
        """Return the members of all routes, over all partitions, the most frequent of each route first."""
        return [
            UnknownMember(route=row[0], member=row[1] or None, events=row[2], first_seen_at=row[3], last_seen_at=row[4])
            for row in self._connection.execute(self._sql["unknown_members"])
        ]


def kept_names(found: Collection[str], known: Collection[str], most: int = MOST_NAMES) -> set[str]:
    """Return those of the names under which events are counted; the others are beyond the most of a route."""
    here = {name for name in found if name in known and name != OTHERS}
    room = most - len(set(known) - {OTHERS})
    return here | set(sorted(set(found) - here - {OTHERS})[: max(0, room)])


def _parameters(route_id: int, counts: Mapping[tuple[int, str], int]) -> dict[str, object]:
    keys = sorted(counts)
    return {
        "route_id": route_id,
        "partition_ids": [partition_id for partition_id, _ in keys],
        "members": [name for _, name in keys],
        "events": [counts[key] for key in keys],
    }
