"""Run the tests of a file: each in a transaction of its own, which is rolled back. No Kafka takes part."""

from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from inbox.bootstrap.routes import RouteTargets, load_handlers, table_routes
from inbox.errors import StartupError
from inbox.events import KeptRecord, TopicPartition, timestamp_at
from inbox.operations.route_tests.comparison import Row, differences
from inbox.operations.route_tests.file import ExpectedLetter, GivenEvent, RouteTest, TestFile, read_tests
from inbox.settings import Settings
from inbox.settings.problems import hint
from inbox.sink.batch import Batch, PartitionBatch
from inbox.sink.decoder import TopicDecoder
from inbox.sink.guards.handler_calls import UnwatchedCalls
from inbox.sink.routes import Route
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.sink.settle.route import settle_carefully
from inbox.store.inbox.claims import ClaimStore
from inbox.store.inbox.dead_letters import DeadLetter
from inbox.store.inbox.failures.error_texts import shown
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.postgres.connection import Connection, connect, startup_errors
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.route_tests import as_stored, columns_of, made_database, made_schema, prepare, rows_of, run_script
from inbox.store.tables.writer import TableWriter

_TOPIC_ID, _ROUTE_ID = UUID(int=1), 1


@dataclass(frozen=True)
class Tested:
    """The result of one test. `problems` is empty if it passed."""

    file: str
    name: str
    route: str
    problems: Sequence[str]


def run_tests(settings: Settings, files: Sequence[Path], *, in_place: bool) -> list[Tested]:
    """Run the tests of all files.

    Args:
        settings: the configuration with the routes.
        files: the files of tests.
        in_place: whether to use the tables of the configured database; otherwise each file has a new one.

    Raises:
        StartupError: a file, a route, a handler, a table or a right is wrong.
        TryAgainError: the database does not answer.
    """
    found: list[Tested] = []
    for file in files:
        tests = read_tests(file)
        routes = [_route_of(settings, file, index, test) for index, test in enumerate(tests.test)]
        making = made_schema if in_place else made_database
        with making(settings.database) as options:
            prepare(options, settings.outbox, tests.script(file))
            found += _of_file(replace(settings, database=options), file, tests, routes)
    return found


def _route_of(settings: Settings, file: Path, index: int, test: RouteTest) -> Route:
    routes = {route.name: route for route in settings.routes}
    where = f"{file}: test[{index}]"
    if (route := routes.get(test.route)) is None:
        raise StartupError(f"{where}.route: no such route{hint(test.route, routes)}")
    if route.format.needs_registry:
        raise StartupError(
            f"{where}.route: {route.name} takes its schemas from a registry, which takes no part in a test; "
            "set schema_file in a configuration for the tests"
        )
    for number, event in enumerate(test.events):
        if event.topic is not None and event.topic not in route.topics:
            near = hint(event.topic, route.topics)
            raise StartupError(f"{where}.events[{number}].topic: not a topic of the route{near}")
    return route


def _of_file(settings: Settings, file: Path, tests: TestFile, routes: Sequence[Route]) -> Iterator[Tested]:
    named = list({route.name: route for route in routes}.values())
    handlers = load_handlers(named)
    with closing(_connected(settings.database)) as connection:
        with startup_errors("preparing the routes"):
            writers = {route.name: TableWriter(connection, target) for route, target in table_routes(named)}
        bench = _Bench(settings, connection, RouteTargets(settings, handlers, writers))
        for index, (test, route) in enumerate(zip(tests.test, routes, strict=True)):
            yield Tested(str(file), test.name or f"test[{index}]", route.name, bench.problems_of(test, route))


def _connected(options: DatabaseOptions) -> Connection:
    return connect(options, application_name="inbox test")


