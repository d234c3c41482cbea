"""The offsets that routes without claims settled, as the ledger knows them."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

from inbox.store.postgres.connection import Connection
from inbox.store.sql import statements


class Offsets:
    """A set of offsets of one partition."""

    def __init__(self, ranges: Iterable[range] = (), *, without: Sequence[range] = ()) -> None:
        self.ranges = _joined(piece for each in ranges for piece in _cut(each, without))
        self._starts = [each.start for each in self.ranges]

    def __contains__(self, offset: int) -> bool:
        at = bisect_right(self._starts, offset)
        return at > 0 and offset < self.ranges[at - 1].stop

    def covers(self, offsets: range) -> bool:
        """Return whether every offset of the range is in the set."""
        return not _cut(offsets, self.ranges)

    def together_with(self, other: "Offsets") -> "Offsets":
        return Offsets([*self.ranges, *other.ranges])


def _joined(ranges: Iterable[range]) -> list[range]:
    """Return the ranges in order, with those that touch as one."""
    joined: list[range] = []
    for each in sorted((each for each in ranges if each), key=lambda each: each.start):
        if joined and each.start <= joined[-1].stop:
            joined[-1] = range(joined[-1].start, max(joined[-1].stop, each.stop))
        else:
            joined.append(each)
    return joined


def _cut(offsets: range, holes: Sequence[range]) -> list[range]:
    """Return what is left of the range without the holes."""
    left = [offsets] if offsets else []
    for hole in holes:
        pieces = [
            (range(each.start, min(each.stop, hole.start)), range(max(each.start, hole.stop), each.stop))
            for each in left
        ]
        left = [piece for pair in pieces for piece in pair if piece]
    return left


class SettledRanges:
    """The reads and writes of `settled_ranges`; the caller has the transaction.

    A route without claims settled what lies between its start in a partition and the furthest
    offset that the ledger reached there, except what a resume passed over. The table has what is
    settled beside that: what replays settled below the route's start, and what was settled before
    the route was retired, left the topic, or was passed by.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._sql = statements("partitions", schema)

    def of(self, partition_ids: Sequence[int]) -> Mapping[tuple[int, int], Offsets]:
        """Return what each route without claims settled in these partitions, by (partition id, route id)."""
        asked = {"partition_ids": list(partition_ids)}
        passed_over: dict[int, list[range]] = {}
        for partition_id, start, stop in self._connection.execute(self._sql["passed_over"], asked):
            passed_over.setdefault(partition_id, []).append(range(start, stop))
        settled = {
            (partition_id, route_id): Offsets([range(start, stop)], without=passed_over.get(partition_id, ()))
            for partition_id, route_id, start, stop in self._connection.execute(self._sql["since_start"], asked)
        }
        for partition_id, route_id, start, stop in self._connection.execute(self._sql["settled_ranges"], asked):
            at = (partition_id, route_id)
            settled[at] = settled.get(at, Offsets()).together_with(Offsets([range(start, stop)]))
        return settled

    def add(self, partition_id: int, route_id: int, offsets: range) -> None:
        """Note that the route settled these offsets."""
        noted = {"partition_id": partition_id, "route_id": route_id}
        self._connection.execute(self._sql["add_settled"], {**noted, "start": offsets.start, "stop": offsets.stop})

    def copy(self, from_partition: int, to_partition: int, *, below: int | None = None) -> None:
        """Write down for another row of the ledger what this one has settled, below an offset if it is given."""
        for (_, route_id), offsets in self.of([from_partition]).items():
            self._write(to_partition, route_id, offsets, below=below)

    def end(self, route_id: int, topics: Sequence[str]) -> None:
        """Write down what the route settled in topics that it takes no longer."""
        rows = self._connection.execute(
            self._sql["partitions_of_route"], {"route_id": route_id, "topics": list(topics)}
        )
        for (partition_id, of_route), offsets in self.of([row[0] for row in rows]).items():
            if of_route == route_id:
                self._write(partition_id, route_id, offsets)

    def begin_again(self, route_id: int, topics: Sequence[str]) -> None:
        """Let the route settle from where the ledger is now on, in topics that it takes once more."""
        self._connection.execute(self._sql["restart_route"], {"route_id": route_id, "topics": list(topics)})

    def routes(self) -> frozenset[int]:
        """Return the ids of the routes without claims."""
        return frozenset(row[0] for row in self._connection.execute(self._sql["routes_without_claims"]))

    def _write(self, partition_id: int, route_id: int, offsets: Offsets, *, below: int | None = None) -> None:
        for each in offsets.ranges:
            stop = each.stop if below is None else min(each.stop, below)
            if each.start < stop:
                self.add(partition_id, route_id, range(each.start, stop))
