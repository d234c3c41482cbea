"""A connection on which every statement runs under pinned settings, and raises this project's errors.

The settings are pinned in the session, or behind a pooler in each transaction.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, LiteralString, cast

import psycopg
from psycopg import Transaction, pq
from psycopg.abc import Params, Query

from inbox.store.postgres import session_settings
from inbox.store.postgres.errors import translate, translating_errors


class PinnedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A psycopg connection whose statements mean the same in every session of the server."""

    is_pooled = False
    """True if others share the server's session: nothing may be left in it, and nothing would be found again."""
    is_read_only = False
    statement_limit: str | None = None
    """How long a statement may take, and who says so; None without a limit."""
    _users_path = ""
    _server_is_read_only = False
    _pins: Mapping[str, str] = {}
    _local_pins = ""
    _local_settings: Mapping[str, str] = {}
    _wanted: Mapping[str, str] = {}
    _limits_again: Sequence[str] = ()
    _took_session = False
    _prepared_by_command = False
    _reads_to_the_end = False
    _begins_itself = True
    begins_next = False
    """True while the BEGIN of a transaction waits for the next statement."""
    _sent_begin = False
    """True in a pipeline that begins with BEGIN: libpq may not know of it yet."""

    # Settings.

    def pin(self, limits: session_settings.Limits, settings: Mapping[str, str], *, read_only: bool) -> None:
        """Pin the settings of all statements on this connection.

        A session that this connection has alone is pinned once. A session that a pooler shares
        stays unchanged, and each transaction is pinned instead.
        """
        session = self._new_session()
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

    def _new_session(self) -> session_settings.NewSession:
        """Ask for the session's settings. A pooler gives its clients its own keys, so their process id matches none."""
        [pid] = self.execute("SELECT pg_catalog.pg_backend_pid()", prepare=False).fetchone() or [None]
        pooled = pid != self.info.backend_pid
        answer = self.execute(session_settings.ask(pooled=pooled), prepare=False)
        if pooled:
            answer.nextset()
        return session_settings.session_of(answer.fetchall(), pooled=pooled)

    def pin_also(self, settings: Mapping[str, str]) -> None:
        """Pin further settings that a part of the project needs, from now on."""
        if self.is_pooled:
            self._local_pins += session_settings.local(settings)
            self._local_settings = {**self._local_settings, **settings}
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
        pinned = self.pinned_meanings
        found = {name: self.info.parameter_status(name) for name in session_settings.REPORTED}
        return {name: value for name, value in found.items() if value and value != pinned.get(name, value)}

    @property
    def pinned_meanings(self) -> Mapping[str, str]:
        """Return the pinned values of the settings that `changed_meanings` compares."""
        return {name: self._wanted[name] for name in session_settings.REPORTED if name in self._wanted}

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

    def take_session(self) -> None:
        """Pin the session itself: the pooler reserves it for this connection until that is closed."""
        self.is_pooled, self._local_pins, self._begins_itself = False, "", not self.is_read_only
        self._local_settings = {}
        self._took_session = True
        self.pin_also(self._wanted)

    # Pipelines.

    @contextmanager
    def users_path(self) -> Iterator[None]:
        """Use the user's search path for statements that may run the user's functions, such as triggers.

        Needs a transaction. The statements themselves name the schema of all that they use, since
        others may create objects where the user's names are looked up. All statements are answered
        by the end. After a failure the caller has to roll back to a savepoint from before, or the
        whole transaction.
        """
        with self.pipelined():
            self._send_along(self.to_users_path.encode())
            yield
            for statement in self.to_own_state:
                self._send_along(statement.encode())

    def _send_along(self, statement: bytes) -> None:
        """Send a statement in a pipeline, together with the next one or at the end, without its own cursor."""
        self.wait(self._exec_command(statement))

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
                self._send_begin()
                yield
            except BaseException:
                # The errors of later statements say only that they were not executed.
                with suppress(psycopg.Error):
                    pipeline.sync()
                raise
            finally:
                self._sent_begin = False

    # Transactions and statements.

    def begin_with_next(self) -> None:
        """Begin a transaction as `begin`, but let BEGIN travel with the statements that come next."""
        if self.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            self.begin()  # which reports what is wrong with the connection
        else:
            self.begins_next = True

    def forget_begin(self) -> bool:
        """Drop a transaction that the server does not know of yet; return whether there was one."""
        begins_next, self.begins_next = self.begins_next, False
        return begins_next

    def _send_begin(self) -> None:
        if self.forget_begin():
            self._sent_begin = True
            self._send_along(self._get_tx_start_command())
            if self._local_settings:
                self._send_along(session_settings.local_at_once(self._local_settings).encode())

    def begin(self) -> None:
        """Begin a transaction that states its isolation level and whether it writes."""
        self.begins_next = False
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
        if self.begins_next:
            self.begin()
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
        if self._begins_itself or self._sent_begin:
            return False
        return self.pgconn.transaction_status == pq.TransactionStatus.IDLE

    def execute(
        self, query: Query, params: Params | None = None, *, prepare: bool | None = None, binary: bool = False
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """Execute as psycopg does, but raise this project's error for what fails."""
        if self.begins_next:
            self.begin()
        try:
            return super().execute(query, params, prepare=prepare, binary=binary)  # type: ignore[arg-type]
        except psycopg.Error as error:
            raise translate(error, self.statement_limit) from error

    def execute_in_one_message(self, query: Query, params: Params) -> psycopg.Cursor[tuple[Any, ...]]:
        """Execute a statement on the user's search path, in a transaction of its own, of a session that is not shared.

        The server begins once it has the whole message (manual, section "Simple Query"), and commits
        by itself. So a client that is suspended meanwhile leaves no lock behind.
        """
        statement = psycopg.ClientCursor(self).mogrify(query, params)
        cursor = self.execute(f"{self.to_users_path}; {statement}".encode(), prepare=False)
        cursor.nextset()
        return cursor

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


@contextmanager
def _of_what_failed() -> Iterator[None]:
    """Raise the error that aborted a pipeline, instead of that of a statement which was not executed because of it."""
    try:
        yield
    except psycopg.errors.PipelineAborted as error:
        if isinstance(failed := error.__context__, psycopg.Error):
            raise failed from None
        raise
