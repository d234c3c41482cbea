"""Run the tests of a file: each in a transaction of its own, which is rolled back. No Kafka takes part."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from inbox.bootstrap.routes import RouteTargets, load_handlers, table_routes
from inbox.errors import StartupError
from inbox.events import KeptRecord, TopicPartition
from inbox.operations.route_tests.comparison import Row, differences
from inbox.operations.route_tests.encoding import EventWriter, FileSchemas, with_nulls
from inbox.operations.route_tests.file import ExpectedLetter, RouteTest, TestFile, read_tests
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
        schemas = FileSchemas(tests.schemas_of(file))
        found_routes = [_route_of(settings, file, index, test) for index, test in enumerate(tests.test)]
        routes = [_with_schemas(route, schemas) for route in found_routes]
        making = made_schema if in_place else made_database
        with making(settings.database) as options:
            prepare(options, settings.outbox, tests.script(file))
            bench_settings = replace(settings, database=options)
            found += _of_file(bench_settings, file, tests, routes, schemas)
    return found


def _route_of(settings: Settings, file: Path, index: int, test: RouteTest) -> Route:
    routes = {route.name: route for route in settings.routes}
    where = f"{file}: test[{index}]"
    if (route := routes.get(test.route)) is None:
        raise StartupError(f"{where}.route: no such route{hint(test.route, routes)}")
    for number, event in enumerate(test.events):
        if event.topic is not None and event.topic not in route.topics:
            near = hint(event.topic, route.topics)
            raise StartupError(f"{where}.events[{number}].topic: not a topic of the route{near}")
    return route


def _with_schemas(route: Route, schemas: FileSchemas) -> Route:
    """Return a route that takes its schemas from the test file where it would ask a registry."""
    return replace(route, format=replace(route.format, schemas=schemas)) if route.format.needs_registry else route


def _of_file(
    settings: Settings, file: Path, tests: TestFile, routes: Sequence[Route], schemas: FileSchemas
) -> Iterator[Tested]:
    named = list({route.name: route for route in routes}.values())
    handlers = load_handlers(named)
    with closing(_connected(settings.database)) as connection:
        with startup_errors("preparing the routes"):
            writers = {route.name: TableWriter(connection, target) for route, target in table_routes(named)}
        bench = _Bench(settings, connection, RouteTargets(settings, handlers, writers), tests.null)
        for index, (test, route) in enumerate(zip(tests.test, routes, strict=True)):
            records = _records(test, EventWriter(route, schemas, tests.null), route, f"{file}: test[{index}]")
            problems = bench.problems_of(test, route, records)
            yield Tested(str(file), test.name or f"test[{index}]", route.name, problems)


def _connected(options: DatabaseOptions) -> Connection:
    return connect(options, application_name="inbox test")


class _Bench:
    """A connection on which the tests of a file run, one after the other."""

    def __init__(self, settings: Settings, connection: Connection, targets: RouteTargets, null: str | None) -> None:
        self._settings, self._connection, self._targets, self._null = settings, connection, targets, null
        self._session = HandlerSession(connection)
        self._transaction = BatchTransaction(connection, handlers=True)

    def problems_of(self, test: RouteTest, route: Route, records: Sequence[KeptRecord]) -> list[str]:
        """Run one test, roll its transaction back, and return what is not as expected."""
        self._transaction.begin()
        try:
            if test.given is not None:
                run_script(self._connection, test.given)
            letters, filtered = self._settle(route, records)
            self._transaction.check_deferred()
            found = list(self._row_problems(test)) + list(_letter_problems(test.expect.dead_letters, letters))
        finally:
            self._transaction.rollback()
        if test.expect.filtered not in (None, filtered):
            found.append(f"{filtered} events were filtered, not {test.expect.filtered}")
        return found

    def _settle(self, route: Route, records: Sequence[KeptRecord]) -> tuple[list[DeadLetter], int]:
        claims = ClaimStore(self._connection, self._settings.database.schema)
        context = SettleContext(
            self._connection, self._session, self._transaction, claims, self._settings.failures, parks=False
        )
        batch = Batch({part.address: part for part in _parts(records, route)})
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
        given = {name: value for name, value in with_nulls(row, self._null).items() if value is not None}
        stored = as_stored(self._connection, [kinds[name] for name in given], list(given.values()))
        return {**dict.fromkeys(row), **dict(zip(given, stored, strict=True))}


def _records(test: RouteTest, writer: EventWriter, route: Route, where: str) -> list[KeptRecord]:
    """Return the records of a test's events; an event's offset is its number in the test."""
    found: list[KeptRecord] = []
    for number, event in enumerate(test.events):
        try:
            found.append(writer.record(event.topic or route.topics[0], number, event))
        except StartupError as error:
            raise StartupError(f"{where}.events[{number}]: {error}") from None
    return found


def _parts(records: Sequence[KeptRecord], route: Route) -> Iterator[PartitionBatch]:
    """Return the events by topic."""
    for number, topic in enumerate(route.topics, start=1):
        decoder = TopicDecoder(topic, _TOPIC_ID, [route])
        part = PartitionBatch(TopicPartition(topic, 0), number, 0, 0, len(records), decoder.new_columns())
        for record in records:
            if record.topic() == topic:
                decoder.add(record, part.routes.values())
        yield part


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
