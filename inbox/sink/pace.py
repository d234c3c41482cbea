"""Let all workers of a sink together settle at most so many events a second.

A worker takes its batch's turn in the budget that the database has for all of them, waits until
then on the writer's thread, and settles the batch. The polling thread keeps the worker in its group
meanwhile. A turn costs one statement for a batch, and an idle worker takes none.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from inbox.events import TopicPartition
from inbox.sink.batch import Batch
from inbox.sink.outcome import LettersTried, SettledBatch
from inbox.sink.writer_thread import BatchSettler
from inbox.store.inbox.control.budgets import Budgets
from inbox.store.inbox.ledger import ActiveReplay, LedgerRow

_BATCHES_PER_SECOND = 8
_BUDGET = "sink"


class Pace:
    """The wait of one worker for its turns.

    `waited_seconds` is how long the last batch waited.
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._hurried = threading.Event()
        self.waited_seconds = 0.0

    @property
    def batch_events(self) -> int:
        """Return how many events a batch may have at most, so that no turn takes long."""
        return max(1, self._per_second // _BATCHES_PER_SECOND)

    def await_turn(self, budgets: Budgets, events: int) -> None:
        """Take the turn of so many events, and wait for it."""
        self.waited_seconds = max(0.0, budgets.take_turn(_BUDGET, events, per_second=self._per_second))
        if self.waited_seconds and self._hurried.wait(self.waited_seconds):
            self._hurried.clear()

    def hurry(self) -> None:
        """Let a batch that waits go now: the worker stops, or gives partitions away."""
        self._hurried.set()


class PacedSettler:
    """A settler whose batches wait for their turn, and whose partitions rest after a part of a replay."""

    def __init__(self, settler: BatchSettler, budgets: Budgets, pace: Pace | None) -> None:
        self._settler = settler
        self._budgets = budgets
        self._pace = pace

    def acquire(self, partitions: Sequence[TopicPartition]) -> list[LedgerRow]:
        return self._settler.acquire(partitions)

    def read_ledger(self, topics: Sequence[str]) -> list[LedgerRow]:
        return self._settler.read_ledger(topics)

    def settle(self, batch: Batch, on_started: Callable[[], None]) -> SettledBatch:
        """Settle the batch when it is its turn."""
        if self._pace is not None and batch.records:
            self._pace.await_turn(self._budgets, batch.records)
        settled = self._settler.settle(batch, on_started)
        return replace(settled, rests=rests) if (rests := self._rests(batch, settled)) else settled

    def _rests(self, batch: Batch, settled: SettledBatch) -> dict[TopicPartition, float]:
        """Take the turns of what was settled of replays with a speed; return how long each partition rests."""
        events: Counter[ActiveReplay] = Counter()
        for at, part in batch.partitions.items():
            if part.replay is not None and part.replay.per_second is not None and at in settled.settlements:
                events[part.replay._replace(until_offset=0)] += part.records
        seconds = {replay.replay_id: self._turn(replay, count) for replay, count in events.items()}
        return {
            at: seconds[part.replay.replay_id]
            for at, part in batch.partitions.items()
            if part.replay is not None and part.replay.replay_id in seconds and at in settled.settlements
        }

    def _turn(self, replay: ActiveReplay, events: int) -> float:
        per_second = float(replay.per_second or 1)
        turn = self._budgets.take_turn(f"replay {replay.replay_id}", events, per_second=per_second)
        return turn + events / per_second

    def retry_letters(self, partition_ids: Sequence[int]) -> LettersTried:
        return self._settler.retry_letters(partition_ids)

    def resolve(self, batch: Batch) -> SettledBatch | None:
        return self._settler.resolve(batch)

    def close(self) -> None:
        self._settler.close()
