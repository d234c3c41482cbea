"""The database transaction of a batch: attempts that can be undone, and a COMMIT that is checked."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import LiteralString, cast

import psycopg
from psycopg import errors, pq

from inbox.errors import HaltError, InboxError, TryAgainError
from inbox.failpoints import Failpoint, failpoint
from inbox.log_lines import log
from inbox.store.postgres import session_settings
from inbox.store.postgres.connection import Connection, Ends
from inbox.telemetry import COMMIT_SECONDS

_DEFERRABLE = """
SELECT count(*) > 0, coalesce(string_agg(DISTINCT format('%I.%I', n.nspname, c.conname), ', ') FILTER (
    WHERE NOT c.condeferred AND NOT EXISTS (
        SELECT FROM pg_constraint d
        WHERE d.connamespace = c.connamespace AND d.conname = c.conname AND d.condeferred
    )
), '')
FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
WHERE c.condeferrable AND n.nspname NOT LIKE 'pg\\_temp\\_%' AND NOT EXISTS (
    SELECT FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid
    WHERE t.tgconstraint = c.oid AND t.tgname = 'partitions_guard' AND f.proname = 'guard_ledger'
)
"""
"""Returns whether deferrable constraints exist, and the names of those that are checked immediately by default.

The guard of a ledger, of this sink or of another one in the database, is left out: no event can violate it.
"""

_BROKEN = (
    "a handler ended the sink's {what}: claims were committed outside the fence; remove COMMIT or ROLLBACK from the "
    "handler, then check with `inbox audit`"
)


_LEFT_BEHIND = """
SELECT pg_catalog.current_setting('search_path'), EXISTS (
    SELECT FROM pg_catalog.pg_locks
    WHERE locktype OPERATOR(pg_catalog.=) 'advisory'::pg_catalog.text
        AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
)
"""
"""Finds what outlives a transaction and deserves a warning: handlers of the next transaction would find it.

