"""The audit of one partition: its records beside its claims, chunk by chunk of offsets."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import groupby
from uuid import UUID

from inbox.events import Record
from inbox.operations.audit.accounting import CHUNK_BITS, Listing, PartitionAudit, RouteAccount, Tally
from inbox.operations.audit.chunks import (
    ChunkEvents,
    Circumstances,
    ClaimAddress,
    ClaimSum,
    all_claimed,
    by_ledger,
    one_by_one,
)
from inbox.sink.batch import NO_ID, RouteEvents
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import Route
from inbox.store.inbox.audit_queries import AuditQueries, ChunkOfClaims
from inbox.store.inbox.dead_letters import OPEN, State
from inbox.store.inbox.settled_ranges import Offsets

Unlike = Mapping[int, ClaimAddress | None]


@dataclass(frozen=True)
class AuditedRoute:
    """A route with its id. `owes_from` is None if it owes no ending to the partition.

    `settled` has what the route settled by the ledger, if it keeps no claims.
    """

    route: Route
    route_id: int
    owes_from: int | None
    settled: Offsets | None = None


class PartitionAuditor:
    """An auditor that takes the records of one partition in order, and counts each chunk of offsets
    when it is complete."""

    def __init__(
        self,
        part: PartitionAudit,
        routes: Sequence[AuditedRoute],
        reads: AuditQueries,
        snapshot: Callable[[], AbstractContextManager[None]],
        claims: Mapping[ChunkOfClaims, tuple[int, int]],
        listing: Listing | None = None,
    ) -> None:
        self._part = part
        self._routes = routes
        self._reads = reads
        self._snapshot = snapshot
        self._claims = claims
        self._decoder = TopicDecoder(part.address.topic, None, [each.route for each in routes])
        self._open: dict[str, ChunkEvents] = {}
        self._records = 0
        self._tallies = {
            each.route.name: Tally(
                part.address, each.route.name, part.routes.setdefault(each.route.name, RouteAccount()), listing
            )
            for each in routes
        }
        for each in routes:
            self._part.routes[each.route.name].by_ledger = each.settled is not None
        self._begin()

    def decode_as(self, topic_id: UUID | None) -> None:
        """Identify events as those of this topic."""
        self._decoder = self._decoder.of(topic_id)

    def _begin(self) -> None:
        self._open = {each.route.name: ChunkEvents() for each in self._routes}
        self._records = 0

    def skip_to(self, offset: int) -> None:
        """Drop the current chunk: the log does not have it any more."""
        self._begin()
        self._part.at = offset

    def add(self, records: Sequence[Record], reached: int) -> Iterator[int]:
        """Add the records up to `reached`, and yield the end of each chunk that is complete and counted."""
        for chunk, group in groupby(records, lambda record: record.offset() >> CHUNK_BITS):
            yield from self._complete_below(chunk << CHUNK_BITS)
            self._decode(list(group))
        whole = reached if reached >= self._part.until_offset else reached >> CHUNK_BITS << CHUNK_BITS
        yield from self._complete_below(whole)

    def _decode(self, records: Sequence[Record]) -> None:
        columns = self._decoder.new_columns()
        decoded = list(columns.values())
        for record in records:
            self._decoder.add(record, decoded)
        for name, events in columns.items():
            _take(events, records, self._open[name])
        self._records += len(records)

    def _complete_below(self, offset: int) -> Iterator[int]:
        """Count the present records, chunk by chunk, because claims may exist where the log has no record."""
        while self._part.at < offset:
            end = min(offset, ((self._part.at >> CHUNK_BITS) + 1) << CHUNK_BITS)
            self._count(self._part.at, end)
            self._part.records += self._records
            self._part.at = end
            self._begin()
            yield end

    def _identify(self) -> None:
        """Give each event without an id the id that a person gave it by an edit."""
        names = {each.route_id: each.route.name for each in self._routes}
        offsets = {offset for name in names.values() for offset in self._open[name].without_id}
        if offsets:
            for route_id, offset, event_id in self._reads.identified(self._part.partition_id, names, offsets):
                self._open[names[route_id]].identify(offset, event_id)

    def _count(self, start: int, end: int) -> None:
        self._identify()
        letters = self._letters(start, end)
        one_by_one = [each for each in self._routes if not self._as_expected(each, letters, start, end)]
        if not one_by_one:
            return
        # The snapshot shows each concurrent batch, retry and discard whole or not at all.
        with self._snapshot():
            letters = self._letters(start, end)
            given_up = self._reads.given_up(self._part.partition_id)
            unlike = {each.route_id: self._unlike(each) for each in one_by_one}
        # Claims are truncated after the horizon was raised, and are then gone from older snapshots too (PostgreSQL
        # manual, 13.6). Only a horizon that is read after the claims says whether they may be missing.
        self._part.horizon = max(self._part.horizon, self._reads.horizon(self._part.partition_id))
        for each in one_by_one:
            around = replace(self._around(each, letters), given_up=given_up)
            self._judge(each, around, unlike[each.route_id], start >> CHUNK_BITS)

    def _letters(self, start: int, end: int) -> dict[int, dict[int, State]]:
        """Return the states of the dead letters, by route id and offset."""
        found: dict[int, dict[int, State]] = {each.route_id: {} for each in self._routes}
        for letter in self._reads.letters(self._part.partition_id, list(found), start, end):
            found[letter.route_id][letter.offset] = letter.state
        return found

    def _around(self, each: AuditedRoute, letters: Mapping[int, Mapping[int, State]]) -> Circumstances:
        states = letters[each.route_id]
        return Circumstances(
            owes_from=self._part.until_offset if each.owes_from is None else each.owes_from,
            open_letters={offset for offset, state in states.items() if state in OPEN},
            discarded={offset for offset, state in states.items() if state not in OPEN},
            horizon=self._part.horizon,
        )

    def _as_expected(
        self, each: AuditedRoute, letters: Mapping[int, Mapping[int, State]], start: int, end: int
    ) -> bool:
        """Count the chunk as a whole if its claims are exactly those expected; return whether they are."""
        around, events = self._around(each, letters), self._open[each.route.name]
        if each.settled is not None:
            given_up = self._reads.given_up(self._part.partition_id)
            by_ledger(events, each.settled, replace(around, given_up=given_up), self._tallies[each.route.name])
            return True
        claims = self._claimed(each, start >> CHUNK_BITS)
        if end <= around.owes_from and not claims.claims:
            return True
        if events.without_id or events.expected(around.open_letters) != claims:
            return False
        all_claimed(events, around, self._tallies[each.route.name])
        return True

    def _claimed(self, each: AuditedRoute, chunk: int) -> ClaimSum:
        return ClaimSum(*self._claims.get(ChunkOfClaims(self._part.partition_id, each.route_id, chunk), (0, 0)))

    def _unlike(self, each: AuditedRoute) -> Unlike:
        """Return the address of the claim with its id for each event without a claim of its own, by index.

        The value is None if no claim has the id.
        """
        events = self._open[each.route.name]
        found = self._reads.unlike(self._part.partition_id, each.route_id, events.ids, events.offsets)
        return {index: ClaimAddress(at) if claimed else None for index, at, claimed in found}

    def _judge(self, each: AuditedRoute, around: Circumstances, unlike: Unlike, chunk: int) -> None:
        own = one_by_one(self._open[each.route.name], unlike, around, self._tallies[each.route.name])
        if own != self._claimed(each, chunk):
            self._part.differing.append((each.route.name, chunk))


def _take(events: RouteEvents, records: Sequence[Record], into: ChunkEvents) -> None:
    """Take the ids and offsets alone: a chunk may be of any size in bytes."""
    offsets = [record.offset() for record in events.records]
    if events.filtered:
        into.filtered += sorted({record.offset() for record in records}.difference(offsets))
    if NO_ID not in events.ids:
        into.ids += events.ids
        into.offsets += offsets
        return
    for event_id, offset in zip(events.ids, offsets, strict=True):
        if event_id == NO_ID:
            into.without_id.append(offset)
        else:
            into.ids.append(event_id)
            into.offsets.append(offset)
