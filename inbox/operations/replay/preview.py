"""The contents of a replay's ranges: read from the log and looked up among the claims, as far as time allows."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from inbox.errors import InboxError
from inbox.events import Record, TopicPartition
from inbox.kafka.cluster import Cluster
from inbox.kafka.log.gaps import Gaps
from inbox.kafka.log.reader import LogReader
from inbox.operations.replay.plan import Step
from inbox.settings import Settings
from inbox.sink.batch import NO_ID, RouteEvents
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import Route
from inbox.store.inbox.dead_letters import OPEN
from inbox.store.inbox.settled_ranges import Offsets
from inbox.store.store import Store

_BATCH_BYTES = 32 * 1024 * 1024
_TIMES_SECONDS = 5.0


@dataclass(kw_only=True)
class Count:
    """The contents of a range: the number of records, and the states of their events summed over the routes.

    `applied` took effect from their own offset and `duplicate` from elsewhere. `dead_letters` are
    open. `lacking` have no claim, or were not settled on a route without claims, and would run.
    """

    records: int = 0
    applied: int = 0
    duplicate: int = 0
    filtered: int = 0
    dead_letters: int = 0
    lacking: int = 0


@dataclass(frozen=True, kw_only=True)
class Counted:
    """The contents of the ranges by partition.

    `counts` has the ranges that could be read in time. `since` is the time of the first record.
    """

    counts: Mapping[TopicPartition, Count]
    since: Mapping[TopicPartition, datetime]


def count(settings: Settings, store: Store, steps: Sequence[Step], *, route: str | None, seconds: float) -> Counted:
    """Read the ranges, one after the other, for at most so many seconds in all.

    Ranges that the brokers do not give in time are left out.
    """
    deadline = time.monotonic() + seconds
    counts: dict[TopicPartition, Count] = {}
    routes = [each for each in settings.routes if route in (None, each.name)]
    gaps = Gaps(settings.kafka, Cluster(settings.kafka), once_compacted=settings.sink.once_compacted)
    with closing(LogReader(settings.kafka, batch_bytes=_BATCH_BYTES, patience_seconds=seconds, gaps=gaps)) as reader:
        starts = {step.address: step.from_offset for step in steps}
        since = reader.first_times(starts, seconds=_TIMES_SECONDS)
        counter = _Counter(store, routes)
        try:
            for step in steps:
                if (found := counter.count(step, reader, lambda: time.monotonic() > deadline)) is None:
                    break
                counts[step.address] = found
        except InboxError:
            pass
    return Counted(counts=counts, since=since)


class _Counter:
    def __init__(self, store: Store, routes: Sequence[Route]) -> None:
        self._claims = store.claims
        self._reads = store.audit()
        self._settled = store.settled_ranges
        self._without_claims = {route.name for route in routes if not route.keeps_claims}
        self._routes = routes
        self._ids = self._reads.routes()

    def count(self, step: Step, reader: LogReader, expired: Callable[[], bool]) -> Count | None:
        """Return the contents of the step's range, or None if time ran out."""
        found = Count()
        decoder = TopicDecoder(step.address.topic, step.known.topic_id, self._routes)
        for records, _ in reader.read(step.address, step.from_offset, step.until_offset):
            if expired():
                return None
            if records:
                self._add(found, step, decoder, records)
        return found

    def _add(self, found: Count, step: Step, decoder: TopicDecoder, records: Sequence[Record]) -> None:
        columns = decoder.new_columns()
        for record in records:
            decoder.add(record, columns.values())
        found.records += len(records)
        first, last = records[0].offset(), records[-1].offset()
        ids = list(self._ids.values())
        letters = self._reads.letters(step.known.partition_id, ids, first, last + 1)
        dead = {(letter.route_id, letter.offset) for letter in letters if letter.state in OPEN}
        for name, events in columns.items():
            found.filtered += events.filtered
            if (route_id := self._ids.get(name)) is not None:
                of_route = {offset for of, offset in dead if of == route_id}
                if name in self._without_claims:
                    self._add_by_ledger(found, step.known.partition_id, route_id, events, of_route)
                    continue
                self._add_route(found, step.known.partition_id, route_id, events, of_route)

    def _add_by_ledger(
        self, found: Count, partition_id: int, route_id: int, events: RouteEvents, dead: Collection[int]
    ) -> None:
        settled = self._settled.of([partition_id]).get((partition_id, route_id), Offsets())
        for offset in (record.offset() for record in events.records):
            if offset in dead:
                found.dead_letters += 1
            elif offset in settled:
                found.applied += 1
            else:
                found.lacking += 1

    def _add_route(
        self, found: Count, partition_id: int, route_id: int, events: RouteEvents, dead: Collection[int]
    ) -> None:
        claims = self._claims.places_of(route_id, [event_id for event_id in events.ids if event_id != NO_ID])
        seen: set[bytes] = set()
        for index, (event_id, record) in enumerate(zip(events.ids, events.records, strict=True)):
            claim = claims.get(event_id)
            if claim is not None and claim != (partition_id, record.offset()) and index in events.refused:
                claim = None  # whether it is a duplicate, its payload says
            if claim == (partition_id, record.offset()):
                found.applied += 1
            elif claim is not None or event_id in seen:
                found.duplicate += 1
            elif record.offset() in dead or index in events.refused:
                found.dead_letters += 1
            else:
                found.lacking += 1
                seen.add(event_id)
