"""Send statements one after the other, without waiting for the answer to each.

psycopg's own pipeline mode uses the socket with every statement, which costs more than all other
work on the statement. This one does it once for a few dozen. It is built on psycopg's wrapper of
libpq's functions (PostgreSQL manual, "Pipeline Mode"). What it does not take is left to psycopg's
cursors, which need an empty pipeline.
"""

import re
import select
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import psycopg
from psycopg import capabilities, errors, pq
from psycopg.abc import Buffer
from psycopg.abc import Transformer as AbstractTransformer
from psycopg.adapt import PyFormat, Transformer

Parameters = Sequence[Any] | Mapping[str, Any] | None
Row = tuple[Any, ...]

_SENT_AT_ONCE = 32
"""Few enough that the server begins while the next statements are built."""

_PREPARED_FROM = 5
"""The same number as in psycopg: a rarer statement is hardly worth preparing."""

_MOST_PREPARED = 100
_MOST_KNOWN = 1000

_WAIT_MILLISECONDS = 100
"""The longest time in milliseconds until an interrupt is noticed."""

_PLACEHOLDER = re.compile(rb"%(?:\(([^)]+)\))?(.?)", re.DOTALL)

_LEFT_TO_PSYCOPG = re.compile(r"\s*(?:drop|alter|discard|deallocate|prepare|copy)\b", re.IGNORECASE)
"""psycopg forgets its prepared statements where these commands invalidate them; PREPARE's own statements are noted."""

_COPIES = (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH)
_FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED, *_COPIES)


class Pipeline:
    """A pipeline of statements for one attempt, in a transaction. It is empty between attempts.

    All but `taken` and `forget` raise psycopg's errors: the error of the first statement that
    failed, in whichever call its answer arrives.
    """

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        # A name is assigned only if it can be closed without an error where a pooler or psycopg closed it
        # before.
        self._prepares = capabilities.has_send_close_prepared()
        self._names = (f"inbox_{number}".encode() for number in count())
        self._known: dict[str, Statement | None] = {}
        self._bare: dict[str, Statement | None] = {}
        """Statements by text, with and without parameters; None for those left to psycopg."""
        self._given: list[bytes] = []
        self._sent = 0
        self._failed = False

    def taken(self, query: str, parameters: Parameters) -> "Statement | None":
        """Return the statement if it can be sent here; None leaves it to psycopg's cursors.

        They take more kinds of placeholders, and report what is wrong with one.
        """
        known = self._bare if parameters is None else self._known
        if query not in known:
            if len(known) >= _MOST_KNOWN:
                known.clear()
            known[query] = statement_of(query, Transformer(self._connection), bare=parameters is None)
        statement = known[query]
        return statement if statement is not None and statement.fits(parameters) else None

    def send(self, statement: "Statement", parameters: Parameters) -> None:
        """Send the statement to the server; a later call reads the answer."""
        if self._failed:
            raise errors.PipelineAborted("an earlier statement of the pipeline failed")
        if not self._pgconn.pipeline_status:
            self._enter()
        self._transmit(statement, statement.adapted(parameters))
        self._sent += 1
        if self._sent % _SENT_AT_ONCE == 0:
            self._pgconn.consume_input()
            self._check(self._arrived())

    def send_all(self, statement: "Statement", rows: Sequence[Parameters]) -> None:
        """Send the statement once for each row, each of which fits it."""
        send = self.send
        for row in rows:
            send(statement, row)

    def fetch(self, statement: "Statement", parameters: Parameters) -> list[Row]:
        """Send as `send`, and return the rows after waiting for them."""
        self.send(statement, parameters)
        results = [result for result in self._answers() if result.status != pq.ExecStatus.PIPELINE_SYNC]
        self._check(iter(results))
        if not results:
            raise psycopg.OperationalError("the connection is lost")
        last = results[-1]
        if last.status != pq.ExecStatus.TUPLES_OK:
            raise psycopg.ProgrammingError("the statement returns no rows")
        transformer = Transformer(self._connection)
        transformer.set_pgresult(last)
        return transformer.load_rows(0, last.ntuples, tuple)

    def sync_and_exit(self) -> None:
        """Read every answer, and leave the connection as it was before."""
        if not self._pgconn.pipeline_status:
            return
        results = list(self._answers())
        self._pgconn.exit_pipeline_mode()
        if not self._failed:
            self._check(iter(results))

    def forget(self) -> None:
        """Forget what is prepared: the attempt is over, or another user of the connection may drop it."""
        self._known.clear()
        self._bare.clear()
        self._failed = False

    def _enter(self) -> None:
        self._pgconn.enter_pipeline_mode()
        # From earlier attempts. To close a name that is gone is not an error (PostgreSQL manual, "Extended
        # Query").
        given, self._given = self._given, []
        for name in given:
            self._pgconn.send_close_prepared(name)

    def _transmit(self, statement: "Statement", values: Sequence[Buffer | None] | None) -> None:
        types, formats = statement.types, statement.formats
        name = statement.names.get(types)
        if name is None and self._prepares:
            name = self._prepared(statement, types)
        if name is None:
            self._pgconn.send_query_params(statement.query, values, param_types=types, param_formats=formats)
        else:
            self._pgconn.send_query_prepared(name, values, param_formats=formats)

    def _prepared(self, statement: "Statement", types: Sequence[int]) -> bytes | None:
        uses = statement.uses[types] = statement.uses.get(types, 0) + 1
        if uses <= _PREPARED_FROM or len(self._given) >= _MOST_PREPARED:
            return None
        name = next(self._names)
        self._given.append(name)
        self._pgconn.send_prepare(name, statement.query, param_types=types)
        statement.names[types] = name
        return name

    def _answers(self) -> Iterator[pq.abc.PGresult]:
        """Yield all missing answers; afterwards the pipeline is empty."""
        pgconn = self._pgconn
        pgconn.pipeline_sync()
        poll = select.poll()
        while True:
            writes = pgconn.flush() == 1
            yield from self._arrived()
            if not pgconn.is_busy() or pgconn.status == pq.ConnStatus.BAD:
                break
            poll.register(pgconn.socket, select.POLLIN | (select.POLLOUT if writes else 0))
            poll.poll(_WAIT_MILLISECONDS)
            pgconn.consume_input()

    def _arrived(self) -> Iterator[pq.abc.PGresult]:
        """Yield the answers that are here, without a wait. A None ends an answer; a second None ends them all."""
        pgconn, ended = self._pgconn, False
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                if ended:
                    break
                ended = True
            else:
                ended = False
                yield result
                if result.status in _COPIES:
                    break

    def _check(self, results: Iterator[pq.abc.PGresult]) -> None:
        for result in results:
            if result.status in _FAILED:
                self._failed = True
                raise _error_of(result, self._connection.info.encoding)


