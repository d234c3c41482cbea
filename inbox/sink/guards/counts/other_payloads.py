"""Count the events whose id was applied before with another payload."""

from collections import Counter

from inbox.sink.guards.guard import Guard
from inbox.sink.outcome import BatchOutcome
from inbox.store.inbox.ledger import Ledger
from inbox.telemetry import SAME_ID_OTHER_PAYLOAD


class OtherPayloads(Guard):
    """The counter of conflicting payloads, in the ledger and as a metric; a replay counts none again."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def after_fence(self, outcome: BatchOutcome) -> None:
        """Count in the ledger. The conflicts are rare enough for a statement of their own."""
        total: Counter[int] = Counter()
        for result in outcome.results.values():
            total.update(result.other_payloads)
        for part in outcome.batch.partitions.values():
            if part.replay is not None:
                del total[part.partition_id]
        for partition_id, count in total.items():
            if count:
                self._ledger.count_other_payloads(partition_id, count)
        outcome.other_payloads = total.total()

    def committed(self, outcome: BatchOutcome) -> None:
        SAME_ID_OTHER_PAYLOAD.inc(outcome.other_payloads)
