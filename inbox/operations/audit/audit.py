"""The work of `inbox audit`: it reads the topic again, beside the sink, and accounts for each offset."""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from inbox.errors import HaltError, LostOffsetError, StartupError, UnreadableError
from inbox.kafka.cluster import Cluster
from inbox.kafka.log.gaps import Gaps
from inbox.kafka.log.reader import LogReader
from inbox.kafka.log.stretch import readable_from
from inbox.operations.audit.accounting import CHUNK_BITS, OFFSETS_KEPT, Listing, OrphanClaim, PartitionAudit
from inbox.operations.audit.orphan_claims import OrphanSearch
from inbox.operations.audit.partition_auditor import AuditedRoute, PartitionAuditor
from inbox.settings import Settings
from inbox.sink.guards.log_check import mismatches
from inbox.sink.guards.log_comparison import read_comparable
from inbox.store.inbox.audit_queries import AuditQueries, Bounds, ForeignClaim
from inbox.store.inbox.settled_ranges import Offsets
from inbox.store.postgres.connection import snapshot
from inbox.store.store import Store, open_store

_BATCH_BYTES = 32 * 1024 * 1024


class RefusedError(Exception):
    """A request that makes no sense. The text says which request would."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to audit every topic of the routes, or one topic, or some of its `partitions`.

    `until_offset` is exclusive. Without bounds the audit covers everything that the log has and the
    ledger says is settled.
    """

    topic: str | None = None
    partitions: tuple[int, ...] | None = None
    from_offset: int | None = None
    until_offset: int | None = None


@dataclass(kw_only=True)
class Audit:
    """The findings of an audit so far. `notices` say what could not be found out.

    `foreign_claims` are the first of `outsider_count` claims that belong to none of the parts and that
    no sink makes.
    """

    parts: list[PartitionAudit]
    notices: list[str] = field(default_factory=list)
    foreign_claims: list[ForeignClaim] = field(default_factory=list)
    outsider_count: int = 0

    @property
    def ok(self) -> bool:
        return not self.outsider_count and all(part.ok for part in self.parts)

    def add_foreign_claim(self, claim: ForeignClaim) -> None:
        self.outsider_count += 1
        if len(self.foreign_claims) < OFFSETS_KEPT:
            self.foreign_claims.append(claim)

    @property
    def progress(self) -> tuple[int, int]:
        """Return how many offsets are read, and the number of all offsets to read."""
        read = sum(part.at - part.from_offset for part in self.parts)
        return read, sum(part.until_offset - part.from_offset for part in self.parts)


Watch = Callable[[Audit], None]
"""A function that is called with the findings so far, after each chunk of offsets."""


def audit(
    settings: Settings,
    request: Request,
    *,
    watch: Watch,
    earlier: Audit | None = None,
    listing: Listing | None = None,
) -> Audit:
    """Read the offsets that the ledger says are settled, and account for them.

    With `earlier` the audit continues where that one ended. The answers that `listing` wants are
    reported as they are found, in the order of the log.

    Raises:
        RefusedError: the request makes no sense.
        StartupError: there is no schema, or nobody may read the topic.
        HaltError: the log is not the one that the ledger speaks of.
        TryAgainError: the database or the brokers do not answer.
    """
    with open_store(settings.database, command="audit", doing="auditing", unhurried=True) as store:
        session = _AuditSession(settings, store, store.audit(bits=CHUNK_BITS), listing)
        found = earlier or Audit(parts=session.parts(request))
        session.refuse_other_logs({part.address.topic for part in found.parts})
        with closing(session.reader()) as reader, _seldom_collected(watch) as seen:
            session.run(found, reader, seen)
        session.find_foreign_claims(found, request)
    return found