class _Bench:
    """A connection on which the tests of a file run, one after the other."""

    def __init__(self, settings: Settings, connection: Connection, targets: RouteTargets) -> None:
        self._settings, self._connection, self._targets = settings, connection, targets
        self._session = HandlerSession(connection)
        self._transaction = BatchTransaction(connection, handlers=True)

    def problems_of(self, test: RouteTest, route: Route) -> list[str]:
        """Run one test, roll its transaction back, and return what is not as expected."""
        self._transaction.begin()
        try:
            if test.given is not None:
                run_script(self._connection, test.given)
            letters, filtered = self._settle(test, route)
            self._transaction.check_deferred()
            found = list(self._row_problems(test)) + list(_letter_problems(test.expect.dead_letters, letters))
        finally:
            self._transaction.rollback()
        if test.expect.filtered not in (None, filtered):
            found.append(f"{filtered} events were filtered, not {test.expect.filtered}")
        return found

    def _settle(self, test: RouteTest, route: Route) -> tuple[list[DeadLetter], int]:
        claims = ClaimStore(self._connection, self._settings.database.schema)
        context = SettleContext(
            self._connection, self._session, self._transaction, claims, self._settings.failures, parks=False
        )
        batch = Batch({part.address: part for part in _parts(test.events, route)})
        events = batch.of_route(route.name)
        result = settle_carefully(context, self._bound(route), events, {})
        filtered = sum(each.routes[route.name].filtered for each in batch.partitions.values())
        return sorted(result.letters, key=lambda letter: letter.record.offset()), filtered

    def _bound(self, route: Route) -> BoundRoute:
        return self._targets.bind(route, _ROUTE_ID, self._session, UnwatchedCalls())

    def _row_problems(self, test: RouteTest) -> Iterator[str]:
        for table, rows in test.expect.rows.items():
            kinds = columns_of(self._connection, table)
            expected = [self._stored(table, kinds, row) for row in rows]
            yield from differences(table, expected, [row.values for row in rows_of(self._connection, table)])

    def _stored(self, table: str, kinds: Any, row: dict[str, Any]) -> Row:
        for name in row:
            if name not in kinds:
                raise StartupError(f"the table {table} has no column {name}{hint(name, kinds)}")
        return dict(
            zip(row, as_stored(self._connection, [kinds[name] for name in row], list(row.values())), strict=True)
        )


def _parts(events: Sequence[GivenEvent], route: Route) -> Iterator[PartitionBatch]:
    """Return the events by topic; an event's offset is its number in the test."""
    for number, topic in enumerate(route.topics, start=1):
        decoder = TopicDecoder(topic, _TOPIC_ID, [route])
        part = PartitionBatch(TopicPartition(topic, 0), number, 0, 0, len(events), decoder.new_columns())
        for offset, event in enumerate(events):
            if (event.topic or route.topics[0]) == topic:
                decoder.add(_record(topic, offset, event), part.routes.values())
        yield part


def _record(topic: str, offset: int, event: GivenEvent) -> KeptRecord:
    headers = [(name, text.encode()) for name, text in event.headers.items()]
    time = timestamp_at(event.timestamp)
    return KeptRecord((topic, 0, offset), _key(event), _value(event), list(headers), time)


def _key(event: GivenEvent) -> bytes | None:
    return orjson.dumps(event.key) if isinstance(event.key, dict) else event.key.encode() if event.key else None


def _value(event: GivenEvent) -> bytes | None:
    if event.text is not None:
        return event.text.encode()
    if event.base64 is not None:
        return b64decode(event.base64)
    return None if event.value is None else orjson.dumps(event.value)


def _letter_problems(expected: Sequence[ExpectedLetter], letters: Sequence[DeadLetter]) -> Iterator[str]:
    left = [(letter.record.offset(), shown(letter.error)) for letter in letters]
    for each in expected:
        fitting = [letter for letter in left if _fits(each, letter)]
        if fitting:
            left.remove(fitting[0])
        else:
            about = f" of event {each.event}" if each.event is not None else ""
            said = f' whose error has "{each.error}"' if each.error is not None else ""
            yield f"missing: a dead letter{about}{said}"
    for offset, error in left:
        yield f"unexpected: a dead letter of event {offset}: {error}"


def _fits(expected: ExpectedLetter, letter: tuple[int, str]) -> bool:
    offset, error = letter
    return expected.event in (None, offset) and (expected.error or "") in error
