"""Settle a batch in one transaction: claim, apply, park, fence, COMMIT.

The steps keep one promise: every offset of the batch is settled, or none is.

1. Claim: insert the claims of a route's events. An event whose claim exists already is a duplicate.
2. Apply: call the route's handler, or write its table. Steps 1 and 2 run for one route after
another.
3. Park: write the events that cannot be applied to `dead_letters`.
4. Fence: move the ledger. The fence fails if another worker owns a partition now.
5. COMMIT: claims, effects, dead letters and ledger become visible together.

`Settler._settle_in_generation` is these five steps. A failure before COMMIT rolls everything back.
After a COMMIT without an answer, `Settler.resolve` reads the outcome from the ledger.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from inbox.errors import HaltError, OrderHaltError, SmallerBatchError, TryAgainError, forget_frames
from inbox.events import Settlement, TopicPartition
from inbox.failpoints import Failpoint, failpoint
from inbox.failure_policy import FailureLimits, Order
from inbox.sink.batch import Batch, PartitionBatch, RouteBatch
from inbox.sink.guards.crash_poison import CrashPoisonTracker
from inbox.sink.guards.dead_letter_limit import LetterLimit
from inbox.sink.guards.parked_by_hand import HandParked
from inbox.sink.guards.row_waits import RowMissingError
from inbox.sink.guards.row_watch import RowWatch
from inbox.sink.guards.topic_identity import TopicIdentityGuard
from inbox.sink.settle.context import BoundRoute, RouteResult, SettleContext
from inbox.sink.settle.evidence import Evidence
from inbox.sink.settle.fast_path import settle_route
from inbox.sink.settle.lone_events import LoneEvents
from inbox.sink.settle.parked_keys import HeldKeys, ParkedKeys
from inbox.store.inbox.claims import ClaimStore
from inbox.store.inbox.dead_letters import DeadLetter, DeadLetters
from inbox.store.inbox.ledger import Ledger, LedgerRow, OffsetAdvance, OpenSession, missing
from inbox.store.inbox.replays import Replays, ReplayState
from inbox.store.outbox.dead_letter_copies import LetterCopies
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.errors import is_connection_loss
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.privileges.check import hidden_owners_remedy
from inbox.telemetry import SAME_ID_OTHER_PAYLOAD, log

_TAKEOVER_LOOK_SECONDS = 0.05
_OLDER_LOOK_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class SettledBatch:
    """The outcome of settling one batch. If `fenced` or `rows_missing` is not empty, nothing moved.

    Attributes:
        settlements: the endings of each partition that moved in the ledger.
        fenced: the partitions that the fence refused: their owner, owner epoch or next offset
            changed.
        elsewhere: the moved partitions that continue at another offset, because a replay ended.
        too_many_letters: the moved partitions with more dead letters than `[failures] halt_above`.
        rows_missing: by partition, the offset of the event that misses a row or that caused `halt`.
        halt: the error of an event that cannot be applied under `order = "halt"`. The sink stops
            once everything else is settled.
    """

    settlements: Mapping[TopicPartition, Settlement] = field(default_factory=dict)
    fenced: frozenset[TopicPartition] = frozenset()
    elsewhere: frozenset[TopicPartition] = frozenset()
    too_many_letters: frozenset[TopicPartition] = frozenset()
    rows_missing: Mapping[TopicPartition, int] = field(default_factory=dict)
    halt: OrderHaltError | None = None


Introduce = Callable[[Connection, Sequence[TopicPartition]], None]


class Settler:
    """The settler of batches on one database connection.

    Args:
        parked_keys: the known parked keys; they outlive the connection.
        crash_poison: the tracker of crash poison; it outlives the connection.
        introduce: adds to the ledger the partitions that were created after the sink started.
        takeover_seconds: how long a previous owner's transaction may stay open before its session
            is ended. With 0 it is neither awaited nor ended.
        topic_identity: checks that the records belong to the topics that the ledger knows.
        copies: also publishes parked events through the outbox, if given.
        row_watch: lets events wait for rows that other events may bring, if given.
        evidence: the record of events that applied and failed; it outlives the connection.
    """

    def __init__(
        self,
        connection: Connection,
        session: HandlerSession,
        routes: Sequence[BoundRoute],
        *,
        schema: str,
        owner: str,
        routes_revision: int,
        limits: FailureLimits,
        parked_keys: ParkedKeys,
        crash_poison: CrashPoisonTracker,
        introduce: Introduce,
        takeover_seconds: float,
        topic_identity: TopicIdentityGuard,
        copies: LetterCopies | None = None,
        row_watch: RowWatch | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        self._connection = connection
        self._routes = list(routes)
        self._row_watch = row_watch
        self._owner = owner
        self._routes_revision = routes_revision
        self._limits = limits
        self._ledger = Ledger(schema)
        self._replays = Replays(schema)
        self._dead_letters = DeadLetters(schema)
        self._letter_limit = LetterLimit(self._dead_letters, limits.halt_above)
        self._hand_parked = HandParked(self._dead_letters)
        self._parked_keys = parked_keys
        self._crash_poison = crash_poison
        self._introduce = introduce
        self._takeover_seconds = takeover_seconds
        self._topic_identity = topic_identity
        self._copies = copies
        self._transaction = BatchTransaction(connection, handlers=any(route.handlers for route in routes))
        self._claim_store = ClaimStore(schema)
        self._older_asked_at = -math.inf
        self._follow_generation()
        row_waits = row_watch.waits if row_watch is not None else None
        self._evidence = evidence or Evidence()
        self._context = SettleContext(
            connection,
            session,
            self._transaction,
            self._claim_store,
            limits,
            row_waits=row_waits,
            evidence=self._evidence,
        )
        self._lone = LoneEvents(self._context, crash_poison)
        self._ledger.record_session(connection, owner)

    def acquire(self, partitions: Sequence[TopicPartition]) -> list[LedgerRow]:
        """Become the owner of the partitions, and read which of their keys are parked."""
        self._warn_of_hidden_owners(partitions)
        lingering = self._await_owners(partitions)
        ledger_rows = self._ledger.acquire(self._connection, partitions, self._owner)
        for session in lingering:
            log().warning(
                "session-ended",
                pid=session.pid,
                reason="its worker lost the partitions and did not end its transaction",
            )
            self._ledger.end_session(self._connection, session)
        found = {ledger_row.address for ledger_row in ledger_rows}
        if added := [partition for partition in partitions if partition not in found]:
            self._introduce(self._connection, added)
            ledger_rows += self._ledger.acquire(self._connection, added, self._owner)
        self._read_parked_keys([ledger_row.partition_id for ledger_row in ledger_rows])
        if any(route.handlers for route in self._routes):
            self._crash_poison.acquired(self._connection, [ledger_row.partition_id for ledger_row in ledger_rows])
        partition_ids = [ledger_row.partition_id for ledger_row in ledger_rows]
        active = self._replays.active(self._connection, partition_ids)
        above = self._letter_limit.above(self._connection, partition_ids)
        self._hand_parked.read(self._connection, partition_ids)
        return [
            ledger_row._replace(
                replay=active.get(ledger_row.partition_id), too_many_letters=ledger_row.partition_id in above
            )
            for ledger_row in ledger_rows
        ]

    def _warn_of_hidden_owners(self, partitions: Sequence[TopicPartition]) -> None:
        topics = sorted({partition.topic for partition in partitions})
        if roles := self._ledger.hidden_owners(self._connection, topics):
            log().warning("owners-hidden", roles=roles, remedy=hidden_owners_remedy(self._connection, roles))

    def _await_owners(self, partitions: Sequence[TopicPartition]) -> list[OpenSession]:
        """Wait until the previous owners' transactions end; return those still open at the deadline.

        The open transaction of a stopped worker holds claims that this worker may need.
        """
        deadline = time.monotonic() + self._takeover_seconds
        while sessions := self._ledger.open_sessions(self._connection, partitions, self._owner):
            if time.monotonic() >= deadline:
                return sessions if self._takeover_seconds else []
            time.sleep(_TAKEOVER_LOOK_SECONDS)
        return []

    def _read_parked_keys(self, partition_ids: Sequence[int]) -> None:
        if self._limits.order is Order.KEY:
            self._parked_keys.read(self._connection, self._dead_letters, partition_ids)

    def _held_keys(self, route: BoundRoute, events: RouteBatch) -> HeldKeys:
        if self._limits.order is not Order.KEY:
            return {}
        return self._parked_keys.of(self._connection, self._dead_letters, route.route_id, events)

    def read_ledger(self, topics: Sequence[str]) -> list[LedgerRow]:
        """Return the ledger rows of the topics, with the partitions that have too many dead letters marked.

        Raises:
            HaltError: a log is not the one that the ledger knows.
        """
        ledger_rows = self._ledger.read(self._connection, topics)
        self._topic_identity.check_idle(ledger_rows)
        mine = [row.partition_id for row in ledger_rows if row.owner == self._owner]
        above = self._letter_limit.still_above(self._connection, mine)
        return [row._replace(too_many_letters=row.partition_id in above) for row in ledger_rows]

    def resolve(self, batch: Batch) -> SettledBatch | None:
        """Return what the ledger says of a batch whose COMMIT was not answered.

        Returns:
            The batch as settled or fenced, or None if nothing of the batch was committed.
        """
        topics = sorted({address.topic for address in batch.partitions})
        rows = {row.address: row for row in self.read_ledger(topics) if row.owner == self._owner}
        ids = [each.partition_id for each in batch.partitions.values()]
        # If the COMMIT succeeded, it parked keys that this worker has not remembered.
        self._read_parked_keys(ids)
        settled = resolved(batch, rows)
        if settled is None or settled.fenced:
            return settled
        return replace(settled, too_many_letters=_addresses(batch, self._letter_limit.above(self._connection, ids)))

    def close(self) -> None:
        """Close both connections: the one for notes and the one of the batches."""
        self._crash_poison.close()
        self._connection.close()

    def settle(self, batch: Batch, on_started: Callable[[], None] = lambda: None) -> SettledBatch:
        """Settle the whole batch in one transaction.

        Args:
            on_started: called once the server or a handler is at work.

        Raises:
            TryAgainError: the outcome is unknown or nothing happened; ask the ledger, then settle
                again.
            HaltError: continuing could lose or repeat an event.
        """
        self._learn_older_claims()
        self._hand_parked.know(self._connection, [each.partition_id for each in batch.partitions.values()])
        if self._row_watch is not None:
            self._row_watch.observe(self._connection)
        if (suspect := self._crash_poison.lost_with(batch)) is not None:
            self._lone.control(next(each for each in self._routes if each.route_id == suspect.route_id), batch)
        tries_left = len(self._routes)
        while True:
            try:
                return self._settle_whole(batch, on_started)
            except OrderHaltError as error:
                return SettledBatch(rows_missing={_address(batch, error.partition_id): error.offset}, halt=error)
            except RowMissingError as missing:
                # A later route of this batch may bring the row. The new order also holds for the next batches.
                tries_left -= 1
                if not tries_left or not self._moved_last(missing.route):
                    return self._await_row(batch, missing)

    def _moved_last(self, route: str) -> bool:
        """Move the route behind all others; return whether its place changed."""
        if self._routes[-1].name == route:
            return False
        self._routes.sort(key=lambda each: each.name == route)
        return True

    def _await_row(self, batch: Batch, missing: RowMissingError) -> SettledBatch:
        """Begin to wait for the missing row; return that nothing moved."""
        assert self._row_watch is not None  # noqa: S101 - nobody else raises it
        self._row_watch.begin(self._connection, missing)
        return SettledBatch(rows_missing={_address(batch, missing.partition_id): missing.offset})

    def _settle_whole(self, batch: Batch, on_started: Callable[[], None]) -> SettledBatch:
        """Settle the batch in the current generation; settle it again if the generation changes meanwhile."""
        while (settled := self._settle_in_generation(batch, on_started)) is None:
            log().info("generation-changed", generation=self._claim_store.generation)
            self._learn_older_claims()
        return settled

    def _settle_in_generation(self, batch: Batch, on_started: Callable[[], None]) -> SettledBatch | None:
        """Claim, apply, park, fence and COMMIT.

        Returns:
            The outcome, or None if new claims now go to another generation. The transaction is
            rolled back then, and the batch must be settled again.
        """
        verify = self._topic_identity.start_check(batch)
        letters: list[DeadLetter] = []
        self._transaction.begin()
        try:
            # 1 and 2: claim and apply.
            results = {route.name: self._settle_route(route, batch, on_started) for route in self._routes}
            letters += [letter for result in results.values() for letter in result.letters]
            # 3: park.
            too_many = self._park(letters)
            self._crash_poison.forget_settled(self._connection, batch)
            # Nothing may pass the fence before the brokers confirm the topics.
            verify()
            # 4: fence.
            advances = _advances(batch, self._routes, results)
            fenced = self._fence(batch, advances)
            if fenced:
                moved_on = self._follow_generation()
                self._transaction.rollback()
                return None if moved_on else SettledBatch(fenced=fenced)
            ended = self._note_replays(batch, advances)
            other_payloads = self._count_other_payloads(batch, results.values())
            # 5: COMMIT.
            self._transaction.commit()
        except BaseException:
            self._transaction.rollback()
            raise
        finally:
            # Their texts are written, and their frames hold the whole batch.
            for letter in letters:
                forget_frames(letter.error)
        # Only what is committed is remembered and counted.
        SAME_ID_OTHER_PAYLOAD.inc(other_payloads)
        if self._limits.order is Order.KEY:
            self._parked_keys.remember(letters)
        self._letter_limit.passed(too_many)
        self._crash_poison.settled(batch)
        for route in self._routes:
            self._evidence.settled(route.route_id)
        addresses = {each.partition_id: each.address for each in batch.partitions.values()}
        return SettledBatch(
            settlements={addresses[a.partition_id]: a.settlement for a in advances},
            elsewhere=ended,
            too_many_letters=_addresses(batch, too_many),
        )

    def _settle_route(self, route: BoundRoute, batch: Batch, on_started: Callable[[], None]) -> RouteResult:
        """Claim the events of a route and apply the new ones; return what was not applied."""
        events = batch.of_route(route.name)
        self._crash_poison.mark(route.route_id, events)
        self._hand_parked.mark(route.route_id, events)
        try:
            return settle_route(self._context, route, events, self._held_keys(route, events), on_started)
        except SmallerBatchError as error:
            if batch.records == 1:
                self._lone.weigh_slow(route, events, error)
                self._crash_poison.failed_alone(route.route_id, batch, error)
            raise
        except TryAgainError as error:
            if is_connection_loss(error):
                self._crash_poison.lost(route.route_id, batch, error)
            raise

    def _park(self, letters: Sequence[DeadLetter]) -> frozenset[int]:
        """Write the dead letters; return the ids of the partitions that have too many of them now.

        A dead letter above the limit is kept as well.
        """
        if not letters:
            return frozenset()
        self._dead_letters.park(self._connection, letters)
        if self._copies is not None:
            self._copies.add(self._connection, letters)
        failpoint(Failpoint.PARKED)
        return self._letter_limit.above_after(self._connection, letters)

    def _count_other_payloads(self, batch: Batch, results: Iterable[RouteResult]) -> int:
        """Count the conflicting payloads in the ledger; return their total.

        Runs after the fence, which has locked the ledger rows. They are rare enough for a statement
        of their own.
        """
        total: Counter[int] = Counter()
        for result in results:
            total.update(result.other_payloads)
        for part in batch.partitions.values():
            if part.replay is not None:
                del total[part.partition_id]
        for partition_id, count in total.items():
            if count:
                self._ledger.count_other_payloads(self._connection, partition_id, count)
        return total.total()

    def _note_replays(self, batch: Batch, advances: Sequence[OffsetAdvance]) -> frozenset[TopicPartition]:
        """Record the progress of replays; return the partitions whose replay ended.

        Runs after the fence, which has locked the ledger rows. A partition whose replay ended
        returns to its previous offset.
        """
        ended = set()
        for part, advance in zip(batch.partitions.values(), advances, strict=True):
            if (replay := part.replay) is None:
                continue
            by = f"replay {replay.replay_id}"
            self._dead_letters.resolve_applied(self._connection, part.partition_id, part.before, part.after, by)
            self._replays.note(self._connection, replay.replay_id, advance)
            if part.after >= replay.until_offset:
                self._replays.end(self._connection, replay.replay_id, [part.partition_id], ReplayState.SETTLED)
                ended.add(part.address)
        return frozenset(ended)

    def _fence(self, batch: Batch, advances: Sequence[OffsetAdvance]) -> frozenset[TopicPartition]:
        """Move the ledger; return the partitions that the fence refused.

        Raises:
            HaltError: a newer deployment changed the set of routes.
        """
        moved, transaction_id = self._ledger.fence(
            self._connection,
            advances,
            owner=self._owner,
            routes_revision=self._routes_revision,
            generation=self._claim_store.generation,
        )
        failpoint(Failpoint.FENCED)
        self._transaction.check_unbroken(transaction_id)
        lost = missing(advances, moved)
        if lost and self._ledger.revisions(self._connection).routes != self._routes_revision:
            raise HaltError(
                "a newer deployment of this sink changed the set of routes; this worker stops, so that no event "
                "skips the new routes: roll the deployment out to all workers"
            )
        return frozenset(each.address for each in batch.partitions.values() if each.partition_id in lost)

    def _follow_generation(self) -> bool:
        """Follow the current generation; return whether it differs from the one used until now."""
        now = self._ledger.revisions(self._connection).generation
        before, self._claim_store.generation = self._claim_store.generation, now
        return now != before

    def _learn_older_claims(self) -> None:
        """Read which ids may have a claim in an older generation, at most once a second.

        While this is unknown, every id is looked up in the older generations.
        """
        if self._claim_store.knows_older or time.monotonic() - self._older_asked_at < _OLDER_LOOK_SECONDS:
            return
        self._older_asked_at = time.monotonic()
        self._claim_store.learn_older(self._connection)


def _address(batch: Batch, partition_id: int) -> TopicPartition:
    return next(each.address for each in batch.partitions.values() if each.partition_id == partition_id)


def _addresses(batch: Batch, partition_ids: frozenset[int]) -> frozenset[TopicPartition]:
    return frozenset(each.address for each in batch.partitions.values() if each.partition_id in partition_ids)


def _advances(batch: Batch, routes: Sequence[BoundRoute], results: Mapping[str, RouteResult]) -> list[OffsetAdvance]:
    return [
        OffsetAdvance(
            each.partition_id,
            each.owner_epoch,
            each.before,
            each.after,
            _settlement(each, routes, results),
            each.leader_epoch,
        )
        for each in batch.partitions.values()
    ]


def _settlement(part: PartitionBatch, routes: Sequence[BoundRoute], results: Mapping[str, RouteResult]) -> Settlement:
    total = Settlement()
    for route in routes:
        events = part.events_of(route.name)
        if events is None:
            continue
        duplicate = results[route.name].duplicates[part.partition_id]
        parked = results[route.name].set_aside[part.partition_id]
        total.add(Settlement(len(events.ids) - duplicate - parked, duplicate, events.filtered, parked))
    return total


def resolved(batch: Batch, mine: Mapping[TopicPartition, LedgerRow]) -> SettledBatch | None:
    """Return what these ledger rows say of a batch whose COMMIT was not answered.

    Args:
        mine: the rows of the ledger that this worker still owns.

    Returns:
        The batch as settled or fenced, or None if nothing of the batch was committed.
    """
    done, behind = [], []
    for address, part in batch.partitions.items():
        row = mine.get(address)
        if row is None or row.owner_epoch != part.owner_epoch:
            behind.append(address)
        elif row.next_offset == part.after:
            done.append(address)
        elif row.next_offset != part.before:
            behind.append(address)
    if behind:
        return SettledBatch(fenced=frozenset(behind))
    # The endings of this batch are counted in the ledger but are not known here.
    return SettledBatch(settlements={address: Settlement() for address in done}) if done else None
