"""The statements of handlers: pipelined, prepared, and unable to end the transaction."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString, cast

import psycopg
from psycopg import pq

from inbox.errors import EventError, InboxError
from inbox.store.postgres.connection import Connection, Ends
from inbox.store.postgres.error_wording import described
from inbox.store.postgres.errors import ABOUT_TYPES, translate, translating_errors
from inbox.store.postgres.handlers.transaction_control import Kind, control_of, refused
from inbox.store.postgres.pipeline import Parameters, Pipeline, Statement

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy import Engine
    from sqlalchemy.engine import ExceptionContext

_OF_ROLES = re.compile(r"\b(role|authorization)\b", re.IGNORECASE)
"""A pattern that every statement to take another role matches; others that match cost a round trip."""

_OF_MODES = re.compile(r"read(?:\s+|_)only\b", re.IGNORECASE)
"""A pattern that every statement to make a transaction read-only matches; others that match cost a round trip."""

_OF_LIMITS = re.compile(r"\bstatement_timeout\b", re.IGNORECASE)

_OF_TEMPORARY = re.compile(r"\btemp(?:orary)?\b", re.IGNORECASE)
"""A pattern that every statement to make a temporary table matches; others that match cost a round trip."""

# Runs on the user's path, so each name has its schema.
_HIDES: LiteralString = """
SELECT pg_catalog.format('%I', made.relname), pg_catalog.format('%I.%I', n.nspname, made.relname)
FROM pg_catalog.pg_class AS made
JOIN pg_catalog.pg_class AS hidden ON hidden.relname OPERATOR(pg_catalog.=) made.relname
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) hidden.relnamespace
WHERE made.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
    AND n.nspname OPERATOR(pg_catalog.=) ANY (pg_catalog.current_schemas(false))
