"""The connection to PostgreSQL: one per worker, opened again after it broke."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from functools import partial
from typing import Any, LiteralString, Self, cast

import psycopg
from psycopg import Transaction, pq
from psycopg.abc import Params, Query
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from inbox.errors import EventError, InboxError, StartupError, TryAgainError
from inbox.store.options import DatabaseOptions
from inbox.store.postgres import arrays, session_settings
from inbox.store.postgres.errors import translate, translate_at_startup, translating_errors
from inbox.store.postgres.forks import keep_from_children
from inbox.store.postgres.transaction_control import Kind, control_of, refused

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


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A psycopg connection that raises this project's errors and refuses COMMIT and ROLLBACK from handlers.

    SQLAlchemy's own cleanup at the end of a handler is ignored.
    """

    ends = Ends.ALLOWED
    closed_by_handler = False
    """True after a handler called close(), which had no effect."""
    deferred_checks: Sequence[LiteralString] | None = None
    _users_path = ""
    is_pooled = False
    """True if others share the server's session: nothing may be left in it, and nothing would be found again."""
    is_read_only = False
    _server_is_read_only = False
    _pins: Mapping[str, str] = {}
    _local_pins = ""
    _prepared_by_command = False
    _reads_to_the_end = False
    _begins_itself = True

    lends_adapters = False
    """True while handlers run: what they register on the connection is theirs."""
    _own_adapters: AdaptersMap | None = None
    _handlers_adapters: AdaptersMap | None = None

    _companions: tuple["Connection", ...] = ()
    _took_session = False
    _wanted: Mapping[str, str] = {}
    _limits_again: Sequence[str] = ()
    statement_limit: str | None = None
    """How long a statement may take, and who says so; None without a limit."""
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

    def pin(self, limits: session_settings.Limits, settings: Mapping[str, str], *, read_only: bool) -> None:
        """Pin the settings of all statements on this connection.

        A session that this connection has alone is pinned once. A session that a pooler shares
        stays unchanged, and each transaction is pinned instead.
        """
        rows = self.execute(session_settings.ASK, (session_settings.ASKED,), prepare=False).fetchall()
        session = session_settings.session_of(self.info.backend_pid, rows)
        self._users_path = session.values["search_path"]
        self.is_pooled, self._server_is_read_only = session.pooled, session.server_is_read_only
        if session.pooled:
            self.prepare_threshold = None  # the next transaction may be in a session without the statement
        self._wanted = session_settings.pins(session, limits, settings)
        self._limits_again = session_settings.restated(self._wanted)
        if "statement_timeout" not in settings:
            self.statement_limit = session_settings.statement_limit(session, limits)
        self.pin_also(self._wanted)
        self.is_read_only = read_only
        self._begins_itself = not (session.pooled or read_only)

    def pin_also(self, settings: Mapping[str, str]) -> None:
        """Pin further settings that a part of the project needs, from now on."""
        if self.is_pooled:
            self._local_pins += session_settings.local(settings)
            # The pooler takes these values of the session for this client's.
            settings = {"client_encoding": "UTF8", "application_name": self._application_name()}
        else:
            self.execute(session_settings.PIN, (list(settings), list(settings.values())), prepare=False)
        self._pins = {**self._pins, **settings}

    def _application_name(self) -> str:
        return self.info.parameter_status("application_name") or ""

    def tidying(self) -> str:
        """Return the statements that remove from the session what handlers left, inside a transaction or not."""
        in_transaction = self.info.transaction_status == pq.TransactionStatus.INTRANS
        deallocate, self._prepared_by_command = self._prepared_by_command, False
        return session_settings.tidy(self._pins, self._local_pins if in_transaction else "") + (
            f";{session_settings.DEALLOCATE}" if deallocate else ""
        )

    def changed_meanings(self) -> dict[str, str]:
        """Return the settings, with values, that affect the meaning of a text and differ from the pinned ones.

        The server reports these by itself, so that reading them costs nothing. A pooler may report
        those of another session, so that nothing is known behind a pooler.
        """
        if self.is_pooled:
            return {}
        found = {name: self.info.parameter_status(name) for name in session_settings.REPORTED}
        return {name: value for name, value in found.items() if value and value != self._wanted.get(name, value)}

    def restate(self) -> None:
        """Restore settings that a handler or a trigger changed, until the end of the transaction."""
        if changed := self.changed_meanings():
            again = session_settings.local({name: self._wanted[name] for name in changed})
            self.execute(again.removeprefix(";").encode(), prepare=False)

    @property
    def to_users_path(self) -> LiteralString:
        """Return the statement that sets the search path of the role, the database or the URL."""
        # This is the server's own text.
        return cast(LiteralString, session_settings.local_path(self._users_path))

    @property
    def to_own_path(self) -> LiteralString:
        """Return the statement that sets a search path without anybody else's functions, operators and types."""
        return cast(LiteralString, session_settings.local_path(session_settings.OWN_PATH))

    @property
    def to_own_state(self) -> Sequence[LiteralString]:
        """Return the statements for after the user's functions: the own path, and the limits that they may have set."""
        return (self.to_own_path, *cast(Sequence[LiteralString], self._limits_again))

    @contextmanager
    def users_path(self) -> Iterator[None]:
        """Use the user's search path for statements that may run the user's functions, such as triggers.

        Needs a transaction. The statements themselves name the schema of all that they use, since
        others may create objects where the user's names are looked up. All statements are answered
        by the end. After a failure the caller has to roll back to a savepoint from before, or the
        whole transaction.
        """
        with self.pipelined():
            self._send_along(self.to_users_path)
            yield
            for statement in self.to_own_state:
                self._send_along(statement)

    def _send_along(self, statement: LiteralString) -> None:
        """Send a statement in a pipeline, together with the next one or at the end, without its own cursor."""
        self.wait(self._exec_command(statement.encode()))

    @contextmanager
    def pipelined(self) -> Iterator[None]:
        """Send statements while earlier ones are in progress; at the end of the outermost block all were answered.

        Raises the error of the first statement that failed; no later statement was executed.
        """
        if self.pgconn.pipeline_status != pq.PipelineStatus.OFF:
            yield
            return
        with (
            translating_errors(self.statement_limit),
            _of_what_failed(),
            self.forgetting_prepared(),
            self.pipeline() as pipeline,
        ):
            try:
                yield
            except BaseException:
                # The errors of later statements say only that they were not executed.
                with suppress(psycopg.Error):
                    pipeline.sync()
                raise

    def take_session(self) -> None:
        """Pin the session itself: the pooler reserves it for this connection until that is closed."""
        self.is_pooled, self._local_pins, self._begins_itself = False, "", not self.is_read_only
        self._took_session = True
        self.pin_also(self._wanted)

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

    def begin(self) -> None:
        """Begin a transaction that states its isolation level and whether it writes."""
        begins_itself, self._begins_itself = self._begins_itself, True
        try:
            # Not prepared: a message of several statements cannot be.
            self.execute(self._get_tx_start_command() + self._local_pins.encode(), prepare=False)
        finally:
            self._begins_itself = begins_itself

    def _get_tx_start_command(self) -> bytes:
        """Return the BEGIN for every way to begin a transaction, psycopg's own `transaction()` included."""
        read_only = self._server_is_read_only if self.is_pooled else self._is_read_only_now()
        return session_settings.begin(read_only=self.is_read_only, server_is_read_only=read_only).encode()

    @contextmanager
    def transaction(self, savepoint_name: str | None = None, force_rollback: bool = False) -> Iterator[Transaction]:
        """Begin a transaction as psycopg does, but pinned."""
        begins = self.pgconn.transaction_status == pq.TransactionStatus.IDLE
        with super().transaction(savepoint_name, force_rollback) as transaction:
            if begins and self._local_pins:
                # Not part of BEGIN: psycopg's own takes a single statement.
                self.execute(self._local_pins.removeprefix(";").encode(), prepare=False)
            yield transaction

    def _is_read_only_now(self) -> bool:
        """Return whether the server's configuration now says read-only; reported from PostgreSQL 14 on."""
        return self.pgconn.parameter_status(b"default_transaction_read_only") == b"on"

    def stands_alone(self) -> bool:
        """Return whether a statement that is sent now needs a transaction around it in order to be pinned."""
        return not self._begins_itself and self.pgconn.transaction_status == pq.TransactionStatus.IDLE

    def execute(
        self, query: Query, params: Params | None = None, *, prepare: bool | None = None, binary: bool = False
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """Execute as psycopg does, but raise this project's error for what fails."""
        try:
            return super().execute(query, params, prepare=prepare, binary=binary)  # type: ignore[arg-type]
        except psycopg.Error as error:
            raise translate(error, self.statement_limit) from error

    @contextmanager
    def reading_to_the_end(self) -> Iterator[None]:
        """Read a stream whose failure is an answer, without psycopg's request to cancel.

        psycopg would ask the server, through another connection, to cancel what has ended already.
        """
        self._reads_to_the_end = True
        try:
            yield
        finally:
            self._reads_to_the_end = False

    @contextmanager
    def forgetting_prepared(self) -> Iterator[None]:
        """Forget prepared statements if a pipeline fails: psycopg also counts those that the server did not execute."""
        try:
            yield
        except BaseException:
            self._prepared.clear()
            raise

    def forget_prepared(self) -> None:
        """Prepare statements again, because a table or function may have changed under their plans."""
        self._prepared.clear()

    def cancel_safe(self, *, timeout: float = 30.0) -> None:
        if not self._reads_to_the_end:
            super().cancel_safe(timeout=timeout)

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


@contextmanager
def _of_what_failed() -> Iterator[None]:
    """Raise the error that aborted a pipeline, where its end raises that of a statement that was not executed."""
    try:
        yield
    except psycopg.errors.PipelineAborted as error:
        if isinstance(failed := error.__context__, psycopg.Error):
            raise failed from None
        raise


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
