"""Own partitions in the ledger: take them over from their last owner, and read what the ledger says of them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from inbox.events import TopicPartition
from inbox.log_lines import log
from inbox.sink.batch import Batch
from inbox.sink.guards.dead_letter_limit import LetterLimit
from inbox.sink.guards.guard import Guard
from inbox.sink.outcome import SettledBatch, addresses_of, resolved
from inbox.sink.settle.parked_keys import ParkedKeysGuard
from inbox.store.inbox.control.holds import are_held
from inbox.store.inbox.ledger import LedgerRow, OpenSession
from inbox.store.privileges.check import hidden_owners_remedy
from inbox.store.store import Store

_TAKEOVER_LOOK_SECONDS = 0.05

Introduce = Callable[[Store, Sequence[TopicPartition]], None]


class Ownership:
    """The partitions of one owner, on one connection.

    Args:
        introduce: adds to the ledger the partitions that were created after the sink started.
        takeover_seconds: how long a previous owner's transaction may stay open before its session
            is ended. With 0 it is neither awaited nor ended.
    """

    def __init__(
        self,
        store: Store,
        owner: str,
        guards: Guard,
        letter_limit: LetterLimit,
        parked_keys: ParkedKeysGuard,
        *,
        introduce: Introduce,
        takeover_seconds: float,
    ) -> None:
        self._store = store
        self._ledger = store.ledger
        self._owner = owner
        self._guards = guards
        self._letter_limit = letter_limit
        self._parked_keys = parked_keys
        self._introduce = introduce
        self._takeover_seconds = takeover_seconds
        self._ledger.record_session(owner)

    def acquire(self, partitions: Sequence[TopicPartition]) -> list[LedgerRow]:
        """Become the owner of the partitions; the guards learn what concerns them."""
        self._warn_of_hidden_owners(partitions)
        lingering = self._await_owners(partitions)
        ledger_rows = self._ledger.acquire(partitions, self._owner)
        for session in lingering:
            log().warning(
                "session-ended",
                pid=session.pid,
                reason="its worker lost the partitions and did not end its transaction",
            )
            self._ledger.end_session(session)
        found = {ledger_row.address for ledger_row in ledger_rows}
        if added := [partition for partition in partitions if partition not in found]:
            self._introduce(self._store, added)
            ledger_rows += self._ledger.acquire(added, self._owner)
        partition_ids = [ledger_row.partition_id for ledger_row in ledger_rows]
        self._guards.acquired(partition_ids)
        active = self._store.replays.active(partition_ids)
        return self._with_holds(
            [
                self._marked(ledger_row)._replace(replay=active.get(ledger_row.partition_id))
                for ledger_row in ledger_rows
            ]
        )

    def _with_holds(self, rows: list[LedgerRow]) -> list[LedgerRow]:
        holds = self._store.holds.in_force()
        return [row._replace(held=are_held(holds, row.address)) for row in rows] if holds else rows

    def _marked(self, row: LedgerRow) -> LedgerRow:
        return row._replace(too_many_letters=self._letter_limit.is_above(row.partition_id))

    def _warn_of_hidden_owners(self, partitions: Sequence[TopicPartition]) -> None:
        topics = sorted({partition.topic for partition in partitions})
        if roles := self._ledger.hidden_owners(topics):
            log().warning("owners-hidden", roles=roles, remedy=hidden_owners_remedy(self._store.connection, roles))

    def _await_owners(self, partitions: Sequence[TopicPartition]) -> list[OpenSession]:
        """Wait until the previous owners' transactions end; return those still open at the deadline.

        The open transaction of a stopped worker holds claims that this worker may need.
        """
        deadline = time.monotonic() + self._takeover_seconds
        while sessions := self._ledger.open_sessions(partitions, self._owner):
            if time.monotonic() >= deadline:
                return sessions if self._takeover_seconds else []
            time.sleep(_TAKEOVER_LOOK_SECONDS)
        return []

    def read_ledger(self, topics: Sequence[str]) -> list[LedgerRow]:
        """Return the ledger rows of the topics, with the partitions that have too many dead letters marked.

        Raises:
            HaltError: a log is not the one that the ledger knows.
        """
        ledger_rows = self._ledger.read(topics)
        self._guards.check_idle(ledger_rows)
        mine = [row.partition_id for row in ledger_rows if row.owner == self._owner]
        above = self._letter_limit.still_above(mine)
        return self._with_holds([row._replace(too_many_letters=row.partition_id in above) for row in ledger_rows])

    def resolve(self, batch: Batch) -> SettledBatch | None:
        """Return what the ledger says of a batch whose COMMIT was not answered.

        Returns:
            The batch as settled or fenced, or None if nothing of the batch was committed.
        """
        topics = sorted({address.topic for address in batch.partitions})
        rows = {row.address: row for row in self.read_ledger(topics) if row.owner == self._owner}
        ids = [each.partition_id for each in batch.partitions.values()]
        # If the COMMIT succeeded, it parked keys that this worker has not remembered.
        self._parked_keys.acquired(ids)
        settled = resolved(batch, rows)
        if settled is None or settled.fenced:
            return settled
        return replace(settled, too_many_letters=addresses_of(batch, self._letter_limit.above(ids)))
