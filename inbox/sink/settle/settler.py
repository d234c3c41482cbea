"""Settle a batch in one transaction: claim, apply, park, fence, COMMIT.

The steps keep one promise: every offset of the batch is settled, or none is.

1. Claim: insert the claims of a route's events. An event whose claim exists already is a duplicate.
2. Apply: call the route's handler, or write its table. Steps 1 and 2 run for one route after
another.
3. Park: write the events that cannot be applied to `dead_letters`.
4. Fence: move the ledger. The fence fails if another worker owns a partition now.
5. COMMIT: claims, effects, dead letters and ledger become visible together.

Where nothing is parked, 4 and 5 are sent with the last statement of 2 (`inbox.sink.flight`).

`Settler._settle_once` is these five steps, with the guards (`inbox.sink.guards.guard`) between
them. A failure before COMMIT rolls everything back. After a COMMIT without an answer,
`Settler.resolve` reads the outcome from the ledger.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inbox.errors import HaltError, OrderHaltError, UnconfirmedError, forget_frames
from inbox.events import TopicPartition
from inbox.failpoints import Failpoint, failpoint
from inbox.log_lines import log
from inbox.sink.batch import Batch
from inbox.sink.flight import CommitInFlight
from inbox.sink.guards.guard import Guard
from inbox.sink.guards.row_waits import RowMissingError
from inbox.sink.guards.row_watch import RowWatch
from inbox.sink.outcome import BatchOutcome, LettersTried, SettledBatch, address_of_id, addresses_of
from inbox.sink.settle.all_routes import Routes
from inbox.sink.settle.dead_lettering import DeadLetterWriter
from inbox.sink.settle.ownership import Ownership
from inbox.store.inbox.claims import GenerationChanged
from inbox.store.inbox.ledger import LedgerRow, missing
from inbox.store.store import Store


@dataclass(frozen=True)
class WorkerIdentity:
    """The identity of a worker for the fence: its name as an owner, and the set of routes that it started with."""

    owner: str
    routes_revision: int


class Settler:
    """The settler of batches on one database connection."""

    def __init__(
        self,
        store: Store,
        identity: WorkerIdentity,
        *,
        routes: Routes,
        parking: DeadLetterWriter,
        ownership: Ownership,
        guards: Guard,
        row_watch: RowWatch,
        retry_letters: Callable[[Sequence[int]], LettersTried],
    ) -> None:
        self._store = store
        self._transaction = routes.transaction
        self._identity = identity
        self._routes = routes
        self._parking = parking
        self._ownership = ownership
        self._guards = guards
        self._row_watch = row_watch
        self._retry_letters = retry_letters
        store.claims.follow()

    def settle(self, batch: Batch, on_started: Callable[[], None] = lambda: None) -> SettledBatch:
        """Settle the whole batch in one transaction.

        Args:
            on_started: called once the server or a handler is at work.

        Raises:
            TryAgainError: the outcome is unknown or nothing happened; ask the ledger, then settle
                again.
            HaltError: continuing could lose or repeat an event.
        """
        self._row_watch.observe()
        self._routes.control(batch)
        tries_left, confirms = len(self._routes), True
        while True:
            try:
                return self._store.claims.in_current_generation(lambda: self._settle_once(batch, on_started))
            except OrderHaltError as error:
                at = address_of_id(batch, error.partition_id)
                return SettledBatch(rows_missing={at: error.offset}, halt=error)
            except UnconfirmedError:
                if not confirms:
                    raise
                confirms = False
            except RowMissingError as missing_row:
                # A later route of this batch may bring the row. The new order also holds for the next batches.
                tries_left -= 1
                if not tries_left or not self._routes.move_last(missing_row.route):
                    return self._await_row(batch, missing_row)

    def _settle_once(self, batch: Batch, on_started: Callable[[], None]) -> SettledBatch:
        """Claim, apply, park, fence and COMMIT."""
        outcome = BatchOutcome(batch)
        flight = self._flight(outcome)
        self._store.claims.refresh_older()
        try:
            self._guards.begin(batch)
            self._transaction.begin()
            # 1 and 2: claim and apply. Mostly fence and COMMIT are sent behind the last statement.
            self._routes.claim_and_apply(outcome, on_started, flight)
            if not flight.committed:
                # 3: park.
                self._parking.park(outcome.letters)
                # Nothing may pass the fence before the brokers confirm the topics.
                self._guards.before_fence(outcome)
            if not flight.committed and not flight.fence_and_commit():
                # 4: fence.
                fenced = self._fence(outcome)
                if fenced:
                    self._transaction.rollback()
                    self._guards.rolled_back(None)
                    return SettledBatch(fenced=fenced)
                self._guards.after_fence(outcome)
                # 5: COMMIT.
                self._transaction.commit()
        except BaseException as error:
            self._transaction.rollback()
            self._guards.rolled_back(error)
            raise
        finally:
            # Their texts are written, and their frames hold the whole batch.
            for letter in outcome.letters:
                forget_frames(letter.error)
        self._guards.committed(outcome)
        return outcome.settled()

    def _flight(self, outcome: BatchOutcome) -> CommitInFlight:
        return CommitInFlight(
            self._store,
            self._transaction,
            self._guards,
            outcome,
            owner=self._identity.owner,
            routes_revision=self._identity.routes_revision,
        )

    def _fence(self, outcome: BatchOutcome) -> frozenset[TopicPartition]:
        """Move the ledger; return the partitions that the fence refused.

        Raises:
            GenerationChanged: the batch's claims are in the wrong generation.
            HaltError: a newer deployment changed the set of routes.
        """
        advances = outcome.advance()
        moved, transaction_id = self._store.ledger.fence(
            advances,
            owner=self._identity.owner,
            routes_revision=self._identity.routes_revision,
            generation=self._store.claims.generation,
        )
        failpoint(Failpoint.FENCED)
        self._transaction.check_unbroken(transaction_id)
        if lost := missing(advances, moved):
            self._require_current()
        return addresses_of(outcome.batch, lost)

    def _require_current(self) -> None:
        """Raise if the fence refused the batch because of its routes or the generation of its claims."""
        if self._store.ledger.revisions().routes != self._identity.routes_revision:
            raise HaltError(
                "a newer deployment of this sink changed the set of routes; this worker stops, so that no event "
                "passes the new routes by: roll the deployment out to all workers"
            )
        try:
            self._store.claims.require_current()
        except GenerationChanged:
            log().info("generation-changed", generation=self._store.claims.generation)
            raise

    def _await_row(self, batch: Batch, missing_row: RowMissingError) -> SettledBatch:
        """Begin to wait for the missing row; return that nothing moved."""
        self._row_watch.begin(missing_row)
        return SettledBatch(rows_missing={address_of_id(batch, missing_row.partition_id): missing_row.offset})

    def acquire(self, partitions: Sequence[TopicPartition]) -> list[LedgerRow]:
        """Become the owner of the partitions."""
        return self._ownership.acquire(partitions)

    def read_ledger(self, topics: Sequence[str]) -> list[LedgerRow]:
        """Return the ledger rows of the topics, with the partitions that have too many dead letters marked.

        Raises:
            HaltError: a log is not the one that the ledger knows.
        """
        return self._ownership.read_ledger(topics)

    def retry_letters(self, partition_ids: Sequence[int]) -> LettersTried:
        """Try the parked events of these partitions again whose time has come, for a short time.

        Raises:
            TryAgainError: the connection was lost.
            HaltError: a handler ended the transaction.
        """
        return self._retry_letters(partition_ids)

    def resolve(self, batch: Batch) -> SettledBatch | None:
        """Return what the ledger says of a batch whose COMMIT was not answered.

        Returns:
            The batch as settled or fenced, or None if nothing of the batch was committed.
        """
        return self._ownership.resolve(batch)

    def close(self) -> None:
        """Close both connections: the one for notes and the one of the batches."""
        self._guards.close()
        self._store.close()
