"""The connection to PostgreSQL: one per worker, opened again after it broke."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from functools import partial
from typing import Any, LiteralString, Self

import psycopg
from psycopg import pq
from psycopg.abc import Query
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from inbox.errors import EventError, InboxError, StartupError, TryAgainError
from inbox.plugins.credentials import CredentialRequest, fetch
from inbox.store.options import DatabaseOptions
from inbox.store.postgres import arrays, session_settings
from inbox.store.postgres.errors import translate_at_startup, translating_errors
from inbox.store.postgres.forks import keep_from_children
from inbox.store.postgres.handlers.transaction_control import Kind, control_of, refused
from inbox.store.postgres.pinned_connection import PinnedConnection

_UNLESS_SET: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
"""A connection that hangs without a reset is closed after half a minute (libpq, "Parameter Key Words")."""


_PSYCOPGS_OWN = AdaptersMap(psycopg.adapters)
"""A copy from before any handler's package was imported, which may register others for the whole process."""


class Ends(Enum):
    """The response to an attempt to end the transaction, by a call or a statement, on the connection itself."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    IGNORED = "ignored"


class Connection(PinnedConnection):
    """A pinned connection that refuses COMMIT and ROLLBACK from handlers.

    SQLAlchemy's own cleanup at the end of a handler is ignored.
    """

    ends = Ends.ALLOWED
    closed_by_handler = False
    """True after a handler called close(), which had no effect."""
    deferred_checks: Sequence[LiteralString] | None = None

    lends_adapters = False
    """True while handlers run: what they register on the connection is theirs."""
    _own_adapters: AdaptersMap | None = None
    _handlers_adapters: AdaptersMap | None = None

    _companions: tuple["Connection", ...] = ()
    another: Callable[[], "Connection"]
    """Opens another connection with the same parameters."""

    @property
    def adapters(self) -> AdaptersMap:
        """Return the adapters of handlers while they run, else the sink's own, in which nobody registers others."""
        if self.lends_adapters:
            self._handlers_adapters = self._handlers_adapters or AdaptersMap(psycopg.adapters)
            return self._handlers_adapters
        if self._own_adapters is None:
            self._own_adapters = AdaptersMap(_PSYCOPGS_OWN)
            arrays.register(self._own_adapters)
        return self._own_adapters

    def keep(self, companion: "Connection") -> None:
        """Close the companion with this connection."""
        self._companions += (companion,)

    def check_companions(self) -> None:
        """Raise TryAgainError where a companion lost its session."""
        for companion in self._companions:
            companion.execute("SELECT 1")

    def close(self) -> None:
        if self.ends is not Ends.ALLOWED:
            # SQLAlchemy's pool swallows an exception raised here, and may have its own reasons to close
            # after a handler.
            self.closed_by_handler |= self.ends is Ends.REFUSED
            return
        for companion in self._companions:
            companion.close()
        if self._took_session and is_usable(self):
            with suppress(InboxError):
                self.execute("DISCARD ALL")
        super().close()

    def refuse_end(self, query: Query) -> None:
        """Raise EventError where a handler's statement, sent in any way, would end the transaction."""
        if self.ends is not Ends.REFUSED:
            return
        text = query if isinstance(query, str | bytes) else query.as_string(self)  # type: ignore[union-attr]
        control = control_of(text if isinstance(text, str) else text.decode(errors="replace"))
        if control is None or control.kind is Kind.NESTS:
            return
        if control.kind is Kind.ENDS:
            raise refused(control)
        self._prepared_by_command = True

    def commit(self) -> None:
        if self._lets_end("commit()"):
            super().commit()

    def rollback(self) -> None:
        if self._lets_end("rollback() or close()"):
            super().rollback()

    def _lets_end(self, what: str) -> bool:
        if self.ends is Ends.REFUSED:
            raise EventError(
                f"the handler called {what} on the sink's connection; the sink ends its transactions itself, "
                "so remove the call"
            )
        return self.ends is Ends.ALLOWED