@contextmanager
def _seldom_collected(watch: Watch) -> Iterator[Watch]:
    """Run the garbage collector only once a chunk.

    Every event makes objects, and the collector's rounds took a third of the time. What the process froze before
    stays frozen: a thaw would be of everything.
    """
    is_frozen = gc.get_freeze_count() > 0

    def collect_and_watch(found: Audit) -> None:
        gc.collect()
        watch(found)

    gc.collect()
    if not is_frozen:
        gc.freeze()
    gc.disable()
    try:
        yield collect_and_watch
    finally:
        gc.enable()
        if not is_frozen:
            gc.unfreeze()


class _AuditSession:
    """The connections and lookups with which one audit works."""

    def __init__(self, settings: Settings, store: Store, reads: AuditQueries, listing: Listing | None) -> None:
        self._listing = listing
        self._settings = settings
        self._store = store
        self._reads = reads
        self._cluster = Cluster(settings.kafka)
        known = reads.routes()
        self._route_ids = {route.name: known[route.name] for route in settings.routes if route.name in known}

    def parts(self, request: Request) -> list[PartitionAudit]:
        """Return the ranges to audit by the ledger as it is now. Offsets settled later are left out."""
        routes = self._settings.routes
        of_routes = {topic for route in routes for topic in route.topics}
        meant = [each for each in self._reads.bounds() if each.address.topic in of_routes]
        chosen = list(chosen_partitions(request, meant))
        self._require_topics({each.address.topic for each in chosen})
        log_starts = self._cluster.log_starts([each.address for each in chosen])
        owed = self._reads.route_starts([each.partition_id for each in chosen])
        return [self._part(each, request, log_starts[each.address], owed) for each in chosen]

    def _require_topics(self, topics: set[str]) -> None:
        """Raise if a topic is missing.

        This is asked first, because brokers that lack a topic report its offsets as having no
        leader.
        """
        if absent := topics - set(self._cluster.topics(sorted(topics))):
            raise StartupError(f"the cluster has no topic {', '.join(sorted(absent))}; correct [kafka] or [[routes]]")

    def _part(
        self, bounds: Bounds, request: Request, log_start: int, owed: Mapping[tuple[int, int], int]
    ) -> PartitionAudit:
        starts = [offset for (partition_id, _), offset in owed.items() if partition_id == bounds.partition_id]
        start = min(starts, default=bounds.start_offset) if request.from_offset is None else request.from_offset
        until = bounds.next_offset if request.until_offset is None else min(request.until_offset, bounds.next_offset)
        begin = min(max(start, log_start), until)
        return PartitionAudit(
            address=bounds.address,
            partition_id=bounds.partition_id,
            from_offset=begin,
            until_offset=until,
            at=begin,
            horizon=bounds.horizon,
        )

    def refuse_other_logs(self, topics: set[str]) -> None:
        cluster_id = self._cluster.cluster_id()
        found = read_comparable(self._cluster, cluster_id, sorted(topics), self._store.ledger.known)
        if absent := topics - set(found):
            raise StartupError(f"the cluster has no topic {', '.join(sorted(absent))}; correct [kafka] or [[routes]]")
        for each in found.values():
            if lines := mismatches(each.known, each.log):
                raise HaltError("\n".join(lines))
        self._topic_ids = {name: each.log.topic_id for name, each in found.items()}

    def reader(self) -> LogReader:
        """Return a reader that passes over no gap without a reason."""
        kafka = self._settings.kafka
        gaps = Gaps(kafka, self._cluster, once_compacted=self._settings.sink.once_compacted)
        return LogReader(kafka, batch_bytes=_BATCH_BYTES, gaps=gaps)

    def run(self, found: Audit, reader: LogReader, watch: Watch) -> None:
        watch(found)
        left = [part for part in found.parts if not part.done]
        claims = self._reads.claims([(part.partition_id, part.at, part.until_offset) for part in left])
        owed = self._reads.route_starts([part.partition_id for part in left])
        settled = self._store.settled_ranges.of([part.partition_id for part in left])
        for part in left:
            routes = self._audited(part, owed, settled)
            auditor = PartitionAuditor(
                part, routes, self._reads, lambda: snapshot(self._store.connection), claims, self._listing
            )
            self._read(part, auditor, reader, found, watch)
        self._find_orphans(found.parts, reader, found.notices)

    def _find_orphans(self, parts: Sequence[PartitionAudit], reader: LogReader, notices: list[str]) -> None:
        for part in parts:
            part.strays, part.stray_count = [], 0  # an interrupted audit may have found some already
        if differing := [part for part in parts if part.differing]:
            search = OrphanSearch(
                self._reads, self._cluster, reader, self._settings.routes, self._route_ids, self._topic_ids
            )
            search.run(differing, notices)

    def find_foreign_claims(self, found: Audit, request: Request) -> None:
        """Find claims that no sink makes.

        Those of the audited parts count as their orphan claims. Others count only if the request names no
        topic.
        """
        if request.until_offset is not None:
            return
        parts = {part.partition_id: part for part in found.parts}
        for each in self._reads.foreign_claims():
            part = parts.get(each.partition_id)
            if part is not None and each.route is not None:
                part.add_orphans([OrphanClaim(route=each.route, event_id=each.event_id, offset=each.offset)])
            elif part is not None or request.topic is None:
                found.add_foreign_claim(each)

    def _audited(
        self, part: PartitionAudit, owed: Mapping[tuple[int, int], int], settled: Mapping[tuple[int, int], Offsets]
    ) -> list[AuditedRoute]:
        """Return the routes that take the partition's topic and that a started sink registered."""
        at = {name: (part.partition_id, route_id) for name, route_id in self._route_ids.items()}
        return [
            AuditedRoute(
                route,
                self._route_ids[route.name],
                owed.get(at[route.name]),
                None if route.keeps_claims else settled.get(at[route.name], Offsets()),
            )
            for route in self._settings.routes
            if part.address.topic in route.topics and route.name in self._route_ids
        ]

    def _read(
        self, part: PartitionAudit, auditor: PartitionAuditor, reader: LogReader, found: Audit, watch: Watch
    ) -> None:
        auditor.decode_as(self._topic_ids[part.address.topic])
        offset = part.at
        while not part.done:
            try:
                for records, reached in reader.read(part.address, offset, part.until_offset):
                    offset = reached
                    for _ in auditor.add(records, reached):
                        watch(found)
            except LostOffsetError:
                start = min(self._cluster.log_starts([part.address])[part.address], part.until_offset)
                if start <= offset:
                    raise
                found.notices.append(f"{part.address}: {part.at} up to {start - 1} were deleted while they were read")
                auditor.skip_to(start)
                offset = start
            except UnreadableError as error:
                offset = self._behind(error, part)
                for _ in auditor.add([], offset):
                    watch(found)

    def _behind(self, error: UnreadableError, part: PartitionAudit) -> int:
        """Note what cannot be read, and return the offset at which reading continues."""
        end = error.gap
        if end is None:
            end = readable_from(self._settings.kafka, part.address, error.offset, part.until_offset)
        part.skip(range(error.offset, end), self._reads.given_up(part.partition_id))
        return end


def chosen_partitions(request: Request, meant: Sequence[Bounds]) -> Iterator[Bounds]:
    """Yield the ledger's partitions that the request names.

    Raises:
        RefusedError: the ledger does not have the topic or one of the partitions.
    """
    of_topic = [each for each in meant if request.topic in (None, each.address.topic)]
    if request.topic is not None and not of_topic:
        there = ", ".join(sorted({each.address.topic for each in meant})) or "none"
        raise RefusedError(f"the ledger has no topic {request.topic} of these routes; it has {there}")
    numbers = {each.address.partition for each in of_topic}
    if absent := set(request.partitions or ()) - numbers:
        raise RefusedError(f"the ledger has no partition {', '.join(map(str, sorted(absent)))} of {request.topic}")
    yield from (each for each in of_topic if request.partitions is None or each.address.partition in request.partitions)
