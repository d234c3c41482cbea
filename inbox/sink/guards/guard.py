"""The phases of a batch's transaction in which a guard may look, act, or refuse by raising.

    begin · claim and apply · park · before_fence · fence · after_fence · COMMIT · committed

A guard watches one concern, and implements only the phases that it needs. The order of the guards
is that of the list in `inbox.bootstrap.settler`.
"""

from collections.abc import Sequence

from inbox.sink.batch import Batch
from inbox.sink.outcome import BatchOutcome
from inbox.store.inbox.ledger import LedgerRow


class Guard:
    """The base of all guards, whose phases do nothing."""

    def acquired(self, partition_ids: Sequence[int]) -> None:
        """Learn what concerns these partitions, before any of their batches."""

    def check_idle(self, ledger_rows: Sequence[LedgerRow]) -> None:
        """Check the ledger rows that were read between batches."""

    def begin(self, batch: Batch) -> None:
        """Start what must be known by the fence; the transaction begins next."""

    def is_ready(self, seconds: float) -> bool:
        """Return whether `before_fence` does not have to wait, after a wait of at most this long."""
        return True

    def before_fence(self, outcome: BatchOutcome) -> None:
        """Refuse the batch, or write what must be committed with it; the dead letters are written."""

    def after_fence(self, outcome: BatchOutcome) -> None:
        """Write what needs the ledger's rows locked; COMMIT comes next."""

    def committed(self, outcome: BatchOutcome) -> None:
        """Remember what is committed."""

    def rolled_back(self, error: BaseException | None) -> None:
        """Forget the batch: its transaction failed with this error, or the fence refused it."""

    def close(self) -> None:
        """Close what the guard has opened."""


class Guards(Guard):
    """The guards of a transaction, in their order."""

    def __init__(self, *guards: Guard) -> None:
        self._guards = guards

    def acquired(self, partition_ids: Sequence[int]) -> None:
        for guard in self._guards:
            guard.acquired(partition_ids)

    def check_idle(self, ledger_rows: Sequence[LedgerRow]) -> None:
        for guard in self._guards:
            guard.check_idle(ledger_rows)

    def begin(self, batch: Batch) -> None:
        for guard in self._guards:
            guard.begin(batch)

    def is_ready(self, seconds: float) -> bool:
        return all(guard.is_ready(seconds) for guard in self._guards)

    def before_fence(self, outcome: BatchOutcome) -> None:
        for guard in self._guards:
            guard.before_fence(outcome)

    def after_fence(self, outcome: BatchOutcome) -> None:
        for guard in self._guards:
            guard.after_fence(outcome)

    def committed(self, outcome: BatchOutcome) -> None:
        for guard in self._guards:
            guard.committed(outcome)

    def rolled_back(self, error: BaseException | None) -> None:
        for guard in self._guards:
            guard.rolled_back(error)

    def close(self) -> None:
        for guard in self._guards:
            guard.close()