class CheckedCursor(psycopg.Cursor[tuple[Any, ...]]):
    """A cursor that checks every statement, also SQLAlchemy's and those on the connection that SQLAlchemy wraps."""

    _conn: Connection

    def execute(self, query: Query, *arguments: Any, **named: Any) -> Self:
        self._conn.refuse_end(query)
        if self._conn.stands_alone():
            with self._conn.transaction():
                return super().execute(query, *arguments, **named)
        return super().execute(query, *arguments, **named)

    def executemany(self, query: Query, *arguments: Any, **named: Any) -> None:
        self._conn.refuse_end(query)
        super().executemany(query, *arguments, **named)


def connect(
    options: DatabaseOptions,
    *,
    application_name: str = "kafka-inbox",
    longest_call_seconds: float = 0.0,
    settings: Mapping[str, str] | None = None,
    read_only: bool = False,
) -> Connection:
    """Open a connection in autocommit mode, whose transactions may be idle for `longest_call_seconds` and some more.

    `settings` are those of PostgreSQL that the connection's purpose needs. With `read_only` the
    server refuses every change.

    Raises:
        StartupError: login, database or rights are refused.
        TryAgainError: the server does not answer, or not yet.
    """
    try:
        given = conninfo_to_dict(options.url.get_secret_value())
    except psycopg.ProgrammingError:
        # libpq's message quotes the URL with its password.
        raise StartupError("[database] url is not a valid libpq URL; see the PostgreSQL manual, 34.1.1.2") from None
    if options.credential is not None:
        given["password"] = _fetched_password(options.credential, given)
    try:
        connection = _connected({**_UNLESS_SET, "application_name": application_name, **given})
    except psycopg.Error as error:
        raise translate_at_startup(error, "connecting to the database") from None
    connection.another = partial(
        connect, options, application_name=application_name, longest_call_seconds=longest_call_seconds
    )
    try:
        limits = session_settings.Limits(longest_call_seconds, options.statement_timeout_seconds)
        connection.pin(limits, settings or {}, read_only=read_only)
    except InboxError:
        connection.close()
        raise
    return connection


def _fetched_password(provider: str, given: Mapping[str, Any]) -> str:
    """Return a password that is valid now, for the server and the login of the URL."""
    host, port, user = (str(given.get(name) or "") for name in ("host", "port", "user"))
    return fetch(provider, CredentialRequest(service="database", host=host, port=port, user=user)).secret


def _connected(parameters: Mapping[str, Any]) -> Connection:
    """Connect to the server; of several servers, to the one that can be written to.

    A role may have its sessions read-only by default. libpq then considers every server read-only,
    and the next best is any that is not a standby.
    """
    several = "," in str(parameters.get("host") or parameters.get("hostaddr") or parameters.get("port") or "")
    if not several or "target_session_attrs" in parameters or "PGTARGETSESSIONATTRS" in os.environ:
        return _open(parameters)
    try:
        return _open({**parameters, "target_session_attrs": "read-write"})
    except psycopg.OperationalError as error:
        if "session is read-only" not in str(error):
            raise
        return _open({**parameters, "target_session_attrs": "primary"})


def _open(parameters: Mapping[str, Any]) -> Connection:
    conninfo = make_conninfo(**{**parameters, "client_encoding": "UTF8"})
    connection = Connection.connect(conninfo, autocommit=True, cursor_factory=CheckedCursor)
    keep_from_children(connection)
    return connection


@contextmanager
def startup_errors(doing: str) -> Iterator[None]:
    """Turn errors that waiting does not fix into a StartupError before the sink runs; `doing` says what was tried."""
    try:
        yield
    except TryAgainError as error:
        if isinstance(error.__cause__, psycopg.Error):
            raise translate_at_startup(error.__cause__, doing, str(error)) from error.__cause__
        raise
    except psycopg.Error as error:
        raise translate_at_startup(error, doing) from error


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Run a transaction; also the errors of psycopg's own BEGIN and COMMIT become this project's."""
    with translating_errors(connection.statement_limit), connection.transaction():
        yield


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """Run a read-only transaction in which all reads see one moment."""
    with transaction(connection):
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def is_usable(connection: Connection) -> bool:
    return not connection.closed and connection.info.transaction_status == pq.TransactionStatus.IDLE
