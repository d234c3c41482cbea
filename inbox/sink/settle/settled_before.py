"""Leave out events that are settled again: those that a person gave up, and on a route without claims those that the
ledger knows as settled."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from inbox.sink.batch import NO_ID, Batch, PartitionBatch, RouteBatch
from inbox.sink.outcome import RouteResult
from inbox.sink.settle.context import BoundRoute
from inbox.store.inbox.settled_ranges import Offsets
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.store import Store


class SettledBefore:
    """The knowledge of the ledger about the offsets that a batch settles again, on one connection.

    A batch usually has no such offsets, and then nothing is asked.
    """

    def __init__(self, store: Store, transaction: BatchTransaction) -> None:
        self._transaction = transaction
        self._ranges = store.settled_ranges
        self._claims = store.claims
        self._dead_letters = store.dead_letters

    def leave_out(self, route: BoundRoute, batch: Batch, events: RouteBatch) -> tuple[RouteBatch, Counter[int]]:
        """Return the events to try, and by partition id the number of those that are not to be tried.

        On a route without claims the offsets count as settled from now on: it belongs into the transaction
        of the batch.
        """
        parts = [part for part in batch.partitions.values() if part.again and part.events_of(route.name) is not None]
        if not parts:
            return events, Counter()
        gone = self._discarded(route, parts, events) if route.keeps_claims else self._settle_again(route, parts, events)
        return events.left_out(gone), Counter(events.partition_ids[index] for index in gone)

    def _discarded(self, route: BoundRoute, parts: Sequence[PartitionBatch], events: RouteBatch) -> Collection[int]:
        """Return the indexes of the events that a person gave up.

        A discarded event has a claim, but it would wait behind a parked event of its key before anybody looks
        at its claim. One without an id has none, and is parked again.
        """
        given_up = self._given_up(route, parts)
        rows = zip(events.ids, events.partition_ids, events.records, strict=True)
        return {
            index
            for index, (event_id, partition_id, record) in enumerate(rows)
            if event_id != NO_ID and (partition_id, record.offset()) in given_up
        }

    def _settle_again(self, route: BoundRoute, parts: Sequence[PartitionBatch], events: RouteBatch) -> Collection[int]:
        """Note the offsets as settled; return the indexes of the events that the route settled before."""
        known = self._ranges.of([part.partition_id for part in parts])
        settled = {part.partition_id: known.get((part.partition_id, route.route_id), Offsets()) for part in parts}
        gone = self._settled(route, parts, events, settled)
        for part in parts:
            if not settled[part.partition_id].covers(range(part.before, part.after)):
                self._ranges.add(part.partition_id, route.route_id, range(part.before, part.after))
                # What is noted of the offsets stays when an attempt to apply their events is undone.
                self._transaction.keep()
        return gone

    def _given_up(self, route: BoundRoute, parts: Sequence[PartitionBatch]) -> frozenset[tuple[int, int]]:
        """Return partition id and offset of the discarded events of these parts."""
        return frozenset(
            (part.partition_id, offset)
            for part in parts
            for offset in self._dead_letters.discarded(route.route_id, part.partition_id, part.before, part.after)
        )

    def _settled(
        self,
        route: BoundRoute,
        parts: Sequence[PartitionBatch],
        events: RouteBatch,
        settled: Mapping[int, Offsets],
    ) -> Collection[int]:
        """Return the indexes of the events that are not to be tried."""
        given_up = self._given_up(route, parts)
        gone, unknown = set(), []
        for index, (partition_id, record) in enumerate(zip(events.partition_ids, events.records, strict=True)):
            if partition_id not in settled:
                continue
            replay = events.replays.get(partition_id)
            if (partition_id, record.offset()) in given_up:
                gone.add(index)
            elif replay is None or not replay.force:
                if record.offset() in settled[partition_id]:
                    gone.add(index)
                else:
                    unknown.append(index)
        return gone.union(self._claimed(route, events, unknown))

    def _claimed(self, route: BoundRoute, events: RouteBatch, indexes: Sequence[int]) -> list[int]:
        """Return the indexes of the events that have a claim of the time when the route kept claims."""
        ids = [events.ids[index] for index in indexes if events.ids[index] != NO_ID]
        claimed = self._claims.places_of(route.route_id, ids) if ids else {}
        return [index for index in indexes if events.ids[index] in claimed]


def applied_again(route: BoundRoute, events: RouteBatch, result: RouteResult) -> dict[tuple[int, int], list[int]]:
    """Return the offsets that took effect, by (route id, partition id): their dead letters are resolved."""
    aside = {(letter.partition_id, letter.record.offset()) for letter in result.letters}
    applied: dict[tuple[int, int], list[int]] = {}
    for partition_id, record in zip(events.partition_ids, events.records, strict=True):
        if partition_id in events.replays and (partition_id, record.offset()) not in aside:
            applied.setdefault((route.route_id, partition_id), []).append(record.offset())
    return applied