class Statement:
    """A statement's text, with what was found out about it."""

    __slots__ = ("_keys", "_transformer", "_wanted", "formats", "names", "query", "types", "uses")

    def __init__(self, query: bytes, keys: list[str] | None, size: int, transformer: AbstractTransformer) -> None:
        self.query = query
        self._keys = keys
        self._wanted = [PyFormat.AUTO] * size
        self._transformer = transformer
        self.types: tuple[int, ...] = ()
        self.formats: Sequence[pq.Format] | None = None
        self.names: dict[Sequence[int], bytes] = {}
        self.uses: dict[Sequence[int], int] = {}

    def fits(self, parameters: Parameters) -> bool:
        if type(parameters) is tuple and self._keys is None:  # nearly all
            return len(parameters) == len(self._wanted)
        if parameters is None:
            return True
        if self._keys is not None:
            return isinstance(parameters, dict) and all(key in parameters for key in self._keys)
        return isinstance(parameters, tuple | list) and len(parameters) == len(self._wanted)

    def adapted(self, parameters: Parameters) -> Sequence[Buffer | None] | None:
        """Return the values as they are sent; `types` and `formats` then describe them."""
        if not self._wanted or parameters is None:
            return None
        if self._keys is not None and isinstance(parameters, Mapping):
            parameters = [parameters[key] for key in self._keys]
        adapted = self._transformer.dump_sequence(parameters, self._wanted)  # type: ignore[arg-type]
        self.types, self.formats = self._transformer.types or (), self._transformer.formats
        return adapted


def statement_of(query: str, transformer: AbstractTransformer, *, bare: bool) -> Statement | None:
    """Return the statement, or None to leave it to psycopg's cursors.

    `bare`: it comes without parameters, and a percent sign is a percent sign.
    """
    if not isinstance(query, str) or _LEFT_TO_PSYCOPG.match(query):
        return None
    text = query.encode(transformer.encoding)
    if bare:
        return Statement(text, None, 0, transformer)
    found = _Placeholders()
    numbered = _PLACEHOLDER.sub(found.number, text)
    return Statement(numbered, found.keys, found.size, transformer) if found.plain else None


class _Placeholders:
    """The placeholders of one text, numbered as libpq requires; `keys` is None where they have no names."""

    def __init__(self) -> None:
        self._named: dict[bytes, int] = {}
        self._unnamed = 0
        self.plain = True

    def number(self, found: re.Match[bytes]) -> bytes:
        name, kind = found.groups()
        if kind == b"%" and name is None:
            return b"%"
        if kind != b"s":
            self.plain = False
        if name is None:
            self._unnamed += 1
            number = self._unnamed
        else:
            number = self._named.setdefault(name, len(self._named) + 1)
        self.plain = self.plain and not (self._named and self._unnamed)
        return b"$%d" % number

    @property
    def size(self) -> int:
        return len(self._named) or self._unnamed

    @property
    def keys(self) -> list[str] | None:
        return [name.decode() for name in self._named] if self._named else None


def _error_of(result: pq.abc.PGresult, encoding: str) -> psycopg.Error:
    if result.status in _COPIES:
        return psycopg.NotSupportedError("COPY cannot be used among other statements")
    if result.status == pq.ExecStatus.PIPELINE_ABORTED:
        return errors.PipelineAborted("an earlier statement of the pipeline failed")
    return errors.error_from_result(result, encoding)
