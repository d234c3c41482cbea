"""Define what a handler receives, and load the handler of a route."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload
from uuid import UUID

from inbox.errors import StartupError
from inbox.handling.parameters import typed_parameters
from inbox.handling.shapes import arguments_problem, finishing, has_mark, unfinished_problem
from inbox.handling.values import typed_call
from inbox.plugins.entry_points import load_entry_point, named

if TYPE_CHECKING:  # `import inbox` is all that a package of handlers needs, and costs next to nothing
    from importlib.metadata import EntryPoint

    import sqlalchemy

    from inbox.store.outbox.publisher import OutgoingPayload, Publisher
    from inbox.store.postgres.handler_session import HandlerSession
    from inbox.store.postgres.pipeline import Parameters

ENTRY_POINT_GROUP = "inbox.handlers"
_BATCH_MARK = "__inbox_batch__"

Function = TypeVar("Function", bound=Callable[..., Any])


class Transaction:
    """The database transaction in which an event's claim and its effect commit together.

    Only the sink commits it or rolls it back. `execute` and `executemany` do not wait for the
    server, so that events share round trips. A statement that fails is still reported for the right
    event. `fetch_one` and `fetch_all` wait, which costs a round trip.
    """

    __slots__ = ("_publisher", "_session")

    def __init__(self, session: "HandlerSession", publisher: "Publisher") -> None:
        self._session = session
        self._publisher = publisher

    def execute(self, query: str, parameters: "Parameters" = None) -> None:
        """Run one statement, with `%s` or `%(name)s` for parameters (psycopg's style)."""
        self._session.execute(query, parameters)

    def executemany(self, query: str, parameters: Iterable[Sequence[Any] | Mapping[str, Any]]) -> None:
        """Run one statement once for each set of parameters."""
        self._session.executemany(query, parameters)

    def insert_many(
        self,
        table: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any] | Mapping[str, Any]],
        *,
        ignore_existing: bool = False,
    ) -> int:
        """Insert many rows by few statements, and return how many were given. The natural write of a batch handler.

        The table may be `schema.table`. Names are quoted, so that case counts. Each value is adapted
        as in `execute`, and PostgreSQL gives it the type of its column. With `ignore_existing` a row
        that violates a unique constraint is left out. The call does not wait for the server.

        Raises:
            ValueError: no column is named, or a row has other columns.
        """
        from inbox.store.tables.statements.many_rows import insert_rows

        return insert_rows(self._session.execute, table, columns, rows, ignore_existing=ignore_existing)

    def upsert_many(
        self,
        table: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any] | Mapping[str, Any]],
        *,
        key: Sequence[str],
    ) -> int:
        """Insert many rows, or overwrite those of the same key; return how many were given.

        `key` names columns with a unique constraint. Of several rows of one key the last one counts.
        Otherwise like `insert_many`.

        Raises:
            ValueError: no column is named, a row has other columns, or the key is not among them.
        """
        from inbox.store.tables.statements.many_rows import upsert_rows

        return upsert_rows(self._session.execute, table, columns, rows, key=key)

    def fetch_one(self, query: str, parameters: "Parameters" = None) -> tuple[Any, ...] | None:
        """Return the first row of the result, or None if there is none."""
        return self._session.fetch_one(query, parameters)

    def fetch_all(self, query: str, parameters: "Parameters" = None) -> list[tuple[Any, ...]]:
        """Return all rows of the result."""
        return self._session.fetch_all(query, parameters)

    def publish(
        self,
        topic: str,
        payload: "OutgoingPayload",
        *,
        type: str,  # noqa: A002 - the word of the contract
        key: str | None = None,
        event_id: UUID | None = None,
    ) -> None:
        """Put an event into the outbox, which publishes it only if this transaction commits.

        A dict or list is written as JSON. A str or bytes is stored as it is, and must be JSON with
        `[outbox] payload = "json"`. Events of one `key` stay in order. Without a key, the event's
        id is the record's key.

        Without `event_id` the id is derived from the handled event's id, the names of sink and
        route, and how many events the handler published before. A retry or a replay thus publishes
        the same id, if the handler publishes in the same order at every try. A batch handler has to
        pass `event_id`. An id that is in the outbox already is not added again. The call does not
        wait for the server, like `execute`.

        Raises:
            EventError: the payload is not valid JSON, an argument has a wrong type, or a batch
                handler passed no id.
            HaltError: `[outbox]` is not configured.
        """
        self._publisher.publish(topic, payload, type, key, event_id)

    @property
    def connection(self) -> "sqlalchemy.Connection":
        """Return a SQLAlchemy connection in this transaction, for Core and, by `Session(bind=...)`, for the ORM.

        Its statements are not pipelined: each costs a round trip.
        """
        return self._session.sqlalchemy


@overload
def handler(function: Function, /) -> Function: ...
@overload
def handler(*, batch: bool = False) -> Callable[[Function], Function]: ...
def handler(function: Function | None = None, /, *, batch: bool = False) -> Any:
    """Mark a handler. Only `batch=True` needs the mark: a batch handler takes `Sequence[Event]`, in offset order."""

    def mark(marked: Function) -> Function:
        setattr(marked, _BATCH_MARK, batch)
        return marked

    return mark if function is None else mark(function)


@dataclass(frozen=True)
class LoadedHandler:
    """A handler ready to be called, with one event or, if `batch`, with several.

    A call raises TypeError if the handler returns something that still has to be awaited or
    iterated.
    """

    name: str
    call: Callable[[Any, Transaction], None]
    batch: bool


def load_handler(name: str, *, of_row: bool = False) -> LoadedHandler:
    """Return the handler that an installed package offers under `name`; import no other entry point.

    `of_row` says that a typed handler takes the row that an envelope holds, and otherwise the whole value.

    Raises:
        StartupError: no installed package or more than one offers it, it cannot be imported or
            called, a call would not run it, or the type that it takes cannot be built.
    """
    return _loaded(named(ENTRY_POINT_GROUP, name, "handler", "the route's handler"), of_row=of_row)


def _loaded(entry_point: "EntryPoint", *, of_row: bool) -> LoadedHandler:
    said = f'handler "{entry_point.name}" ({entry_point.value})'
    target = load_entry_point(entry_point, "handler")
    if not callable(target):
        raise StartupError(f"{said} is not callable; fix its package")
    batch = has_mark(target, _BATCH_MARK)
    if (problem := unfinished_problem(target)) is not None:
        raise StartupError(f"{said} {problem}")
    try:
        typed = typed_parameters(target, Transaction, batch=batch)
        called = target if typed is None else typed_call(target, typed, batch=batch, of_row=of_row)
    except StartupError as error:
        raise StartupError(f"{said} {error}") from error
    if typed is None and (problem := arguments_problem(target)) is not None:
        raise StartupError(f"{said} {problem}")
    return LoadedHandler(entry_point.name, cast(Callable[[Any, Transaction], None], finishing(called)), batch)