LIMIT 1
"""

_CLOSED = (
    "the handler closed the sink's connection, by close(), invalidate() or dispose(); it stays open, so remove the call"
)

_READ_ONLY = "the handler made the sink's transaction read-only; remove the statement that does"

_NOT_ASKED = ("42601", "42P08", "42P18")
"""EXPLAIN does not take the statement, or a NULL alone says too little: not evidence against the statement."""


class HandlerSession:
    """A connection for the use of its handlers.

    `failure` keeps the first database error: in a pipeline it may surface in a later event's
    handler, and a handler may swallow it.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = self._connection = connection
        self._pipeline = Pipeline(connection)
        self._engine: Engine | None = None
        self._sqlalchemy: sqlalchemy.Connection | None = None
        self._failed_in_sqlalchemy = False
        self._statements: dict[str, Parameters] = {}
        self.failure: InboxError | None = None

    @contextmanager
    def handlers(self) -> Iterator[None]:
        """Let the handlers of one attempt use the connection; at its end every statement was answered.

        Raises:
            EventError: a statement failed for an event of the attempt.
            TryAgainError: the database is away.
        """
        self.failure, self._failed_in_sqlalchemy = None, False
        self._statements.clear()
        factories = self._connection.row_factory, self._connection.cursor_factory
        self._connection.ends = Ends.REFUSED
        try:
            self._send(self._connection.to_users_path)
            self._connection.lends_adapters = True
            yield
            self._connection.lends_adapters = False
            for statement in self._connection.to_own_state:
                self._send(statement)
            with self._noting():
                self._pipeline.sync_and_exit()
            self._forgive_what_a_savepoint_undid()
        finally:
            # A handler that reaches for the driver's connection may have set others.
            self._connection.lends_adapters = False
            self._connection.row_factory, self._connection.cursor_factory = factories
            self._close()
        if self._connection.info.transaction_status == pq.TransactionStatus.INERROR:
            raise EventError("the handler left the transaction aborted; it has to let database errors through")
        if self._executed(_OF_ROLES):
            # The sink's own later statements need the sink's rights.
            for statement in ("RESET SESSION AUTHORIZATION", "RESET ROLE"):
                self._connection.execute(statement)
        self._refuse_what_strikes_others()

    def _refuse_what_strikes_others(self) -> None:
        """Raise EventError where a handler changed the transaction in a way that affects other events."""
        if self._executed(_OF_MODES):
            row = self._connection.execute("SELECT current_setting('transaction_read_only')").fetchone()
            if row == ("on",):
                raise EventError(_READ_ONLY)
        if self._executed(_OF_TEMPORARY):
            with self._connection.users_path():
                hiding = self._connection.execute(_HIDES, prepare=False)
            if (row := hiding.fetchone()) is not None:
                raise EventError(
                    f"the handler left a temporary table {row[0]}, which hides {row[1]} from the handlers of other "
                    "events; drop it in the handler, or give it another name"
                )

    def _executed(self, kind: re.Pattern[str]) -> bool:
        return any(kind.search(query) for query in self._statements)

    def _send(self, query: str) -> None:
        with self._noting():
            if (statement := self._pipeline.taken(query, None)) is not None:
                self._pipeline.send(statement, None)

    def execute(self, query: str, parameters: Parameters = None) -> None:
        self._require_handlers()
        self._statements[query] = parameters
        try:
            if (statement := self._taken(query, parameters)) is not None:
                self._pipeline.send(statement, parameters)
            else:
                self._on_cursor(query, parameters)
        except psycopg.Error as error:
            raise self._noted(error) from error

    def executemany(self, query: str, parameters: Iterable[Sequence[Any] | Mapping[str, Any]]) -> None:
        # Nobody can use the pipeline in between: a list runs no code of the handler.
        rows = parameters if type(parameters) is list else []
        if rows and self._sends_all(query, rows):
            return
        for row in parameters:
            self.execute(query, row)

    def _sends_all(self, query: str, rows: Sequence[Parameters]) -> bool:
        """Send the statement once for each row, if the pipeline takes all of them; return whether it does."""
        self._require_handlers()
        self._statements[query] = rows[0]
        try:
            statement = self._taken(query, rows[0])
            if statement is None or not all(row is not None and statement.fits(row) for row in rows):
                return False
            self._pipeline.send_all(statement, rows)
        except psycopg.Error as error:
            raise self._noted(error) from error
        return True

    def fetch_one(self, query: str, parameters: Parameters = None) -> tuple[Any, ...] | None:
        rows = self.fetch_all(query, parameters)
        return rows[0] if rows else None

    def fetch_all(self, query: str, parameters: Parameters = None) -> list[tuple[Any, ...]]:
        self._require_handlers()
        self._statements[query] = parameters
        with self._noting():
            if (statement := self._taken(query, parameters)) is not None:
                return self._pipeline.fetch(statement, parameters)
            return self._on_cursor(query, parameters).fetchall()

    def _require_handlers(self) -> None:
        """Raise EventError where a handler uses the transaction of an earlier event."""
        if self._connection.ends is not Ends.REFUSED:
            raise EventError("the transaction that the handler was given is over; use it before the handler returns")

    def _taken(self, query: str, parameters: Parameters) -> Statement | None:
        """Return the statement as the pipeline takes it, or None; raise EventError if it would end the transaction."""
        admitted = _admitted(query)
        return self._pipeline.taken(admitted, parameters) if self._sqlalchemy is None else None

    def _on_cursor(self, query: str, parameters: Parameters) -> psycopg.Cursor[tuple[Any, ...]]:
        self._pipeline.sync_and_exit()
        self._pipeline.forget()
        return self._connection.cursor().execute(_admitted(query), parameters)

    @property
    def sqlalchemy(self) -> "sqlalchemy.Connection":
        """Return SQLAlchemy's connection over the same transaction; ends the pipeline, which SQLAlchemy cannot use."""
        self._require_handlers()
        if self._sqlalchemy is None:
            with self._noting():
                self._pipeline.sync_and_exit()
                self._pipeline.forget()
                self._sqlalchemy = self._engine_at_last().connect()
            # Begun here, so that commit() and rollback() reach the guard, and a Session joins from
            # outside.
            self._sqlalchemy.begin()
        return self._sqlalchemy

    def _engine_at_last(self) -> "Engine":
        if self._engine is None:
            # Imported only here: a sink whose handlers do without SQLAlchemy saves 20 MB.
            from inbox.store.postgres.handlers.sqlalchemy_engine import engine_over

            self._engine = engine_over(self._connection, self._note_sqlalchemy, self._note_statement)
        return self._engine

    @property
    def statements(self) -> set[str]:
        """Return the texts of the statements that the handlers of the last attempt executed."""
        return set(self._statements)

    def doubts(self, failure: InboxError) -> bool:
        """Return whether the event's values may not fit the statement, or the statement not the database."""
        return isinstance(failure.__cause__, psycopg.Error) and failure.__cause__.sqlstate in ABOUT_TYPES

    def blamed(self, failure: InboxError) -> InboxError:
        """Return a doubtful failure of one event as the fault of the event or of the statement.

        The server is asked for the event's statements again, without their values.

        Raises:
            TryAgainError: the database is away.
        """
        cause = failure.__cause__
        if not isinstance(cause, psycopg.Error) or not self.doubts(failure):
            return failure
        asked = [(query, parameters) for query, parameters in self._statements.items() if parameters]
        if not all(self._fits(query, parameters) for query, parameters in asked):
            return failure
        return EventError(f"a value does not fit the type of its parameter: {described(cause)}")

    def _fits(self, query: str, parameters: Parameters) -> bool:
        # A NULL has no type, so the server gives it the type that the statement needs. EXPLAIN runs
        # nothing.
        nulls = dict.fromkeys(parameters) if isinstance(parameters, Mapping) else [None] * len(parameters or ())
        try:
            with translating_errors(), self._connection.transaction(force_rollback=True):
                self._connection.execute(self._connection.to_users_path)
                self._connection.execute(cast(LiteralString, f"EXPLAIN {query}"), nulls)
        except InboxError as error:
            cause = error.__cause__
            if not isinstance(cause, psycopg.Error) or not (cause.sqlstate or "").startswith("42"):
                raise
            return cause.sqlstate in _NOT_ASKED
        return True

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise self._noted(error) from error

    def _noted(self, error: psycopg.Error) -> InboxError:
        failure = self._translated(error)
        if self.failure is None:
            self.failure = failure
            failure.__cause__ = error
        return failure

    def _translated(self, error: psycopg.Error) -> InboxError:
        """Translate an error; a write fails as an EventError if a handler made the transaction read-only."""
        if error.sqlstate == "25006" and self._executed(_OF_MODES):
            return EventError(_READ_ONLY)
        if self._executed(_OF_LIMITS):
            return translate(error, "the handler itself sets statement_timeout: raise it, or remove the statement")
        return translate(error, self._connection.statement_limit)

    def _note_statement(self, statement: str) -> None:
        self._statements.setdefault(statement, None)

    def _note_sqlalchemy(self, context: "ExceptionContext") -> None:
        original = context.original_exception
        if context.statement is not None and isinstance(context.parameters, Mapping):
            self._statements[context.statement] = context.parameters
        if isinstance(original, psycopg.Error) and self.failure is None:
            self.failure = self._translated(original)
            self.failure.__cause__ = original
            self._failed_in_sqlalchemy = True

    def _forgive_what_a_savepoint_undid(self) -> None:
        """Clear the failure if `begin_nested` undid it: the transaction is then as good as before."""
        if self._failed_in_sqlalchemy and self._connection.info.transaction_status == pq.TransactionStatus.INTRANS:
            self.failure = None

    def _close(self) -> None:
        """Return the connection to the sink in every case; a failure was noted before."""
        self._connection.ends = Ends.IGNORED
        try:
            if self._sqlalchemy is not None:
                self._sqlalchemy.close()
            self._pipeline.sync_and_exit()
        except psycopg.Error as error:
            self.failure = self.failure or self._translated(error)
        finally:
            self._pipeline.forget()
            self._sqlalchemy = None
            if self._connection.closed_by_handler:
                self._connection.closed_by_handler, self._engine = False, None
                self.failure = EventError(_CLOSED)
            self._connection.ends = Ends.ALLOWED


def _admitted(query: str) -> LiteralString:
    """Return the handler's own text; raise EventError if it would end or begin a transaction or a savepoint."""
    control = control_of(query)
    if control is not None and control.kind is not Kind.PREPARES:
        raise refused(control)
    return cast(LiteralString, query)
