"""The trial of events: what the routes, as they are now, would make of them. Nothing is committed."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from inbox.events import Record, address
from inbox.failure_policy import FailureLimits, Order
from inbox.sink.batch import NO_ID, Batch, PartitionBatch, RouteBatch
from inbox.sink.decoder import TopicDecoder
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.sink.settle.route import settle_carefully
from inbox.store.inbox.claims import Claims, ClaimStore, EarlierClaim
from inbox.store.inbox.dead_letters import OPEN
from inbox.store.inbox.failures.error_texts import shown
from inbox.store.inbox.ledger import KnownPartition
from inbox.store.inbox.settled_ranges import Offsets
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.store import Store

_EXAMPLES = 10


@dataclass(kw_only=True)
class RouteTrial:
    """The results of a route's events so far. A `duplicate` is one of another event, and was not tried.

    `fails_now` took effect before. `passes_now` were dead letters. `examples` are the first few
    that fail now.
    """

    route: str
    applied: int = 0
    failed: int = 0
    duplicate: int = 0
    filtered: int = 0
    fails_now: int = 0
    passes_now: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)

    @property
    def events(self) -> int:
        return self.applied + self.failed + self.duplicate + self.filtered


class _ClaimsAsTheyAre(ClaimStore):
    """A stand-in for the claims that claims nothing.

    An event whose own record was applied is tried. A duplicate of another event is not.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        super().__init__(connection, schema)
        self._claimed: dict[bytes, tuple[int, int]] = {}
        self._first: dict[bytes, tuple[int, int]] = {}

    def look_up(self, route_id: int, events: RouteBatch) -> set[int]:
        """Learn the claims of these events, and return the offsets of those that took effect from their own offset."""
        self._claimed = self.places_of(route_id, [each for each in events.ids if each != NO_ID])
        self._first = {}
        rows = zip(events.ids, events.partition_ids, events.records, strict=True)
        found = [(event_id, (partition_id, record.offset())) for event_id, partition_id, record in rows]
        return {at[1] for event_id, at in found if self._claimed.get(event_id) == at}

    def claim_new(self, route_id: int, claims: Claims) -> bool:
        return not self.claim(route_id, claims)

    def claim(self, route_id: int, claims: Claims) -> list[int]:
        duplicates = []
        for index, (event_id, offset, partition_id) in enumerate(
            zip(claims.ids, claims.offsets, claims.partition_ids, strict=True)
        ):
            here = (partition_id, offset)
            if self._claimed.get(event_id, here) != here or self._first.setdefault(event_id, here) != here:
                duplicates.append(index)
        return duplicates

    def earlier(self, route_id: int, claims: Claims) -> list[EarlierClaim | None]:
        here = list(zip(claims.partition_ids, claims.offsets, strict=True))
        found = zip(claims.ids, here, super().earlier(route_id, claims), strict=True)
        return [None if self._claimed.get(event_id) == at else claim for event_id, at, claim in found]

    def renew(self, route_id: int, claims: Claims) -> None:
        """Do nothing: claims stay as they are."""

    def withdraw(self, route_id: int, ids: Sequence[bytes]) -> None:
        """Do nothing: there is no claim to take back."""


class Shadow:
    """A trial of events on one connection."""

    def __init__(
        self, store: Store, session: HandlerSession, routes: Sequence[BoundRoute], *, limits: FailureLimits
    ) -> None:
        self._routes = routes
        self._claims = _ClaimsAsTheyAre(store.connection, store.schema)
        self._settled = store.settled_ranges
        self._letters = store.audit()
        self._transaction = BatchTransaction(store.connection, handlers=True)
        # Each event is judged by itself: nothing waits behind one that fails here.
        limits = replace(limits, order=Order.NONE)
        self._context = SettleContext(store.connection, session, self._transaction, self._claims, limits, parks=False)
        self.found = {route.name: RouteTrial(route=route.name) for route in routes}

    def try_out(self, known: KnownPartition, decoder: TopicDecoder, records: Sequence[Record]) -> None:
        """Try the records in one transaction, and roll it back.

        Raises:
            TryAgainError: an outage.
            HaltError: a handler ended the transaction.
        """
        part = _part(known, decoder, records)
        offsets = [record.offset() for record in records]
        ids = [route.route_id for route in self._routes]
        letters = self._letters.letters(known.partition_id, ids, offsets[0], offsets[-1] + 1)
        dead = {(letter.route_id, letter.offset) for letter in letters if letter.state in OPEN}
        self._transaction.begin()
        try:
            for route in self._routes:
                if route.name in part.routes:
                    self._try(route, part, {offset for route_id, offset in dead if route_id == route.route_id})
        finally:
            self._transaction.rollback()

    def _try(self, route: BoundRoute, part: PartitionBatch, dead: Collection[int]) -> None:
        events, found = Batch({part.address: part}).of_route(route.name), self.found[route.name]
        found.filtered += part.routes[route.name].filtered
        applied = self._applied(route, part, events, dead)
        result = settle_carefully(self._context, route, events, {})
        failed = {letter.record.offset(): shown(letter.error) for letter in result.letters}
        duplicate = result.duplicates.total()
        found.failed += len(failed)
        found.duplicate += duplicate
        found.applied += len(events) - len(failed) - duplicate
        found.passes_now += sum(1 for offset in dead if offset not in failed and _is_here(events, offset))
        self._note_failures(found, part, failed, applied)

    def _applied(
        self, route: BoundRoute, part: PartitionBatch, events: RouteBatch, dead: Collection[int]
    ) -> Collection[int]:
        """Return the offsets of the events that took effect."""
        if route.keeps_claims:
            return self._claims.look_up(route.route_id, events)
        settled = self._settled.of([part.partition_id]).get((part.partition_id, route.route_id), Offsets())
        return {at for each in events.records if (at := each.offset()) in settled and at not in dead}

    def _note_failures(
        self, found: RouteTrial, part: PartitionBatch, failed: dict[int, str], applied: Collection[int]
    ) -> None:
        for offset, error in failed.items():
            if offset in applied:
                found.fails_now += 1
                if len(found.examples) < _EXAMPLES:
                    found.examples.append((address(*part.address, offset), error.partition("\n")[0]))


def _is_here(events: RouteBatch, offset: int) -> bool:
    return any(record.offset() == offset for record in events.records)


def _part(known: KnownPartition, decoder: TopicDecoder, records: Iterable[Record]) -> PartitionBatch:
    part = PartitionBatch(known.address, known.partition_id, 0, 0, 0, decoder.new_columns())
    for record in records:
        decoder.add(record, part.routes.values())
    return part
