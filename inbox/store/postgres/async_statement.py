"""Run one statement on the server while the client does something else.

No threads are needed: libpq sends the statement, and the answer waits in the socket until the
client reads it (PostgreSQL manual, "Asynchronous Command Processing"). In this way a relay reads its next
rows, and marks earlier ones, while it sends.
"""

import select
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import errors, pq
from psycopg.abc import Transformer as AbstractTransformer
from psycopg.adapt import Transformer

from inbox.store.postgres.connection import Connection
from inbox.store.postgres.errors import translating_errors
from inbox.store.postgres.pipeline import Statement, statement_of

_WAIT_MILLISECONDS = 100
"""The longest time in milliseconds until an interrupt is noticed."""

_WELL = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


class AsyncStatement:
    """A statement that runs many times, prepared at its first start, on a connection in autocommit mode.

    From `start` to `finish` no other statement may use the connection. Parameters have the same
    types each time. Every method raises the statement's or the connection's error.
    """

    def __init__(
        self, connection: Connection, name: str, statement: bytes, make_row: Callable[[Sequence[Any]], Any] = tuple
    ) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._name = f"inbox_{name}".encode()
        self._make_row = make_row
        self._transformer = Transformer(connection)
        self._statement = _readied(statement, self._transformer)
        self._is_prepared = False
        self.under_way = False

    def start(self, parameters: Mapping[str, Any]) -> None:
        """Send the statement to the server, after waiting for an earlier run whose result nobody took."""
        if self.under_way:
            self.finish()
        statement = self._statement
        with translating_errors():
            values = statement.adapted(parameters)
            if self._connection.prepare_threshold is None:
                self._pgconn.send_query_params(
                    statement.query, values, statement.types, statement.formats, pq.Format.BINARY
                )
            else:
                self._prepare()
                self._pgconn.send_query_prepared(self._name, values, statement.formats, pq.Format.BINARY)
            self.under_way = True
            self._pgconn.flush()

    def is_done(self) -> bool:
        """Return whether `finish` would return without a wait."""
        with translating_errors():
            self._pgconn.flush()
            self._pgconn.consume_input()
            return not self._pgconn.is_busy()

    def finish(self) -> list[Any]:
        """Return the rows of the statement, after waiting for them."""
        self._wait()
        self.under_way = False
        with translating_errors():
            results = []
            while (result := self._pgconn.get_result()) is not None:
                results.append(result)
            return self._rows(results)

    def _wait(self) -> None:
        poll = select.poll()
        with translating_errors():
            while True:
                writes = self._pgconn.flush() == 1
                if not self._pgconn.is_busy():
                    return
                poll.register(self._pgconn.socket, select.POLLIN | (select.POLLOUT if writes else 0))
                poll.poll(_WAIT_MILLISECONDS)
                self._pgconn.consume_input()

    def _rows(self, results: Sequence[pq.abc.PGresult]) -> list[Any]:
        for result in results:
            if result.status not in _WELL:
                raise errors.error_from_result(result, self._connection.info.encoding)
        if not results:
            raise psycopg.OperationalError("the connection is lost")
        # A transformer's loaders belong to the columns of one result.
        self._transformer.set_pgresult(results[-1])
        return self._transformer.load_rows(0, results[-1].ntuples, self._make_row)

    def _prepare(self) -> None:
        if self._is_prepared:
            return
        result = self._pgconn.prepare(self._name, self._statement.query, self._statement.types)
        if result.status not in _WELL:
            raise errors.error_from_result(result, self._connection.info.encoding)
        self._is_prepared = True


def _readied(statement: bytes, transformer: AbstractTransformer) -> Statement:
    readied = statement_of(statement.decode(), transformer, bare=False)
    if readied is None:
        raise ValueError("its placeholders are not of one kind (a mistake in the statement)")
    return readied