The search path may be any here, so each name has its schema.
"""


class BatchTransaction:
    """The steps between BEGIN and COMMIT on a connection in autocommit mode.

    Every step raises TryAgainError where the connection broke.

    A failed attempt is undone by restarting the transaction while it holds nothing else, and
    otherwise by a rollback to a savepoint. Handlers always have a savepoint: it is gone if they
    ended the transaction. An attempt consists of steps, each of which can be undone alone.
    """

    def __init__(self, connection: Connection, *, handlers: bool) -> None:
        self._connection = connection
        self._handlers = handlers
        self._clean = True
        self._stepping = False
        self._marks: list[psycopg.Cursor[tuple[object, ...]]] = []
        self._transaction_id: str | None = None
        self._commit: psycopg.Cursor[tuple[object, ...]] | None = None
        self._commit_sent_at = 0.0
        self._deferred_checks = _deferred_checks(connection)

    @property
    def defers(self) -> bool:
        """Return whether a change may be refused only later, when deferred constraints are checked."""
        return bool(self._deferred_checks)

    def begin(self) -> None:
        """Begin; without handlers BEGIN travels with the first pipeline, or goes before any other statement."""
        self._deferred_checks = _deferred_checks(self._connection)
        self._connection.begin_with_next()
        self._commit = None
        if self._handlers:
            with self._connection.pipelined():
                asked = self._connection.execute("SELECT pg_current_xact_id()::text")
            row = asked.fetchone()
            self._transaction_id = row[0] if row else None
        self._clean = not self._handlers
        failpoint(Failpoint.BEGUN)

    def keep(self) -> None:
        """Keep what was done so far when an attempt is undone."""
        self._clean = False

    def start_attempt(self) -> None:
        self._stepping = False
        if not self._clean:
            self._connection.execute("SAVEPOINT attempt")

    @property
    def runs_handlers(self) -> bool:
        return self._handlers

    @contextmanager
    def pipeline(self) -> Iterator[None]:
        """Send statements while earlier ones are in progress; at the end all were answered.

        Raises the error of the first statement that failed; no later statement was executed.
        """
        if self._connection.info.transaction_status in (pq.TransactionStatus.INERROR, pq.TransactionStatus.IDLE):
            self._require_intact()
        self._marks.clear()
        with self._connection.pipelined():
            yield

    def mark(self) -> None:
        """Set a mark: what the pipeline did so far can stay if a later statement fails."""
        self._marks.append(self._connection.execute("SAVEPOINT mark"))

    def marks_reached(self) -> int:
        """Return how many of a pipeline's marks were executed before it failed."""
        return sum(mark.pgresult is not None for mark in self._marks)

    def undo_to_mark(self) -> None:
        """Roll back to the last mark that was reached."""
        self._with_savepoint("ROLLBACK TO mark")

    def start_steps(self) -> None:
        """Start steps: what the attempt did so far stays when a step is undone."""
        self._stepping = True
        self._connection.execute("SAVEPOINT step")

    def check_deferred(self) -> None:
        """Check deferred constraints now, while the events that violate them can still be isolated.

        Afterwards each constraint is checked as its definition says: a handler may rely on an
        immediate check.
        """
        if self.defers:
            with self._connection.users_path():
                for statement in ("SET CONSTRAINTS ALL IMMEDIATE", *self._deferred_checks):
                    self._connection.execute(statement)

    def end_step(self) -> None:
        """Keep the step and begin another one."""
        self.check_deferred()
        self._with_savepoint("RELEASE step; SAVEPOINT step")

    def undo_step(self) -> None:
        self._with_savepoint("ROLLBACK TO step")

    def start_probe(self) -> None:
        """Start a probe, which the caller undoes."""
        self._connection.execute("SAVEPOINT probe")

    def undo_probe(self) -> None:
        self._with_savepoint("ROLLBACK TO probe; RELEASE probe")

    def end_attempt(self) -> None:
        """Keep the attempt with its last step."""
        if self._stepping or not self._clean:
            self._with_savepoint("RELEASE step" if self._clean else "RELEASE attempt")
        self._clean = False

    def undo_attempt(self) -> None:
        if self._clean:
            if not self._connection.forget_begin():
                self._connection.execute("ROLLBACK")
            self.begin()
        else:
            self._with_savepoint("ROLLBACK TO attempt")
            self._with_savepoint("RELEASE attempt")

    def _with_savepoint(self, statement: str) -> None:
        try:
            # Not prepared: a message of several statements cannot be.
            self._connection.execute(statement.encode(), prepare=False)
        except TryAgainError as error:
            if isinstance(error.__cause__, errors.InvalidSavepointSpecification | errors.NoActiveSqlTransaction):
                raise HaltError(_BROKEN.format(what="transaction")) from error
            raise

    def check_unbroken(self, transaction_id: str | None) -> None:
        """Raise HaltError where a handler ended the transaction that holds the claims."""
        if self._transaction_id is not None and transaction_id not in (None, self._transaction_id):
            raise HaltError(_BROKEN.format(what=f"transaction {self._transaction_id} (now in {transaction_id})"))

    def commit(self) -> None:
        """Commit, and accept only a COMMIT as the answer.

        psycopg reports the COMMIT of an aborted transaction as a success; PostgreSQL's command tag
        then says ROLLBACK (manual, section "COMMIT").

        Raises:
            TryAgainError: the transaction was rolled back, or its result is unknown: the ledger has the answer.
        """
        self._require_intact()
        if self._handlers and self._connection.is_pooled:
            self._tidy_up()  # what comes after COMMIT may reach another session
        try:
            self.send_commit()
        except InboxError as error:
            raise _not_committed(f"COMMIT did not succeed: {error}", error) from error
        self.confirm_commit()
        if self._handlers and not self._connection.is_pooled:
            # The batch is committed; the next batch will find that the connection broke.
            with suppress(TryAgainError):
                self._tidy_up()

    def _require_intact(self) -> None:
        if (
            self._connection.info.transaction_status != pq.TransactionStatus.INTRANS
            and not self._connection.begins_next
        ):
            raise _not_committed("the transaction was aborted before its COMMIT")

    def send_commit(self) -> None:
        """Send COMMIT, in a pipeline behind statements that fail where the batch must not be committed.

        PostgreSQL executes no statement of a pipeline behind a failed one (manual, "Pipeline Mode").
        If something between the two sent it nevertheless, it would end an aborted transaction, whose
        tag is ROLLBACK.
        """
        failpoint(Failpoint.COMMIT_SENT)
        self._commit_sent_at = time.perf_counter()
        self._commit = self._connection.execute("COMMIT", prepare=False)

    def confirm_commit(self) -> None:
        """Return if the COMMIT that was sent was answered, and answered with COMMIT.

        Raises:
            TryAgainError: the transaction was rolled back.
        """
        tag = self._commit.statusmessage if self._commit is not None else None
        if tag != "COMMIT":
            raise _not_committed(f"the transaction was not committed: PostgreSQL answered {tag}")
        COMMIT_SECONDS.observe(time.perf_counter() - self._commit_sent_at)
        failpoint(Failpoint.COMMITTED)

    def require_open(self, error: InboxError) -> None:
        """Return if the pipeline failed before its COMMIT, so that the transaction can be undone to a mark.

        Raises:
            InboxError: the error, if no COMMIT was sent: a guard refused the batch.
            TryAgainError: the COMMIT failed, or its result is unknown: the ledger has the answer.
        """
        if self._commit is None:
            raise error
        if self._connection.info.transaction_status != pq.TransactionStatus.INERROR:
            raise _not_committed(f"COMMIT did not succeed: {error}", error) from error

    def _tidy_up(self) -> None:
        """Remove what handlers left in the session, and report it."""
        statements = f"{_LEFT_BEHIND}; {self._connection.tidying()}"
        row = self._connection.execute(statements.encode(), prepare=False).fetchone()
        search_path, locked = row or ("", False)
        if not self._connection.is_pooled and search_path != session_settings.OWN_PATH:
            log().warning("handler-changed-search-path", found=search_path, put_back=session_settings.OWN_PATH)
        if locked:
            log().warning("handler-kept-a-lock", remedy="use pg_advisory_xact_lock, which ends with the transaction")

    def rollback(self) -> None:
        """Roll back if possible; otherwise close the connection, which has the same effect."""
        self._connection.ends = Ends.ALLOWED
        self._connection.deferred_checks = None
        if self._connection.forget_begin():
            return
        # ROLLBACK undoes what handlers SET, but not their session locks. One message holds it all: behind
        # a pooler another message may reach another session.
        try:
            tidying = f"; {self._connection.tidying()}" if self._handlers else ""
            self._connection.execute(f"ROLLBACK{tidying}".encode(), prepare=False)
        except InboxError:
            self._connection.close()


def _not_committed(text: str, cause: InboxError | None = None) -> TryAgainError:
    if isinstance(cause, TryAgainError):
        return TryAgainError(text, away=cause.away, reason=cause.reason, alert=cause.alert)
    return TryAgainError(text, away="database", reason="aborted", alert=cause is not None)


def _deferred_checks(connection: Connection) -> Sequence[LiteralString]:
    """Return the statements that restore constraints after a check.

    There are none without deferrable constraints, which saves a round trip. Asked once per
    connection, and again after a batch was rolled back: constraints may have been added or dropped.
    """
    if connection.deferred_checks is None:
        any_deferrable, immediate = connection.execute(_DEFERRABLE).fetchone() or (False, "")
        # This is the server's own text.
        again = (f"SET CONSTRAINTS {cast(LiteralString, immediate)} IMMEDIATE",) if immediate else ()
        connection.deferred_checks = ("SET CONSTRAINTS ALL DEFERRED", *again) if any_deferrable else ()
    return connection.deferred_checks
