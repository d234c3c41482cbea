"""The connection to PostgreSQL: one per worker, opened again after it broke."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from functools import lru_cache
from typing import Any, LiteralString, Self

import psycopg
from psycopg import pq
from psycopg.abc import Params, Query
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from inbox.errors import EventError, InboxError, StartupError, TryAgainError
from inbox.store import arrays
from inbox.store.failures import at_start, in_our_words, translated
from inbox.store.options import DatabaseOptions

_UNLESS_SET: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
    "client_encoding": "UTF8",
}
"""A connection that hangs without a reset is given up after half a minute (libpq, "Parameter Key Words")."""

_TIMEOUTS: LiteralString = """
SELECT set_config('lock_timeout', '30s', false), set_config('statement_timeout', '120s', false),
       set_config('idle_in_transaction_session_timeout', %s, false)
"""
"""What bounds how long a stopped worker's locks can hold up the next owner."""

_IDLE_SECONDS = 60.0

_ENDS_TRANSACTION = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/|;)*"
    r"(begin|start|commit|end|abort|rollback(?!\s+(?:work\s+|transaction\s+)?to\b)|prepare\s+transaction)\b",
    re.IGNORECASE | re.DOTALL,
)
"""Savepoints are not among them: they nest."""


class Ends(Enum):
    """What becomes of an end of the transaction, by a call or by a statement, on the connection itself."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    IGNORED = "ignored"


class SinkConnection(psycopg.Connection[tuple[Any, ...]]):
    """Speaks the errors of this project, and lets no handler end the transaction.

    SQLAlchemy's own tidying up at the end of a handler is ignored.
    """

    ends = Ends.ALLOWED
    has_deferrable: bool | None = None
    _reads_to_the_end = False

    def execute(
        self, query: Query, params: Params | None = None, *, prepare: bool | None = None, binary: bool = False
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """As psycopg's, but what fails is raised as the error of ours that says what follows."""
        try:
            return super().execute(query, params, prepare=prepare, binary=binary)  # type: ignore[arg-type]
        except psycopg.Error as error:
            raise translated(error) from error

    @contextmanager
    def reading_to_the_end(self) -> Iterator[None]:
        """Around a stream whose failure is an answer: psycopg would ask the server to cancel what has ended already,
        through a connection of its own."""
        self._reads_to_the_end = True
        try:
            yield
        finally:
            self._reads_to_the_end = False

    @contextmanager
    def forgetting_prepared(self) -> Iterator[None]:
        """Around a pipeline: where it fails, psycopg takes for prepared also what the server did not execute."""
        try:
            yield
        except BaseException:
            self._prepared.clear()
            raise

    def cancel_safe(self, *, timeout: float = 30.0) -> None:
        if not self._reads_to_the_end:
            super().cancel_safe(timeout=timeout)

    def refuse_end(self, query: Query) -> None:
        """Raises EventError where a handler's statement, by whatever way it came, would end the transaction."""
        if self.ends is not Ends.REFUSED:
            return
        text = query if isinstance(query, str | bytes) else query.as_string(self)  # type: ignore[union-attr]
        if (control := _control(text if isinstance(text, str) else text.decode(errors="replace"))) is not None:
            raise EventError(
                f"the handler executed {control}; the sink begins and ends its transactions itself, "
                "so remove the statement"
            )

    def commit(self) -> None:
        if self._lets_end("commit"):
            super().commit()

    def rollback(self) -> None:
        if self._lets_end("rollback"):
            super().rollback()

    def _lets_end(self, what: str) -> bool:
        if self.ends is Ends.REFUSED:
            raise EventError(
                f"the handler called {what}() on the sink's connection; the sink ends its transactions itself, "
                "so remove the call"
            )
        return self.ends is Ends.ALLOWED


class SinkCursor(psycopg.Cursor[tuple[Any, ...]]):
    """What every statement passes, also SQLAlchemy's and those on the connection that it wraps."""

    _conn: SinkConnection

    def execute(self, query: Query, *arguments: Any, **named: Any) -> Self:
        self._conn.refuse_end(query)
        return super().execute(query, *arguments, **named)

    def executemany(self, query: Query, *arguments: Any, **named: Any) -> None:
        self._conn.refuse_end(query)
        super().executemany(query, *arguments, **named)


@lru_cache(maxsize=1024)
def _control(query: str) -> str | None:
    """The word by which a statement begins or ends a transaction, if it does."""
    found = _ENDS_TRANSACTION.match(query)
    return None if found is None else found[1].upper()


def connect(
    options: DatabaseOptions, *, application_name: str = "kafka-inbox", longest_call_seconds: float = 0.0
) -> SinkConnection:
    """A new connection in autocommit mode, whose transactions may be idle for that long and some more.

    Raises:
        StartupError: login, database or rights are refused.
        TryAgainError: the server does not answer, or not yet.
    """
    try:
        given = conninfo_to_dict(options.url.get_secret_value())
    except psycopg.ProgrammingError:
        # libpq's message quotes the URL, password and all.
        raise StartupError("[database] url is not a valid libpq URL; see the PostgreSQL manual, 34.1.1.2") from None
    try:
        defaults = {**_UNLESS_SET, "application_name": application_name}
        conninfo = make_conninfo(**{**defaults, **given})
        connection = SinkConnection.connect(conninfo, autocommit=True, cursor_factory=SinkCursor)
    except psycopg.Error as error:
        raise at_start(error, "connecting to the database") from None
    try:
        arrays.register(connection.adapters)
        connection.execute(_TIMEOUTS, (f"{int(1000 * (_IDLE_SECONDS + longest_call_seconds))}ms",))
    except InboxError:
        connection.close()
        raise
    return connection


@contextmanager
def starting(doing: str) -> Iterator[None]:
    """What waiting does not mend is a StartupError before the sink runs; `doing` says what was tried."""
    try:
        yield
    except TryAgainError as error:
        if isinstance(error.__cause__, psycopg.Error):
            raise at_start(error.__cause__, doing) from error.__cause__
        raise
    except psycopg.Error as error:
        raise at_start(error, doing) from error


@contextmanager
def transaction(connection: SinkConnection) -> Iterator[None]:
    """What is done in it commits as one; also what psycopg does at its begin and end fails with errors of ours."""
    with in_our_words(), connection.transaction():
        yield


@contextmanager
def snapshot(connection: SinkConnection) -> Iterator[None]:
    """One transaction in which everything is read as of one moment, and nothing can be changed."""
    with transaction(connection):
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def take_time(connection: SinkConnection) -> None:
    """From now on a statement on this connection takes as long as it takes: one that reads all claims is no fault."""
    connection.execute("SET statement_timeout = 0")


def refuse_changes(connection: SinkConnection) -> None:
    """From now on the server refuses every change on this connection."""
    connection.execute("SET default_transaction_read_only = on")


def is_usable(connection: SinkConnection) -> bool:
    return not connection.closed and connection.info.transaction_status == pq.TransactionStatus.IDLE
