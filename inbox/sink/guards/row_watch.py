"""Connect the waits for missing rows to the ledger and to the ends of the logs."""

import time
from collections.abc import Callable, Mapping, Sequence

from inbox.errors import InboxError, TryAgainError
from inbox.events import TopicPartition, address
from inbox.log_lines import log
from inbox.sink.guards.row_waits import RowMissingError, RowWaits
from inbox.store.inbox.ledger import Ledger

Ends = Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int]]

_TELL_SECONDS = 60.0


class RowWatch:
    """The watch that lets events wait for rows of other events.

    `waits` outlives a connection. `ends` asks the brokers for the ends of the logs.
    """

    def __init__(self, waits: RowWaits, ledger: Ledger, topics: Sequence[str], ends: Ends) -> None:
        self.waits = waits
        self._ledger = ledger
        self._topics = topics
        self._ends = ends
        self._reported_at: dict[int, float] = {}

    def observe(self) -> None:
        """Read the ledger's progress if any partition waits."""
        if self.waits:
            rows = self._ledger.read(self._topics)
            self.waits.observe({row.partition_id: row.next_offset for row in rows})

    def begin(self, missing: RowMissingError) -> None:
        """Begin a wait, unless the partition already waits at this event."""
        if self.waits.waits_at(missing.partition_id, missing.offset):
            return
        rows = {row.address: row for row in self._ledger.read(self._topics)}
        ends = {rows[at].partition_id: end for at, end in self._ends_of(list(rows)).items()}
        settled = {row.partition_id: row.next_offset for row in rows.values()}
        self.waits.begin(missing.partition_id, missing.offset, ends, settled)
        for at, row in rows.items():
            if row.partition_id == missing.partition_id:
                self._tell(at, missing)

    def _ends_of(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        try:
            return self._ends(partitions)
        except TryAgainError:
            raise
        except InboxError:
            # For instance, a topic is gone: it is unknown what it would have brought.
            return {}

    def _tell(self, at: TopicPartition, missing: RowMissingError) -> None:
        now = time.monotonic()
        if now - self._reported_at.get(missing.partition_id, -_TELL_SECONDS) >= _TELL_SECONDS:
            self._reported_at[missing.partition_id] = now
            log().info("row-awaited", route=missing.route, address=address(*at, missing.offset))
