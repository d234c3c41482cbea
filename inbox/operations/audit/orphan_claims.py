"""The search for claims whose event the log does not have, although it has the records at their offsets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from uuid import UUID

from inbox.errors import InboxError, LostOffsetError
from inbox.events import Record, TopicPartition
from inbox.kafka.cluster import Cluster
from inbox.kafka.log.reader import LogReader
from inbox.operations.audit.accounting import CHUNK_BITS, OrphanClaim, PartitionAudit
from inbox.sink.batch import RouteEvents
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import HandlerTarget, Route
from inbox.store.inbox.audit_queries import AuditQueries, ChunkOfClaims, Claim


class OrphanSearch:
    """A closer look at the chunks that have other claims than the log's events.

    `topic_ids` are those of the audited topics, `route_ids` are by name.
    """

    def __init__(
        self,
        reads: AuditQueries,
        cluster: Cluster,
        reader: LogReader,
        routes: Sequence[Route],
        route_ids: Mapping[str, int],
        topic_ids: Mapping[str, UUID | None],
    ) -> None:
        self._reads = reads
        self._cluster = cluster
        self._reader = reader
        self._routes = routes
        self._route_ids = route_ids
        self._topic_ids = topic_ids

    def run(self, parts: Sequence[PartitionAudit], notices: list[str]) -> None:
        """Search the parts that have differing chunks, and note what they cannot be asked for."""
        by_id = {part.partition_id: part for part in parts}
        compacted = self._compacted({part.address.topic for part in parts}, notices)
        starts = self._cluster.log_starts([part.address for part in parts])
        chunks = [
            ChunkOfClaims(part.partition_id, self._route_ids[name], chunk)
            for part in parts
            for name, chunk in part.differing
        ]
        claims = self._reads.claims_of_chunks(chunks)
        for (partition_id, chunk), group in groupby(claims, lambda claim: (claim.partition_id, claim.chunk)):
            part = by_id[partition_id]
            orphans = OrphanClaims(part, self._routes_of(part), self._topic_ids[part.address.topic], self._reader)
            part.add_orphans(self._among(orphans, part, list(group), chunk, starts, part.address.topic in compacted))

    def _among(
        self,
        orphans: "OrphanClaims",
        part: PartitionAudit,
        claims: Sequence[Claim],
        chunk: int,
        starts: dict[TopicPartition, int],
        compacted: bool,
    ) -> list[OrphanClaim]:
        """Return the orphan claims of a chunk.

        Records that the log deletes during the read say nothing of their claims.
        """
        while True:
            start = starts[part.address]
            try:
                return list(orphans.among(claims, chunk, log_start=start, compacted=compacted))
            except LostOffsetError:
                starts |= self._cluster.log_starts([part.address])
                if starts[part.address] <= start:
                    raise

    def _routes_of(self, part: PartitionAudit) -> Mapping[int, Route]:
        return {
            self._route_ids[route.name]: route
            for route in self._routes
            if part.address.topic in route.topics and route.name in self._route_ids
        }

    def _compacted(self, topics: set[str], notices: list[str]) -> set[str]:
        try:
            return self._cluster.compacted(sorted(topics))
        except InboxError as error:
            notices.append(
                f"it is unknown whether {', '.join(sorted(topics))} is compacted, so claims at offsets without a "
                f"record cannot be judged: {error}"
            )
            return topics


class OrphanClaims:
    """A finder of the claims of a chunk whose event the log does not have."""

    def __init__(
        self, part: PartitionAudit, routes: Mapping[int, Route], topic_id: UUID | None, reader: LogReader
    ) -> None:
        self._part = part
        self._routes = routes
        self._reader = reader
        # A route may have taken earlier what it filters today.
        everything = [
            replace(each, types=frozenset(), target=HandlerTarget(entry_point="")) for each in routes.values()
        ]
        self._decoder = TopicDecoder(part.address.topic, topic_id, everything)

    def among(self, claims: Sequence[Claim], chunk: int, *, log_start: int, compacted: bool) -> Iterator[OrphanClaim]:
        """Yield the claims that the log contradicts.

        In a compacted log an offset without a record contradicts nothing.
        """
        first = max(chunk << CHUNK_BITS, self._part.from_offset, log_start)
        end = min((chunk + 1) << CHUNK_BITS, self._part.until_offset)
        there, ids = self._events(first, end)
        for claim in claims:
            if not first <= claim.offset < end or (compacted and claim.offset not in there):
                continue
            if any(claim.offset in skipped for skipped in self._part.skipped):
                continue
            name = self._routes[claim.route_id].name
            if (name, claim.offset, claim.event_id) not in ids:
                yield OrphanClaim(route=name, event_id=str(UUID(bytes=claim.event_id)), offset=claim.offset)

    def _events(self, first: int, end: int) -> tuple[set[int], set[tuple[str, int, bytes]]]:
        there: set[int] = set()
        ids: set[tuple[str, int, bytes]] = set()
        for records in self._readable(first, end):
            columns = self._decoder.new_columns()
            for record in records:
                self._decoder.add(record, columns.values())
                there.add(record.offset())
            for name, events in columns.items():
                ids.update(_named(name, events))
        return there, ids

    def _readable(self, first: int, end: int) -> Iterator[list[Record]]:
        """Yield the records between the offsets, without the ranges that the audit found unreadable."""
        offset = first
        for skipped in sorted(self._part.skipped, key=lambda each: each.start):
            if offset < skipped.start < end:
                yield from (records for records, _ in self._reader.read(self._part.address, offset, skipped.start))
            offset = max(offset, skipped.stop)
        if offset < end:
            yield from (records for records, _ in self._reader.read(self._part.address, offset, end))


def _named(name: str, events: RouteEvents) -> Iterable[tuple[str, int, bytes]]:
    return ((name, record.offset(), event_id) for record, event_id in zip(events.records, events.ids, strict=True))
