"""Send the fence and the COMMIT of a batch behind its last statements, without waiting for an answer in between.

PostgreSQL executes no statement of a pipeline behind a failed one (manual, "Pipeline Mode"). So the
fence is sent as a statement that fails unless every partition of the batch moves, and COMMIT comes
behind it. If anything fails, the transaction is undone to the mark before the fence, and the
batch ends as without a flight: each answer is read before the next statement is sent.
"""

from inbox.errors import InboxError
from inbox.failpoints import Failpoint, failpoint
from inbox.sink.guards.guard import Guard
from inbox.sink.outcome import BatchOutcome
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.store import Store

_PATIENCE_SECONDS = 0.05
"""The longest wait in seconds for the brokers while the statements of a flight are under way.

Nothing but this bounds how long the server holds the flight's locks if the brokers do not answer.
"""


class CommitInFlight:
    """The fence and the COMMIT of one batch; `committed` says whether they succeeded in a flight."""

    def __init__(
        self,
        store: Store,
        transaction: BatchTransaction,
        guards: Guard,
        outcome: BatchOutcome,
        *,
        owner: str,
        routes_revision: int,
    ) -> None:
        self._store = store
        self._transaction = transaction
        self._guards = guards
        self._outcome = outcome
        self._owner = owner
        self._routes_revision = routes_revision
        self.committed = False

    def is_ready(self) -> bool:
        """Return whether the batch can end in the flight that is under way.

        No event may have been set aside, and no guard may have to read or write anything else.
        """
        outcome = self._outcome
        return self._needs_no_answer() and not outcome.letters and self._guards.is_ready(_PATIENCE_SECONDS)

    def _needs_no_answer(self) -> bool:
        """Return whether nothing has to be judged between the fence and COMMIT. Handlers may end a transaction."""
        outcome = self._outcome
        if self._transaction.runs_handlers or any(part.replay for part in outcome.batch.partitions.values()):
            return False
        return not any(each.other_payloads.total() or each.unknown_members for each in outcome.results.values())

    def send(self) -> None:
        """Send the fence and COMMIT in the pipeline, behind all statements of the batch."""
        failpoint(Failpoint.HANDLED)
        self._guards.before_fence(self._outcome)
        self._send_end()

    def _send_end(self) -> None:
        self._store.ledger.send_fence(
            self._outcome.advance(),
            owner=self._owner,
            routes_revision=self._routes_revision,
            generation=self._store.claims.generation,
        )
        failpoint(Failpoint.FENCED)
        self._guards.after_fence(self._outcome)
        self._transaction.send_commit()

    def confirm(self) -> None:
        """Record that the COMMIT was answered; raise TryAgainError unless the answer is COMMIT."""
        self._transaction.confirm_commit()
        self.committed = True

    def fence_and_commit(self) -> bool:
        """Send fence and COMMIT in a flight of their own.

        Returns:
            False where nothing happened, because the fence refused the batch or an answer is needed.

        Raises:
            TryAgainError: the COMMIT failed, or its result is unknown.
        """
        if not self._needs_no_answer():
            return False
        try:
            with self._transaction.pipeline():
                self._transaction.mark()
                self._send_end()
        except InboxError as error:
            if not self._transaction.marks_reached():
                raise
            self._transaction.require_open(error)
            self._transaction.undo_to_mark()
            return False
        self.confirm()
        return True
