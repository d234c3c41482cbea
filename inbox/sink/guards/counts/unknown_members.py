"""Count the members of events that fill no column, by their names."""

from collections.abc import Collection, Mapping

from inbox.log_lines import log
from inbox.sink.guards.guard import Guard
from inbox.sink.outcome import BatchOutcome
from inbox.store.inbox.unknown_members import UnknownMemberCounts
from inbox.telemetry import UNKNOWN_MEMBERS


class UnknownMemberGuard(Guard):
    """The counter of unknown members, in the database and as a metric; a replay with force counts none again."""

    def __init__(self, counts: UnknownMemberCounts, route_ids: Mapping[str, int]) -> None:
        self._counts = counts
        self._route_ids = route_ids

    def after_fence(self, outcome: BatchOutcome) -> None:
        """Count by partition, whose ledger rows are locked, so that no two workers write one row."""
        parts = outcome.batch.partitions.values()
        again = {part.partition_id for part in parts if part.replay is not None and part.replay.force}
        total, new = {}, {}
        for name, result in outcome.results.items():
            counts = {at: count for at, count in result.unknown_members.items() if at[0] not in again}
            if counts:
                new[name] = self._counts.add(self._route_ids[name], counts)
                total[name] = sum(counts.values())
        outcome.unknown_members, outcome.new_members = total, new

    def committed(self, outcome: BatchOutcome) -> None:
        for route, count in outcome.unknown_members.items():
            tell_unknown_members(route, count, outcome.new_members.get(route, ()))


def tell_unknown_members(route: str, count: int, new_names: Collection[str]) -> None:
    """Add to the metric, and log the names that are seen for the first time; the counts are committed."""
    UNKNOWN_MEMBERS.labels(route).inc(count)
    if new_names:
        log().warning("unknown-members", route=route, members=list(new_names))
